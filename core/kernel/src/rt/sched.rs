//! Who may run, and the one place where that is decided.
//!
//! Two sets decide: `ready`, the entities that have something to do, and `allowed`, those that their CPU lets run.
//! Their intersection are the candidates of a decision.

use super::entity::{Entity, EntityKind, set_current};
use super::finding::End;
use super::ids::{EntityId, ResId};
use super::machine::{Machine, Runtime};
use super::op::{Op, OpKind};
use super::set::EntitySet;
use super::sim::Made;
use super::strategy::{Decision, Ending, Gave, Standing, Step, Strategy};

/// Payload of the unwinding that ends an entity when its execution is over.
pub(crate) struct TornDown;

impl Machine {
    #[inline]
    pub(crate) fn candidates(&self) -> EntitySet {
        let set = self.sim.ready.get() & self.sim.allowed.get();
        if self.sim.prio.get() {
            self.highest_prio(set)
        } else {
            set
        }
    }

    /// See [`Entity::point`]. Part of whoever stops here, so that where it goes on is where it jumps to after a switch:
    /// returning there would be a second jump that no processor foresees.
    #[inline(always)]
    pub(crate) fn point(&self, e: &Entity, op: Op) {
        let sim = &self.sim;
        if !sim.plain.get() {
            self.point_special(e, op);
            return;
        }
        self.count_step(e, op);
        let candidates = sim.ready.low() & sim.allowed.low();
        if candidates != e.bit as u64 {
            self.decide_plainly(e, candidates);
        }
    }

    /// The point before a lock is given back. There is none where nobody could see a difference: the lock is only ever waited
    /// for, no interrupt and no other task can come in on this CPU, and no daemon looks whether tasks are left. Who waits
    /// cannot run before the lock is free, and what others do meanwhile they can do just as well after it (a left mover:
    /// Lipton, CACM 1975). What the step before this did is checked here all the same.
    #[inline(always)]
    pub(crate) fn unlock_point(&self, e: &Entity, lock: ResId) {
        let op = Op::new(OpKind::Unlock, lock);
        if !(e.unseen && self.resource(lock).untried && self.simulated.get()) {
            self.point(e, op);
            return;
        }
        self.check_if_touched();
        if !self.sim.plain.get() {
            self.unlock_unannounced(e, op);
        }
    }

    #[cold]
    fn unlock_unannounced(&self, e: &Entity, op: Op) {
        let mut gave = self.sim.gave.get();
        gave.add(op.res);
        self.sim.gave.set(gave);
        super::feedback::operation(e, op);
    }

    #[inline]
    fn count_step(&self, e: &Entity, op: Op) {
        let sim = &self.sim;
        sim.set_next(e.id, op);
        let steps = sim.steps.get() + 1;
        sim.steps.set(steps);
        if steps > sim.pause.get() {
            self.point_slow(steps);
        }
    }

    /// As [`Machine::point`], where [`Sim::plain`](super::sim::Sim::plain) does not hold.
    #[inline(never)]
    fn point_special(&self, e: &Entity, op: Op) {
        if !self.simulated.get() {
            self.threads_point(e);
            return;
        }
        self.count_step(e, op);
        let candidates = self.candidates();
        if candidates != e.bit || self.sim.wants_steps.get() {
            self.decide(Some(e), candidates);
        }
        super::feedback::operation(e, op);
    }

    /// Says what an entity is about to do without giving way: it waits instead.
    pub(crate) fn announce(&self, e: &Entity, op: Op) {
        self.sim.set_next(e.id, op);
    }

    /// These entities stand before something that is no longer to be had.
    #[inline]
    pub(crate) fn not_ready(&self, set: EntitySet) {
        self.sim.ready.remove(set);
    }

    /// These entities have something to look at.
    #[inline]
    pub(crate) fn make_ready(&self, set: EntitySet) {
        self.sim.ready.add(set);
    }

    #[cold]
    fn point_slow(&self, steps: u32) {
        self.sim.pause.set(self.max_steps);
        self.check_if_touched();
        if steps > self.max_steps {
            self.end(End::StepLimit);
            unwind();
        }
    }

    /// Chooses among the candidates and lets the chosen one run. Returns when `from` runs again.
    pub(crate) fn decide(&self, from: Option<&Entity>, candidates: EntitySet) {
        if self.runtime.get() == Runtime::Shuttle {
            let from = from.expect("under shuttle a running entity gives way");
            super::shuttle::decide(self, from, candidates);
            return;
        }
        let next = self.choose_next(from, candidates);
        let Some(from) = from else {
            self.enter(next);
            self.sim.resume.set(Some(next));
            return;
        };
        if next == from.id {
            if from.shares_cpu && self.cpu(from.cpu).curr.get() != Some(next) {
                self.enter(next);
            }
            return;
        }
        self.enter(next);
        super::det::transfer(self, from.id, next);
        set_current(Some(from));
        if self.tearing_down() {
            unwind();
        }
    }

