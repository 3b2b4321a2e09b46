//! `lock_release()`, `lock_downgrade()` and `lock_set_subclass()`.

use crate::acquire::Acquired;
use crate::engine::Lockdep;
use crate::key::{LockMap, Read};
use crate::op::Op;
use crate::report::{Detail, Outcome};
use crate::task::TaskState;

impl Lockdep {
    /// `lock_release()`. Locks above the released one are acquired again, with all checks, as in the kernel.
    ///
    /// # Errors
    /// The first new report that this raised.
    #[inline(always)]
    pub fn release(&self, task: &mut TaskState, map: LockMap, site: u32) -> Outcome {
        if self.is_enabled() && task.pop(map) {
            return Ok(());
        }
        self.release_checked(task, map, site)
    }

    #[cold]
    #[inline(never)]
    fn release_checked(&self, task: &mut TaskState, map: LockMap, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        if self.is_enabled() {
            op.release(task, map);
        }
        op.outcome()
    }

    /// `lock_downgrade()`: a writer becomes a (non-recursive) reader.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn downgrade(&self, task: &mut TaskState, map: LockMap, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        let Some(at) = op.find_to_change(task, map) else {
            return op.outcome();
        };
        if task.held()[at].read().is_read() {
            op.report_alone(
                task,
                Detail::Warn {
                    message: "downgrading a read lock",
                },
            );
        }
        task.held_mut()[at].set_read(Read::Shared);
        task.held_mut()[at].set_site(site);
        let merged = op.reacquire_from(task, at, at);
        op.check_merged(task, merged, MERGED);
        op.outcome()
    }

    /// `lock_set_subclass()`: the held lock changes its class to another subclass of its key.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn set_subclass(
        &self,
        task: &mut TaskState,
        map: LockMap,
        subclass: u8,
        site: u32,
    ) -> Outcome {
        let mut op = Op::new(self, site);
        let Some(at) = op.find_to_change(task, map) else {
            return op.outcome();
        };
        let Some(class) = op.class(task, map, subclass) else {
            return op.outcome();
        };
        task.held_mut()[at].set_class(class);
        let merged = op.reacquire_from(task, at, at);
        op.check_merged(task, merged, DEPTH_MISMATCH);
        op.outcome()
    }
}

const MERGED: &str = "merged";
const DEPTH_MISMATCH: &str = "curr->lockdep_depth != depth - merged";

/// How acquiring the upper part of the stack again ended.
#[derive(Clone, Copy)]
struct Merged {
    /// Whether the first lock was folded into the one below.
    first: bool,
    /// How many others were.
    others: usize,
    /// Lockdep went off on the way.
    abandoned: bool,
}

impl Op<'_> {
    fn release(&mut self, task: &mut TaskState, map: LockMap) {
        let Some(at) = self.find_held(task, map) else {
            return self.unlock_imbalance(task, map);
        };
        if task.held()[at].pins() != 0 {
            self.report_alone(
                task,
                Detail::Warn {
                    message: "releasing a pinned lock",
                },
            );
        }
        let held = &mut task.held_mut()[at];
        let references = held.references().saturating_sub(1);
        held.set_references(references);
        if references != 0 {
            return;
        }
        let merged = self.reacquire_from(task, at, at + 1);
        self.check_merged(task, merged, DEPTH_MISMATCH);
    }

    /// `find_held_lock()`: from the top down to the first change of interrupt context.
    fn find_held(&mut self, task: &TaskState, map: LockMap) -> Option<usize> {
        let held = task.held();
        let context = held.last()?.irq_context();
        for (at, held) in held.iter().enumerate().rev() {
            if held.irq_context() != context {
                return None;
            }
            if self.matches(held, map, task) {
                return Some(at);
            }
        }
        None
    }

    fn find_to_change(&mut self, task: &TaskState, map: LockMap) -> Option<usize> {
        if !self.lockdep.is_enabled() {
            return None;
        }
        if task.depth() == 0 {
            self.warn_on(task, "!depth");
            return None;
        }
        let at = self.find_held(task, map);
        if at.is_none() {
            self.unlock_imbalance(task, map);
        }
        at
    }

    /// Cuts the stack at `at` and acquires what was at `first` and above again (`reacquire_held_locks()`).
    fn reacquire_from(&mut self, task: &mut TaskState, at: usize, first: usize) -> Merged {
        let depth = task.depth();
        task.truncate(at);
        let mut merged = Merged {
            first: false,
            others: 0,
            abandoned: false,
        };
        for n in first..depth {
            // What is pushed lands at or below `n`.
            let held = task.entry(n);
            if self.lockdep.reacquire_settled(task, &held) {
                continue;
            }
            match self.acquire(task, &held.request()) {
                Acquired::Abandoned => {
                    return Merged {
                        abandoned: true,
                        ..merged
                    };
                }
                Acquired::Pushed => {}
                Acquired::Merged if n == first => merged.first = true,
                Acquired::Merged => merged.others += 1,
            }
        }
        merged
    }

    /// The kernel expects that only the first lock can have been folded, and none by a downgrade.
    fn check_merged(&mut self, task: &TaskState, merged: Merged, condition: &'static str) {
        let unexpected = merged.first && condition == MERGED;
        if !merged.abandoned && (merged.others != 0 || unexpected) {
            self.warn_on(task, condition);
        }
    }
}
