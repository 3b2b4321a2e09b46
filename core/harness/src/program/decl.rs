//! What a program declares besides handlers and tasks: locks, flags, pages, devices and so on.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::gfp::GfpBase;
use super::handler::{Function, Irq};
use super::table::Id;
use super::word::Word;
use super::{At, Name};

/// Kinds of lock. The word is the keyword of the declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum LockKind {
    /// `raw_spinlock`: spins also on PREEMPT_RT.
    RawSpinlock,
    /// `spinlock`: sleeps on PREEMPT_RT.
    Spinlock,
    /// `rwlock`: spinning reader/writer lock.
    Rwlock,
    /// `mutex`.
    #[default]
    Mutex,
    /// `rwsem`: sleeping reader/writer lock.
    Rwsem,
    /// `percpu_rwsem`: cheap readers, a writer that waits for all of them; freeze-like gates.
    PercpuRwsem,
    /// `rt_mutex`: mutex with priority inheritance.
    RtMutex,
    /// `local_lock`: one instance per CPU.
    LocalLock,
    /// `bit_lock`: a bit that is spun on; unknown to lockdep.
    BitLock,
    /// `seqlock`: sequence count with a spinlock for writers.
    Seqlock,
    /// `seqcount`: sequence count without a lock.
    Seqcount,
    /// `srcu`: a sleepable RCU domain.
    Srcu,
    /// `lock_map`: a lockdep map without a lock.
    LockMap,
}

impl Word for LockKind {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::RawSpinlock, "raw_spinlock"),
        (Self::Spinlock, "spinlock"),
        (Self::Rwlock, "rwlock"),
        (Self::Mutex, "mutex"),
        (Self::Rwsem, "rwsem"),
        (Self::PercpuRwsem, "percpu_rwsem"),
        (Self::RtMutex, "rt_mutex"),
        (Self::LocalLock, "local_lock"),
        (Self::BitLock, "bit_lock"),
        (Self::Seqlock, "seqlock"),
        (Self::Seqcount, "seqcount"),
        (Self::Srcu, "srcu"),
        (Self::LockMap, "lock_map"),
    ];
}

impl LockKind {
    /// Whether taking it may sleep where PREEMPT_RT is off.
    pub fn sleeps(self) -> bool {
        matches!(
            self,
            Self::Mutex | Self::Rwsem | Self::PercpuRwsem | Self::RtMutex
        )
    }

    /// Whether it has a shared mode next to the exclusive one.
    pub fn has_readers(self) -> bool {
        matches!(
            self,
            Self::Rwlock
                | Self::Rwsem
                | Self::PercpuRwsem
                | Self::Seqlock
                | Self::Seqcount
                | Self::Srcu
        )
    }

    /// Whether it can be taken exclusively.
    pub fn has_writers(self) -> bool {
        !matches!(self, Self::Srcu | Self::LockMap)
    }

    /// Whether there are `irq`, `irqsave` and `bh` flavours of it.
    pub fn has_flavours(self) -> bool {
        matches!(
            self,
            Self::RawSpinlock | Self::Spinlock | Self::Rwlock | Self::LocalLock | Self::Seqlock
        )
    }

    /// Whether lockdep can be told about nesting (`nested`, `nest_lock`) when it is taken.
    pub fn has_nesting(self) -> bool {
        matches!(
            self,
            Self::RawSpinlock
                | Self::Spinlock
                | Self::Rwlock
                | Self::Mutex
                | Self::Rwsem
                | Self::RtMutex
        )
    }

    /// Whether somebody holds it, as far as the lock itself knows.
    pub fn is_held(self) -> bool {
        !matches!(self, Self::Seqcount | Self::Srcu | Self::LockMap)
    }

    /// Whether it can be tried.
    pub fn has_trylock(self) -> bool {
        self.has_writers() && !matches!(self, Self::Seqcount)
    }
}

/// Members of a lock that stands for the locks of many objects.
///
/// A lock of a referenced object and a lock of an unreferenced one are never the same lock, but lockdep sees one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Objects somebody holds a reference to, at least 1.
    pub referenced: u16,
    /// Objects only the shrinker finds, at least 1.
    pub unreferenced: u16,
}

/// `mutex a, b class X`, `rwsem ilock population 2 referenced 2 unreferenced`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: LockKind,
    /// The lockdep class, when it is not one of its own; locks that name the same class share it.
    pub class: Option<Name>,
    /// The objects it stands for, when it stands for more than one.
    pub population: Option<Population>,
}

impl Lock {
    /// The lockdep class it belongs to: its own name unless another is given. A lock without `class` shares its class
    /// with the locks that name it.
    pub fn class_name(&self) -> &Name {
        self.class.as_ref().unwrap_or(&self.name)
    }
}

/// `flag F`, `flag F on`: a bit that bodies set, clear and test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Whether it is set when the tasks start.
    pub on: bool,
}

/// `counter C`, `counter C = 3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Its value when the tasks start.
    pub start: i32,
}

/// `completion C`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
}

/// `wait_queue Q`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitQueue {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
}

/// `slot S`: a variable for memory that one body allocates and another frees. Starts empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
}

