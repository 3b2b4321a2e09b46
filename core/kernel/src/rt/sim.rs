//! State of a simulated execution, and how it begins.

use super::det::Slot;
use super::entity::set_current;
use super::ids::EntityId;
use super::machine::{Machine, World};
use super::op::Op;
use super::set::{EntitySet, MAX_ENTITIES, SetCell};
use super::strategy::{Decision, Gave, Standing, Strategy};
use std::cell::{Cell, UnsafeCell};

/// State of a simulated execution. Only touched from the one OS thread that simulates.
pub(crate) struct Sim {
    pub(crate) ready: SetCell,
    pub(crate) allowed: SetCell,
    pub(crate) live: Cell<EntitySet>,
    pub(crate) running: Cell<Option<EntityId>>,
    pub(crate) steps: Cell<u32>,
    /// Whether tasks of one CPU differ in priority: as the machine was built.
    pub(crate) prio: Cell<bool>,
    /// Whether there is a lock whose holder inherits the priority of who waits.
    pub(crate) inherits: Cell<bool>,
    next: UnsafeCell<[Op; MAX_ENTITIES]>,
    /// Where the machine stood when somebody was shown it.
    stood: UnsafeCell<Standing>,
    made: UnsafeCell<Vec<Made>>,
    strategy: Cell<Option<*mut dyn Strategy>>,
    pub(crate) wants_steps: Cell<bool>,
    /// A simulated runtime, at most 64 entities, no priorities, a strategy that only decides: what the short ways rely
    /// on.
    pub(crate) plain: Cell<bool>,
    /// The step at which there is something else to do than to decide: the step limit, or at once.
    pub(crate) pause: Cell<u32>,
    /// What the running step did without announcing it; only kept for strategies that want steps.
    pub(crate) touched: Cell<bool>,
    pub(crate) cpu_changed: Cell<bool>,
    pub(crate) gave: Cell<Gave>,
    world: Cell<Option<*const dyn World>>,
    /// Retry loops that wait for anything to change.
    pub(crate) retrying: Cell<EntitySet>,
    /// Entities that sleep for a bounded time: ready, but in nobody's way.
    pub(crate) napping: Cell<EntitySet>,
    /// Retry loops for memory that looked since anybody else last ran: see `Machine::last_look`.
    pub(crate) looked: Cell<EntitySet>,
    /// What the entities run on, on the deterministic runtime: one slot each.
    pub(crate) slots: Cell<*const Slot>,
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

/// A decision that was made. Among few its choice number is worked out when somebody asks: most executions are not
/// looked at.
#[derive(Clone, Copy)]
pub(crate) enum Made {
    Pick {
        candidates: u64,
        current: Option<EntityId>,
        picked: EntityId,
    },
    Choice(u32),
}

impl Made {
    /// The decision for `picked`.
    #[inline]
    pub(crate) fn pick(candidates: EntitySet, current: Option<EntityId>, picked: EntityId) -> Self {
        match u64::try_from(candidates) {
            Ok(candidates) => Self::Pick {
                candidates,
                current,
                picked,
            },
            Err(_) => Self::Choice(Self::number_of(candidates, current, picked)),
        }
    }

    fn number_of(candidates: EntitySet, current: Option<EntityId>, picked: EntityId) -> u32 {
        let decision = Decision {
            candidates,
            current,
            next: &[],
            state: &Standing::NONE,
        };
        decision.number_of(picked)
    }

    fn number(&self) -> u32 {
        match *self {
            Self::Pick {
                candidates,
                current,
                picked,
            } => Self::number_of(candidates.into(), current, picked),
            Self::Choice(choice) => choice,
        }
    }
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self {
            ready: SetCell::default(),
            allowed: SetCell::default(),
            live: Cell::new(0),
            running: Cell::new(None),
            steps: Cell::new(0),
            prio: Cell::new(false),
            inherits: Cell::new(false),
            next: UnsafeCell::new([Machine::start_op(); MAX_ENTITIES]),
            stood: UnsafeCell::new(Standing::NONE),
            made: UnsafeCell::new(Vec::new()),
            strategy: Cell::new(None),
            wants_steps: Cell::new(false),
            plain: Cell::new(false),
            pause: Cell::new(0),
            touched: Cell::new(false),
            cpu_changed: Cell::new(false),
            gave: Cell::new(Gave::NOTHING),
            world: Cell::new(None),
            retrying: Cell::new(0),
            napping: Cell::new(0),
            looked: Cell::new(0),
            slots: Cell::new(std::ptr::null()),
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
    pub(crate) fn next_ops(&self) -> &[Op] {
        // SAFETY: as above; strategies do not call back into the machine.
        unsafe { &*self.next.get() }
    }

    pub(crate) fn set_next(&self, id: EntityId, op: Op) {
        // SAFETY: as above.
        unsafe { (*self.next.get())[id.index() % MAX_ENTITIES] = op };
    }

    /// Keeps a standing for as long as a strategy looks at it.
    pub(crate) fn show(&self, state: Standing) -> &Standing {
        // SAFETY: as above; decisions are made one after the other, and none outlives its strategy's call.
        unsafe {
            *self.stood.get() = state;
            &*self.stood.get()
        }
    }

    /// Decisions and choices of this execution until now.
    pub(crate) fn made_so_far(&self) -> usize {
        // SAFETY: as above.
        unsafe { (*self.made.get()).len() }
    }

    #[inline]
    pub(crate) fn record(&self, made: Made) {
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
        sim.pause.set(self.max_steps);
        sim.running.set(None);
        sim.resume.set(None);
        sim.looked.set(0);
        sim.touched.set(false);
        sim.cpu_changed.set(false);
        sim.gave.set(Gave::NOTHING);
        sim.retrying.set(0);
        sim.napping.set(0);
        // SAFETY: no execution is running.
        unsafe { (*sim.made.get()).clear() };
        let (mut live, mut ready) = (0, 0);
        for e in &self.entities {
            sim.set_next(e.id, Self::start_op());
            live |= e.bit;
            if !e.is_raised() || e.pending.get() > 0 {
                ready |= e.bit;
            }
        }
        sim.live.set(live);
        sim.ready.set(ready);
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
        sim.plain.set(
            self.simulated.get()
                && self.entities.len() <= 64
                && !sim.prio.get()
                && !sim.wants_steps.get()
                && !self.collects(super::feedback::Feedback::Reads),
        );
        Attached(self)
    }

    pub(crate) fn world(&self) -> &dyn World {
        let world = self.sim.world.get().expect("a running machine has a world");
        // SAFETY: `attach` keeps it borrowed while the machine runs.
        unsafe { &*world }
    }
}
