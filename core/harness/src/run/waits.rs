//! Conditions, and operations that wait for them.

use super::frame::Frame;
use super::litmus::World;
use crate::program::Block;
use crate::program::cond::{Atom, Cond, Join, Term};
use ksplat_kernel::rt::{EventKind, Needs, OpKind, ResId, WaitHow, current, record};

impl World {
    /// `while COND { … }`. A round that changes nothing waits for somebody to change something.
    pub(super) fn while_loop(&self, cond: &Cond, block: &Block, f: &mut Frame) {
        let mut last = None;
        while self.holds(cond, f) {
            self.block(block, f);
            current().retry(&mut last);
        }
    }

    /// `spin_until COND`.
    pub(super) fn spin_until(&self, cond: &Cond, f: &Frame) {
        let only_variables = cond
            .terms
            .iter()
            .all(|t| matches!(t.atom, Atom::Flag(_) | Atom::Counter { .. }));
        let mut last = None;
        while !self.holds(cond, f) {
            if only_variables {
                self.vars.spin();
            } else {
                current().retry(&mut last);
            }
        }
    }

    /// `wait_for_completion C`; a daemon's first wait is for something to do.
    pub(super) fn wait_for(&self, completion: usize, timeout: bool, f: &mut Frame) {
        let completion = &self.completions[completion];
        if f.take_idle() {
            return completion.wait_idle();
        }
        if !timeout {
            return completion.wait();
        }
        // It ends by itself, sooner or later: others run as long as exploration lets them.
        let e = current();
        e.might_sleep();
        if !completion.try_wait() {
            e.nap();
            let _ = completion.try_wait();
        }
    }

    /// `wait_event Q until COND`.
    pub(super) fn wait_event(&self, queue: usize, until: &Cond, timeout: bool, f: &mut Frame) {
        let e = current();
        e.might_sleep();
        let idle = f.take_idle();
        if self.holds(until, f) {
            return;
        }
        if timeout && !idle {
            return e.nap();
        }
        let how = if idle { WaitHow::Idle } else { WaitHow::Sleep };
        self.queues[queue].wait_event(how, Needs::Enders, || self.evaluate(until, f));
        record(EventKind::Wake, || "wait_event ends".to_owned());
    }

    /// Announces every read of a condition, then evaluates it at once.
    pub(super) fn holds(&self, cond: &Cond, f: &Frame) -> bool {
        for term in &cond.terms {
            match term.atom {
                Atom::Flag(flag) => self.vars.flags[flag.index()].look(),
                Atom::Counter { counter, .. } => self.vars.counters[counter.index()].look(),
                Atom::Holds(var) => self.look_at(var),
                Atom::Done(completion) => {
                    let res = self.completions[completion.index()].res();
                    current().point(OpKind::Load, res);
                }
                Atom::Page { .. } => current().point(OpKind::Yield, ResId::NONE),
                Atom::Maybe | Atom::Gfp(_) => {}
            }
        }
        self.evaluate(cond, f)
    }

    fn evaluate(&self, cond: &Cond, f: &Frame) -> bool {
        let mut terms = cond.terms.iter().map(|t| self.term(t, f));
        match cond.join {
            Join::All => terms.all(|t| t),
            Join::Any => terms.any(|t| t),
        }
    }

    fn term(&self, term: &Term, f: &Frame) -> bool {
        let truth = match term.atom {
            Atom::Maybe => current().machine().choose(2) == 1,
            Atom::Flag(flag) => self.vars.flags[flag.index()].get() != 0,
            Atom::Counter { counter, is, value } => {
                is.holds(self.vars.counters[counter.index()].get() as i32, value)
            }
            Atom::Holds(var) => self.holding(var, f).is_some(),
            Atom::Page { bit, page } => self.page_bit(bit, page),
            Atom::Done(completion) => self.completions[completion.index()].is_done(),
            Atom::Gfp(flag) => self.gfp_has(f.gfp, flag),
        };
        truth != term.negated
    }
}
