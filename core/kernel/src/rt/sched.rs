//! Who may run, and the one place where that is decided.
//!
//! Two sets decide: `ready`, the entities that have something to do, and `allowed`, those that their CPU lets run.
//! Their intersection are the candidates of a decision.

use super::entity::{Entity, EntityKind, WaitHow, set_current};
use super::event::Fact;
use super::finding::End;
use super::ids::{CpuId, EntityId, MAX_ENTITIES, ResId, members};
use super::machine::{Machine, Runtime, World};
use super::op::{Op, OpKind};
use super::strategy::{Decision, Ending, Standing, Step, Strategy};
use std::cell::{Cell, UnsafeCell};

/// State of a simulated execution. Only touched from the one OS thread that simulates.
pub(crate) struct Sim {
    pub(crate) ready: Cell<u64>,
    pub(crate) allowed: Cell<u64>,
    pub(crate) live: Cell<u64>,
    pub(crate) running: Cell<Option<EntityId>>,
    pub(crate) steps: Cell<u32>,
    /// Whether entities have real-time priorities that differ.
    pub(crate) prio: Cell<bool>,
    next: UnsafeCell<[Op; MAX_ENTITIES]>,
    made: UnsafeCell<Vec<Made>>,
    strategy: Cell<Option<*mut dyn Strategy>>,
    pub(crate) wants_steps: Cell<bool>,
    /// What the running step did without announcing it; only kept for strategies that want steps.
    touched: Cell<bool>,
    cpu_changed: Cell<bool>,
    world: Cell<Option<*const dyn World>>,
    /// Changes that anybody made so far.
    pub(crate) changes: Cell<u64>,
    /// Entities that sleep for a bounded time: ready, but in nobody's way.
    pub(crate) napping: Cell<u64>,
    /// Retry loops for memory that looked since anybody else last ran: see `Machine::last_look`.
    pub(crate) looked: Cell<u64>,
    /// Who the executor is to resume next.
    pub(crate) resume: Cell<Option<EntityId>>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim")
            .field("ready", &self.ready)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

// SAFETY: simulated executions run on one OS thread; OS-thread executions do not touch it.
unsafe impl Send for Sim {}

/// A decision that was made. Its choice number is worked out when somebody asks: most executions are not looked at.
#[derive(Clone, Copy)]
enum Made {
    Pick {
        candidates: u64,
        current: Option<EntityId>,
        picked: EntityId,
    },
    Choice(u32),
}

impl Made {
    fn number(&self) -> u32 {
        match *self {
            Self::Pick {
                candidates,
                current,
                picked,
            } => {
                let decision = Decision {
                    candidates,
                    current,
                    next: &[],
                    state: Standing::default(),
                };
                decision.number_of(picked)
            }
            Self::Choice(choice) => choice,
        }
    }
}

/// Payload of the unwinding that ends an entity when its execution is over.
pub(crate) struct TornDown;

impl Sim {
    pub(crate) fn new() -> Self {
        Self {
            ready: Cell::new(0),
            allowed: Cell::new(0),
            live: Cell::new(0),
            running: Cell::new(None),
            steps: Cell::new(0),
            prio: Cell::new(false),
            next: UnsafeCell::new([Machine::start_op(); MAX_ENTITIES]),
            made: UnsafeCell::new(Vec::new()),
            strategy: Cell::new(None),
            wants_steps: Cell::new(false),
            touched: Cell::new(false),
            cpu_changed: Cell::new(false),
            world: Cell::new(None),
            changes: Cell::new(0),
            napping: Cell::new(0),
            looked: Cell::new(0),
            resume: Cell::new(None),
        }
    }

    pub(crate) fn choices(&self) -> Vec<u32> {
        // SAFETY: no other reference to the vector is live outside the methods of this file.
        let made = unsafe { &*self.made.get() };
        made.iter().map(|m| m.number()).collect()
    }

    pub(crate) fn next_op(&self, id: EntityId) -> Op {
        // SAFETY: as above.
        unsafe { (*self.next.get())[id.index()] }
    }

    /// The pending operations. Nothing writes to them while a strategy looks.
    fn next_ops(&self) -> &[Op] {
        // SAFETY: as above; strategies do not call back into the machine.
        unsafe { &*self.next.get() }
    }

    fn set_next(&self, id: EntityId, op: Op) {
        // SAFETY: as above.
        unsafe { (*self.next.get())[id.index()] = op };
    }

    #[inline]
    fn record(&self, made: Made) {
        // SAFETY: as above.
        unsafe { (*self.made.get()).push(made) };
    }

