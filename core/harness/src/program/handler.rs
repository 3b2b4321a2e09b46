//! Everything that has a body: interrupts, callbacks, work items, tasks.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::decl::{Memcg, Mm, Workqueue};
use super::op::Body;
use super::table::Id;
use super::word::Word;
use super::{At, Name};

/// `irq NAME on cpu0 times 2 { … }`: an interrupt that may come on its CPU whenever interrupts are enabled there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Irq {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The CPU it comes on.
    pub cpu: u8,
    /// How often it may come by itself; 0: only when a `raise_irq` raises it.
    pub times: u8,
    /// What the handler does.
    pub body: Body,
}

/// `softirq NAME { … }`: runs on the CPU that raised it, after the interrupt or when bottom halves are enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softirq {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// What the handler does.
    pub body: Body,
}

/// `timer NAME on cpu0 { … }`: runs in softirq context some time after `mod_timer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The CPU it fires on.
    pub cpu: u8,
    /// What it does.
    pub body: Body,
}

/// `work NAME on Q { … }`: a work item of a workqueue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The workqueue it is queued on.
    pub queue: Id<Workqueue>,
    /// What it does.
    pub body: Body,
}

/// `shrinker NAME objects 4 needs_fs { … }`: called by reclaim with the reclaim's mask as `gfp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrinker {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Pages it can give back in all, one per call; a call beyond that makes no progress.
    pub objects: u16,
    /// Whether it refuses a mask without `__GFP_FS`, as the superblock shrinker does.
    pub needs_fs: bool,
    /// What one scan does.
    pub body: Body,
}

/// What calls a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum FunctionKind {
    /// `fn`: a `call`, or `call_rcu`.
    #[default]
    Plain,
    /// `release_page`: reclaim and truncation, to free the private data of a page.
    ReleasePage,
    /// `map_blocks`: `writepages`, for each page.
    MapBlocks,
    /// `console`: a `printk` that writes to the consoles. With several consoles each is written.
    Console,
}

impl Word for FunctionKind {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Plain, "fn"),
        (Self::ReleasePage, "release_page"),
        (Self::MapBlocks, "map_blocks"),
        (Self::Console, "console"),
    ];
}

/// `fn NAME { … }`, `release_page NAME { … }`: a body that runs in the context of its caller, with the caller's mask
/// as `gfp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// What calls it.
    pub kind: FunctionKind,
    /// What it does.
    pub body: Body,
}

/// `mmu_notifier NAME on M { … }`: the range-start callback of a driver registered on an address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifier {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The address space it is registered on.
    pub mm: Id<Mm>,
    /// What the callback does.
    pub body: Body,
}

/// A property of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum TaskFlag {
    /// `kthread`: PF_KTHREAD; not throttled by reclaim.
    Kthread,
    /// `memalloc`: PF_MEMALLOC from the start.
    Memalloc,
    /// `local_throttle`: PF_LOCAL_THROTTLE; throttled only against the wb it writes to.
    LocalThrottle,
    /// `daemon`: the body runs again and again; waiting for work at its first wait is not a stop.
    Daemon,
}

impl Word for TaskFlag {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Kthread, "kthread"),
        (Self::Memalloc, "memalloc"),
        (Self::LocalThrottle, "local_throttle"),
        (Self::Daemon, "daemon"),
    ];
}

/// A set of task properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
#[serde(transparent)]
pub struct TaskFlags(u8);

impl TaskFlags {
    /// Whether `flag` is in the set.
    pub fn contains(self, flag: TaskFlag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// The set with `flag`.
    #[must_use]
    pub fn with(self, flag: TaskFlag) -> Self {
        Self(self.0 | 1 << flag as u8)
    }

    /// The set without `flag`.
    #[must_use]
    pub fn without(self, flag: TaskFlag) -> Self {
        Self(self.0 & !(1 << flag as u8))
    }

    /// The members that mean something; others can only come out of a decoded value.
    #[must_use]
    pub fn known(self) -> Self {
        self.iter().fold(Self::default(), Self::with)
    }

    /// The members in the order of [`TaskFlag`].
    pub fn iter(self) -> impl Iterator<Item = TaskFlag> {
        TaskFlag::WORDS
            .iter()
            .map(|(flag, _)| *flag)
            .filter(move |flag| self.contains(*flag))
    }
}

/// `task NAME on cpu0 prio 1 kthread memcg G { … }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The CPU it is pinned to.
    pub cpu: u8,
    /// 0: an ordinary task; above: a real-time task of that priority.
    pub prio: u8,
    /// Its properties.
    pub flags: TaskFlags,
    /// The memcg that its accounted allocations are charged to.
    pub memcg: Option<Id<Memcg>>,
    /// What it does.
    pub body: Body,
}
