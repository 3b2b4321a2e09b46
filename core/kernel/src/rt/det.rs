//! The deterministic runtime: our own executor, one coroutine an entity, a strategy that decides.
//!
//! Coroutines are kept between executions. Who gives way switches to the chosen one itself, without going through the
//! executor; an execution that chooses the running entity again costs no switch.

use super::entity::{Entity, set_current};
use super::fiber::Fiber;
use super::finding::Outcome;
use super::ids::EntityId;
use super::machine::{Machine, Runtime, Teardown, World};
use super::sched::TornDown;
use super::set::EntitySet;
use super::strategy::Strategy;
use std::cell::Cell;

thread_local! {
    /// What the coroutine that is switched to from rest is to do.
    static JOB: Cell<Option<Job>> = const { Cell::new(None) };
}

/// A body to run.
#[derive(Clone, Copy)]
struct Job {
    machine: *const Machine,
    entity: EntityId,
}

/// Executor of the deterministic runtime. Keeps its coroutines; use one for many executions.
#[derive(Default)]
pub struct Deterministic {
    slots: Vec<Slot>,
}

/// The coroutine of an entity.
pub(crate) struct Slot {
    fiber: Fiber,
    /// In the middle of a body.
    busy: Cell<bool>,
}

impl std::fmt::Debug for Deterministic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deterministic")
            .field("coroutines", &self.slots.len())
            .finish()
    }
}

/// The coroutine of an entity of the machine that runs.
#[inline]
fn slot(machine: &Machine, entity: EntityId) -> &Slot {
    debug_assert!(entity.index() < machine.entities.len());
    // SAFETY: `Deterministic::run` keeps a slot for every entity borrowed while it or one of its coroutines runs.
    unsafe { &*machine.sim.slots.get().add(entity.index()) }
}

/// Lets `next` run. Returns when `me` was chosen again, or when the execution is over.
#[inline]
pub(crate) fn transfer(machine: &Machine, me: EntityId, next: EntityId) {
    let to = slot(machine, next);
    to.prepare(machine, next);
    // SAFETY: `me` runs; all others stand still.
    unsafe { slot(machine, me).fiber.switch(&to.fiber) };
}

/// The running entity's body is over where it stands, if its stack may be given up; returns if it has to unwind.
pub(crate) fn give_up(e: &Entity) {
    let machine = e.machine();
    if machine.runtime.get() == Runtime::Deterministic && machine.may_abandon(e) {
        // SAFETY: this coroutine runs. The executor restarts it.
        unsafe { slot(machine, e.id).fiber.leave() };
    }
}

/// Life of a coroutine: bodies, one after the other.
fn serve() -> ! {
    loop {
        let job = JOB
            .take()
            .expect("a coroutine at rest is switched to with a job");
        // SAFETY: `Deterministic::run` borrows the machine until all bodies have ended.
        let machine = unsafe { &*job.machine };
        set_current(Some(machine.entity(job.entity)));
        machine.run_entity(job.entity);
        rest(machine, job.entity);
    }
}

/// A body has ended: whoever was chosen goes on, or the executor where nobody was. Returns with the next job.
fn rest(machine: &Machine, me: EntityId) {
    let from = slot(machine, me);
    from.busy.set(false);
    let next = machine
        .sim
        .resume
        .take()
        .filter(|_| !machine.tearing_down());
    let Some(next) = next else {
        // SAFETY: this coroutine runs.
        unsafe { from.fiber.leave() };
        return;
    };
    let to = slot(machine, next);
    to.prepare(machine, next);
    if next != me {
        // SAFETY: this coroutine runs; all others stand still.
        unsafe { from.fiber.switch(&to.fiber) };
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            fiber: Fiber::new(serve),
            busy: Cell::new(false),
        }
    }

    /// Before this coroutine is switched to: if it is at rest it gets a body to run.
    #[inline]
    fn prepare(&self, machine: &Machine, entity: EntityId) {
        if !self.busy.replace(true) {
            JOB.set(Some(Job { machine, entity }));
        }
    }

    /// From the executor: the body that stands in the middle is over as it is.
    fn give_up(&self) {
        // SAFETY: the executor runs, so that all coroutines stand still, and `Teardown::abandon` answers for the stack.
        unsafe { self.fiber.restart() };
        self.busy.set(false);
    }

    /// From the executor: lets the coroutine run.
    fn enter(&self, machine: &Machine, entity: EntityId) {
        self.prepare(machine, entity);
        // SAFETY: the executor runs, so that all coroutines stand still.
        unsafe { self.fiber.enter() };
    }
}

