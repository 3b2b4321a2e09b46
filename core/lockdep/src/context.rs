//! Interrupt state and what enabling interrupts means for the locks held.

use crate::engine::Lockdep;
use crate::op::Op;
use crate::report::Outcome;
use crate::task::TaskState;
use crate::usage::{UsageBit, UsageState};

impl Lockdep {
    /// `lockdep_hardirqs_on()`: hard interrupts get enabled. Every held, checked lock is now held over
    /// interrupts. No effect if they are enabled.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn hardirqs_on(&self, task: &mut TaskState, site: u32) -> Outcome {
        if task.hardirqs_enabled() {
            return Ok(());
        }
        if task.depth() == 0 && !task.in_hardirq() {
            task.set_hardirqs_on();
            return Ok(());
        }
        let mut op = Op::new(self, site);
        op.hardirqs_on(task);
        task.set_hardirqs_on();
        op.outcome()
    }

    /// `lockdep_softirqs_on()`, for callers that keep the count themselves. To be called with hard interrupts
    /// off, as `local_bh_enable()` does; enabling them then does the marking.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn softirqs_on(&self, task: &mut TaskState, site: u32) -> Outcome {
        if task.softirqs_enabled() {
            return Ok(());
        }
        let mut op = Op::new(self, site);
        task.set_softirqs_on();
        if task.hardirqs_enabled() {
            op.mark_held(task, UsageState::Softirq);
        }
        op.outcome()
    }

    /// `local_bh_enable()`: hard interrupts off, at the last level soft interrupts on, hard interrupts on.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn local_bh_enable(&self, task: &mut TaskState, site: u32) -> Outcome {
        task.hardirqs_off();
        if task.drop_bh_level() {
            task.set_softirqs_on();
        }
        self.hardirqs_on(task, site)
    }

    /// `lockdep_trace_alloc()` of Linux 2.6.30 to 4.13, after its gfp filter: a filesystem-capable allocation, over
    /// which all held locks are held. No effect without [`crate::Config::reclaim_fs`].
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn mark_held_reclaim_fs(&self, task: &TaskState, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        if !self.config.reclaim_fs || !self.is_enabled() {
            return Ok(());
        }
        if !task.hardirqs_enabled() {
            op.warn_on(task, "irqs_disabled_flags(flags)");
            return op.outcome();
        }
        op.mark_held(task, UsageState::ReclaimFs);
        op.outcome()
    }
}

impl Op<'_> {
    /// `lockdep_hardirqs_on_prepare()`.
    fn hardirqs_on(&mut self, task: &TaskState) {
        if !self.lockdep.is_enabled() {
            return;
        }
        if task.in_hardirq() {
            return self.warn_on(task, "lockdep_hardirq_context()");
        }
        self.mark_held(task, UsageState::Hardirq);
        if task.softirqs_enabled() {
            self.mark_held(task, UsageState::Softirq);
        }
    }

    /// `mark_held_locks()`: bottom to top, in all contexts.
    fn mark_held(&mut self, task: &TaskState, state: UsageState) {
        for held in task.held().iter().filter(|held| held.check()) {
            let bit = UsageBit::enabled(state).with_read(held.read().is_read());
            if !self.lockdep.word(held.class()).usage().contains(bit) {
                self.locked(|op, graph| op.mark_lock(graph, task, &held.request(), bit, None));
            }
        }
    }
}
