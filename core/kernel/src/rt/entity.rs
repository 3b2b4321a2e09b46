//! Tasks and interrupt handlers, and the kernel's `current`.

use super::ids::{CpuId, EntityId, ResId};
use super::machine::Machine;
use super::op::{Op, OpKind};
use super::set::{AtomicSet, EntitySet};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntityKind {
    /// A kernel thread with a body that ends. A machine stops well when all of them have ended.
    Task,
    /// A kernel thread that serves others (kswapd, workers): waiting for something to do is not being stuck.
    Daemon,
    /// A hardware interrupt handler: borrows its CPU from the task that runs there. A thread on PREEMPT_RT.
    HardIrq,
    /// The softirq handlers of a CPU: borrow it with interrupts on and bottom halves off. A thread on PREEMPT_RT.
    SoftIrq,
}

impl EntityKind {
    /// Whether it runs when it is raised, again and again, not from start to end.
    #[must_use]
    pub const fn is_raised(self) -> bool {
        matches!(self, Self::HardIrq | Self::SoftIrq)
    }
}

/// Description of an entity.
#[derive(Clone, Debug)]
pub struct EntitySpec {
    /// Its name in stories (`comm`).
    pub name: String,
    /// The CPU it is pinned to.
    pub cpu: CpuId,
    /// What it is.
    pub kind: EntityKind,
    /// Real-time priority, higher first; 0 is `SCHED_OTHER`.
    pub prio: u8,
    /// PF flags at the start ([`Pf`](crate::mm::Pf) bits).
    pub pf: u32,
    /// How often an interrupt fires by itself, at any moment; further firings are raised by the model.
    pub times: u16,
    /// Whether a task runs from the beginning; if not, once somebody calls [`Entity::start`].
    pub started: bool,
}

impl EntitySpec {
    /// One without priority or PF flags; as an interrupt it never fires by itself.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: EntityKind, cpu: u8) -> Self {
        Self {
            name: name.into(),
            cpu: CpuId(cpu),
            kind,
            prio: 0,
            pf: 0,
            times: 0,
            started: true,
        }
    }

    /// A task, see [`Self::new`].
    #[must_use]
    pub fn task(name: impl Into<String>, cpu: u8) -> Self {
        Self::new(name, EntityKind::Task, cpu)
    }
}

/// What an entity waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The resource.
    pub res: ResId,
    /// Whether it keeps its CPU.
    pub how: WaitHow,
    /// Who can end the wait.
    pub needs: Needs,
}

/// Whether a waiter keeps its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitHow {
    /// Spins: the CPU is lost to others.
    Spin,
    /// Sleeps: other tasks may run. Illegal with preemption or interrupts off.
    Sleep,
    /// A daemon with nothing to do.
    Idle,
}

/// Who can end a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Every holder of the resource must let go.
    Holders,
    /// All of these entities must get further (the readers before a grace period).
    All(EntitySet),
    /// Any of the resource's enders will do.
    Enders,
    /// Any of these entities will do.
    AnyOf(EntitySet),
    /// Any other entity whatsoever: a retry loop that looks at shared state.
    Anyone,
}

