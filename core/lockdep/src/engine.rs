//! The validator value: configuration, keys, reset, and what is shared between threads.

use crate::graph::{Graph, Slot};
use crate::key::{ClassId, Key, KeyInfo, LockType, MAX_SUBCLASSES, WaitType};
use crate::published::Published;
use crate::report::{Report, ReportId};
use crate::search::SearchMode;
use crate::sync::{AtomicBool, AtomicU64, GraphGuard, GraphLock, Ordering};
use crate::table::ChainTable;
use crate::usage::{Usage, UsageBit};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

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
        lockdep.register_rcu_classes(&mut lockdep.graph());
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

    /// What all keys were registered with, by [`Key::index`].
    pub fn key_infos(&self) -> Vec<KeyInfo> {
        self.graph().keys.clone()
    }

    /// Back to the empty state: no class, dependency, chain, usage or report, and switched on. Keys stay
    /// registered. Costs as much as was used, and frees no memory.
    ///
    /// All [`TaskState`]s must be reset (or made anew) with it, and no operation may run meanwhile: it would
    /// be memory-safe, but what it leaves behind is unspecified.
    pub fn reset(&self) {
        let mut graph = self.graph();
        self.table.clear(&mut graph.nodes);
        for (at, class) in graph.classes().iter().enumerate() {
            let registered = if at < RCU_NAMES.len() { REGISTERED } else { 0 };
            let info = ClassWord::of(graph.key_of(class.id));
            self.word_cell(class.id)
                .store(info | registered, Ordering::Relaxed);
        }
        graph.clear(RCU_NAMES.len());
        self.changes.store(0, Ordering::Relaxed);
        self.enabled.store(true, Ordering::Relaxed);
    }

    /// As if it were new, with another configuration: the keys are forgotten too. Keeps its memory.
    pub fn renew(&mut self, config: Config) {
        self.reset();
        self.config = config;
        self.graph().keys.truncate(RCU_NAMES.len());
    }

    /// The RCU maps' classes exist from boot on, before all others; they never take part in dependencies.
    fn register_rcu_classes(&self, graph: &mut Graph) {
        for key in 0..RCU_NAMES.len() as u16 {
            self.register(graph, ClassId::of(Key(key), 0));
        }
    }

    pub(crate) fn register(&self, graph: &mut Graph, class: ClassId) -> Slot {
        let slot = graph.register(class);
        add_bits(self.word_cell(class), REGISTERED);
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

    pub(crate) fn graph(&self) -> GraphGuard<'_, Graph> {
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
        add_bits(self.word_cell(class), bit.mask().0.into());
        self.changed();
        true
    }

    /// To be called with the graph lock held.
    pub(crate) fn changed(&self) {
        self.changes
            .store(self.changes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
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

pub(crate) fn is_rcu(class: ClassId) -> bool {
    class.key().index() < RCU_NAMES.len()
}

/// Sets bits of a word that is only written with the graph lock held, so that load and store suffice.
pub(crate) fn add_bits(word: &AtomicU64, bits: u64) {
    word.store(word.load(Ordering::Relaxed) | bits, Ordering::Relaxed);
}
