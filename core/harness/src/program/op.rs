//! Operations: what bodies consist of.
//!
//! The order of the variants is part of the binary form: new ones go to the end.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::block::Block;
use super::cond::Cond;
use super::decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, Mapping, Memcg, Mempool, Mm, Page, Slot,
    WaitQueue, Wb, Workqueue,
};
use super::gfp::Gfp;
use super::handler::{Function, Irq, Softirq, Timer, Work};
use super::table::Id;
use super::verb::{
    BatchVerb, Do, MapVerb, MappingVerb, MemcgVerb, MmVerb, PageVerb, PopulationVerb, Scope,
    TimerVerb, WorkVerb,
};
use super::word::Word;
use super::{At, Name};

/// A body: its variables and its operations.
///
/// A call has its own copy of the variables, empty at entry. A legal body lists exactly the variables it mentions, in
/// the order of first mention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Names of the variables; [`Var::Local`] is a position in it.
    pub locals: Vec<Name>,
    /// The operations.
    pub block: Block,
}

/// An operation and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stmt {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// What it does.
    pub op: Op,
}

/// A variable that holds memory, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Var {
    /// A variable of the body, by position in [`Body::locals`].
    Local(u8),
    /// A declared `slot`, shared by all bodies.
    Slot(Id<Slot>),
}

/// Exclusive or shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Mode {
    /// `lock` or `write`: alone.
    #[default]
    Exclusive,
    /// `read`: with other readers.
    Shared,
}

/// What happens to interrupts while a spinning lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Flavour {
    /// Nothing.
    #[default]
    Plain,
    /// `irq`: disabled; enabled at unlock, whatever they were before.
    Irq,
    /// `irqsave`: disabled; restored at unlock.
    Irqsave,
    /// `bh`: bottom halves are disabled.
    Bh,
}

impl Word for Flavour {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Plain, ""),
        (Self::Irq, "irq"),
        (Self::Irqsave, "irqsave"),
        (Self::Bh, "bh"),
    ];
}

/// Which member of a lock with a population.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Pick {
    /// The lock has no population.
    #[default]
    Only,
    /// `referenced`: one of the referenced members, a decision; at unlock the one this task locked last.
    Referenced,
    /// `unreferenced`: one of the unreferenced members; with the guard `reference_state` off, any member.
    Unreferenced,
}

/// A lock, or one member of its population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct LockRef {
    /// The declared lock.
    pub lock: Id<Lock>,
    /// The member.
    pub pick: Pick,
}

/// What is told to lockdep besides the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Nest {
    /// Nothing.
    #[default]
    None,
    /// `nested 1`: the subclass, 1 to 7.
    Subclass(u8),
    /// `nest_lock M`: a lock that serialises several locks of this class.
    Lock(LockRef),
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct Acquire {
    /// Which lock.
    pub lock: LockRef,
    /// Exclusive or shared.
    pub mode: Mode,
    /// What happens to interrupts.
    pub flavour: Flavour,
    /// What lockdep is told.
    pub nest: Nest,
}

/// One page of a declared population of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct PageRef {
    /// The declaration.
    pub page: Id<Page>,
    /// Which of its pages, from 0. In the text only where there are several: `cold[2]`.
    pub index: u16,
}

/// Where an allocation takes memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Source {
    /// `alloc_pages GFP order N`: the page allocator.
    Pages {
        /// 2^order pages.
        order: u8,
    },
    /// `kmalloc GFP`: slab; the slab's own checks come first, then one page unless the slab has an object.
    Slab,
    /// `mempool_alloc P GFP`.
    Mempool(Id<Mempool>),
    /// `page_cache_alloc M GFP`: a new page of a mapping; the mapping's gfp mask applies, and a charge is made.
    PageCache(Id<Mapping>),
}

