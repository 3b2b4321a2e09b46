//! The deterministic runtime: our own executor, one coroutine an entity, a strategy that decides.
//!
//! Coroutines are kept between executions; an execution that chooses the running entity again costs no switch.

use super::entity::set_current;
use super::finding::Outcome;
use super::ids::EntityId;
use super::machine::{Machine, Runtime, World};
use super::sched::TornDown;
use super::strategy::Strategy;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::cell::Cell;

/// Bytes of stack of an entity; touched pages only count.
const STACK_SIZE: usize = 512 * 1024;

type Co = Coroutine<Job, (), ()>;
type Yields = Yielder<Job, ()>;

/// What a coroutine is to do when it is resumed from rest.
#[derive(Clone, Copy)]
struct Job {
    machine: *const Machine,
    entity: EntityId,
}

thread_local! {
    static YIELDER: Cell<*const Yields> = const { Cell::new(std::ptr::null()) };
}

/// Executor of the deterministic runtime. Keeps its coroutines; use one for many executions.
#[derive(Default)]
pub struct Deterministic {
    slots: Vec<Slot>,
}

struct Slot {
    co: Co,
    /// In the middle of a body.
    busy: bool,
}

impl std::fmt::Debug for Deterministic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deterministic")
            .field("coroutines", &self.slots.len())
            .finish()
    }
}

/// Suspends the running coroutine; the executor resumes whom `Sim::resume` names.
pub(crate) fn suspend() {
    let mine = YIELDER.get();
    // SAFETY: set by the coroutine that runs; it lives on that coroutine's stack below this frame.
    unsafe { (*mine).suspend(()) };
    YIELDER.set(mine);
}

fn coroutine() -> Co {
    let stack = DefaultStack::new(STACK_SIZE).expect("memory for the stack of a coroutine");
    Coroutine::with_stack(stack, |yielder: &Yields, mut job: Job| {
        loop {
            YIELDER.set(yielder);
            // SAFETY: the executor that resumes us borrows the machine until we suspend with the body ended.
            unsafe { &*job.machine }.run_entity(job.entity);
            job = yielder.suspend(());
        }
    })
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
            self.slots.push(Slot {
                co: coroutine(),
                busy: false,
            });
        }
        let attached = machine.attach(world, Some(strategy));
        let outer = YIELDER.get();
        machine.begin();
        while let Some(next) = machine.sim.resume.take() {
            self.resume(machine, next);
            if machine.tearing_down() {
                break;
            }
        }
        machine
            .stopped
            .store(true, std::sync::atomic::Ordering::Relaxed);
        self.unwind_all(machine);
        YIELDER.set(outer);
        if machine.sim.wants_steps.get() {
            machine.with_ending(|ending| machine.sim.with_strategy(|s| s.end(ending)));
        }
        drop(attached);
        machine.outcome()
    }

    fn resume(&mut self, machine: &Machine, id: EntityId) {
        let slot = &mut self.slots[id.index()];
        slot.busy = true;
        set_current(Some(machine.entity(id)));
        match slot.co.resume(Job {
            machine,
            entity: id,
        }) {
            CoroutineResult::Yield(()) => {}
            CoroutineResult::Return(()) => unreachable!("coroutines serve for ever"),
        }
        if machine.ended(id) {
            slot.busy = false;
        }
    }

    /// Ends every body that is suspended in the middle: each unwinds its own stack.
    fn unwind_all(&mut self, machine: &Machine) {
        for i in 0..machine.entities.len() {
            if self.slots[i].busy {
                self.resume(machine, EntityId::new(i));
                debug_assert!(
                    !self.slots[i].busy,
                    "a body goes on although its execution is over"
                );
            }
        }
    }
}

impl Machine {
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
        e.busy.set(true);
        if !self.tearing_down() {
            let body = std::panic::AssertUnwindSafe(|| self.body(e));
            if let Err(payload) = std::panic::catch_unwind(body)
                && !payload.is::<TornDown>()
            {
                self.fault(super::finding::panic_message(payload.as_ref()));
            }
        }
        e.busy.set(false);
    }

    /// Whether a body has come to its end.
    fn ended(&self, id: EntityId) -> bool {
        !self.entity(id).busy.get()
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
    fn after_end(&self, candidates: u64) {
        match self.runtime.get() {
            Runtime::Deterministic => self.decide(None, candidates),
            Runtime::Shuttle => super::shuttle::publish(self, candidates),
            Runtime::Threads => {}
        }
    }
}
