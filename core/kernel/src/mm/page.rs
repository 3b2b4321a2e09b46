//! Page frames: one state word a frame, list links, page flags; arrays side by side.
//!
//! Only the first frame of a block says what the block is; the others are tails. A frame's word is changed by whoever
//! owns the block: under the zone's lock, under the pcp's lock, or by the holder of the allocation. Others may read it
//! at any time (a free looks at its buddy), so words are atomics; the locks order them.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Highest order of a block (`MAX_PAGE_ORDER`).
pub const MAX_ORDER: u8 = 10;
/// Frames of the largest block.
pub(crate) const MAX_BLOCK: u32 = 1 << MAX_ORDER;
/// The end of a list of frames.
pub(crate) const NIL: u32 = u32::MAX;

/// Number of a page frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u32);

impl Pfn {
    /// Its index in the arrays.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a block is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Part of a larger block, or of no zone.
    Tail = 0,
    /// Free, on a list of its zone's buddy allocator.
    Buddy = 1,
    /// Free, on a per-CPU list.
    Pcp = 2,
    /// Allocated.
    Allocated = 3,
    /// On its way from its owner to a free list.
    Freeing = 4,
    /// Taken before the machine started, never given back.
    Reserved = 5,
}

impl FrameKind {
    const ALL: [Self; 6] = [
        Self::Tail,
        Self::Buddy,
        Self::Pcp,
        Self::Allocated,
        Self::Freeing,
        Self::Reserved,
    ];
}

/// State of a frame in one word: kind, order and zone of the block, and how often it was allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameWord(u32);

const KIND_BITS: u32 = 3;
const ORDER_SHIFT: u32 = KIND_BITS;
const ZONE_SHIFT: u32 = 7;
const GENERATION: u32 = 1 << 12;
const STATE: u32 = (1 << ZONE_SHIFT) - 1;

impl FrameWord {
    #[inline]
    pub(crate) fn kind(self) -> FrameKind {
        FrameKind::ALL[(self.0 & 7).min(5) as usize]
    }

    #[inline]
    pub(crate) const fn order(self) -> u8 {
        (self.0 >> ORDER_SHIFT & 15) as u8
    }

    #[inline]
    pub(crate) const fn zone(self) -> usize {
        (self.0 >> ZONE_SHIFT & 31) as usize
    }

    #[inline]
    pub(crate) const fn is(self, kind: FrameKind, order: u8) -> bool {
        self.0 & STATE == kind as u32 | (order as u32) << ORDER_SHIFT
    }

    #[inline]
    const fn to(self, kind: FrameKind, order: u8) -> Self {
        Self(self.0 & !STATE | kind as u32 | (order as u32) << ORDER_SHIFT)
    }
}

/// An allocated block: its first frame and the token that only its owner has.
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use = "a block that is not freed is leaked"]
pub struct Page {
    pfn: Pfn,
    word: FrameWord,
}

impl Page {
    /// The first frame.
    #[must_use]
    pub const fn pfn(self) -> Pfn {
        self.pfn
    }

