//! The machine: CPUs, entities and resources, and the state of the running execution.

use super::entity::{Entity, EntityKind, EntitySpec};
use super::finding::{End, Outcome, StateBreak, Stop};
use super::ids::{CpuId, EntityId, MAX_CPUS, ResId};
use super::op::{Op, OpKind};
use super::resource::{ResKind, Resource};
use super::set::{EntitySet, MAX_ENTITIES};
use super::sim::Sim;
use super::spare::Spare;
use super::threads::Parking;
use crate::rules::Rules;
use crate::sync::{Lock, LockKind};
use ksplat_lockdep::Lockdep;
use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// Description of a machine.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Number of virtual CPUs, at least 1, at most [`MAX_CPUS`].
    pub cpus: u8,
    /// Tasks, daemons and interrupt handlers.
    pub entities: Vec<EntitySpec>,
    /// Kernel variants in force.
    pub rules: Rules,
    /// An execution ends with [`End::StepLimit`] after this many visible operations.
    pub max_steps: u32,
}

/// Which runtime an execution uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Our own executor, one coroutine a task.
    Deterministic,
    /// Every task is a shuttle task.
    Shuttle,
    /// Every task is an OS thread.
    Threads,
}

/// What becomes of bodies that stand in the middle when an execution is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teardown {
    abandons: bool,
}

impl Teardown {
    /// Their stacks unwind, as in a panic. Right for every world.
    pub const UNWIND: Self = Self { abandons: false };
    pub(crate) const ABANDON: Self = Self { abandons: true };

    /// On the deterministic runtime, stacks are given up as they are: nothing on them is dropped. An execution that stops
    /// costs a fraction of what unwinding costs.
    ///
    /// # Safety
    /// While a body can be suspended, in a visible operation or a wait, nothing is on its stack that has to be dropped;
    /// or it has called [`Entity::must_unwind`](super::Entity::must_unwind) before.
    #[must_use]
    pub const unsafe fn abandon() -> Self {
        Self::ABANDON
    }
}

/// What the entities of a machine do.
pub trait World: Sync {
    /// Body of an entity. Runs once a task, once per firing for an interrupt handler.
    fn run(&self, entity: EntityId);

    /// The entity is about to sleep (`sched_submit_work()`): what it holds back for others is let go. Makes no
    /// decision and does not wait.
    fn about_to_sleep(&self, _entity: EntityId) {}

    /// What becomes of bodies that stand in the middle when an execution is over.
    fn teardown(&self) -> Teardown {
        Teardown::UNWIND
    }

    /// Checks what must hold after every step. Called in simulation, when the state was touched since the last check.
    fn check(&self, _machine: &Machine) {}

    /// lockdep reported, on the running entity: called where reports print.
    fn report_prints(&self) {}
}

/// A virtual CPU.
#[derive(Debug)]
pub(crate) struct Cpu {
    /// The task that runs, or was preempted last, here.
    pub(crate) curr: Cell<Option<EntityId>>,
    /// Interrupt handlers that borrow it, innermost last.
    pub(crate) irq_stack: Cell<EntitySet>,
    pub(crate) irq_top: Cell<Option<EntityId>>,
    pub(crate) tasks: EntitySet,
    /// Handlers that borrow it: interrupts and softirqs.
    pub(crate) irqs: EntitySet,
    /// Those of `irqs` that are softirqs: at most one.
    pub(crate) softirqs: EntitySet,
    /// Softirqs were raised and run before the CPU's task goes on.
    pub(crate) softirq_due: Cell<bool>,
    /// What bottom halves are disabled with on PREEMPT_RT.
    pub(crate) bh_lock: Option<Lock>,
}

/// The bit of [`Machine::watch`] for a story.
pub(crate) const STORY: u8 = 1 << 7;

