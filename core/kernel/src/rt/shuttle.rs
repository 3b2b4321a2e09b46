//! The shuttle runtime: every entity is a shuttle task, and shuttle's schedulers decide.
//!
//! Before each decision the entities that are not candidates are blocked in shuttle's eyes, so that any scheduler,
//! shuttle's own included, chooses among exactly our candidates, with one step a visible operation. Our own
//! [`StrategyScheduler`] knows the candidates: for it nobody is blocked, which makes the same choices in less time.

use super::entity::{Entity, set_current};
use super::finding::{End, Outcome};
use super::ids::EntityId;
use super::machine::{Machine, Runtime, World};
use super::op::Op;
use super::sched::{pick_step, unwind};
use super::set::{EntitySet, MAX_ENTITIES, members};
use super::strategy::{Ending, Standing, Strategy};
use shuttle_engine::runtime::execution::{ExecutionState, LABELS};
use shuttle_engine::runtime::task::labels::Labels;
use shuttle_engine::runtime::task::{Task, TaskId, TaskName};
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
    /// A [`StrategyScheduler`] decides: it knows the candidates, nobody has to be blocked in shuttle's eyes for it.
    knows: bool,
    /// Entities that shuttle may choose, where the scheduler does not know the candidates.
    published: Cell<EntitySet>,
    /// Entities whose shuttle task has not ended.
    open: Cell<EntitySet>,
    /// The decision that the next entity to run was chosen in; no candidates before the first one.
    candidates: Cell<EntitySet>,
    current: Cell<Option<EntityId>>,
}