impl Deterministic {
    /// An executor without coroutines yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs one execution to its end.
    ///
    /// # Panics
    /// If there is no memory for a coroutine's stack. Panics of the world's bodies do not come through: they end the
    /// execution as [`End::Internal`](super::End::Internal).
    pub fn run(
        &mut self,
        machine: &Machine,
        world: &dyn World,
        strategy: &mut dyn Strategy,
    ) -> Outcome {
        machine.reset(Runtime::Deterministic);
        while self.slots.len() < machine.entities.len() {
            self.slots.push(Slot::new());
        }
        machine.sim.slots.set(self.slots.as_ptr());
        let attached = machine.attach(world, Some(strategy));
        machine.begin();
        if let Some(next) = machine.sim.resume.take() {
            self.slots[next.index()].enter(machine, next);
        }
        machine
            .stopped
            .store(true, std::sync::atomic::Ordering::Relaxed);
        self.unwind_all(machine);
        if machine.sim.wants_steps.get() {
            machine.with_ending(|ending| machine.sim.with_strategy(|s| s.end(ending)));
        }
        drop(attached);
        machine.outcome()
    }

    /// Ends every body that is suspended in the middle: each unwinds its own stack, unless nothing is lost with it.
    fn unwind_all(&self, machine: &Machine) {
        for (slot, e) in self.slots.iter().zip(&machine.entities) {
            if !slot.busy.get() {
                continue;
            }
            if machine.may_abandon(e) {
                slot.give_up();
                continue;
            }
            slot.enter(machine, e.id);
            debug_assert!(
                !slot.busy.get(),
                "a body goes on although its execution is over"
            );
        }
    }
}

impl Machine {
    fn may_abandon(&self, e: &Entity) -> bool {
        !e.unwinds.get() && self.world().teardown() == Teardown::ABANDON
    }

    /// The first decision of an execution.
    fn begin(&self) {
        let candidates = self.candidates();
        if candidates != 0 {
            self.decide(None, candidates);
        }
    }

    /// Body of an entity from start to end, whichever way it ends; then somebody else is chosen.
    pub(crate) fn run_entity(&self, id: EntityId) {
        let e = self.entity(id);
        if !self.tearing_down() {
            let body = std::panic::AssertUnwindSafe(|| self.body(e));
            if let Err(payload) = std::panic::catch_unwind(body)
                && !payload.is::<TornDown>()
            {
                self.fault(super::finding::panic_message(payload.as_ref()));
            }
        }
    }

    fn body(&self, e: &super::Entity) {
        e.begin_context();
        self.world().run(e.id);
        e.end_context();
        self.check_if_touched();
        self.finish(e);
        if let Some(stop) = self.judge_end(e)
            && !self.last_look(&stop)
        {
            self.stop(stop);
            return;
        }
        let candidates = self.candidates();
        if candidates != 0 {
            self.after_end(candidates);
        }
    }

    /// Chooses who goes on after an entity has ended.
    fn after_end(&self, candidates: EntitySet) {
        match self.runtime.get() {
            Runtime::Deterministic => self.decide(None, candidates),
            Runtime::Shuttle => super::shuttle::publish(candidates),
            Runtime::Threads => {}
        }
    }
}
