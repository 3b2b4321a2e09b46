//! The validator value: configuration, keys, reset, and what is shared between threads.

use crate::graph::{Graph, Slot};
use crate::key::{ClassId, Key, KeyInfo, LockMap, LockType, MAX_SUBCLASSES, WaitType};
use crate::published::Published;
use crate::report::{Detail, HeldLock, Outcome, Report, ReportId};
use crate::search::SearchMode;
use crate::sync::{AtomicBool, AtomicU64, GraphLock, Ordering};
use crate::table::ChainTable;
use crate::task::{Held, Request, TaskState};
use crate::usage::{Usage, UsageBit};
use core::num::NonZeroU32;
use std::sync::Arc;

/// What happens after a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As in the kernel: lockdep is off until the next reset.
    #[default]
    OneShot,
    /// Lockdep goes on: an offending dependency is not added, everything else takes effect, and a report that was
    /// made before is not made again.
    Continue,
}

/// Sizes of the kernel's tables. When one is full lockdep goes off, in either mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Classes (`MAX_LOCKDEP_KEYS`), at most 8192.
    pub classes: usize,
    /// Dependencies, counted once per direction (`MAX_LOCKDEP_ENTRIES`).
    pub entries: usize,
    /// Validated chains (`MAX_LOCKDEP_CHAINS`).
    pub chains: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            classes: MAX_KEYS,
            entries: 1 << 16,
            chains: 1 << 18,
        }
    }
}

/// Configuration of a [`Lockdep`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// How the dependency graph is searched.
    pub search: SearchMode,
    /// What happens after a report.
    pub mode: Mode,
    /// Keep the RECLAIM_FS usage state of Linux 2.6.30 to 4.13 (commit cf40bd16fdad).
    pub reclaim_fs: bool,
    /// Table sizes.
    pub limits: Limits,
}

const MAX_KEYS: usize = 8192;
const SEGMENT_KEYS: usize = if cfg!(loom) { 4 } else { 64 };
const SEGMENTS: usize = if cfg!(loom) {
    4
} else {
    MAX_KEYS / SEGMENT_KEYS
};
const SEGMENT_WORDS: usize = SEGMENT_KEYS * MAX_SUBCLASSES as usize;

/// The names of the three maps of RCU, whose keys every engine has from the start.
const RCU_NAMES: [&str; 3] = ["rcu_read_lock", "rcu_read_lock_bh", "rcu_read_lock_sched"];

/// What the fast paths know of a class: usage bits, whether it is registered, wait types, lock type.
#[derive(Clone, Copy)]
pub(crate) struct ClassWord(u64);

const REGISTERED: u64 = 1 << 31;
const INNER_SHIFT: u32 = 32;
const OUTER_SHIFT: u32 = 36;
const TYPE_SHIFT: u32 = 40;

impl ClassWord {
    fn of(info: &KeyInfo) -> u64 {
        (info.wait_type_inner as u64) << INNER_SHIFT
            | (info.wait_type_outer as u64) << OUTER_SHIFT
            | (info.lock_type as u64) << TYPE_SHIFT
    }

    pub(crate) fn usage(self) -> Usage {
        Usage(self.0 as u32 & !(REGISTERED as u32))
    }

    pub(crate) fn is_registered(self) -> bool {
        self.0 & REGISTERED != 0
    }

    pub(crate) fn inner(self) -> u8 {
        (self.0 >> INNER_SHIFT) as u8 & 7
    }

    /// The outer type, or the inner one where there is none.
    pub(crate) fn outer(self) -> u8 {
        match (self.0 >> OUTER_SHIFT) as u8 & 7 {
            0 => self.inner(),
            outer => outer,
        }
    }

    pub(crate) fn overrides(self) -> bool {
        self.0 >> TYPE_SHIFT & 3 == LockType::WaitOverride as u64
    }
}

type Segment = Box<[AtomicU64]>;

/// A lock validator with the semantics of Linux 6.12's lockdep. See the crate documentation.
///
/// All operations take `&self` and may run on many threads, each with its own [`TaskState`].
pub struct Lockdep {
    pub(crate) config: Config,
    /// `debug_locks`.
    enabled: AtomicBool,
    pub(crate) table: ChainTable,
    classes: Box<[Published<Segment>]>,
    changes: AtomicU64,
    graph: GraphLock<Graph>,
}

