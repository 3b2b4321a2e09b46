//! `struct completion`.

use crate::rt::{
    EntitySet, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A completion. Not in lockdep: a wait for it can only be judged by who may still complete it.
#[derive(Debug)]
pub struct Completion {
    res: ResId,
    done: AtomicU64,
}

impl Completion {
    /// `init_completion()`. `enders`: the entities that may complete it, one bit each.
    #[must_use]
    #[track_caller]
    pub fn new(m: &mut Machine, name: &str, enders: EntitySet) -> Self {
        let res = m.add_resource(ResKind::Completion, name);
        m.set_enders(res, enders);
        Self {
            res,
            done: AtomicU64::new(0),
        }
    }

    /// What waits for it go through.
    #[must_use]
    pub const fn res(&self) -> ResId {
        self.res
    }

    /// `reinit_completion()`; also what a new execution starts with.
    pub fn reset(&self) {
        self.done.store(0, SeqCst);
    }

    /// `complete()`: lets one waiter go on.
    pub fn complete(&self) {
        self.add(1);
    }

    /// `complete_all()`.
    pub fn complete_all(&self) {
        self.add(u64::MAX / 2);
    }

    fn add(&self, n: u64) {
        let e = current();
        e.point(OpKind::Wake, self.res);
        record(EventKind::Wake, || {
            format!("complete {}", e.machine().resource(self.res).name())
        });
        let more = |d: u64| Some(d.saturating_add(n).min(u64::MAX / 2));
        let _ = self.done.fetch_update(SeqCst, SeqCst, more);
        e.machine().changed(&e, true);
        e.machine().wake(self.res);
    }

    /// `wait_for_completion()`.
    pub fn wait(&self) {
        self.wait_as(WaitHow::Sleep);
    }

    /// The same for a daemon that has nothing to do otherwise.
    pub fn wait_idle(&self) {
        self.wait_as(WaitHow::Idle);
    }

    fn wait_as(&self, how: WaitHow) {
        let e = current();
        e.might_sleep();
        e.point(OpKind::Wait, self.res);
        record(EventKind::Block, || {
            format!(
                "wait_for_completion {}",
                e.machine().resource(self.res).name()
            )
        });
        let wait = Wait {
            res: self.res,
            how,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || self.try_take());
    }

    /// `try_wait_for_completion()`.
    #[must_use]
    pub fn try_wait(&self) -> bool {
        current().point(OpKind::TryLock, self.res);
        self.try_take()
    }

    /// `completion_done()`: whether a wait would end at once.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.load(SeqCst) != 0
    }

    fn try_take(&self) -> bool {
        let less = |d: u64| match d {
            0 => None,
            d if d >= u64::MAX / 2 => Some(d),
            d => Some(d - 1),
        };
        let taken = self.done.fetch_update(SeqCst, SeqCst, less).is_ok();
        if taken {
            let e = current();
            e.machine().changed(&e, true);
        }
        taken
    }
}