    /// [`Machine::decide`] for an entity that gives way, the short way where there is one.
    #[inline]
    pub(crate) fn decide_from(&self, from: &Entity, candidates: EntitySet) {
        if self.sim.plain.get() {
            self.decide_plainly(from, candidates as u64);
        } else {
            self.decide(Some(from), candidates);
        }
    }

    /// As [`Machine::decide`], where [`Sim::plain`](super::sim::Sim::plain) holds.
    #[inline(always)]
    fn decide_plainly(&self, from: &Entity, candidates: u64) {
        if self.runtime.get() != Runtime::Deterministic {
            super::shuttle::decide(self, from, candidates.into());
            return;
        }
        let me = from.id;
        let next = if candidates & (candidates - 1) == 0 {
            EntityId(candidates.trailing_zeros() as u8)
        } else {
            let current = (candidates & from.bit as u64 != 0).then_some(me);
            let decision = Decision {
                candidates: candidates.into(),
                current,
                next: self.sim.next_ops(),
                state: &Standing::NONE,
            };
            let mut picked = self.sim.with_strategy(|s| s.pick(&decision));
            if picked.index() >= 64 || candidates >> picked.index() & 1 == 0 {
                picked = undisturbed(&decision);
            }
            self.sim.record(Made::Pick {
                candidates,
                current,
                picked,
            });
            picked
        };
        if next == me {
            if from.shares_cpu && self.cpu(from.cpu).curr.get() != Some(next) {
                self.enter(next);
            }
            return;
        }
        self.enter(next);
        super::det::transfer(self, from.id, next);
        set_current(Some(from));
        if self.tearing_down() {
            unwind();
        }
    }

    fn choose_next(&self, from: Option<&Entity>, candidates: EntitySet) -> EntityId {
        let current = from.map(|e| e.id).filter(|id| candidates & id.bit() != 0);
        if self.sim.wants_steps.get() {
            return self.ask_for_step(candidates, current);
        }
        if candidates & (candidates - 1) == 0 {
            return EntityId(candidates.trailing_zeros() as u8);
        }
        self.ask(candidates, current)
    }

    /// As [`Machine::ask`], for a strategy that wants to see every transition.
    fn ask_for_step(&self, candidates: EntitySet, current: Option<EntityId>) -> EntityId {
        let decision = self.decision(candidates, current);
        let picked = self.sim.with_strategy(|s| pick_step(s, decision));
        if candidates & (candidates - 1) != 0 {
            self.record_pick(candidates, current, picked);
        }
        picked
    }

