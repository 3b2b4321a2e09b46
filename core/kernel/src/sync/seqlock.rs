//! `seqcount_t` and `seqlock_t`: writers make a count odd and even again, readers retry when it was odd or changed.

use super::lock::{How, Irq, Lock, LockKind};
use super::word::SHARED;
use crate::lockdep_events::{self as lockdep, Acquire, Map};
use crate::rt::{
    Current, Entity, EventKind, IrqFlags, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow,
    current, record,
};
use crate::rt::{Fact, fact};
use ksplat_lockdep::Key;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A sequence count, with a spinlock for its writers (`seqlock_t`) or without (`seqcount_t`).
#[derive(Debug)]
pub struct Seqlock {
    lock: Option<Lock>,
    map: Map,
    res: ResId,
    count: AtomicU64,
}

impl Seqlock {
    /// `seqcount_t`: writers exclude each other by themselves.
    #[must_use]
    pub fn seqcount(m: &mut Machine, name: &str, key: Key) -> Self {
        Self::new(m, name, key, None)
    }

    /// `seqlock_t`. `lock` and `key`: the classes of its spinlock and of its count.
    #[must_use]
    #[allow(
        clippy::self_named_constructors,
        reason = "the kernel has seqlocks and seqcounts, and this is both"
    )]
    pub fn seqlock(m: &mut Machine, name: &str, lock: Key, key: Key) -> Self {
        let lock = Lock::new(m, LockKind::Spin, name, Some(lock));
        Self::new(m, &format!("{name}.seqcount"), key, Some(lock))
    }

    fn new(m: &mut Machine, name: &str, key: Key, lock: Option<Lock>) -> Self {
        let res = m.add_resource(ResKind::Sequence, name);
        Self {
            lock,
            map: Map::new(key, res),
            res,
            count: AtomicU64::new(0),
        }
    }

    /// Back to the start.
    pub fn reset(&self) {
        self.count.store(0, SeqCst);
    }

    /// The writers' lock.
    #[must_use]
    pub const fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// `write_seqlock()` or `write_seqcount_begin()`, with what the flavour does besides.
    pub fn write_begin(&self, irq: Irq) -> IrqFlags {
        let e = current();
        let how = How {
            irq,
            ..How::default()
        };
        let flags = self.lock.map_or_else(|| e.irq_flags(), |l| l.lock(how));
        self.begin(&e);
        flags
    }

    /// The same if the lock is free at once; a count without a lock always is.
    pub fn try_write_begin(&self, irq: Irq) -> Option<IrqFlags> {
        let e = current();
        let how = How {
            irq,
            ..How::default()
        };
        let flags = match self.lock {
            Some(lock) => lock.trylock(how)?,
            None => e.irq_flags(),
        };
        self.begin(&e);
        Some(flags)
    }

    fn begin(&self, e: &Current) {
        let m = e.machine();
        if self.lock.is_none() && !e.atomic() {
            m.state_break_of("seqcount-preemptible", self.res, || {
                let name = m.resource(self.res).name();
                format!("{} writes {name} with preemption on", e.name())
            });
        }
        // lockdep hears of it before the count is odd (`41b43b6c6e30`).
        lockdep::acquire(e.machine(), e, self.map, Acquire::default());
        e.point(OpKind::Store, self.res);
        record(EventKind::Lock, || {
            format!("write_seqcount_begin {}", m.resource(self.res).name())
        });
        let r = m.resource(self.res);
        if self.count.fetch_add(1, SeqCst) % 2 == 1 {
            m.state_break_of("seqcount-nested-writer", self.res, || {
                format!(
                    "{} begins to write {} while it is written",
                    e.name(),
                    r.name()
                )
            });
        }
        r.listed.fetch_or(e.bit(), SeqCst);
        fact(e, Fact::Gets, self.res, SHARED);
        e.hold_shared(self.res);
        e.count_held(1);
        m.changed(e, false);
    }

    /// `write_sequnlock()` or `write_seqcount_end()`.
    pub fn write_end(&self, irq: Irq, flags: IrqFlags) {
        let e = current();
        self.end(&e);
        if let Some(lock) = self.lock {
            lock.unlock(irq, flags);
        }
    }

    fn end(&self, e: &Entity) {
        let m = e.machine();
        let r = m.resource(self.res);
        e.point(OpKind::Store, self.res);
        record(EventKind::Unlock, || {
            format!("write_seqcount_end {}", r.name())
        });
        lockdep::release(e.machine(), e, self.map);
        if !e.drop_shared(self.res) {
            m.state_break_of("seqcount-not-written", self.res, || {
                format!(
                    "{} ends writing {}, which it did not begin",
                    e.name(),
                    r.name()
                )
            });
            return;
        }
        if !e.holds_shared(self.res) {
            r.listed.fetch_and(!e.bit(), SeqCst);
        }
        fact(e, Fact::Gives, self.res, SHARED);
        self.count.fetch_add(1, SeqCst);
        e.count_held(-1);
        m.changed(e, false);
        m.wake(self.res);
    }

    /// `read_seqbegin()`: waits while the count is odd, returns it. On PREEMPT_RT a reader of a seqlock waits by taking the
    /// writers' lock, which lends its priority.
    pub fn read_begin(&self) -> u64 {
        let e = current();
        lockdep::seqcount_read(&e, self.map);
        e.point(OpKind::Load, self.res);
        record(EventKind::Lock, || {
            format!("read_seqbegin {}", e.machine().resource(self.res).name())
        });
        e.start_looking();
        loop {
            let count = self.count.load(SeqCst);
            if count.is_multiple_of(2) {
                return count;
            }
            match self.lock {
                Some(lock) if e.machine().rt() => {
                    let flags = lock.lock(How::default());
                    lock.unlock(Irq::Plain, flags);
                }
                _ => e.block(Wait {
                    res: self.res,
                    how: WaitHow::Spin,
                    needs: Needs::Holders,
                }),
            }
        }
    }

    /// `read_seqretry()`: whether the count is no longer what `read_begin` returned.
    #[must_use]
    pub fn read_retry(&self, begun: u64) -> bool {
        let e = current();
        e.point(OpKind::Load, self.res);
        let changed = self.count.load(SeqCst) != begun;
        record(EventKind::Unlock, || {
            let what = if changed { "must retry" } else { "is done" };
            format!(
                "read_seqretry {} {what}",
                e.machine().resource(self.res).name()
            )
        });
        changed
    }
}