/// How far memory pressure is forced on one request. Each level includes those before it, except `maybe`.
///
/// Where nothing is forced the state of the machine decides.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Arbitrary,
)]
pub enum Pressure {
    /// Nothing is forced.
    #[default]
    None,
    /// `pressure`: the fast path fails, so that the slow path runs.
    Fast,
    /// `pressure reclaim`: and each freelist attempt of the slow path before direct reclaim fails. A request that may
    /// reclaim does; one that may not, fails.
    Reclaim,
    /// `pressure progress`: and the first round of direct reclaim reports progress, whatever it freed.
    Progress,
    /// `pressure no_progress`: as `reclaim`, and every round of direct reclaim reports none, nor does a freelist
    /// attempt after it succeed, until the allocator gives up retrying (then OOM, or failure).
    NoProgress,
    /// `pressure maybe`: each of these points is a decision of the explorer.
    Maybe,
}

impl Word for Pressure {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::None, ""),
        (Self::Fast, "fast"),
        (Self::Reclaim, "reclaim"),
        (Self::Progress, "progress"),
        (Self::NoProgress, "no_progress"),
        (Self::Maybe, "maybe"),
    ];
}

/// What an explicit reclaim scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum ReclaimOf {
    /// `try_to_free_pages GFP`: direct reclaim, with all it does around (the hold, PF_MEMALLOC).
    Node,
    /// `try_to_free_mem_cgroup_pages G GFP`: memcg reclaim.
    Memcg(Id<Memcg>),
    /// `shrink_slab GFP`: the shrinkers only, without any annotation.
    Slab,
}