    /// A decision, or a transition that leaves none, as strategies see it.
    #[inline]
    pub(crate) fn decision(
        &self,
        candidates: EntitySet,
        current: Option<EntityId>,
    ) -> Decision<'_> {
        let state = if self.sim.wants_steps.get() {
            self.sim.show(self.standing())
        } else {
            &Standing::NONE
        };
        Decision {
            candidates,
            current,
            next: self.sim.next_ops(),
            state,
        }
    }

    /// Where the machine stands; forgets what the step that led here did.
    fn standing(&self) -> Standing {
        let sim = &self.sim;
        Standing {
            ready: sim.ready.get(),
            allowed: sim.allowed.get(),
            live: sim.live.get(),
            touched: sim.touched.replace(false),
            cpu: sim.cpu_changed.replace(false),
            gave: sim.gave.replace(Gave::NOTHING),
        }
    }

    /// Shows the end of an execution to a strategy that wants steps.
    pub(crate) fn with_ending<R>(&self, f: impl FnOnce(&Ending<'_>) -> R) -> R {
        f(&Ending {
            end: self.ended_how(),
            state: self.standing(),
            next: self.sim.next_ops(),
        })
    }

    /// What [`World::check`] looks at was touched: it looks now, between two steps.
    #[inline]
    pub(crate) fn check_if_touched(&self) {
        if self.touched.replace(false) {
            self.sim.touched.set(true);
            self.world().check(self);
        }
    }

    /// Asks the strategy and records its choice.
    pub(crate) fn ask(&self, candidates: EntitySet, current: Option<EntityId>) -> EntityId {
        let decision = self.decision(candidates, current);
        let picked = self.sim.with_strategy(|s| pick(s, &decision));
        self.record_pick(candidates, current, picked);
        picked
    }

    /// Records who was picked.
    #[inline]
    pub(crate) fn record_pick(
        &self,
        candidates: EntitySet,
        current: Option<EntityId>,
        picked: EntityId,
    ) {
        self.sim.record(Made::pick(candidates, current, picked));
    }

    /// A choice among `n` alternatives by the running entity; 0 is the undisturbed one.
    pub fn choose(&self, n: u32) -> u32 {
        if n < 2 {
            return 0;
        }
        let choice = match self.runtime.get() {
            Runtime::Deterministic => self.sim.with_strategy(|s| s.choose(n)),
            Runtime::Shuttle => super::shuttle::choose(n),
            Runtime::Threads => return super::threads::choose(n),
        };
        let choice = choice.min(n - 1);
        if super::in_machine() {
            let e = super::current();
            e.effects.set(e.effects.get() + 1);
        }
        self.sim.record(Made::Choice(choice));
        // A loop over nothing but choices takes no step: it must not go on for ever either.
        if self.sim.made_so_far() > 2 * self.max_steps as usize + 64 && super::in_machine() {
            self.end(End::StepLimit);
            unwind();
        }
        choice
    }

    /// Whether a task is without the CPU that it ran on last: it slept, and was the first to be chosen again.
    fn gave_cpu(&self, id: EntityId) -> bool {
        let e = self.entity(id);
        let cpu = self.cpu(e.cpu);
        e.shares_cpu && cpu.irqs & id.bit() == 0 && cpu.curr.get() != Some(id)
    }

    /// The chosen entity gets its CPU.
    #[inline(always)]
    pub(crate) fn enter(&self, id: EntityId) {
        let e = self.entity(id);
        if e.watched.get() && (self.sim.running.get() != Some(id) || self.gave_cpu(id)) {
            super::event::runs(self, id);
        }
        self.sim.running.set(Some(id));
        if self.sim.looked.get() != 0 && self.sim.looked.get() & id.bit() == 0 {
            self.sim.looked.set(0);
        }
        if e.shares_cpu {
            self.enter_cpu(e);
        }
    }

    #[inline(never)]
    fn enter_cpu(&self, e: &Entity) {
        let id = e.id;
        let cpu = self.cpu(e.cpu);
        if cpu.irqs & id.bit() != 0 {
            if cpu.irq_stack.get() & id.bit() == 0 {
                cpu.irq_stack.set(cpu.irq_stack.get() | id.bit());
                self.begin_irq(e);
            }
            return;
        }
        if cpu.curr.replace(Some(id)) != Some(id) {
            self.recompute(e.cpu);
        }
    }

    /// The running entity's body has ended: its CPU is free, and somebody else is chosen.
    pub(crate) fn finish(&self, e: &Entity) {
        e.active.set(false);
        let cpu = self.cpu(e.cpu);
        if cpu.irq_stack.get() & e.bit != 0 {
            cpu.irq_stack.set(cpu.irq_stack.get() & !e.bit);
            cpu.irq_top.set(e.below.take());
            e.irqs_off.set(false);
            e.preempt.set(0);
            e.bh.set(0);
            e.host.set(None);
            if e.kind == EntityKind::HardIrq {
                self.softirqs_due(e.cpu);
            }
        } else if cpu.curr.get() == Some(e.id) {
            cpu.curr.set(None);
        }
        self.sim.set_next(e.id, Self::start_op());
        if self.rt() && e.kind == EntityKind::HardIrq {
            e.pending.set(e.pending.get().saturating_sub(1));
        }
        if e.kind.is_raised() {
            if e.pending.get() == 0 {
                self.sim.ready.remove(e.bit);
            }
        } else {
            self.sim.live.set(self.sim.live.get() & !e.bit);
            self.sim.ready.remove(e.bit);
        }
        if e.shares_cpu {
            self.recompute(e.cpu);
        }
        self.sim.running.set(None);
    }

    /// Somebody changed what others may look at. `lasting`: more than a lock taken or given back.
    #[inline]
    pub fn changed(&self, e: &Entity, lasting: bool) {
        if self.simulated.get() {
            self.note_change(e, lasting);
        }
    }

    /// As [`Machine::changed`], in simulation.
    #[inline]
    pub(crate) fn note_change(&self, e: &Entity, lasting: bool) {
        e.changes.set(e.changes.get() + 1);
        e.effects.set(e.effects.get() + u64::from(lasting));
        self.wake_retries();
    }

    /// Whether any declared task is still there.
    #[must_use]
    pub fn tasks_live(&self) -> bool {
        let live = self.sim.live.get();
        !self.simulated.get()
            || self
                .entities
                .iter()
                .any(|e| e.kind == EntityKind::Task && live & e.bit != 0)
    }
}

/// Whom a strategy gets that picks somebody who cannot run.
#[cold]
fn undisturbed(decision: &Decision<'_>) -> EntityId {
    decision.nth(0)
}

/// What a strategy picks, or the undisturbed choice if it picks somebody who cannot run.
#[inline]
pub(crate) fn pick(strategy: &mut dyn Strategy, decision: &Decision<'_>) -> EntityId {
    let picked = strategy.pick(decision);
    if decision.candidates & picked.bit() != 0 {
        picked
    } else {
        decision.nth(0)
    }
}

/// Who goes on, with the strategy asked if there is something to decide and told in any case.
pub(crate) fn pick_step(strategy: &mut dyn Strategy, decision: Decision<'_>) -> EntityId {
    let picked = if decision.is_open() {
        pick(strategy, &decision)
    } else {
        decision.nth(0)
    };
    strategy.step(&Step { decision, picked });
    picked
}

/// Ends the running entity: its execution is over.
pub(crate) fn unwind() -> ! {
    super::det::give_up(&super::current());
    std::panic::resume_unwind(Box::new(TornDown))
}