    pub(crate) fn with_strategy<R>(&self, f: impl FnOnce(&mut dyn Strategy) -> R) -> R {
        let strategy = self
            .strategy
            .get()
            .expect("a simulated execution has a strategy");
        // SAFETY: `attach` keeps it borrowed for the execution, and strategies do not call back into the machine.
        f(unsafe { &mut *strategy })
    }
}

/// Keeps strategy and world attached to a machine while it runs.
pub(crate) struct Attached<'a>(&'a Machine);

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.0.sim.strategy.set(None);
        self.0.sim.world.set(None);
        set_current(None);
    }
}

impl Machine {
    pub(crate) fn reset_sim(&self) {
        let sim = &self.sim;
        sim.steps.set(0);
        sim.running.set(None);
        sim.resume.set(None);
        sim.looked.set(0);
        sim.touched.set(false);
        sim.cpu_changed.set(false);
        sim.changes.set(0);
        sim.napping.set(0);
        // SAFETY: no execution is running.
        unsafe { (*sim.made.get()).clear() };
        let (mut live, mut ready, mut prio) = (0, 0, false);
        for e in &self.entities {
            sim.set_next(e.id, Self::start_op());
            live |= e.id.bit();
            prio |= self.rt() && e.prio != self.entities[0].prio;
            if !e.kind.is_raised() || e.pending.get() > 0 {
                ready |= e.id.bit();
            }
        }
        sim.live.set(live);
        sim.ready.set(ready);
        sim.prio.set(prio);
        sim.allowed.set(live);
    }

