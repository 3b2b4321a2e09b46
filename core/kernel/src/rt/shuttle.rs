//! The shuttle runtime: every entity is a shuttle task, and shuttle's schedulers decide.
//!
//! Before each decision the entities that are not candidates are blocked in shuttle's eyes, so that any scheduler,
//! shuttle's own included, chooses among exactly our candidates, with one step a visible operation.

use super::entity::{Entity, set_current};
use super::finding::{End, Outcome};
use super::ids::EntityId;
use super::machine::{Machine, Runtime, World};
use super::op::Op;
use super::sched::{pick_step, unwind};
use super::set::{EntitySet, MAX_ENTITIES, members};
use super::strategy::{Ending, Standing, Strategy};
use shuttle_engine::runtime::execution::ExecutionState;
use shuttle_engine::runtime::task::{Task, TaskId};
use shuttle_engine::runtime::thread;
use shuttle_engine::scheduler::{Schedule, Scheduler};
use std::cell::{Cell, RefCell};
use std::panic::Location;

/// Bytes of stack of an entity.
const STACK_SIZE: usize = 512 * 1024;

/// The execution that runs on this OS thread.
struct Active {
    machine: *const Machine,
    /// shuttle's name of each entity.
    tasks: Vec<TaskId>,
    main: TaskId,
    /// Entities that shuttle may choose.
    published: EntitySet,
    /// Entities whose shuttle task has not ended.
    open: EntitySet,
    /// The decision that the next entity to run was chosen in.
    candidates: EntitySet,
    current: Option<EntityId>,
}

thread_local! {
    static ACTIVE: RefCell<Option<Active>> = const { RefCell::new(None) };
    static ALTERNATIVES: Cell<u32> = const { Cell::new(0) };
    /// Whether the strategy behind the scheduler wants steps.
    static WANTS_STEPS: Cell<bool> = const { Cell::new(false) };
    /// How the last execution ended, for a strategy that wants to know.
    static ENDED: RefCell<Option<Ended>> = const { RefCell::new(None) };
}

struct Ended {
    end: End,
    next: Vec<Op>,
    state: Standing,
}

/// Whether whoever schedules the execution that begins on this OS thread wants to see every step.
pub(crate) fn wants_steps() -> bool {
    WANTS_STEPS.get()
}

fn with_active<R>(f: impl FnOnce(&mut Active) -> R) -> R {
    ACTIVE.with_borrow_mut(|a| f(a.as_mut().expect("an execution runs under shuttle")))
}

/// Runs one execution inside a shuttle test. The closure that shuttle calls is the place to call this from.
///
/// # Panics
/// Outside a shuttle execution.
#[track_caller]
pub fn run_in_shuttle(machine: &Machine, world: &dyn World) -> Outcome {
    machine.reset(Runtime::Shuttle);
    let attached = machine.attach(world, None);
    let main = ExecutionState::me();
    let open = members_mask(machine.entities.len());
    let active = Active {
        machine,
        tasks: Vec::new(),
        main,
        published: 0,
        open,
        candidates: 0,
        current: None,
    };
    ACTIVE.set(Some(active));
    for e in &machine.entities {
        spawn(machine, e.id);
    }
    let candidates = machine.candidates();
    if candidates == 0 {
        machine.end(super::finding::End::Completed);
        release_all(machine);
    } else {
        publish(machine, candidates);
    }
    if !machine.entities.is_empty() {
        ExecutionState::with(|s| s.current_mut().block(false));
        thread::switch();
    }
    ACTIVE.set(None);
    if machine.sim.wants_steps.get() {
        let ended = machine.with_ending(|e| Ended {
            end: e.end,
            next: e.next.to_vec(),
            state: e.state,
        });
        ENDED.set(Some(ended));
    }
    drop(attached);
    machine.outcome()
}

fn members_mask(n: usize) -> EntitySet {
    if n == MAX_ENTITIES {
        EntitySet::MAX
    } else {
        (1 << n) - 1
    }
}

#[track_caller]
fn spawn(machine: &Machine, id: EntityId) {
    let machine = std::ptr::from_ref(machine) as usize;
    let body = move || {
        // SAFETY: `run_in_shuttle` borrows the machine until every task that it spawned has ended.
        let machine = unsafe { &*(machine as *const Machine) };
        serve(machine, id);
    };
    let task =
        ExecutionState::spawn_thread(Box::new(body), STACK_SIZE, None, None, Location::caller());
    ExecutionState::with(|s| s.get_mut(task).block(false));
    with_active(|a| a.tasks.push(task));
}

/// Life of an entity's shuttle task: its body, again for every firing of an interrupt.
fn serve(machine: &Machine, id: EntityId) {
    let mut waiting = false;
    while !machine.tearing_down() {
        if waiting {
            thread::switch();
            waiting = false;
            continue;
        }
        let e = machine.entity(id);
        set_current(Some(e));
        chosen(machine, id);
        machine.run_entity(id);
        if machine.tearing_down()
            || machine.sim.live.get() & id.bit() == 0
            || machine.candidates() == 0
        {
            break;
        }
        waiting = true;
    }
    close(machine, id);
}

