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
use std::cell::{Cell, UnsafeCell};

/// Bytes of stack of an entity; touched pages only count.
const STACK_SIZE: usize = 512 * 1024;

type Co = Coroutine<*const Slot, (), ()>;
type Yields = Yielder<*const Slot, ()>;

thread_local! {
    /// Slots of the executor that runs on this OS thread.
    static SLOTS: Cell<*const Vec<Slot>> = const { Cell::new(std::ptr::null()) };
}

/// Executor of the deterministic runtime. Keeps its coroutines; use one for many executions.
#[derive(Default)]
pub struct Deterministic {
    slots: Vec<Slot>,
}

/// The coroutine of an entity. Coroutines resume each other: a switch goes through the executor's own stack only where
/// it has to. Those that resumed somebody and wait for control to come back form a chain.
struct Slot {
    co: UnsafeCell<Co>,
    /// Whose body it is to run when it is resumed from rest.
    job: Cell<(*const Machine, EntityId)>,
    /// How the coroutine gives control back to whoever resumed it.
    yielder: Cell<*const Yields>,
    /// Runs, or is in the chain.
    active: Cell<bool>,
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

/// Lets `next` run. Returns when `me` was chosen again, or when the execution is over.
#[inline]
pub(crate) fn transfer(machine: &Machine, me: EntityId, next: EntityId) {
    // SAFETY: `Deterministic::run`, on whose behalf we run, keeps the slots borrowed.
    let slots = unsafe { &*SLOTS.get() };
    let resume = &machine.sim.resume;
    resume.set(Some(next));
    loop {
        match resume.get() {
            Some(next) if next == me => return,
            Some(next) if !slots[next.index()].active.get() => {
                slots[next.index()].resume(machine, next);
            }
            // Somebody down the chain is meant, or nobody.
            _ => slots[me.index()].give_back(),
        }
        if machine.tearing_down() {
            return;
        }
    }
}

impl Slot {
    fn new() -> Self {
        let stack = DefaultStack::new(STACK_SIZE).expect("memory for the stack of a coroutine");
        let co = Coroutine::with_stack(stack, |yielder: &Yields, mut slot: *const Slot| {
            loop {
                // SAFETY: whoever resumes us from rest borrows the slot until we suspend with the body ended.
                let this = unsafe { &*slot };
                let (machine, entity) = this.job.get();
                // SAFETY: as above.
                let machine = unsafe { &*machine };
                this.yielder.set(yielder);
                set_current(Some(machine.entity(entity)));
                machine.run_entity(entity);
                this.busy.set(false);
                slot = yielder.suspend(());
            }
        });
        Self {
            co: UnsafeCell::new(co),
            job: Cell::new((std::ptr::null(), EntityId(0))),
            yielder: Cell::new(std::ptr::null()),
            active: Cell::new(false),
            busy: Cell::new(false),
        }
    }

    /// Runs the coroutine until it gives control back.
    #[inline]
    fn resume(&self, machine: &Machine, entity: EntityId) {
        if !self.busy.replace(true) {
            self.job.set((machine, entity));
        }
        self.active.set(true);
        // SAFETY: an active coroutine is not resumed, so nobody else refers to it.
        match unsafe { (*self.co.get()).resume(self) } {
            CoroutineResult::Yield(()) => {}
            CoroutineResult::Return(()) => unreachable!("coroutines serve for ever"),
        }
        self.active.set(false);
    }

    /// Gives control back to whoever resumed this coroutine, which is the running one.
    #[inline]
    fn give_back(&self) {
        // SAFETY: set by the coroutine that runs; it lives on that coroutine's stack below this frame.
        unsafe { (*self.yielder.get()).suspend(()) };
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
        let attached = machine.attach(world, Some(strategy));
        let outer = SLOTS.replace(&self.slots);
        machine.begin();
        while let Some(next) = machine.sim.resume.get() {
            self.slots[next.index()].resume(machine, next);
            if machine.tearing_down() {
                break;
            }
        }
        machine
            .stopped
            .store(true, std::sync::atomic::Ordering::Relaxed);
        self.unwind_all(machine);
        SLOTS.set(outer);
        if machine.sim.wants_steps.get() {
            machine.with_ending(|ending| machine.sim.with_strategy(|s| s.end(ending)));
        }
        drop(attached);
        machine.outcome()
    }

    /// Ends every body that is suspended in the middle: each unwinds its own stack.
    fn unwind_all(&self, machine: &Machine) {
        for (i, slot) in self.slots[..machine.entities.len()].iter().enumerate() {
            if slot.busy.get() {
                slot.resume(machine, EntityId::new(i));
                debug_assert!(
                    !slot.busy.get(),
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
        self.sim.resume.set(None);
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
