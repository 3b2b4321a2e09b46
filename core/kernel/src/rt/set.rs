//! Sets of entities.

use super::ids::EntityId;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// A set of entities, one bit each ([`EntityId::bit`]).
pub type EntitySet = u128;

/// Most entities (tasks and interrupt handlers) that one machine can have: as many as an [`EntitySet`] holds.
pub const MAX_ENTITIES: usize = EntitySet::BITS as usize;

/// The members of an entity set, lowest id first.
#[inline]
pub fn members(set: EntitySet) -> Members {
    Members {
        low: set as u64,
        high: (set >> 64) as u64,
    }
}

/// See [`members`].
#[derive(Clone, Debug)]
pub struct Members {
    low: u64,
    high: u64,
}

impl Iterator for Members {
    type Item = EntityId;

    #[inline]
    fn next(&mut self) -> Option<EntityId> {
        if self.low != 0 {
            let id = self.low.trailing_zeros() as u8;
            self.low &= self.low - 1;
            return Some(EntityId(id));
        }
        if self.high != 0 {
            let id = 64 + self.high.trailing_zeros() as u8;
            self.high &= self.high - 1;
            return Some(EntityId(id));
        }
        None
    }
}

/// A set that one OS thread owns. Its halves are words of their own, so that [`SetCell::low`] never has to wait for
/// both.
#[derive(Debug, Default)]
pub(crate) struct SetCell {
    low: Cell<u64>,
    high: Cell<u64>,
}

impl SetCell {
    #[inline]
    pub(crate) fn get(&self) -> EntitySet {
        EntitySet::from(self.high.get()) << 64 | EntitySet::from(self.low.get())
    }

    /// The members below 64: all there are on a machine that small.
    #[inline]
    pub(crate) fn low(&self) -> u64 {
        self.low.get()
    }

    #[inline]
    pub(crate) fn set(&self, set: EntitySet) {
        self.low.set(set as u64);
        self.high.set((set >> 64) as u64);
    }

    #[inline]
    pub(crate) fn add(&self, set: EntitySet) {
        self.low.set(self.low.get() | set as u64);
        self.high.set(self.high.get() | (set >> 64) as u64);
    }

    #[inline]
    pub(crate) fn remove(&self, set: EntitySet) {
        self.low.set(self.low.get() & !set as u64);
        self.high.set(self.high.get() & !(set >> 64) as u64);
    }
}

/// Empty sets, one an entity.
pub(crate) fn sets(entities: usize) -> Box<[AtomicSet]> {
    (0..entities).map(|_| AtomicSet::default()).collect()
}

/// A set that OS threads share. Each bit is atomic; the halves of a set may be seen at different moments.
#[derive(Debug, Default)]
pub(crate) struct AtomicSet {
    low: AtomicU64,
    high: AtomicU64,
}

impl AtomicSet {
    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> EntitySet {
        EntitySet::from(self.high.load(order)) << 64 | EntitySet::from(self.low.load(order))
    }

    #[inline]
    pub(crate) fn store(&self, set: EntitySet, order: Ordering) {
        self.low.store(set as u64, order);
        self.high.store((set >> 64) as u64, order);
    }

    pub(crate) fn fetch_or(&self, set: EntitySet, order: Ordering) {
        self.low.fetch_or(set as u64, order);
        self.high.fetch_or((set >> 64) as u64, order);
    }

    pub(crate) fn fetch_and(&self, set: EntitySet, order: Ordering) {
        self.low.fetch_and(set as u64, order);
        self.high.fetch_and((set >> 64) as u64, order);
    }

    /// Adds a member to a set that one OS thread owns: no read-modify-write instruction needed.
    #[inline]
    pub(crate) fn insert(&self, id: EntityId) {
        let (word, bit) = self.word_of(id);
        word.store(word.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
    }

    /// Takes a member out of a set that one OS thread owns.
    #[inline]
    pub(crate) fn remove(&self, id: EntityId) {
        let (word, bit) = self.word_of(id);
        word.store(word.load(Ordering::Relaxed) & !bit, Ordering::Relaxed);
    }

    #[inline]
    fn word_of(&self, id: EntityId) -> (&AtomicU64, u64) {
        let word = if id.0 < 64 { &self.low } else { &self.high };
        (word, 1 << (id.0 % 64))
    }
}