/// A machine on which programs run. Built once, run as often as one likes.
pub struct Machine {
    pub(crate) entities: Vec<Entity>,
    pub(crate) cpus: Box<[Cpu]>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) rules: Rules,
    pub(crate) max_steps: u32,
    pub(crate) simulated: Cell<bool>,
    pub(crate) runtime: Cell<Runtime>,
    pub(crate) sim: Sim,
    pub(crate) lockdep: ManuallyDrop<Box<Lockdep>>,
    /// Classes of lock maps by name: a map that the program declares can be one of the kernel's own class.
    pub(crate) map_classes: Vec<(Box<str>, ksplat_lockdep::Key)>,
    /// Who wants to know what happens: [`STORY`], and a bit for each kind of feedback.
    pub(crate) watch: Cell<u8>,
    /// Something that `World::check` looks at was touched.
    pub(crate) touched: Cell<bool>,
    pub(crate) stopped: AtomicBool,
    pub(crate) parking: OnceLock<Box<Parking>>,
    found: Mutex<Found>,
    /// Anything is in `found`.
    has_found: AtomicBool,
    /// What retry loops wait for.
    pub(crate) anything: ResId,
}

// SAFETY: the cells are written while no execution runs, or by the one OS thread of a simulated execution.
unsafe impl Sync for Machine {}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("entities", &self.entities)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: taken out once, here.
        let lockdep = unsafe { ManuallyDrop::take(&mut self.lockdep) };
        let (entities, resources) = (&mut self.entities, &mut self.resources);
        Spare::keep(lockdep, std::mem::take(entities), std::mem::take(resources));
    }
}

#[derive(Debug, Default)]
struct Found {
    stop: Option<Stop>,
    breaks: Vec<StateBreak>,
    end: Option<End>,
    fault: Option<String>,
}

impl Machine {
    /// Builds a machine.
    ///
    /// # Panics
    /// If there are no CPUs, too many CPUs or entities, or an entity on a CPU that does not exist.
    #[must_use]
    pub fn new(spec: &MachineSpec) -> Self {
        assert!(
            (1..=MAX_CPUS).contains(&usize::from(spec.cpus)),
            "1 to {MAX_CPUS} CPUs, not {}",
            spec.cpus
        );
        assert!(
            spec.entities.len() <= MAX_ENTITIES,
            "at most {MAX_ENTITIES} entities, not {}",
            spec.entities.len()
        );
        let mut cpus: Vec<Cpu> = (0..spec.cpus)
            .map(|_| Cpu {
                curr: Cell::new(None),
                irq_stack: Cell::new(0),
                irq_top: Cell::new(None),
                tasks: 0,
                irqs: 0,
                softirqs: 0,
                softirq_due: Cell::new(false),
                bh_lock: None,
            })
            .collect();
        for (i, e) in spec.entities.iter().enumerate() {
            assert!(
                e.cpu.0 < spec.cpus,
                "{} is pinned to cpu{} of {}",
                e.name,
                e.cpu.0,
                spec.cpus
            );
            let cpu = &mut cpus[e.cpu.index()];
            let bit = EntityId::new(i).bit();
            if !e.kind.is_raised() || spec.rules.preempt_rt {
                cpu.tasks |= bit;
                continue;
            }
            cpu.irqs |= bit;
            if e.kind == EntityKind::SoftIrq {
                assert!(cpu.softirqs == 0, "one entity runs the softirqs of a CPU");
                cpu.softirqs = bit;
            }
        }
        let mut entities = Spare::entities(spec.entities.len());
        for (i, e) in spec.entities.iter().enumerate() {
            let cpu = &cpus[e.cpu.index()];
            let shares_cpu = cpu.irqs != 0 || cpu.tasks.count_ones() > 1;
            match entities.get_mut(i) {
                Some(old) => old.renew(e, shares_cpu),
                None => entities.push(Entity::new(EntityId::new(i), e, shares_cpu)),
            }
        }
        let mut machine = Self {
            entities,
            cpus: cpus.into(),
            resources: Spare::resources(),
            rules: spec.rules.clone(),
            max_steps: spec.max_steps,
            simulated: Cell::new(true),
            runtime: Cell::new(Runtime::Deterministic),
            sim: Sim::new(),
            lockdep: ManuallyDrop::new(Spare::lockdep(crate::lockdep_events::config(&spec.rules))),
            map_classes: Vec::new(),
            watch: Cell::new(0),
            touched: Cell::new(false),
            stopped: AtomicBool::new(false),
            parking: OnceLock::new(),
            found: Mutex::default(),
            has_found: AtomicBool::new(false),
            anything: ResId::NONE,
        };
        machine.sim.prio.set(machine.ranks());
        let only_tasks = machine.entities.iter().all(|e| e.kind == EntityKind::Task);
        for e in &mut machine.entities {
            e.unseen = only_tasks && !e.shares_cpu;
        }
        machine.anything = machine.add_resource(ResKind::State, "anything to change");
        if machine.rt() {
            machine.add_bh_locks();
        }
        machine
    }

