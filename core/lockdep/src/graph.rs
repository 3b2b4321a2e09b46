//! The dependency graph: classes, their usage and the edges between them.

use crate::key::{ClassId, KeyInfo, LockType, Read};
use crate::report::{Report, Trace};
use crate::search::Queue;
use crate::table::ChainNodes;
use crate::usage::{USAGE_BITS, Usage, UsageBit};
use alloc::vec::Vec;
use core::fmt;

/// The kinds of an edge prev → next (`DEP_SR` and so on): prev exclusive or shared, next recursive reader or not.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deps(u8);

impl Deps {
    /// Shared, then a recursive reader.
    pub const SR: Self = Self(1);
    /// Exclusive, then a recursive reader.
    pub const ER: Self = Self(2);
    /// Shared, then not a recursive reader.
    pub const SN: Self = Self(4);
    /// Exclusive, then not a recursive reader.
    pub const EN: Self = Self(8);

    /// `calc_dep()`.
    pub fn of(prev: Read, next: Read) -> Self {
        match (prev.is_read(), next == Read::Recursive) {
            (true, true) => Self::SR,
            (false, true) => Self::ER,
            (true, false) => Self::SN,
            (false, false) => Self::EN,
        }
    }

    /// The same edge seen from next: E and N, S and R trade places (`calc_depb()`).
    pub(crate) fn mirrored(self) -> Self {
        Self(self.0 & 0b1001 | (self.0 & 0b0010) << 1 | (self.0 & 0b0100) >> 1)
    }

    /// What is left of the edge if it has to start exclusively.
    pub(crate) fn exclusive_only(self) -> Self {
        Self(self.0 & (Self::ER.0 | Self::EN.0))
    }

    /// True if every kind left ends in a recursive reader.
    pub(crate) fn only_recursive(self) -> bool {
        self.0 & (Self::SN.0 | Self::EN.0) == 0
    }

    /// No kind at all.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if every kind of `other` is among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The kinds' names in the kernel's bit order: SR, ER, SN, EN.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ["SR", "ER", "SN", "EN"]
            .into_iter()
            .enumerate()
            .filter(move |(n, _)| self.0 >> n & 1 != 0)
            .map(|(_, name)| name)
    }
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Position of a registered class in [`Graph::classes`].
pub(crate) type Slot = u16;
const UNREGISTERED: Slot = Slot::MAX;

/// One half of an edge (`struct lock_list`): in `after` it leads on, in `before` back.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) to: Slot,
    pub(crate) deps: Deps,
    pub(crate) distance: u16,
    /// Where the edge's first and second lock were taken.
    pub(crate) traces: [Trace; 2],
}

/// A registered class (`struct lock_class`).
#[derive(Default)]
pub(crate) struct Class {
    pub(crate) id: ClassId,
    pub(crate) usage: Usage,
    /// Not a lock as far as interrupts are concerned (`usage_skip()`).
    pub(crate) skips_irq: bool,
    pub(crate) after: Vec<Link>,
    pub(crate) before: Vec<Link>,
    pub(crate) traces: [Trace; USAGE_BITS],
    /// The last search that finished with this class, and the last that saw it with `only_xr`.
    pub(crate) visited: [u32; 2],
}

/// Everything that the graph lock protects.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) keys: Vec<KeyInfo>,
    slots: Vec<Slot>,
    classes: Vec<Class>,
    registered: usize,
    /// Every usage bit that any class has.
    pub(crate) usage: Usage,
    pub(crate) nodes: ChainNodes,
    pub(crate) validated_chains: usize,
    /// Edges in the order they were added.
    pub(crate) edges: Vec<(Slot, Slot)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) seen: alloc::collections::BTreeSet<(crate::report::Kind, [u64; 3])>,
    pub(crate) queue: Queue,
}

impl Graph {
    /// The registered classes in the order of registration.
    pub(crate) fn classes(&self) -> &[Class] {
        &self.classes[..self.registered]
    }

    pub(crate) fn class(&self, slot: Slot) -> &Class {
        &self.classes[usize::from(slot)]
    }

