//! Resources: what waits go through, and who can end them.

use super::ids::EntityId;
use super::set::{AtomicSet, EntitySet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bit of [`Resource::state`] for a lock that is held exclusively; below it stands the owner's id.
pub(crate) const WRITER: u64 = 1 << 63;

/// What a resource is; the words of stories and of the wait-for cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResKind {
    /// A lock that spins.
    SpinLock,
    /// A lock that sleeps.
    SleepLock,
    /// A lock that sleeps, and whose owner inherits the priority of who waits for it.
    PiLock,
    /// A completion.
    Completion,
    /// A wait queue with a condition.
    WaitQueue,
    /// A flag or counter of the program.
    Variable,
    /// An RCU grace period.
    GracePeriod,
    /// A bit of a page.
    PageBit,
    /// An IO batch or device.
    Io,
    /// A sequence count, waited for until it is even.
    Sequence,
    /// A work item or the workers of a queue.
    Work,
    /// Free memory: what a retry loop in the allocator waits for.
    Memory,
    /// Something to do for a daemon; waiting for it is not being stuck.
    Idle,
    /// Other shared state, an object of reads and writes only.
    State,
}

/// One resource. All fields but the name start each execution at zero.
///
/// Simulated runtimes touch it from one OS thread, with plain relaxed loads and stores; on OS threads `state` is
/// changed by compare-and-swap.
#[derive(Debug)]
#[repr(align(64))]
pub struct Resource {
    /// 0 free; see `sync::word` for the encoding of owners and readers.
    pub(crate) state: AtomicU64,
    /// Entities that hold it and must let go before a waiter can go on, but for the owner that `state` names.
    pub(crate) listed: AtomicSet,
    /// Entities that stand before an acquisition or wait for its condition.
    pub(crate) waiters: AtomicSet,
    /// Those of them that stand before a shared acquisition.
    pub(crate) read_waiters: AtomicSet,
    /// Writers that have found it taken: readers that come later stay behind them.
    pub(crate) queued_writers: AtomicSet,
    /// Entities that may end a wait although they hold nothing (completions, wait queues).
    pub(crate) enders: AtomicSet,
    pub(crate) kind: ResKind,
    /// A lock that nobody ever tries: that it is held is only seen by who waits for it.
    pub(crate) untried: bool,
    /// What it is for feedback: see [`super::feedback::tag`].
    pub(crate) tag: u16,
    pub(crate) name: String,
    /// A bit that is set when an execution begins.
    pub(crate) set_at_start: bool,
}

impl Resource {
    pub(crate) fn new(kind: ResKind, name: String, tag: u16) -> Self {
        Self {
            state: AtomicU64::new(0),
            listed: AtomicSet::default(),
            waiters: AtomicSet::default(),
            read_waiters: AtomicSet::default(),
            queued_writers: AtomicSet::default(),
            enders: AtomicSet::default(),
            kind,
            untried: false,
            tag,
            name,
            set_at_start: false,
        }
    }

    /// Its name in stories.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a bit that is set when an execution begins.
    #[must_use]
    pub const fn is_set_at_start(&self) -> bool {
        self.set_at_start
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> ResKind {
        self.kind
    }

    /// Entities that hold it.
    #[must_use]
    #[inline]
    pub fn holders(&self) -> EntitySet {
        let state = self.state.load(Relaxed);
        if state & WRITER != 0 {
            EntityId(state as u8).bit()
        } else {
            self.listed.load(Relaxed)
        }
    }

    /// Entities that may end a wait for it although they hold nothing.
    #[must_use]
    pub fn enders(&self) -> EntitySet {
        self.enders.load(Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.state.store(0, Relaxed);
        self.listed.store(0, Relaxed);
        self.waiters.store(0, Relaxed);
        self.read_waiters.store(0, Relaxed);
        self.queued_writers.store(0, Relaxed);
    }
}