    /// Lends strategy and world to the execution that is about to run.
    pub(crate) fn attach<'a>(
        &'a self,
        world: &'a dyn World,
        strategy: Option<&'a mut dyn Strategy>,
    ) -> Attached<'a> {
        let sim = &self.sim;
        // SAFETY: only the lifetime is forgotten; `Attached`, which borrows both, takes the pointers out again.
        sim.world.set(Some(unsafe {
            std::mem::transmute::<*const dyn World, *const (dyn World + 'static)>(world)
        }));
        if let Some(strategy) = strategy {
            strategy.begin();
            sim.wants_steps.set(strategy.wants_steps());
            // SAFETY: as above.
            let strategy = unsafe {
                std::mem::transmute::<*mut dyn Strategy, *mut (dyn Strategy + 'static)>(strategy)
            };
            sim.strategy.set(Some(strategy));
        } else {
            sim.wants_steps.set(super::shuttle::wants_steps());
        }
        Attached(self)
    }

    pub(crate) fn world(&self) -> &dyn World {
        let world = self.sim.world.get().expect("a running machine has a world");
        // SAFETY: `attach` keeps it borrowed while the machine runs.
        unsafe { &*world }
    }

    #[inline]
    pub(crate) fn candidates(&self) -> u64 {
        let set = self.sim.ready.get() & self.sim.allowed.get();
        if self.sim.prio.get() {
            self.highest_prio(set)
        } else {
            set
        }
    }

    /// Of several tasks that could run on one CPU, PREEMPT_RT runs one with the highest priority. A spinner counts: it
    /// keeps the CPU. Who sleeps for a bounded time may wake at any moment, and an interrupt thread that has not begun may
    /// begin at any moment: they preempt whom they outrank, and are in nobody's way.
    #[cold]
    fn highest_prio(&self, set: u64) -> u64 {
        let mut out = 0;
        for cpu in &self.cpus {
            let naps = set & cpu.tasks & (self.sim.napping.get() | self.unbegun(set));
            let here = set & cpu.tasks & !naps;
            let spinners = self.spinners(cpu.tasks);
            let top = members(here | spinners).map(|e| self.prio_of(e)).max();
            out |= members(here)
                .filter(|&e| Some(self.prio_of(e)) == top)
                .fold(0, |s, e| s | e.bit());
            out |= members(naps)
                .filter(|&e| Some(self.prio_of(e)) >= top)
                .fold(0, |s, e| s | e.bit());
            out |= set & cpu.irqs;
        }
        out
    }

    /// Of `set` the interrupt threads that have not begun.
    fn unbegun(&self, set: u64) -> u64 {
        members(set)
            .filter(|&e| {
                let e = self.entity(e);
                e.kind == EntityKind::HardIrq && !e.active.get()
            })
            .fold(0, |s, e| s | e.bit())
    }

    /// Of `tasks` those that spin.
    fn spinners(&self, tasks: u64) -> u64 {
        members(tasks & self.sim.live.get() & !self.sim.ready.get())
            .filter(|&e| {
                let wait = self.entity(e).wait.get();
                wait.is_some_and(|w| w.how == WaitHow::Spin)
            })
            .fold(0, |s, e| s | e.bit())
    }

    /// The priority in force: that of the highest waiter for a sleeping lock that it holds, if that is higher (PI).
    pub(crate) fn prio_of(&self, id: EntityId) -> u8 {
        let mut heirs = id.bit();
        let mut prio = self.entity(id).prio;
        loop {
            let more = members(self.sim.live.get() & !heirs).filter(|&w| {
                self.entity(w).wait.get().is_some_and(|wait| {
                    wait.needs == super::entity::Needs::Holders
                        && wait.how == WaitHow::Sleep
                        && self.resource(wait.res).holders() & heirs != 0
                })
            });
            let more = more.fold(0, |s, w| s | w.bit());
            if more == 0 {
                return prio;
            }
            prio = members(more)
                .map(|w| self.entity(w).prio)
                .max()
                .unwrap_or(0)
                .max(prio);
            heirs |= more;
        }
    }

    /// A spinner of higher priority that keeps `e` from its CPU, on PREEMPT_RT.
    pub(crate) fn outranked_by(&self, e: &Entity) -> u64 {
        let cpu = self.cpu(e.cpu);
        if !self.sim.prio.get() || cpu.tasks & e.id.bit() == 0 {
            return 0;
        }
        let prio = self.prio_of(e.id);
        members(self.spinners(cpu.tasks & !e.id.bit()))
            .find(|&s| self.prio_of(s) > prio)
            .map_or(0, EntityId::bit)
    }

    /// See [`Entity::point`].
    #[inline]
    pub(crate) fn point(&self, e: &Entity, op: Op) {
        if !self.simulated.get() {
            self.threads_point(e);
            return;
        }
        let sim = &self.sim;
        sim.set_next(e.id, op);
        let steps = sim.steps.get() + 1;
        sim.steps.set(steps);
        if self.touched.get() || steps > self.max_steps {
            self.point_slow(steps);
        }
        let candidates = self.candidates();
        if candidates != e.id.bit() || sim.wants_steps.get() {
            self.decide(Some(e), candidates);
        }
    }

    /// Says what an entity is about to do without giving way: it waits instead.
    pub(crate) fn announce(&self, e: &Entity, op: Op) {
        self.sim.set_next(e.id, op);
    }

    /// These entities stand before something that is no longer to be had.
    pub(crate) fn not_ready(&self, set: u64) {
        self.sim.ready.set(self.sim.ready.get() & !set);
    }

    #[cold]
    fn point_slow(&self, steps: u32) {
        self.check_if_touched();
        if steps > self.max_steps {
            self.end(End::StepLimit);
            unwind();
        }
    }

    /// Chooses among the candidates and lets the chosen one run. Returns when `from` runs again.
    pub(crate) fn decide(&self, from: Option<&Entity>, candidates: u64) {
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
        self.switch(from, next);
        if self.tearing_down() {
            unwind();
        }
    }

    /// Gives up the processor to `next`; returns when `from` has been chosen again.
    fn switch(&self, from: &Entity, next: EntityId) {
        match self.runtime.get() {
            Runtime::Deterministic => {
                self.enter(next);
                self.sim.resume.set(Some(next));
                super::det::transfer(self, from.id);
            }
            // shuttle has switched already, inside `choose_next`.
            Runtime::Shuttle => {}
            Runtime::Threads => unreachable!("OS threads do not decide"),
        }
        set_current(Some(from));
    }

    fn choose_next(&self, from: Option<&Entity>, candidates: u64) -> EntityId {
        let current = from.map(|e| e.id).filter(|id| candidates & id.bit() != 0);
        if self.runtime.get() == Runtime::Shuttle {
            return super::shuttle::choose_next(self, from, current, candidates);
        }
        if self.sim.wants_steps.get() {
            return self.ask_for_step(candidates, current);
        }
        if candidates & (candidates - 1) == 0 {
            return EntityId(candidates.trailing_zeros() as u8);
        }
        self.ask(candidates, current)
    }

    /// As [`Machine::ask`], for a strategy that wants to see every transition.
    fn ask_for_step(&self, candidates: u64, current: Option<EntityId>) -> EntityId {
        let decision = self.decision(candidates, current);
        let picked = self.sim.with_strategy(|s| pick_step(s, decision));
        if candidates & (candidates - 1) != 0 {
            self.record_pick(candidates, current, picked);
        }
        picked
    }

    /// A decision, or a transition that leaves none, as strategies see it.
    #[inline]
    pub(crate) fn decision(&self, candidates: u64, current: Option<EntityId>) -> Decision<'_> {
        let state = if self.sim.wants_steps.get() {
            self.standing()
        } else {
            Standing::default()
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
    pub(crate) fn ask(&self, candidates: u64, current: Option<EntityId>) -> EntityId {
        let decision = self.decision(candidates, current);
        let picked = self.sim.with_strategy(|s| pick(s, &decision));
        self.record_pick(candidates, current, picked);
        picked
    }

    /// Records who was picked.
    #[inline]
    pub(crate) fn record_pick(&self, candidates: u64, current: Option<EntityId>, picked: EntityId) {
        self.sim.record(Made::Pick {
            candidates,
            current,
            picked,
        });
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
        choice
    }

    /// Whether a task is without the CPU that it ran on last: it slept, and was the first to be chosen again.
    fn gave_cpu(&self, id: EntityId) -> bool {
        let e = self.entity(id);
        let cpu = self.cpu(e.cpu);
        e.shares_cpu && cpu.irqs & id.bit() == 0 && cpu.curr.get() != Some(id)
    }

    /// The chosen entity gets its CPU.
    pub(crate) fn enter(&self, id: EntityId) {
        let other = self.sim.running.replace(Some(id)) != Some(id);
        if self.recording() && (other || self.gave_cpu(id)) {
            super::event::runs(self, id);
        }
        if self.sim.looked.get() & id.bit() == 0 {
            self.sim.looked.set(0);
        }
        let e = self.entity(id);
        if !e.shares_cpu {
            return;
        }
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

    /// An interrupt handler borrows the CPU.
    fn begin_irq(&self, e: &Entity) {
        let cpu = self.cpu(e.cpu);
        let below = cpu.irq_top.replace(Some(e.id));
        e.below.set(below);
        let host = match below {
            Some(irq) => Some(self.entity(irq).host.get().unwrap_or(irq)),
            None => cpu.curr.get(),
        };
        e.host.set(host);
        if e.kind == EntityKind::SoftIrq {
            cpu.softirq_due.set(false);
            e.bh.set(1);
        } else {
            e.pending.set(e.pending.get().saturating_sub(1));
            e.irqs_off.set(true);
            e.preempt.set(1);
        }
        self.recompute(e.cpu);
    }

    /// What may run on a CPU, anew; called when its interrupt or preemption state changed.
    pub(crate) fn recompute(&self, id: CpuId) {
        let cpu = self.cpu(id);
        let hardirqs = cpu.irqs & !cpu.softirqs;
        let mine = if let Some(top) = cpu.irq_top.get() {
            top.bit()
                | if self.entity(top).irqs_off.get() {
                    0
                } else {
                    hardirqs & !cpu.irq_stack.get()
                }
        } else {
            let (tasks, hard, soft) = match cpu.curr.get().map(|t| self.entity(t)) {
                None => (cpu.tasks, hardirqs, cpu.softirqs),
                Some(t) => {
                    let tasks = if t.atomic() { t.id.bit() } else { cpu.tasks };
                    let hard = if t.irqs_off.get() { 0 } else { hardirqs };
                    let soft = hard != 0 || !t.irqs_off.get();
                    let soft = if soft && t.bh.get() == 0 {
                        cpu.softirqs
                    } else {
                        0
                    };
                    (tasks, hard, soft)
                }
            };
            if cpu.softirq_due.get() && soft != 0 {
                hard | soft
            } else {
                tasks | hard | soft
            }
        };
        let allowed = self.sim.allowed.get() & !(cpu.tasks | cpu.irqs);
        self.sim.allowed.set(allowed | mine);
    }

    /// The running entity's body has ended: its CPU is free, and somebody else is chosen.
    pub(crate) fn finish(&self, e: &Entity) {
        e.active.set(false);
        let cpu = self.cpu(e.cpu);
        if cpu.irq_stack.get() & e.id.bit() != 0 {
            cpu.irq_stack.set(cpu.irq_stack.get() & !e.id.bit());
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
                self.sim.ready.set(self.sim.ready.get() & !e.id.bit());
            }
        } else {
            self.sim.live.set(self.sim.live.get() & !e.id.bit());
            self.sim.ready.set(self.sim.ready.get() & !e.id.bit());
        }
        if e.shares_cpu {
            self.recompute(e.cpu);
        }
        self.sim.running.set(None);
    }

    /// What the softirqs of a CPU have to do: `raised` ones run at the next chance, others may run at any moment.
    pub fn set_softirq(&self, id: EntityId, raised: bool, others: bool) {
        let e = self.entity(id);
        let level = u16::from(raised) | u16::from(others) << 1;
        if !self.simulated.get() {
            self.threads_softirq(e, level != 0);
            return;
        }
        e.pending.set(level);
        if e.active.get() {
            // `finish` looks at what is left to do.
            return;
        }
        let bit = if level == 0 { 0 } else { id.bit() };
        let was = self.sim.ready.get() & id.bit();
        if bit != was {
            let fact = if bit == 0 { Fact::Calms } else { Fact::Raises };
            super::event::fact_of_current(self, fact, ResId::NONE, id.bit());
        }
        self.sim.ready.set(self.sim.ready.get() & !id.bit() | bit);
    }

    /// Softirqs have something more to do, at any moment from now on.
    pub fn add_softirq(&self, id: EntityId) {
        let e = self.entity(id);
        self.set_softirq(id, e.pending.get() & 1 != 0, true);
    }

    /// The softirqs of a CPU, if it has any.
    #[must_use]
    pub fn softirq_of(&self, cpu: CpuId) -> Option<EntityId> {
        self.entities
            .iter()
            .find(|e| e.kind == EntityKind::SoftIrq && e.cpu == cpu)
            .map(|e| e.id)
    }

    /// An interrupt ended, or bottom halves are on again: softirqs that were raised run now.
    pub(crate) fn softirqs_due(&self, cpu: CpuId) {
        let cpu = self.cpu(cpu);
        if cpu.softirqs == 0 || cpu.irq_stack.get() & cpu.softirqs != 0 {
            return;
        }
        let e = self.entity(EntityId(cpu.softirqs.trailing_zeros() as u8));
        if e.pending.get() & 1 != 0 {
            cpu.softirq_due.set(true);
        }
    }

    /// Somebody changed what others may look at. `lasting`: more than a lock taken or given back.
    #[inline]
    pub fn changed(&self, e: &Entity, lasting: bool) {
        if !self.simulated.get() {
            return;
        }
        self.sim.changes.set(self.sim.changes.get() + 1);
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
                .any(|e| e.kind == EntityKind::Task && live & e.id.bit() != 0)
    }

    /// Raises an interrupt: its handler runs as soon as its CPU lets it.
    pub fn raise_irq(&self, id: EntityId) {
        let e = self.entity(id);
        if !self.simulated.get() {
            self.threads_raise(e);
            return;
        }
        super::event::fact_of_current(self, Fact::Raises, ResId::NONE, id.bit());
        e.pending.set(e.pending.get().saturating_add(1));
        self.sim.ready.set(self.sim.ready.get() | id.bit());
    }
}

impl Entity {
    /// Sleeps for a bounded time: others run as long as exploration lets them, then it goes on.
    pub fn nap(&self) {
        self.might_sleep();
        let m = self.machine();
        if !m.simulated() {
            m.threads_point(self);
            return;
        }
        let (cpu, sim) = (m.cpu(self.cpu), &m.sim);
        let gave_way = cpu.curr.get() == Some(self.id) && !self.atomic();
        if gave_way {
            cpu.curr.set(None);
            m.recompute(self.cpu);
        }
        sim.napping.set(sim.napping.get() | self.id.bit());
        self.point(OpKind::Yield, super::ids::ResId::NONE);
        sim.napping.set(sim.napping.get() & !self.id.bit());
        if gave_way && cpu.curr.get() != Some(self.id) {
            m.enter(self.id);
        }
    }

    /// A point where same-CPU tasks and interrupts may come in; nothing where the entity has its CPU to itself.
    #[inline]
    pub fn cpu_point(&self) {
        if self.shares_cpu {
            self.machine()
                .point(self, Op::new(OpKind::Cpu, ResId(u32::from(self.cpu.0))));
        }
    }

    /// The interrupt or preemption state of this context changed.
    #[inline]
    pub(crate) fn cpu_changed(&self) {
        if self.shares_cpu && self.machine().simulated.get() {
            super::event::fact(self, Fact::Context, ResId::NONE, 0);
            self.machine().sim.cpu_changed.set(true);
            self.machine().recompute(self.cpu);
        }
    }
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
    let picked = if decision.len() > 1 {
        pick(strategy, &decision)
    } else {
        decision.nth(0)
    };
    strategy.step(&Step { decision, picked });
    picked
}

/// Ends the running entity: its execution is over.
pub(crate) fn unwind() -> ! {
    std::panic::resume_unwind(Box::new(TornDown))
}