    /// PREEMPT_RT disables bottom halves with a lock of the CPU.
    fn add_bh_locks(&mut self) {
        let key = LockKind::Local.class(self, "softirq_ctrl.lock");
        for cpu in 0..self.cpus.len() {
            let name = format!("softirq_ctrl.lock/{cpu}");
            let lock = Lock::new(self, LockKind::Local, &name, Some(key));
            self.cpus[cpu].bh_lock = Some(lock);
        }
    }

    /// Says who may raise an interrupt or softirq, one bit an entity. Without a word nobody but itself.
    pub fn set_raisers(&self, id: EntityId, raisers: EntitySet) {
        self.entity(id).raisers.store(raisers, Relaxed);
    }

    /// Adds something to wait for.
    ///
    /// # Panics
    /// If there are 2^32 resources already.
    #[track_caller]
    pub fn add_resource(&mut self, kind: ResKind, name: impl Display) -> ResId {
        let tag = super::feedback::tag(kind as u8, self.resources.last().map(|r| r.tag));
        let id = u32::try_from(self.resources.len()).expect("fewer than 2^32 resources");
        let mut text = Spare::name();
        // Into a string this never fails.
        let _ = write!(text, "{name}");
        self.resources.push(Resource::new(kind, text, tag));
        if kind == ResKind::PiLock {
            self.sim.inherits.set(true);
        }
        ResId(id)
    }

    /// Says whether a bit with a wait queue is set when an execution begins, for those who check its log.
    pub(crate) fn set_at_start(&mut self, res: ResId, set: bool) {
        self.resources[res.index()].set_at_start = set;
    }

    /// Declares who can end waits for a resource that has no holders: a completion, a wait queue.
    pub fn set_enders(&self, res: ResId, enders: EntitySet) {
        self.resource(res).enders.store(enders, Relaxed);
    }

    /// A resource.
    #[inline]
    #[must_use]
    pub fn resource(&self, res: ResId) -> &Resource {
        &self.resources[res.index()]
    }

