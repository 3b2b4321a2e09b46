//! Sleepable RCU: a domain with readers that may sleep.

use super::word::SHARED;
use crate::lockdep_events::{self as lockdep, Acquire, Map};
use crate::rt::set::{AtomicSet, sets};
use crate::rt::{EventKind, Machine, OpKind, ResId, ResKind, current, record};
use crate::rt::{Fact, fact};
use ksplat_lockdep::{Key, Read};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// `struct srcu_struct`.
#[derive(Debug)]
pub struct Srcu {
    map: Map,
    res: ResId,
    /// Entities inside a read section of this domain, and how deep.
    readers: AtomicSet,
    depth: Box<[AtomicU64]>,
    awaited: Box<[AtomicSet]>,
}

impl Srcu {
    /// A domain without readers.
    #[must_use]
    #[track_caller]
    pub fn new(m: &mut Machine, name: &str, key: Key) -> Self {
        let res = m.add_resource(ResKind::GracePeriod, name);
        let entities = m.entities().len();
        Self {
            map: Map::new(key, res),
            res,
            readers: AtomicSet::default(),
            depth: (0..entities).map(|_| AtomicU64::new(0)).collect(),
            awaited: sets(entities),
        }
    }

    /// Back to no readers.
    pub fn reset(&self) {
        self.readers.store(0, SeqCst);
        self.depth.iter().for_each(|d| d.store(0, SeqCst));
        self.awaited.iter().for_each(|a| a.store(0, SeqCst));
    }

    /// `srcu_read_lock()`.
    pub fn read_lock(&self) {
        let e = current();
        record(EventKind::Lock, || {
            format!("srcu_read_lock {}", e.machine().resource(self.res).name())
        });
        e.point(OpKind::Read, self.res);
        let how = Acquire {
            read: Read::Recursive,
            ..Acquire::default()
        };
        lockdep::acquire(e.machine(), &e, self.map, how);
        if self.depth[e.id().index()].fetch_add(1, SeqCst) == 0 {
            self.readers.fetch_or(e.bit(), SeqCst);
        }
        e.count_held(1);
        fact(&e, Fact::Gets, self.res, SHARED);
        e.machine().changed(&e, false);
    }

    /// `srcu_read_unlock()`.
    pub fn read_unlock(&self) {
        let e = current();
        let m = e.machine();
        e.point(OpKind::Unlock, self.res);
        record(EventKind::Unlock, || {
            format!("srcu_read_unlock {}", m.resource(self.res).name())
        });
        lockdep::release(e.machine(), &e, self.map);
        let depth = &self.depth[e.id().index()];
        let before = depth.load(SeqCst);
        if before == 0 {
            m.state_break_of("srcu-unbalanced", self.res, || {
                let name = m.resource(self.res).name();
                format!(
                    "{}: srcu_read_unlock {name} outside a read section",
                    e.name()
                )
            });
            return;
        }
        depth.store(before - 1, SeqCst);
        e.count_held(-1);
        fact(&e, Fact::Gives, self.res, SHARED);
        if before == 1 {
            let gone = !e.bit();
            self.readers.fetch_and(gone, SeqCst);
            for awaited in &*self.awaited {
                awaited.fetch_and(gone, SeqCst);
            }
            m.wake(self.res);
        }
        m.changed(&e, false);
    }

    /// `synchronize_srcu()`: waits for every read section of the domain that was entered before. lockdep learns the
    /// dependency as it does from a lock that is taken and given back.
    pub fn synchronize(&self) {
        let e = current();
        e.might_sleep();
        lockdep::sync(&e, self.map);
        e.point(OpKind::Wait, self.res);
        record(EventKind::Block, || {
            format!("synchronize_srcu {}", e.machine().resource(self.res).name())
        });
        let awaited = &self.awaited[e.id().index()];
        awaited.store(self.readers.load(SeqCst), SeqCst);
        e.sleep_until_none(self.res, || awaited.load(SeqCst));
    }
}