/// One entity: the parts of `task_struct` and of the CPU's per-context state that the machine needs.
///
/// Simulated runtimes touch it from one OS thread; on OS threads only the entity's own thread does, and none shares a
/// cache line with another's.
#[repr(align(128))]
pub struct Entity {
    pub(crate) id: EntityId,
    pub(crate) bit: EntitySet,
    pub(crate) cpu: CpuId,
    pub(crate) kind: EntityKind,
    pub(crate) prio: u8,
    pub(crate) name: String,
    pub(crate) spec_pf: u32,
    pub(crate) times: u16,
    pub(crate) starts_by_itself: bool,
    /// On a CPU with other entities: then preemption and interrupts are decisions.
    pub(crate) shares_cpu: bool,
    /// On a CPU of its own, on a machine where nothing but tasks runs: see [`Machine::unlock_point`].
    pub(crate) unseen: bool,
    /// Whether anybody wants to know what happens on the machine, where each event looks.
    pub(crate) watched: Cell<bool>,
    pub(crate) machine: Cell<*const Machine>,
    /// The task whose CPU this interrupt handler borrowed.
    pub(crate) host: Cell<Option<EntityId>>,
    /// The interrupt handler that this one interrupted.
    pub(crate) below: Cell<Option<EntityId>>,
    pub(crate) preempt: Cell<u16>,
    pub(crate) bh: Cell<u16>,
    /// Holds the lock of the CPU that disables bottom halves on PREEMPT_RT.
    pub(crate) bh_locked: Cell<bool>,
    pub(crate) irqs_off: Cell<bool>,
    /// The wait that it began by itself: see [`Entity::waits_for`].
    pub(crate) wait: Cell<Option<Wait>>,
    /// Locks held, of any kind.
    pub(crate) held: Cell<u16>,
    /// RCU read sections entered.
    pub(crate) rcu: Cell<u16>,
    pub(crate) pf: Cell<u32>,
    /// Firings still to come (interrupts); nonzero while there is something to do (softirqs).
    pub(crate) pending: Cell<u16>,
    /// Who may raise it (interrupts and softirqs), one bit an entity.
    pub(crate) raisers: AtomicSet,
    /// Changes it made that others can see; those among them that outlast the operation.
    pub(crate) changes: Cell<u64>,
    pub(crate) effects: Cell<u64>,
    /// Locks held shared, one entry a hold.
    shared_holds: RefCell<Vec<ResId>>,
    /// Locks held that were taken with interrupts off.
    irq_locks: RefCell<Vec<ResId>>,
    /// Made by `kthread_create()`, and nobody has woken it yet.
    pub(crate) unstarted: Cell<bool>,
    /// Its stack holds, or held in this execution, what has to be dropped.
    pub(crate) unwinds: Cell<bool>,
    /// Its body has begun and not ended.
    pub(crate) active: Cell<bool>,
    /// Looks at a condition since the current wait began (OS threads).
    pub(crate) looks: Cell<u32>,
    pub(crate) lockdep: UnsafeCell<ksplat_lockdep::TaskState>,
    /// Position in the program text of the operation being executed; opaque to the machine.
    pub(crate) site: Cell<u32>,
}