impl Default for Lockdep {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Lockdep {
    /// An empty validator. Only the three keys of RCU are registered.
    pub fn new(config: Config) -> Self {
        let lockdep = Self {
            config,
            enabled: AtomicBool::new(true),
            table: ChainTable::new(),
            classes: (0..SEGMENTS).map(|_| Published::empty()).collect(),
            changes: AtomicU64::new(0),
            graph: GraphLock::new(Graph::default()),
        };
        for (name, inner) in
            RCU_NAMES
                .iter()
                .zip([WaitType::Config, WaitType::Config, WaitType::Spin])
        {
            lockdep.register_key(KeyInfo {
                wait_type_outer: WaitType::Free,
                ..KeyInfo::waiting(*name, inner)
            });
        }
        lockdep.register_rcu_classes();
        lockdep
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Registers a key. It stays registered over [`Lockdep::reset`].
    ///
    /// # Panics
    /// If 8192 keys are registered.
    pub fn register_key(&self, info: KeyInfo) -> Key {
        let mut graph = self.graph();
        let key = Key(graph.keys.len() as u16);
        assert!(
            key.index() < SEGMENTS * SEGMENT_KEYS,
            "no more than {MAX_KEYS} lock keys can be registered"
        );
        let segment = &self.classes[key.index() / SEGMENT_KEYS];
        if segment.get().is_none() {
            segment.publish((0..SEGMENT_WORDS).map(|_| AtomicU64::new(0)).collect());
        }
        for subclass in 0..MAX_SUBCLASSES {
            self.word_cell(ClassId::of(key, subclass))
                .store(ClassWord::of(&info), Ordering::Relaxed);
        }
        graph.keys.push(info);
        key
    }

    /// What a key was registered with.
    pub fn key_info(&self, key: Key) -> Option<KeyInfo> {
        self.graph().keys.get(key.index()).cloned()
    }

    /// Back to the empty state: no class, dependency, chain, usage or report, and switched on. Keys stay
    /// registered. Costs as much as was used, and frees no memory.
    ///
    /// All [`TaskState`]s must be reset (or made anew) with it, and no operation may run meanwhile: it would
    /// be memory-safe, but what it leaves behind is unspecified.
    pub fn reset(&self) {
        let mut graph = self.graph();
        self.table.clear(&mut graph.nodes);
        for class in graph.classes() {
            let info = ClassWord::of(graph.key_of(class.id));
            self.word_cell(class.id).store(info, Ordering::Relaxed);
        }
        graph.clear();
        drop(graph);
        self.register_rcu_classes();
        self.changes.store(0, Ordering::Relaxed);
        self.enabled.store(true, Ordering::Relaxed);
    }

    /// The RCU maps' classes exist from boot on; they never take part in dependencies.
    fn register_rcu_classes(&self) {
        let mut graph = self.graph();
        for key in 0..RCU_NAMES.len() as u16 {
            self.register(&mut graph, ClassId::of(Key(key), 0));
        }
    }

    pub(crate) fn register(&self, graph: &mut Graph, class: ClassId) -> Slot {
        let slot = graph.register(class);
        self.word_cell(class)
            .fetch_or(REGISTERED, Ordering::Relaxed);
        slot
    }

    /// True until a report switches lockdep off (`debug_locks`).
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub(crate) fn switch_off(&self) {
        self.enabled.store(false, Ordering::Relaxed);
    }

    pub(crate) fn graph(&self) -> impl core::ops::DerefMut<Target = Graph> {
        self.graph.lock()
    }

    fn word_cell(&self, class: ClassId) -> &AtomicU64 {
        let segment = self.classes[class.index() / SEGMENT_WORDS].get();
        match segment {
            Some(words) => &words[class.index() % SEGMENT_WORDS],
            None => panic!("{class:?} belongs to another Lockdep: its key is not registered here"),
        }
    }

    pub(crate) fn word(&self, class: ClassId) -> ClassWord {
        ClassWord(self.word_cell(class).load(Ordering::Relaxed))
    }

    /// Sets a usage bit under the graph lock. False if it was set.
    pub(crate) fn set_usage(
        &self,
        graph: &mut Graph,
        slot: Slot,
        bit: UsageBit,
        trace: crate::Trace,
    ) -> bool {
        if !graph.set_usage(slot, bit, trace) {
            return false;
        }
        let class = graph.class(slot).id;
        self.word_cell(class)
            .fetch_or(u64::from(bit.mask().0), Ordering::Relaxed);
        self.changed();
        true
    }

    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the graph changed since the last reset: new edges, new kinds of edges, new usage bits.
    /// One relaxed load, meant as feedback for fuzzers.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The reports since the last reset.
    pub fn reports(&self) -> Vec<Report> {
        self.graph().reports.clone()
    }

    /// One report.
    pub fn report(&self, id: ReportId) -> Option<Report> {
        self.graph().reports.get(id.index()).cloned()
    }

    /// The name of a key.
    pub fn key_name(&self, key: Key) -> Option<Arc<str>> {
        self.graph()
            .keys
            .get(key.index())
            .map(|info| info.name.clone())
    }
}

/// The operation that is being executed: who does what, where.
pub(crate) struct Op<'a> {
    pub(crate) lockdep: &'a Lockdep,
    pub(crate) site: u32,
    /// The first new report of this operation.
    pub(crate) raised: Option<ReportId>,
}

impl<'a> Op<'a> {
    pub(crate) fn new(lockdep: &'a Lockdep, site: u32) -> Self {
        Self {
            lockdep,
            site,
            raised: None,
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        self.raised.map_or(Ok(()), Err)
    }

    /// Makes a report, unless lockdep is off or the same report was made before.
    #[cold]
    pub(crate) fn report(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        acquiring: Option<&Request>,
        detail: Detail,
    ) {
        let lockdep = self.lockdep;
        if !lockdep.is_enabled() {
            return;
        }
        let kind = detail.kind();
        if kind == crate::Kind::LockdepOff
            || kind.switches_off() && lockdep.config.mode == Mode::OneShot
        {
            lockdep.switch_off();
        }
        if !graph.seen.insert(detail.identity(self.site)) {
            return;
        }
        let id = ReportId(NonZeroU32::MIN.saturating_add(graph.reports.len() as u32));
        let held = task
            .held()
            .iter()
            .map(|held| held_lock(lockdep, graph, &held.request(), held.irq_context()));
        let report = Report {
            id,
            detail,
            task: task.id(),
            site: self.site,
            acquiring: acquiring
                .map(|request| held_lock(lockdep, graph, request, task.irq_context())),
            held: held.collect(),
            reclaim_fs: lockdep.config.reclaim_fs,
        };
        graph.reports.push(report);
        self.raised.get_or_insert(id);
    }

    /// [`Op::report`] for those that need nothing of the graph.
    #[cold]
    pub(crate) fn report_alone(&mut self, task: &TaskState, detail: Detail) {
        let lockdep = self.lockdep;
        self.report(&mut lockdep.graph(), task, None, detail);
    }

    pub(crate) fn warn_on(&mut self, task: &TaskState, condition: &'static str) {
        self.report_alone(task, Detail::DebugLocksWarn { condition });
    }

    pub(crate) fn unlock_imbalance(&mut self, task: &TaskState, map: LockMap) {
        let lockdep = self.lockdep;
        let mut graph = lockdep.graph();
        let lock = graph.keys[map.key.index()].name.clone();
        self.report(
            &mut graph,
            task,
            None,
            Detail::BadUnlock {
                map,
                lock,
                depth: task.depth(),
            },
        );
    }
}

fn held_lock(lockdep: &Lockdep, graph: &Graph, request: &Request, irq_context: u8) -> HeldLock {
    HeldLock {
        class: graph.class_ref(request.class, lockdep.word(request.class).usage()),
        map: request.map,
        read: request.read,
        trylock: request.trylock,
        irq_context,
        references: request.references,
        site: request.site,
    }
}

impl Held {
    /// `match_held_lock()`. The warning for a counted entry without nest lock comes before classes are
    /// compared, whatever the lock asked for.
    pub(crate) fn matches(&self, map: LockMap, task: &TaskState, op: &mut Op<'_>) -> bool {
        if self.map == map {
            return true;
        }
        if self.references == 0 {
            return false;
        }
        let class = ClassId::of(map.key, 0);
        if !op.lockdep.word(class).is_registered() {
            return false;
        }
        if self.nest().is_none() {
            op.warn_on(task, "!hlock->nest_lock");
            return false;
        }
        self.class == class
    }
}

pub(crate) fn is_rcu(class: ClassId) -> bool {
    class.key().index() < RCU_NAMES.len()
}
