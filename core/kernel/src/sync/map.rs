//! `struct lockdep_map` without a lock: `fs_reclaim`, work items, notifier sections.

use crate::lockdep_events::{self as lockdep, Acquire, Map};
use crate::rt::{EventKind, Machine, ResKind, current, record};
use ksplat_lockdep::{Key, KeyInfo, Read};
use std::fmt::Display;

/// A lock map that no lock stands behind: only lockdep sees it, it never makes anybody wait.
#[derive(Clone, Copy, Debug)]
pub struct LockMap {
    map: Map,
}

impl LockMap {
    /// A map of a class.
    #[must_use]
    #[track_caller]
    pub fn new(m: &mut Machine, name: impl Display, key: Key) -> Self {
        let res = m.add_resource(ResKind::State, name);
        Self {
            map: Map::new(key, res),
        }
    }

    /// The class for maps of this name, registered when it is new: no wait type, as `lockdep_init_map()` makes it.
    #[must_use]
    pub fn class(m: &mut Machine, name: &str) -> Key {
        if let Some((_, key)) = m.map_classes.iter().find(|(known, _)| **known == *name) {
            return *key;
        }
        let key = m.lockdep_mut().register_key(KeyInfo::new(name));
        m.map_classes.push((name.into(), key));
        key
    }

    /// `lock_map_acquire()`, or `lock_map_acquire_read()` with a recursive reader.
    pub fn acquire(&self, read: Read) {
        let e = current();
        record(EventKind::Lock, || {
            format!(
                "lock_map_acquire {}",
                e.machine().resource(self.map.res()).name()
            )
        });
        lockdep::acquire(
            e.machine(),
            &e,
            self.map,
            Acquire {
                read,
                ..Acquire::default()
            },
        );
    }

    /// `lock_map_release()`.
    pub fn release(&self) {
        let e = current();
        record(EventKind::Unlock, || {
            format!(
                "lock_map_release {}",
                e.machine().resource(self.map.res()).name()
            )
        });
        lockdep::release(e.machine(), &e, self.map);
    }

    /// Acquires and releases: "this lock might be taken here".
    pub fn touch(&self) {
        self.acquire(Read::Exclusive);
        self.release();
    }

    /// Whether the running task holds it, as lockdep sees it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        lockdep::is_held(&current(), self.map)
    }
}