// SAFETY: see the type's comment; the cells are never shared between OS threads that run at the same time.
unsafe impl Sync for Entity {}
// SAFETY: as above; the raw pointer is only set while the machine it points to runs.
unsafe impl Send for Entity {}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entity")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Entity {
    pub(crate) fn new(id: EntityId, spec: &EntitySpec, shares_cpu: bool) -> Self {
        Self {
            id,
            bit: id.bit(),
            cpu: spec.cpu,
            kind: spec.kind,
            prio: spec.prio,
            name: spec.name.clone(),
            spec_pf: spec.pf,
            times: spec.times,
            starts_by_itself: spec.started,
            shares_cpu,
            unseen: false,
            watched: Cell::new(false),
            machine: Cell::new(std::ptr::null()),
            host: Cell::new(None),
            below: Cell::new(None),
            preempt: Cell::new(0),
            bh: Cell::new(0),
            bh_locked: Cell::new(false),
            irqs_off: Cell::new(false),
            wait: Cell::new(None),
            held: Cell::new(0),
            rcu: Cell::new(0),
            pf: Cell::new(0),
            pending: Cell::new(0),
            raisers: AtomicSet::default(),
            changes: Cell::new(0),
            effects: Cell::new(0),
            shared_holds: RefCell::new(Vec::with_capacity(8)),
            irq_locks: RefCell::new(Vec::with_capacity(8)),
            unstarted: Cell::new(false),
            unwinds: Cell::new(false),
            active: Cell::new(false),
            looks: Cell::new(0),
            lockdep: UnsafeCell::new(ksplat_lockdep::TaskState::new(id.0.into())),
            site: Cell::new(0),
        }
    }

    /// As if it were new, in the same place of another machine.
    pub(crate) fn renew(&mut self, spec: &EntitySpec, shares_cpu: bool) {
        self.cpu = spec.cpu;
        self.kind = spec.kind;
        self.prio = spec.prio;
        self.name.clone_from(&spec.name);
        self.spec_pf = spec.pf;
        self.times = spec.times;
        self.starts_by_itself = spec.started;
        self.shares_cpu = shares_cpu;
        self.machine.set(std::ptr::null());
        self.raisers.store(0, Relaxed);
        self.looks.set(0);
    }

    /// Back to how every execution starts.
    pub(crate) fn reset(&self, machine: &Machine) {
        self.machine.set(machine);
        self.watched.set(machine.watched());
        self.host.set(None);
        self.below.set(None);
        self.preempt.set(0);
        self.bh.set(0);
        self.bh_locked.set(false);
        self.irqs_off.set(false);
        self.wait.set(None);
        self.held.set(0);
        self.rcu.set(0);
        self.pf.set(self.spec_pf);
        self.pending.set(self.times);
        self.changes.set(0);
        self.effects.set(0);
        self.site.set(0);
        self.unstarted.set(!self.starts_by_itself);
        self.unwinds.set(false);
        self.active.set(false);
        self.shared_holds.borrow_mut().clear();
        self.irq_locks.borrow_mut().clear();
        // SAFETY: no execution is running, so nothing else refers to it.
        unsafe { (*self.lockdep.get()).reset() };
    }

    /// Which entity this is.
    #[inline]
    #[must_use]
    pub const fn id(&self) -> EntityId {
        self.id
    }

    /// The set that holds only this entity.
    #[inline]
    #[must_use]
    pub const fn bit(&self) -> EntitySet {
        self.bit
    }

    /// The CPU it is pinned to.
    #[must_use]
    pub const fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// Its name in stories.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> EntityKind {
        self.kind
    }

    /// How often an interrupt fires by itself.
    #[must_use]
    pub const fn times(&self) -> u16 {
        self.times
    }

    /// Whether interrupts are disabled in this context.
    #[must_use]
    pub fn irqs_disabled(&self) -> bool {
        self.irqs_off.get()
    }

    /// Whether this context may not sleep (`in_atomic()` or interrupts off).
    #[inline]
    #[must_use]
    pub fn atomic(&self) -> bool {
        self.preempt.get() != 0 || self.irqs_off.get() || self.bh.get() != 0 && !self.machine().rt()
    }

    /// Whether it runs a softirq handler on a borrowed CPU.
    #[must_use]
    pub fn in_softirq(&self) -> bool {
        self.kind == EntityKind::SoftIrq && !self.machine().rt()
    }

    /// `in_interrupt()`: in a handler, or with bottom halves off.
    #[must_use]
    pub fn in_interrupt(&self) -> bool {
        self.in_hardirq() || self.bh.get() != 0 && !self.machine().rt()
    }

    /// Its real-time priority.
    #[must_use]
    pub const fn prio(&self) -> u8 {
        self.prio
    }

    /// Who may raise this interrupt or softirq; nobody where it comes by itself only.
    #[must_use]
    pub fn raisers(&self) -> EntitySet {
        self.raisers.load(Relaxed)
    }

    /// Whether it is at rest until somebody else makes it run.
    pub(crate) fn is_raised(&self) -> bool {
        self.kind.is_raised() || self.unstarted.get()
    }

    /// `wake_up_process()` for a task that `kthread_create()` made: it may run from now on.
    pub fn start(&self, task: EntityId) {
        self.point(OpKind::Start, ResId::NONE);
        self.machine().start_task(task);
    }

    /// Whether it runs as an interrupt handler.
    #[must_use]
    pub fn in_hardirq(&self) -> bool {
        self.kind == EntityKind::HardIrq && !self.machine().rt()
    }

    /// What it waits for, if it does.
    #[must_use]
    pub fn waits_for(&self) -> Option<Wait> {
        self.wait.get().or_else(|| self.stands_before())
    }

    /// In simulation, the wait of an entity that stood before a lock when another took it: nobody noted it then.
    fn stands_before(&self) -> Option<Wait> {
        let m = self.machine();
        let op = m.next_op(self.id);
        let stands = matches!(op.kind, OpKind::Lock | OpKind::Read)
            && m.simulated()
            && m.sim.ready.get() & self.bit == 0
            && m.resource(op.res).waiters.load(Relaxed) & self.bit != 0;
        stands.then(|| Wait {
            res: op.res,
            how: if self.atomic() {
                WaitHow::Spin
            } else {
                WaitHow::Sleep
            },
            needs: Needs::Holders,
        })
    }

    /// The machine it runs on.
    #[inline]
    #[must_use]
    pub fn machine(&self) -> &Machine {
        let machine = self.machine.get();
        assert!(
            !machine.is_null(),
            "the entity belongs to no running machine"
        );
        // SAFETY: set by `reset` to the machine that owns this entity, which outlives the borrow of the entity.
        unsafe { &*machine }
    }

    /// The entity whose `task_struct` is in force: the interrupted task for an interrupt handler, itself otherwise.
    #[inline]
    #[must_use]
    pub fn task(&self) -> &Self {
        match self.host.get() {
            Some(host) => self.machine().entity(host),
            None => self,
        }
    }

    /// Position in the program text of what is being executed; events and findings cite it.
    #[inline]
    pub fn set_site(&self, site: u32) {
        self.site.set(site);
    }

    /// Position in the program text of what is being executed.
    #[inline]
    #[must_use]
    pub fn site(&self) -> u32 {
        self.site.get()
    }

    /// The PF flags in force: those of the interrupted task in an interrupt handler.
    #[inline]
    #[must_use]
    pub fn pf(&self) -> u32 {
        self.task().pf.get()
    }

    /// Sets the PF flags in force.
    pub fn set_pf(&self, pf: u32) {
        self.task().pf.set(pf);
    }

    /// Number of locks held, of any kind.
    #[must_use]
    pub fn locks_held(&self) -> u16 {
        self.held.get()
    }

    #[inline]
    pub(crate) fn count_held(&self, change: i16) {
        self.held.set(self.held.get().wrapping_add_signed(change));
    }

    pub(crate) fn hold_shared(&self, res: ResId) {
        self.shared_holds.borrow_mut().push(res);
    }

    pub(crate) fn holds_shared(&self, res: ResId) -> bool {
        self.shared_holds.borrow().contains(&res)
    }

    /// Gives one shared hold back; false if there is none.
    pub(crate) fn drop_shared(&self, res: ResId) -> bool {
        let mut holds = self.shared_holds.borrow_mut();
        let Some(at) = holds.iter().rposition(|&r| r == res) else {
            return false;
        };
        holds.swap_remove(at);
        true
    }

    /// Its stack holds what has to be dropped: it unwinds at the end of this execution, even if the world's bodies are
    /// given up as they stand ([`Teardown`](super::Teardown)).
    pub fn must_unwind(&self) {
        self.unwinds.set(true);
    }

    /// A lock was taken with interrupts off: they stay off while it is held.
    pub(crate) fn hold_irq(&self, res: ResId) {
        self.irq_locks.borrow_mut().push(res);
    }

    /// A lock that may have been taken with interrupts off was released.
    #[inline]
    pub(crate) fn drop_irq(&self, res: ResId) {
        let mut locks = self.irq_locks.borrow_mut();
        if let Some(at) = locks.iter().rposition(|&r| r == res) {
            locks.swap_remove(at);
        }
    }

    /// A lock held that was taken with interrupts off.
    pub(crate) fn irq_lock_held(&self) -> Option<ResId> {
        self.irq_locks.borrow().last().copied()
    }

    pub(crate) fn start_looking(&self) {
        self.looks.set(0);
    }

    /// Announces an operation and lets exploration decide who runs: returns when this entity is to execute it.
    #[inline(never)]
    pub fn point(&self, kind: OpKind, res: ResId) {
        self.machine().point(self, Op::new(kind, res));
    }
}

thread_local! {
    static CURRENT: Cell<*const Entity> = const { Cell::new(std::ptr::null()) };
}

/// Handle of the entity that runs on this OS thread. Not `Send`: it is only good where it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    entity: &'static Entity,
    not_send: PhantomData<*const ()>,
}

impl Deref for Current {
    type Target = Entity;

    #[inline]
    fn deref(&self) -> &Entity {
        self.entity
    }
}

/// The kernel's `current`: the entity that is running.
///
/// # Panics
/// Outside a running machine.
#[inline]
#[must_use]
pub fn current() -> Current {
    let entity = CURRENT.get();
    assert!(!entity.is_null(), "current() outside a running machine");
    // SAFETY: a runtime sets it to an entity of a machine that it borrows for as long as the entity runs.
    Current {
        // SAFETY: see above.
        entity: unsafe { &*entity },
        not_send: PhantomData,
    }
}

/// Whether an entity runs on this OS thread.
#[inline]
#[must_use]
pub fn in_machine() -> bool {
    !CURRENT.get().is_null()
}

#[inline]
pub(crate) fn set_current(entity: Option<&Entity>) {
    CURRENT.set(entity.map_or(std::ptr::null(), std::ptr::from_ref));
}