/// `workqueue Q workers 2 rescuer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workqueue {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Workers that run its items, at least 1.
    pub workers: u16,
    /// Whether it has a rescuer (`WQ_MEM_RECLAIM`), which runs items when no worker can be made.
    pub rescuer: bool,
}

/// `mempool P size 2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mempool {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Elements in reserve, at least 1.
    pub size: u16,
}

/// `mm M`: an address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mm {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
}

/// `memcg G limit 4 usage 4 moving stock 2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memcg {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Pages it may charge; no limit when not written.
    pub limit: Option<u32>,
    /// Pages charged from the start besides those of declared pages.
    pub usage: u32,
    /// Whether charges are being moved from the start (`moving_account` above 0).
    pub moving: bool,
    /// Pages that a charge takes from the counter at once, the rest for the stock of its CPU; 0: no stocks.
    pub stock: u32,
}

/// Who tells that a device finished a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompletesIn {
    /// `completes irq on cpu0`: a hardirq of the device on that CPU.
    Irq {
        /// The CPU.
        cpu: u8,
    },
    /// `completes worker Q`: an item of that workqueue.
    Worker {
        /// The workqueue.
        queue: Id<Workqueue>,
    },
    /// `completes handler I`: the body of that interrupt handler, which calls `end_bio` itself.
    Handler {
        /// The handler.
        irq: Id<Irq>,
    },
    /// `completes daemon`: a daemon with `serve` (loop, FUSE, loopback NFS).
    Daemon,
}

/// `device D depth 2 completes irq on cpu0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// Batches it takes at a time, at least 1; a submitter beyond it waits.
    pub depth: u16,
    /// Who finishes a batch.
    pub completes: CompletesIn,
}

/// `wb W device D memcg G`: a `bdi_writeback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wb {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The device it writes to.
    pub device: Option<Id<Device>>,
    /// The cgroup it belongs to.
    pub memcg: Option<Id<Memcg>>,
}

/// `inode I wb W switching`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The wb it is attached to.
    pub wb: Option<Id<Wb>>,
    /// Whether `I_WB_SWITCH` is set from the start.
    pub switching: bool,
}

/// `mapping M inode I device D gfp GFP_NOFS release cb map_blocks cb2 may_deadlock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The inode whose pages these are.
    pub inode: Option<Id<Inode>>,
    /// The device its pages are written to.
    pub device: Option<Id<Device>>,
    /// The mapping's gfp mask; `GFP_HIGHUSER_MOVABLE` when not written.
    pub gfp: Option<GfpBase>,
    /// The callback that frees private data (`release_folio`).
    pub release: Option<Id<Function>>,
    /// The callback that `writepages` runs for each page before adding it to a batch; it may allocate.
    pub map_blocks: Option<Id<Function>>,
    /// Whether the mapping is flagged "writeback may deadlock on reclaim" (R4).
    pub may_deadlock: bool,
}

/// A bit of a page. The words are those of the kernel's page flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Arbitrary)]
pub enum PageBit {
    /// `locked`.
    Locked,
    /// `dirty`.
    Dirty,
    /// `writeback`.
    Writeback,
    /// `reclaim`: reclaim met the page under writeback before.
    Reclaim,
    /// `referenced`.
    Referenced,
    /// `active`.
    Active,
    /// `isolated`: off the LRU, so that reclaim does not meet it.
    Isolated,
    /// `private`: has private data, which the release callback frees.
    Private,
}

impl Word for PageBit {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Locked, "locked"),
        (Self::Dirty, "dirty"),
        (Self::Writeback, "writeback"),
        (Self::Reclaim, "reclaim"),
        (Self::Referenced, "referenced"),
        (Self::Active, "active"),
        (Self::Isolated, "isolated"),
        (Self::Private, "private"),
    ];
}

/// A set of page bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
#[serde(transparent)]
pub struct PageBits(u8);

impl PageBits {
    /// Whether `bit` is in the set.
    pub fn contains(self, bit: PageBit) -> bool {
        self.0 & (1 << bit as u8) != 0
    }

    /// The set with `bit`.
    #[must_use]
    pub fn with(self, bit: PageBit) -> Self {
        Self(self.0 | 1 << bit as u8)
    }

    /// The set without `bit`.
    #[must_use]
    pub fn without(self, bit: PageBit) -> Self {
        Self(self.0 & !(1 << bit as u8))
    }

    /// The members in the order of [`PageBit`].
    pub fn iter(self) -> impl Iterator<Item = PageBit> {
        PageBit::WORDS
            .iter()
            .map(|(bit, _)| *bit)
            .filter(move |bit| self.contains(*bit))
    }
}

/// `page A in M dirty private`, `page cold count 4`: a page of the page cache, or several alike.
///
/// It is on the inactive LRU unless a bit says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// How many pages alike, at least 1.
    pub count: u16,
    /// The mapping it belongs to; anonymous when not written.
    pub mapping: Option<Id<Mapping>>,
    /// Bits set when the tasks start.
    pub bits: PageBits,
    /// The memcg it is charged to.
    pub memcg: Option<Id<Memcg>>,
    /// The address space it is mapped into.
    pub mm: Option<Id<Mm>>,
}

/// `batch B on D`: an IO batch; unsubmitted from the first page added until `submit_bio`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// The device it is for.
    pub device: Id<Device>,
}
