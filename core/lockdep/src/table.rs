//! The chain cache: which sequences of (class, read mode) were seen, and what was found good about them.
//!
//! The kernel hashes a held sequence to a 64-bit key. Here a sequence is a node of a trie instead:
//! *(node, class, read)* leads to the next node, so that no two sequences can collide, and the transition's
//! entry has room for what the hot path wants to know. Readers take no lock; writers hold the graph lock.

use crate::key::{ClassId, Read};
use crate::published::Published;
use crate::sync::{AtomicU64, Ordering};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The empty sequence (`INITIAL_CHAIN_KEY`).
pub(crate) const ROOT: u32 = 0;

const NODE_BITS: u32 = 27;
const VALIDATED: u64 = 1 << NODE_BITS;
const WAIT_SHIFT: u32 = NODE_BITS + 1;
const CONTEXT_SHIFT: u32 = 32;
/// More nodes than an entry can number.
pub(crate) const MAX_NODES: u32 = (1 << NODE_BITS) - 1;

/// A transition of the trie, never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step(u64);

impl Step {
    #[inline]
    pub(crate) fn new(from: u32, class: ClassId, read: Read) -> Self {
        Self(u64::from(from) << 18 | u64::from(class.0) << 2 | (read as u64 + 1))
    }

    #[inline]
    fn hash(self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The limit that a held sequence puts on what may be taken next: the smallest inner wait type, or what
/// an override sets. Four bits: the type and whether it is absolute (overrides the context's own limit).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitLimit(pub(crate) u8);

impl WaitLimit {
    pub(crate) const NONE: Self = Self(5);
    const ABSOLUTE: u8 = 8;

    /// The limit after one more lock with this inner type.
    pub(crate) fn then(self, inner: u8, overrides: bool) -> Self {
        match (inner, overrides) {
            (0, _) => self,
            (_, true) => Self(inner | Self::ABSOLUTE),
            (_, false) => Self(self.0 & Self::ABSOLUTE | inner.min(self.0 & 7)),
        }
    }

    /// The limit in a context that itself allows no more than `context`.
    pub(crate) fn within(self, context: u8) -> u8 {
        if self.0 & Self::ABSOLUTE != 0 {
            self.0 & 7
        } else {
            context.min(self.0)
        }
    }
}

/// What the cache knows of a transition.
#[derive(Clone, Copy)]
pub(crate) struct Found(u64);

impl Found {
    pub(crate) fn new(node: u32, wait: WaitLimit) -> Self {
        Self(u64::from(node) | u64::from(wait.0) << WAIT_SHIFT)
    }

    #[inline]
    pub(crate) fn node(self) -> u32 {
        (self.0 as u32) & MAX_NODES
    }

    #[inline]
    pub(crate) fn wait(self) -> WaitLimit {
        WaitLimit((self.0 >> WAIT_SHIFT) as u8 & 15)
    }

    /// The sequence was validated, as by `lookup_chain_cache_add()`.
    #[inline]
    pub(crate) fn is_validated(self) -> bool {
        self.0 & VALIDATED != 0
    }

    /// A plain acquisition in one of these contexts had nothing left to check, mark or add.
    #[inline]
    pub(crate) fn is_settled(self, contexts: u32) -> bool {
        (self.0 >> CONTEXT_SHIFT) as u32 & contexts != 0
    }
}

struct Slot {
    step: AtomicU64,
    found: AtomicU64,
}

struct Slots {
    slots: Box<[Slot]>,
    shift: u32,
}

impl Slots {
    fn new(bits: u32) -> Self {
        let slot = |_| Slot {
            step: AtomicU64::new(0),
            found: AtomicU64::new(0),
        };
        Self {
            slots: (0..1usize << bits).map(slot).collect(),
            shift: 64 - bits,
        }
    }

    #[inline]
    fn find(&self, step: Step) -> Option<&Slot> {
        let mask = self.slots.len() - 1;
        let mut at = (step.hash() >> self.shift) as usize;
        loop {
            let slot = &self.slots[at & mask];
            match slot.step.load(Ordering::Acquire) {
                found if found == step.0 => return Some(slot),
                0 => return None,
                _ => at += 1,
            }
        }
    }

    /// Writers only. There is always a free slot.
    fn insert(&self, step: Step, found: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (step.hash() >> self.shift) as usize;
        loop {
            let slot = &self.slots[at & mask];
            if slot.step.load(Ordering::Relaxed) == 0 {
                // The value first: a reader that sees the step sees the value too.
                slot.found.store(found, Ordering::Relaxed);
                slot.step.store(step.0, Ordering::Release);
                return;
            }
            at += 1;
        }
    }
}

/// The lock-free side of the cache.
pub(crate) struct ChainTable(Published<Slots>);

/// The writers' side, inside the graph lock: the steps in the order of their nodes (node 1 first).
#[derive(Default)]
pub(crate) struct ChainNodes {
    steps: Vec<Step>,
}

const INITIAL_BITS: u32 = if cfg!(loom) { 2 } else { 8 };

impl ChainTable {
    pub(crate) fn new() -> Self {
        Self(Published::new(Slots::new(INITIAL_BITS)))
    }

    #[inline]
    fn slots(&self) -> &Slots {
        match self.0.get() {
            Some(slots) => slots,
            None => unreachable!("a table is published before the engine is"),
        }
    }

    #[inline]
    pub(crate) fn find(&self, step: Step) -> Option<Found> {
        self.slots()
            .find(step)
            .map(|slot| Found(slot.found.load(Ordering::Relaxed)))
    }

    /// Adds a node for a step that has none.
    pub(crate) fn add(&self, nodes: &mut ChainNodes, step: Step, wait: WaitLimit) -> Found {
        if (nodes.steps.len() + 1) * 2 > self.slots().slots.len() {
            self.grow(nodes);
        }
        nodes.steps.push(step);
        let found = Found::new(nodes.steps.len() as u32, wait);
        self.slots().insert(step, found.0);
        found
    }

    fn grow(&self, nodes: &ChainNodes) {
        let old = self.slots();
        let new = Slots::new(64 - old.shift + 1);
        for step in &nodes.steps {
            if let Some(slot) = old.find(*step) {
                new.insert(*step, slot.found.load(Ordering::Relaxed));
            }
        }
        self.0.publish(new);
    }

    fn set(&self, step: Step, bits: u64) {
        if let Some(slot) = self.slots().find(step) {
            crate::engine::add_bits(&slot.found, bits);
        }
    }

    /// Writers only: the sequence is validated from now on.
    pub(crate) fn set_validated(&self, step: Step) {
        self.set(step, VALIDATED);
    }

    /// Writers only: see [`Found::is_settled`].
    pub(crate) fn set_settled(&self, step: Step, contexts: u32) {
        self.set(step, u64::from(contexts) << CONTEXT_SHIFT);
    }

    /// Empties the cache. Entries go in reverse order of insertion, so that the probe sequence of an
    /// earlier one, which only ever passes still earlier ones, stays whole until it is found.
    pub(crate) fn clear(&self, nodes: &mut ChainNodes) {
        let slots = self.slots();
        while let Some(step) = nodes.steps.pop() {
            if let Some(slot) = slots.find(step) {
                slot.step.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl ChainNodes {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::key::Key;

    fn step(from: u32, key: u16, read: Read) -> Step {
        Step::new(from, ClassId::of(Key(key), 3), read)
    }

    #[test]
    fn entries_survive_growth_and_go_with_clear() {
        let (table, mut nodes) = (ChainTable::new(), ChainNodes::default());
        for round in 0..3 {
            for n in 0..2000 {
                let step = step(n, n as u16 % 50, Read::Shared);
                assert!(table.find(step).is_none(), "round {round}");
                table.add(&mut nodes, step, WaitLimit(3));
                table.set_validated(step);
            }
            for n in 0..2000 {
                let found = table
                    .find(step(n, n as u16 % 50, Read::Shared))
                    .expect("added above");
                assert_eq!((found.node(), found.wait().0), (n + 1, 3));
                assert!(found.is_validated() && !found.is_settled(u32::MAX));
            }
            table.clear(&mut nodes);
        }
    }

    #[test]
    fn wait_limits_fold_like_the_loop_over_held_locks() {
        let limit = WaitLimit::NONE
            .then(0, true)
            .then(4, false)
            .then(3, false)
            .then(4, false);
        assert_eq!((limit.within(5), limit.within(2)), (3, 2));
        let overridden = limit.then(4, true);
        assert_eq!((overridden.within(5), overridden.within(2)), (4, 4));
        assert_eq!(overridden.then(3, false).within(2), 3);
    }
}