/// Change of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Change {
    /// `inc C`.
    Inc,
    /// `dec C`.
    Dec,
    /// `assign C 3`.
    Assign(i32),
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// `cond_resched` and the other words without operand.
    Do(Do),
    /// `lock L irqsave nested 1 { … }`, `read L`; with a block the lock is released at its end, with the matching
    /// flavour. `read` of a seqlock or seqcount with a block is the whole retry loop, without one only its begin.
    Lock(Acquire, Option<Block>),
    /// `unlock L irqrestore`, `read_unlock L`.
    Unlock {
        /// Which lock.
        lock: LockRef,
        /// Exclusive or shared.
        mode: Mode,
        /// What is undone besides.
        flavour: Flavour,
    },
    /// `trylock L { … } else { … }`: the lock is released at the end of the first block; with `keep` it is not.
    Trylock {
        /// How.
        acquire: Acquire,
        /// The lock stays held after the first block.
        keep: bool,
        /// What is done with the lock.
        then: Block,
        /// What is done without it.
        otherwise: Block,
    },
    /// `downgrade L`: exclusive to shared (rwsem).
    Downgrade(LockRef),
    /// `map_touch M`.
    Map(MapVerb, Id<Lock>),
    /// `get_object ilock`, `put_object ilock`.
    Population(PopulationVerb, Id<Lock>),
    /// `nofs { … }`.
    Scope(Scope, Block),
    /// `if COND { … } else { … }`.
    If {
        /// The condition.
        cond: Cond,
        /// What is done when it holds.
        then: Block,
        /// What is done when it does not.
        otherwise: Block,
    },
    /// `while COND { … }`.
    While(Cond, Block),
    /// `loop 3 { … }`.
    Loop(u16, Block),
    /// `call F`.
    Call(Id<Function>),
    /// `assert COND`: a state finding when it does not hold.
    Assert(Cond),
    /// `p = alloc_pages GFP_KERNEL order 0 pressure`; without a variable the memory is leaked.
    Alloc {
        /// The variable; what it held before is forgotten, not freed.
        to: Option<Var>,
        /// From where.
        source: Source,
        /// The mask.
        gfp: Gfp,
        /// Forced pressure.
        pressure: Pressure,
    },
    /// `free p`: the memory goes back where it came from, and the variable holds nothing; nothing when it held nothing.
    Free(Var),
    /// `might_alloc GFP`: the annotation alone.
    MightAlloc(Gfp),
    /// `try_to_free_pages GFP`.
    Reclaim(ReclaimOf, Gfp),
    /// `try_charge G GFP pages 1 pressure reclaim`.
    Charge {
        /// Who pays.
        memcg: Id<Memcg>,
        /// How many pages.
        pages: u16,
        /// The mask.
        gfp: Gfp,
        /// Forced pressure: any level but `none` makes the limit appear reached.
        pressure: Pressure,
    },
    /// `uncharge G pages 1`.
    Uncharge {
        /// Who paid.
        memcg: Id<Memcg>,
        /// How many pages.
        pages: u16,
    },
    /// `set F`, `clear F`.
    Set(Id<Flag>, bool),
    /// `inc C`.
    Count(Id<Counter>, Change),
    /// `complete C`, `complete_all C`.
    Complete {
        /// Which completion.
        completion: Id<Completion>,
        /// All waiters, now and later.
        all: bool,
    },
    /// `wait_for_completion C`; with `timeout` it may end by itself.
    WaitFor {
        /// Which completion.
        completion: Id<Completion>,
        /// Whether it may end by itself.
        timeout: bool,
    },
    /// `wait_event Q until COND`; the condition is tested before sleeping and after each wake-up.
    WaitEvent {
        /// Where it sleeps.
        queue: Id<WaitQueue>,
        /// What it waits for.
        until: Cond,
        /// Whether it may end by itself.
        timeout: bool,
    },
    /// `wake_up Q`, `wake_up_all Q`.
    WakeUp {
        /// Who sleeps there.
        queue: Id<WaitQueue>,
        /// All of them.
        all: bool,
    },
    /// `spin_until COND`: a busy loop.
    SpinUntil(Cond),
    /// `queue_work W`.
    Work(WorkVerb, Id<Work>),
    /// `flush_workqueue Q`.
    FlushWorkqueue(Id<Workqueue>),
    /// `mod_timer T`.
    Timer(TimerVerb, Id<Timer>),
    /// `raise_irq I`: pending on its CPU.
    RaiseIrq(Id<Irq>),
    /// `raise_softirq S`.
    RaiseSoftirq(Id<Softirq>),
    /// `call_rcu F`: runs the function in softirq context after a grace period.
    CallRcu(Id<Function>),
    /// `synchronize_srcu S`.
    SynchronizeSrcu(Id<Lock>),
    /// `lock_page A`.
    Page(PageVerb, PageRef),
    /// `map_page A into M`.
    MapPage(PageRef, Id<Mm>),
    /// `bio_add_page B A`.
    BioAddPage(Id<Batch>, PageRef),
    /// `submit_bio B`.
    Batch(BatchVerb, Id<Batch>),
    /// `serve D { … }`: waits for a request to the device, runs the block, finishes the request.
    Serve(Id<Device>, Block),
    /// `writepages M`.
    Mapping(MappingVerb, Id<Mapping>),
    /// `switch_wb I W`: starts switching an inode to another wb.
    SwitchWb(Id<Inode>, Id<Wb>),
    /// `page_stat A { … }`: the memcg page-stat transaction.
    PageStat(PageRef, Block),
    /// `wb_stat I { … }`: the inode to wb transaction.
    WbStat(Id<Inode>, Block),
    /// `start_move_charge G`.
    Memcg(MemcgVerb, Id<Memcg>),
    /// `munmap M`.
    Mm(MmVerb, Id<Mm>),
    /// `invalidate M { … }`: range start with callbacks, the block, range end.
    Invalidate(Id<Mm>, Block),
    /// `offline movable`, `online movable node 1`: takes a zone out of service, or back, and rebuilds the zonelists.
    Hotplug {
        /// Position in the machine's zones.
        zone: u8,
        /// In service or not.
        online: bool,
    },
    /// `q = p`: both variables hold the memory; freeing it through both is a double free.
    Copy {
        /// The variable that is assigned.
        to: Var,
        /// The variable that is read.
        from: Var,
    },
    /// `move_page A to G`: moves a page's charge to another memcg.
    MovePage(PageRef, Id<Memcg>),
    /// `offline_memcg G into H`: a memcg goes offline; its pages go to its parent where the rules say so.
    OfflineMemcg {
        /// The memcg.
        memcg: Id<Memcg>,
        /// Its parent.
        parent: Id<Memcg>,
    },
}
