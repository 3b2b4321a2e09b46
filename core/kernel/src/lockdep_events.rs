//! What the machine tells lockdep: every acquisition, release and context change, in the kernel's order.

use crate::rt::{Entity, ResId};
use crate::rules::Rules;
use ksplat_lockdep::{Config, Key, LockMap};

/// A lock's identity for lockdep: its class key and which instance it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    map: LockMap,
}

impl Map {
    pub(crate) fn new(key: Key, res: ResId) -> Self {
        Self {
            map: LockMap::new(key, res.index() as u32),
        }
    }

    pub(crate) fn res(self) -> ResId {
        ResId(self.map.instance)
    }
}

/// How a lock is acquired, as lockdep wants to know it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acquire {
    pub(crate) subclass: u8,
    pub(crate) trylock: bool,
    pub(crate) read: u8,
    pub(crate) nest: Option<Map>,
}

pub(crate) fn config(_rules: &Rules) -> Config {
    Config::default()
}
pub(crate) fn acquire(_e: &Entity, _map: Map, _how: Acquire) {}
pub(crate) fn release(_e: &Entity, _map: Map) {}
pub(crate) fn downgrade(_e: &Entity, _map: Map) {}
pub(crate) fn is_held(_e: &Entity, _map: Map) -> bool {
    false
}
pub(crate) fn hardirqs_off(_e: &Entity) {}
pub(crate) fn hardirqs_on(_e: &Entity) {}
pub(crate) fn bh_disable(_e: &Entity) {}
pub(crate) fn bh_enable(_e: &Entity) {}
pub(crate) fn irq_enter(_e: &Entity) {}
pub(crate) fn irq_exit(_e: &Entity) {}
pub(crate) fn might_sleep(_e: &Entity) {}
pub(crate) fn exit(_e: &Entity) {}
pub(crate) fn rcu_read_lock(_e: &Entity) {}
pub(crate) fn rcu_read_unlock(_e: &Entity) {}