/// The task of an entity ends: the last one lets the test's main task go on.
fn close(machine: &Machine, id: EntityId) {
    let open = with_active(|a| {
        a.open &= !id.bit();
        a.open
    });
    if machine.tearing_down() {
        release_all(machine);
    } else if machine.candidates() == 0 {
        machine
            .stopped
            .store(true, std::sync::atomic::Ordering::Relaxed);
        release_all(machine);
    }
    if open == 0 {
        let main = with_active(|a| a.main);
        ExecutionState::with(|s| s.get_mut(main).unblock());
    }
}

/// Lets every task that is left run, to unwind.
fn release_all(machine: &Machine) {
    let _ = machine;
    let open = with_active(|a| a.open);
    sync(open);
}

/// Makes shuttle's runnable set equal to `set`.
fn sync(set: EntitySet) {
    with_active(|a| {
        let changed = a.published ^ set;
        if changed == 0 {
            return;
        }
        a.published = set;
        ExecutionState::with(|s| {
            for id in members(changed & a.open) {
                let task = s.get_mut(a.tasks[id.index()]);
                if set & id.bit() != 0 {
                    task.unblock()
                } else {
                    task.block(false)
                }
            }
        });
    });
}

/// Shows shuttle who may run; whoever it chooses finds the decision here.
pub(crate) fn publish(machine: &Machine, candidates: EntitySet) {
    let _ = machine;
    sync(candidates);
    with_active(|a| {
        a.candidates = candidates;
        a.current = None;
    });
}

/// Lets shuttle choose; returns when `from` is chosen again.
pub(crate) fn choose_next(
    m: &Machine,
    from: Option<&Entity>,
    current: Option<EntityId>,
    candidates: EntitySet,
) -> EntityId {
    let from = from.expect("under shuttle a running entity gives way");
    sync(candidates);
    with_active(|a| {
        a.candidates = candidates;
        a.current = current;
    });
    thread::switch();
    set_current(Some(from));
    if m.tearing_down() {
        unwind();
    }
    chosen(m, from.id);
    from.id
}

/// `id` was chosen in the decision that was shown last.
fn chosen(m: &Machine, id: EntityId) {
    let (candidates, current) = with_active(|a| (a.candidates, a.current));
    if candidates & (candidates - 1) != 0 {
        m.record_pick(candidates, current, id);
    }
    m.enter(id);
}

/// A choice among `n` alternatives, drawn by shuttle's scheduler.
pub(crate) fn choose(n: u32) -> u32 {
    ALTERNATIVES.set(n);
    let drawn = ExecutionState::next_u64();
    ALTERNATIVES.set(0);
    (drawn % u64::from(n)) as u32
}

/// Makes a [`Strategy`] a shuttle [`Scheduler`].
#[derive(Debug)]
pub struct StrategyScheduler<S> {
    strategy: S,
    executions: usize,
}

impl<S: Strategy> StrategyScheduler<S> {
    /// A scheduler that lets `strategy` decide `executions` executions.
    pub const fn new(strategy: S, executions: usize) -> Self {
        Self {
            strategy,
            executions,
        }
    }
}

/// Who runs next, if that is about the entities of a machine at all.
fn pick(strategy: &mut impl Strategy, a: &Active, runnable: &[&Task]) -> Option<TaskId> {
    // SAFETY: the machine outlives the execution that `a` stands for.
    let machine = unsafe { &*a.machine };
    if machine.tearing_down()
        || a.candidates == 0
        || runnable.len() as u32 != a.published.count_ones()
    {
        return None;
    }
    let decision = machine.decision(a.candidates, a.current);
    let picked = if WANTS_STEPS.get() {
        pick_step(strategy, decision)
    } else if decision.is_open() {
        strategy.pick(&decision)
    } else {
        decision.nth(0)
    };
    Some(a.tasks[picked.index()])
}

impl<S: Strategy> Scheduler for StrategyScheduler<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        if let Some(ended) = ENDED.take() {
            self.strategy.end(&Ending {
                end: ended.end,
                next: &ended.next,
                state: ended.state,
            });
        }
        WANTS_STEPS.set(false);
        if self.strategy.finished() {
            return None;
        }
        self.executions = self.executions.checked_sub(1)?;
        self.strategy.begin();
        WANTS_STEPS.set(self.strategy.wants_steps());
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        _current: Option<TaskId>,
        _yielding: bool,
    ) -> Option<TaskId> {
        let first = runnable[0].id();
        if runnable.len() == 1 && !WANTS_STEPS.get() {
            return Some(first);
        }
        let strategy = &mut self.strategy;
        let picked = ACTIVE.with_borrow(|a| pick(strategy, a.as_ref()?, runnable));
        Some(picked.unwrap_or(first))
    }

    fn next_u64(&mut self) -> u64 {
        match ALTERNATIVES.get() {
            0 => 0,
            n => u64::from(self.strategy.choose(n)),
        }
    }
}
