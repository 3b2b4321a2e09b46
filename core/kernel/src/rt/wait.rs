//! The one door for blocking.
//!
//! Every wait says who waits, for what and who can end it, and is judged at that moment.

use super::entity::{Entity, Needs, Wait, WaitHow};
use super::event::Fact;
use super::ids::{EntityId, ResId};
use super::machine::Machine;
use super::op::{Op, OpKind};
use super::sched::unwind;
use super::set::EntitySet;
use std::sync::atomic::Ordering::Relaxed;

impl Entity {
    /// Waits until somebody wakes the resource; the caller looks again whether what it waits for is true.
    ///
    /// The waiter is in the resource's `waiters` already or is put there. A wait that can never end, or that closes a
    /// cycle, is a stop: the execution ends and this does not return. Whether sleeping is legal is the caller's to say
    /// ([`Entity::might_sleep`]).
    pub fn block(&self, wait: Wait) {
        let m = self.machine();
        if !m.simulated() {
            if wait.how == WaitHow::Sleep {
                m.world().about_to_sleep(self.id);
            }
            m.threads_block(self, wait);
            return;
        }
        m.resource(wait.res).waiters.insert(self.id);
        // What it does next is to look again, whatever it announced before.
        m.announce(self, Op::new(OpKind::Wait, wait.res));
        self.wait_now(wait);
        m.resource(wait.res).waiters.remove(self.id);
    }

    /// Waits, by [`Self::block`], until `condition` holds.
    pub fn wait_until(&self, wait: Wait, mut condition: impl FnMut() -> bool) {
        self.start_looking();
        while !condition() {
            self.block(wait);
        }
    }

    /// Sleeps until `awaited` names nobody: all whom it names have to get further.
    pub fn sleep_until_none(&self, res: ResId, awaited: impl Fn() -> EntitySet) {
        self.start_looking();
        loop {
            let on = awaited();
            if on == 0 {
                return;
            }
            self.block(Wait {
                res,
                how: WaitHow::Sleep,
                needs: Needs::All(on),
            });
        }
    }

    /// The wait itself, for callers that manage the resource's waiter sets.
    pub(crate) fn wait_now(&self, wait: Wait) {
        let m = self.machine();
        if wait.how == WaitHow::Sleep {
            m.world().about_to_sleep(self.id);
        }
        self.wait.set(Some(wait));
        m.not_ready(self.bit);
        if wait.how != WaitHow::Spin && self.shares_cpu {
            let cpu = m.cpu(self.cpu);
            if cpu.curr.get() == Some(self.id) {
                cpu.curr.set(None);
            }
            m.recompute(self.cpu);
        }
        super::event::blocked(self, wait);
        m.check_if_touched();
        let mut candidates = m.candidates();
        if !m.holders_run(wait, candidates) {
            m.judge(self, candidates);
            candidates = m.candidates();
        }
        if candidates == 0 {
            // Everybody else has ended: a daemon's wait is how a machine comes to rest.
            m.rest(self);
        } else {
            m.decide_from(self, candidates);
        }
        self.wait.set(None);
        super::event::fact(self, Fact::Goes, wait.res, 0);
    }
}

impl Machine {
    /// How many changes everybody but `me` made so far.
    fn changes_but(&self, me: EntityId) -> u64 {
        let others = self.entities.iter().filter(|e| e.id != me);
        others.map(|e| e.changes.get()).sum()
    }

    /// Wakes everybody who waits for a resource: they look again at what they wait for.
    #[inline]
    pub fn wake(&self, res: ResId) {
        if !self.simulated() {
            self.threads_wake(res);
            return;
        }
        super::event::fact_of_current(self, Fact::Wakes, res, 0);
        self.make_ready(self.resource(res).waiters.load(Relaxed));
        if super::in_machine() {
            self.changed(&super::current(), false);
        }
    }

    /// Retry loops look again at what they wait for.
    #[inline]
    pub(crate) fn wake_retries(&self) {
        if self.sim.retrying.get() != 0 {
            self.wake_retries_now();
        }
    }

    #[cold]
    fn wake_retries_now(&self) {
        let waiting = self.sim.retrying.get();
        super::event::fact_of_current(self, Fact::Wakes, self.anything, 0);
        self.sim.ready.add(waiting);
    }

    /// The last live entity waits and nobody is left: the machine is at rest.
    fn rest(&self, e: &Entity) {
        debug_assert!(
            self.candidates() == 0,
            "a machine at rest has nobody to run"
        );
        self.end(super::finding::End::Completed);
        let _ = e;
        unwind();
    }
}

/// Where a retry loop stood when it last began a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    others: u64,
    mine: u64,
}

impl Entity {
    /// A retry loop begins a round. If since the last one neither it nor anybody else changed anything, the next round
    /// would be the same again: it spins until somebody does. That nobody can is a livelock.
    pub fn retry(&self, last: &mut Option<Round>) {
        let m = self.machine();
        if !m.simulated() {
            m.threads_point(self);
            std::thread::yield_now();
            return;
        }
        let now = || Round {
            others: m.changes_but(self.id),
            mine: self.effects.get(),
        };
        self.point(super::op::OpKind::Yield, ResId::NONE);
        if *last == Some(now()) {
            let retrying = &m.sim.retrying;
            retrying.set(retrying.get() | self.id.bit());
            self.block(Wait {
                res: m.anything,
                how: WaitHow::Spin,
                needs: Needs::Anyone,
            });
            retrying.set(retrying.get() & !self.id.bit());
        }
        *last = Some(now());
    }
}

/// The wait for the holders of a lock.
#[must_use]
pub const fn wait_for_holders(res: ResId, spin: bool) -> Wait {
    Wait {
        res,
        how: if spin { WaitHow::Spin } else { WaitHow::Sleep },
        needs: Needs::Holders,
    }
}