    /// All resources, in order of creation.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// An entity.
    #[inline]
    #[must_use]
    pub fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[id.index()]
    }

    /// All entities.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// The kernel variants in force.
    #[inline]
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether the machine runs a PREEMPT_RT kernel.
    #[inline]
    #[must_use]
    pub fn rt(&self) -> bool {
        self.rules.preempt_rt
    }

    /// Whether decisions are simulated (deterministic runtime and shuttle), or OS threads run freely.
    #[inline]
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.simulated.get()
    }

    /// The validator of this machine. Empty at the start of every execution.
    #[inline]
    #[must_use]
    pub fn lockdep(&self) -> &Lockdep {
        &self.lockdep
    }

    /// The validator, to register lock classes while the machine is built.
    pub fn lockdep_mut(&mut self) -> &mut Lockdep {
        &mut self.lockdep
    }

    /// Number of virtual CPUs.
    #[must_use]
    pub fn nr_cpus(&self) -> usize {
        self.cpus.len()
    }

    /// Says that something which [`World::check`] looks at has changed.
    #[inline]
    pub fn touch(&self) {
        if self.simulated.get() {
            self.touched.set(true);
            self.sim.pause.set(0);
            if super::in_machine() {
                self.changed(&super::current(), true);
            }
        }
    }

    /// Whether anybody wants to know what happens.
    #[inline]
    pub(crate) fn watched(&self) -> bool {
        self.watch.get() != 0
    }

    /// Whether model events are recorded for a story.
    #[inline]
    #[must_use]
    pub fn recording(&self) -> bool {
        self.watch.get() & STORY != 0
    }

    /// Switches recording on or off for the executions to come.
    pub fn set_recording(&self, on: bool) {
        let others = self.watch.get() & !STORY;
        self.watch.set(others | if on { STORY } else { 0 });
    }

    /// Decisions of the last simulated execution, as choice numbers ([`Decision::nth`](super::Decision::nth)).
    #[must_use]
    pub fn choices(&self) -> Vec<u32> {
        self.sim.choices()
    }

    /// Whether the execution is over and everything unwinds.
    #[inline]
    #[must_use]
    pub fn tearing_down(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Records a broken invariant; each kind once an execution. The execution goes on.
    pub fn state_break(&self, kind: &'static str, detail: impl FnOnce() -> String) {
        self.broken(kind, None, ResId::NONE, detail);
    }

    /// As [`Machine::state_break`], and tells those who check the log which resource it is about.
    pub(crate) fn state_break_of(
        &self,
        kind: &'static str,
        res: ResId,
        detail: impl FnOnce() -> String,
    ) {
        self.broken(kind, None, res, detail);
    }

    /// As [`Machine::state_break`], for kinds that are about several things: each of them once an execution.
    pub fn state_break_about(
        &self,
        kind: &'static str,
        about: String,
        detail: impl FnOnce() -> String,
    ) {
        self.broken(kind, Some(about), ResId::NONE, detail);
    }

    fn broken(
        &self,
        kind: &'static str,
        about: Option<String>,
        res: ResId,
        detail: impl FnOnce() -> String,
    ) {
        if self.tearing_down() {
            return;
        }
        let at = super::in_machine().then(super::current);
        let mut found = self.found();
        if found
            .breaks
            .iter()
            .any(|b| b.kind == kind && b.about == about)
        {
            return;
        }
        let detail = detail();
        super::event::state(self, kind, res, &detail);
        found.breaks.push(StateBreak {
            kind,
            about,
            detail,
            entity: at.map(|e| e.id),
            site: at.map_or(0, |e| e.site.get()),
        });
    }

    pub(crate) fn end(&self, end: End) {
        self.found().end.get_or_insert(end);
        self.stopped.store(true, Relaxed);
    }

    pub(crate) fn stop(&self, stop: Stop) {
        super::event::stop(self, &stop);
        self.found().stop.get_or_insert(stop);
        self.end(End::Stopped);
    }

    pub(crate) fn fault(&self, message: String) {
        self.found().fault.get_or_insert(message);
        self.end(End::Internal);
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.has_found.store(true, Relaxed);
        self.found
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Everything back to how an execution starts.
    pub(crate) fn reset(&self, runtime: Runtime) {
        self.runtime.set(runtime);
        self.simulated.set(runtime != Runtime::Threads);
        for e in &self.entities {
            e.reset(self);
        }
        for r in &self.resources {
            r.reset();
        }
        for c in &self.cpus {
            c.curr.set(None);
            c.irq_stack.set(0);
            c.irq_top.set(None);
            c.softirq_due.set(false);
        }
        self.lockdep.reset();
        self.begin_feedback();
        self.touched.set(false);
        self.stopped.store(false, Relaxed);
        if self.has_found.load(Relaxed) {
            *self.found() = Found::default();
            self.has_found.store(false, Relaxed);
        }
        self.reset_sim();
    }

    /// How the execution that just ended did so.
    pub(crate) fn ended_how(&self) -> End {
        self.found().end.unwrap_or(End::Completed)
    }

    /// What the execution that just ended showed.
    pub(crate) fn outcome(&self) -> Outcome {
        let found = if self.has_found.load(Relaxed) {
            std::mem::take(&mut *self.found())
        } else {
            Found::default()
        };
        Outcome {
            end: found.end.unwrap_or(End::Completed),
            stop: found.stop,
            breaks: found.breaks,
            reports: self.lockdep.reports(),
            steps: self.sim.steps.get(),
            fault: found.fault,
        }
    }
}

impl Machine {
    /// The pending operation of an entity.
    #[must_use]
    pub fn next_op(&self, id: EntityId) -> Op {
        self.sim.next_op(id)
    }

    pub(crate) fn start_op() -> Op {
        Op::bare(OpKind::Start)
    }

    pub(crate) fn cpu(&self, id: CpuId) -> &Cpu {
        &self.cpus[id.index()]
    }
}