    pub(crate) fn class_mut(&mut self, slot: Slot) -> &mut Class {
        &mut self.classes[usize::from(slot)]
    }

    pub(crate) fn key_of(&self, id: ClassId) -> &KeyInfo {
        &self.keys[id.key().index()]
    }

    pub(crate) fn slot(&self, id: ClassId) -> Option<Slot> {
        self.slots
            .get(id.index())
            .copied()
            .filter(|slot| *slot != UNREGISTERED)
    }

    /// `register_lock_class()`. The memory of a class that a reset dropped is used again.
    pub(crate) fn register(&mut self, id: ClassId) -> Slot {
        if let Some(slot) = self.slot(id) {
            return slot;
        }
        if self.slots.len() <= id.index() {
            self.slots.resize(id.index() + 1, UNREGISTERED);
        }
        if self.classes.len() == self.registered {
            self.classes.push(Class::default());
        }
        let slot = self.registered as Slot;
        let skips_irq = self.key_of(id).lock_type != LockType::Normal;
        let class = &mut self.classes[self.registered];
        class.id = id;
        class.skips_irq = skips_irq;
        self.registered += 1;
        self.slots[id.index()] = slot;
        slot
    }

    /// Adds the edge or its new kinds. True if the graph changed.
    pub(crate) fn add_edge(
        &mut self,
        prev: Slot,
        next: Slot,
        deps: Deps,
        distance: u16,
        traces: [Trace; 2],
    ) -> bool {
        if let Some(link) = self
            .class_mut(prev)
            .after
            .iter_mut()
            .find(|link| link.to == next)
        {
            let changed = !link.deps.contains(deps);
            link.merge(deps, distance);
            if let Some(back) = self
                .class_mut(next)
                .before
                .iter_mut()
                .find(|link| link.to == prev)
            {
                back.merge(deps.mirrored(), distance);
            }
            return changed;
        }
        self.class_mut(prev).after.push(Link {
            to: next,
            deps,
            distance,
            traces,
        });
        self.class_mut(next).before.push(Link {
            to: prev,
            deps: deps.mirrored(),
            distance,
            traces,
        });
        self.edges.push((prev, next));
        true
    }

    /// Sets a usage bit. False if it was set.
    pub(crate) fn set_usage(&mut self, slot: Slot, bit: UsageBit, trace: Trace) -> bool {
        let class = self.class_mut(slot);
        if class.usage.contains(bit) {
            return false;
        }
        class.usage.insert(bit);
        class.traces[bit.index()] = trace;
        self.usage.insert(bit);
        true
    }

    /// Search generations start over.
    pub(crate) fn forget_visits(&mut self) {
        for class in &mut self.classes {
            class.visited = [0; 2];
        }
    }

    /// Forgets all but the keys and that the first `keep` classes are registered, and keeps the memory.
    pub(crate) fn clear(&mut self, keep: usize) {
        for (at, class) in self.classes[..self.registered].iter_mut().enumerate() {
            if at >= keep {
                self.slots[class.id.index()] = UNREGISTERED;
            }
            class.usage = Usage::EMPTY;
            class.after.clear();
            class.before.clear();
        }
        self.registered = keep;
        self.usage = Usage::EMPTY;
        self.validated_chains = 0;
        self.edges.clear();
        self.reports.clear();
        self.seen.clear();
    }
}

impl Link {
    fn merge(&mut self, deps: Deps, distance: u16) {
        self.deps.add(deps);
        if distance == 1 {
            self.distance = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_swaps_the_ends() {
        assert_eq!(Deps::SN.mirrored(), Deps::ER);
        assert_eq!(Deps::ER.mirrored(), Deps::SN);
        assert_eq!(Deps::EN.mirrored(), Deps::EN);
        assert_eq!(Deps::SR.mirrored(), Deps::SR);
        let all = [Read::Exclusive, Read::Shared, Read::Recursive];
        let mut union = Deps::default();
        for (prev, next) in all.iter().flat_map(|p| all.iter().map(move |n| (*p, *n))) {
            union.add(Deps::of(prev, next));
        }
        assert_eq!(union.names().collect::<Vec<_>>(), ["SR", "ER", "SN", "EN"]);
    }
}