    /// The block has 2^order frames.
    #[must_use]
    pub const fn order(self) -> u8 {
        self.word.order()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pfn {:#x} order {}", self.pfn.0, self.order())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Bits of a page in use (`PG_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageFlags(pub(crate) u32);

impl PageFlags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// `PG_locked`.
    pub const LOCKED: Self = Self(1);
    /// `PG_dirty`.
    pub const DIRTY: Self = Self(1 << 1);
    /// `PG_writeback`.
    pub const WRITEBACK: Self = Self(1 << 2);
    /// `PG_reclaim`: reclaim met the page under writeback, or dirty, before.
    pub const RECLAIM: Self = Self(1 << 3);
    /// `PG_referenced`.
    pub const REFERENCED: Self = Self(1 << 4);
    /// `PG_active`.
    pub const ACTIVE: Self = Self(1 << 5);
    /// `PG_lru`.
    pub const LRU: Self = Self(1 << 6);
    /// `PG_private`: has private data, which the release callback frees.
    pub const PRIVATE: Self = Self(1 << 7);
    /// Mapped into an address space.
    pub const MAPPED: Self = Self(1 << 8);
    /// Reclaim has taken it off its list and holds a reference.
    pub(crate) const ISOLATED: Self = Self(1 << 9);
    /// Truncated while reclaim held a reference: whoever drops it frees the page.
    pub(crate) const GONE: Self = Self(1 << 10);

    /// Both sets' bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of these are set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }
}

/// All frames of a machine.
pub(crate) struct Frames {
    words: Box<[AtomicU32]>,
    next: Box<[AtomicU32]>,
    prev: Box<[AtomicU32]>,
    flags: Box<[AtomicU32]>,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames", self.words.len())
    }
}

fn words(n: usize, value: u32) -> Box<[AtomicU32]> {
    (0..n).map(|_| AtomicU32::new(value)).collect()
}

impl Frames {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            words: words(n, 0),
            next: words(n, NIL),
            prev: words(n, NIL),
            flags: words(n, 0),
        }
    }

    /// All frames of a zone, as tails of it that were never allocated.
    pub(crate) fn clear(&self, from: u32, to: u32, zone: usize) {
        let word = (zone as u32) << ZONE_SHIFT;
        for i in from as usize..to as usize {
            self.words[i].store(word, Relaxed);
            self.flags[i].store(0, Relaxed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    #[inline]
    pub(crate) fn word(&self, pfn: u32) -> FrameWord {
        FrameWord(self.words[pfn as usize].load(Relaxed))
    }

    /// The block that starts here is now of this kind and order; its owner says so.
    #[inline]
    pub(crate) fn set(&self, pfn: u32, kind: FrameKind, order: u8) {
        let word = self.word(pfn).to(kind, order);
        self.words[pfn as usize].store(word.0, Relaxed);
    }

    /// Hands a block out: a new token, no flags.
    #[inline]
    pub(crate) fn hand_out(&self, pfn: u32, order: u8) -> Page {
        let old = self.word(pfn).0.wrapping_add(GENERATION);
        let word = FrameWord(old).to(FrameKind::Allocated, order);
        self.words[pfn as usize].store(word.0, Relaxed);
        Page {
            pfn: Pfn(pfn),
            word,
        }
    }

    /// Takes a block back from its owner. False if this owner does not have it (any more).
    #[inline]
    pub(crate) fn take_back(&self, page: Page) -> bool {
        let freeing = page.word.to(FrameKind::Freeing, page.order());
        let word = &self.words[page.pfn.index()];
        word.compare_exchange(page.word.0, freeing.0, Relaxed, Relaxed)
            .is_ok()
    }

    /// The handle of the allocated block that starts here.
    pub(crate) fn page_at(&self, pfn: u32) -> Option<Page> {
        let word = self.word(pfn);
        (word.kind() == FrameKind::Allocated).then_some(Page {
            pfn: Pfn(pfn),
            word,
        })
    }

    #[inline]
    pub(crate) fn next(&self, pfn: u32) -> u32 {
        self.next[pfn as usize].load(Relaxed)
    }

    #[inline]
    pub(crate) fn prev(&self, pfn: u32) -> u32 {
        self.prev[pfn as usize].load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_next(&self, pfn: u32, to: u32) {
        self.next[pfn as usize].store(to, Relaxed);
    }

    #[inline]
    pub(crate) fn set_prev(&self, pfn: u32, to: u32) {
        self.prev[pfn as usize].store(to, Relaxed);
    }

    pub(crate) fn flags(&self, pfn: Pfn) -> PageFlags {
        PageFlags(self.flags[pfn.index()].load(Relaxed))
    }

    pub(crate) fn set_flags(&self, pfn: Pfn, bits: PageFlags) {
        self.flags[pfn.index()].fetch_or(bits.0, Relaxed);
    }

    /// Clears bits; says which of them were set.
    pub(crate) fn clear_flags(&self, pfn: Pfn, bits: PageFlags) -> PageFlags {
        PageFlags(self.flags[pfn.index()].fetch_and(!bits.0, Relaxed) & bits.0)
    }
}