thread_local! {
    static ACTIVE: Cell<*const Active> = const { Cell::new(std::ptr::null()) };
    static ALTERNATIVES: Cell<u32> = const { Cell::new(0) };
    /// Whether the strategy behind the scheduler wants steps.
    static WANTS_STEPS: Cell<bool> = const { Cell::new(false) };
    /// A [`StrategyScheduler`] was asked since this was last cleared.
    static ASKED: Cell<bool> = const { Cell::new(false) };
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

/// The execution that runs on this OS thread, if there is one.
#[inline]
fn try_active<'a>() -> Option<&'a Active> {
    // SAFETY: `run_in_shuttle` takes the pointer out again before what it points to goes; where shuttle gives an
    // execution up and leaks that frame, nobody looks until a new execution begins, which takes it out too.
    unsafe { ACTIVE.get().as_ref() }
}

#[inline]
fn active<'a>() -> &'a Active {
    try_active().expect("an execution runs under shuttle")
}

/// Takes the pointer to the execution out again, also where shuttle unwinds.
struct Activated;

impl Drop for Activated {
    fn drop(&mut self) {
        ACTIVE.set(std::ptr::null());
    }
}

/// Runs one execution inside a shuttle test. The closure that shuttle calls is the place to call this from.
///
/// # Panics
/// Outside a shuttle execution.
#[track_caller]
pub fn run_in_shuttle(machine: &Machine, world: &dyn World) -> Outcome {
    machine.reset(Runtime::Shuttle);
    let attached = machine.attach(world, None);
    // Spawning is a decision of shuttle: whoever makes it makes the others too.
    ASKED.set(false);
    let main = ExecutionState::me();
    let mut tasks = Vec::with_capacity(machine.entities.len());
    let name = take_name(main);
    for e in &machine.entities {
        tasks.push(spawn(machine, e.id));
    }
    if let Some(name) = name {
        LABELS.with_borrow_mut(|labels| labels.insert(main, name));
    }
    let knows = ASKED.get();
    let open = members_mask(machine.entities.len());
    let active = Active {
        machine,
        tasks,
        main,
        knows,
        published: Cell::new(0),
        open: Cell::new(open),
        candidates: Cell::new(0),
        current: Cell::new(None),
    };
    ACTIVE.set(&raw const active);
    let activated = Activated;
    let candidates = machine.candidates();
    if candidates == 0 {
        machine.end(super::finding::End::Completed);
        active.release_all();
    } else {
        publish(candidates);
    }
    if !machine.entities.is_empty() {
        ExecutionState::with(|s| s.current_mut().block(false));
        thread::switch();
    }
    drop(activated);
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

/// Takes the labels of a task that has no label but its name. Tasks inherit labels, by copying them, and entities are
/// not called what the test's main task is called.
fn take_name(task: TaskId) -> Option<Labels> {
    LABELS.with_borrow_mut(|labels| {
        let only_name = labels
            .get(&task)
            .is_some_and(|l| l.len() == 1 && l.get::<TaskName>().is_some());
        only_name.then(|| labels.remove(&task)).flatten()
    })
}

#[track_caller]
fn spawn(machine: &Machine, id: EntityId) -> TaskId {
    let machine = std::ptr::from_ref(machine) as usize;
    let body = move || {
        // SAFETY: `run_in_shuttle` borrows the machine until every task that it spawned has ended.
        let machine = unsafe { &*(machine as *const Machine) };
        serve(machine, id);
    };
    let task =
        ExecutionState::spawn_thread(Box::new(body), STACK_SIZE, None, None, Location::caller());
    if !ASKED.get() {
        ExecutionState::with(|s| s.get_mut(task).block(false));
    }
    task
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
        chosen(machine, active(), id);
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
    let a = active();
    let open = a.open.get() & !id.bit();
    a.open.set(open);
    if machine.tearing_down() {
        a.release_all();
    } else if machine.candidates() == 0 {
        machine
            .stopped
            .store(true, std::sync::atomic::Ordering::Relaxed);
        a.release_all();
    }
    if open == 0 {
        ExecutionState::with(|s| s.get_mut(a.main).unblock());
    }
}

impl Active {
    /// Lets every task that is left run, to unwind.
    fn release_all(&self) {
        self.show(self.open.get());
    }

    /// Makes shuttle's runnable set equal to `set`, for schedulers that know no other.
    #[inline]
    fn show(&self, set: EntitySet) {
        if !self.knows && self.published.get() != set {
            self.publish(set);
        }
    }

    fn publish(&self, set: EntitySet) {
        let changed = self.published.replace(set) ^ set;
        ExecutionState::with(|s| {
            for id in members(changed & self.open.get()) {
                let task = s.get_mut(self.tasks[id.index()]);
                if set & id.bit() != 0 {
                    task.unblock();
                } else {
                    task.block(false);
                }
            }
        });
    }

    /// Shows shuttle a decision; whoever it chooses finds it here.
    #[inline]
    fn ask(&self, candidates: EntitySet, current: Option<EntityId>) {
        self.show(candidates);
        self.candidates.set(candidates);
        self.current.set(current);
    }
}

/// Shows shuttle who may run after somebody has ended.
pub(crate) fn publish(candidates: EntitySet) {
    active().ask(candidates, None);
}

/// Lets shuttle choose; returns when `from` is chosen again.
pub(crate) fn decide(m: &Machine, from: &Entity, candidates: EntitySet) {
    let a = active();
    let current = (candidates & from.id.bit() != 0).then_some(from.id);
    a.ask(candidates, current);
    thread::switch();
    set_current(Some(from));
    if m.tearing_down() {
        unwind();
    }
    chosen(m, a, from.id);
}

/// `id` was chosen in the decision that was shown last.
#[inline]
fn chosen(m: &Machine, a: &Active, id: EntityId) {
    let candidates = a.candidates.get();
    if candidates & (candidates - 1) != 0 {
        m.record_pick(candidates, a.current.get(), id);
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
    let candidates = a.candidates.get();
    if machine.tearing_down()
        || candidates == 0
        || !a.knows && runnable.len() as u32 != a.published.get().count_ones()
    {
        return None;
    }
    let decision = machine.decision(candidates, a.current.get());
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
        // Where shuttle gave an execution up, its stacks went without unwinding.
        ACTIVE.set(std::ptr::null());
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
        ASKED.set(true);
        let first = runnable[0].id();
        if runnable.len() == 1 && !WANTS_STEPS.get() {
            return Some(first);
        }
        let strategy = &mut self.strategy;
        let picked = try_active().and_then(|a| pick(strategy, a, runnable));
        Some(picked.unwrap_or(first))
    }

    fn next_u64(&mut self) -> u64 {
        match ALTERNATIVES.get() {
            0 => 0,
            n => u64::from(self.strategy.choose(n)),
        }
    }
}
