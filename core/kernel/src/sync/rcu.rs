//! RCU: read sections, and grace periods that wait for all older readers.

use crate::lockdep_events as lockdep;
use crate::rt::{
    EventKind, MAX_ENTITIES, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The RCU of a machine.
#[derive(Debug)]
pub struct Rcu {
    res: ResId,
    /// Entities inside a read section.
    readers: AtomicU64,
    /// For each entity that waits for a grace period: the readers it still waits for.
    awaited: [AtomicU64; MAX_ENTITIES],
}

impl Rcu {
    /// RCU without readers.
    #[must_use]
    pub fn new(m: &mut Machine) -> Self {
        Self {
            res: m.add_resource(ResKind::GracePeriod, "rcu"),
            readers: AtomicU64::new(0),
            awaited: [const { AtomicU64::new(0) }; MAX_ENTITIES],
        }
    }

    /// What grace periods wait for.
    #[must_use]
    pub const fn res(&self) -> ResId {
        self.res
    }

    /// Back to no readers, for a new execution.
    pub fn reset(&self) {
        self.readers.store(0, SeqCst);
        self.awaited.iter().for_each(|a| a.store(0, SeqCst));
    }

    /// `rcu_read_lock()`. Preemption is off inside, unless the kernel is PREEMPT_RT.
    pub fn read_lock(&self) {
        let e = current();
        record(EventKind::Lock, || "rcu_read_lock".to_owned());
        e.point(OpKind::Read, self.res);
        if !e.machine().rt() {
            e.preempt_disable();
        }
        lockdep::rcu_read_lock(&e);
        let n = e.rcu.get();
        e.rcu.set(n + 1);
        if n == 0 {
            self.readers.fetch_or(e.id().bit(), SeqCst);
        }
    }

    /// `rcu_read_unlock()`.
    pub fn read_unlock(&self) {
        let e = current();
        e.point(OpKind::Unlock, self.res);
        record(EventKind::Unlock, || "rcu_read_unlock".to_owned());
        let n = e.rcu.get();
        if n == 0 {
            e.machine().state_break("rcu-unbalanced", || {
                format!("{}: rcu_read_unlock outside a read section", e.name())
            });
            return;
        }
        lockdep::rcu_read_unlock(&e);
        e.rcu.set(n - 1);
        if n == 1 {
            self.readers.fetch_and(!e.id().bit(), SeqCst);
            self.awaited.iter().for_each(|a| {
                a.fetch_and(!e.id().bit(), SeqCst);
            });
            e.machine().wake(self.res);
        }
        if !e.machine().rt() {
            e.preempt_enable();
        }
    }

    /// `synchronize_rcu()`: waits for every read section that was entered before.
    pub fn synchronize(&self) {
        let e = current();
        e.might_sleep();
        e.point(OpKind::Wait, self.res);
        record(EventKind::Block, || "synchronize_rcu".to_owned());
        let awaited = &self.awaited[e.id().index()];
        awaited.store(self.readers.load(SeqCst), SeqCst);
        if awaited.load(SeqCst) & e.id().bit() != 0 {
            e.machine().state_break("rcu-self-wait", || {
                format!("{}: synchronize_rcu inside its own read section", e.name())
            });
        }
        e.start_looking();
        loop {
            let older = awaited.load(SeqCst);
            if older == 0 {
                return;
            }
            e.block(Wait {
                res: self.res,
                how: WaitHow::Sleep,
                needs: Needs::All(older),
            });
        }
    }
}
