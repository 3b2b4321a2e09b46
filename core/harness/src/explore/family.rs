//! Who made whom ready: entities that are at rest until another one starts or raises them.

use ksplat_kernel::rt::{Decision, EntityId, EntitySet, MAX_ENTITIES, members};

/// What an entity is expected to do yet includes what those do whom it is yet to make ready.
///
/// Without that a task that starts others seems to be nearly done, and is made to wait for those that it has started.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    /// Entities that were ready at some time of this execution.
    seen: EntitySet,
    /// Who made the last step.
    last: Option<EntityId>,
    /// Children with their parents, as they came, in the executions that are learnt from.
    births: Vec<(EntityId, EntityId)>,
    /// Those who have relatives, children before their parents, in the order of birth.
    order: Vec<EntityId>,
    /// The same, as a set.
    related: EntitySet,
}

impl Family {
    /// An execution begins.
    pub(super) const fn begin(&mut self) {
        self.seen = 0;
        self.last = None;
    }

    /// Forgets who made whom ready.
    pub(super) fn forget(&mut self) {
        self.births.clear();
        self.order.clear();
        self.related = 0;
    }

    /// Somebody goes on.
    pub(super) const fn step(&mut self, picked: EntityId) {
        self.last = Some(picked);
    }

    /// Those who are ready for the first time in this execution, and were not at its beginning.
    pub(super) fn born(&mut self, decision: &Decision<'_>) -> EntitySet {
        let new = decision.state.ready & !self.seen;
        self.seen |= new;
        if self.last.is_some() { new } else { 0 }
    }

    /// Learns whose step made these ready.
    pub(super) fn learn(&mut self, born: EntitySet) {
        let Some(parent) = self.last else {
            return;
        };
        for child in members(born) {
            if child != parent && self.parent(child).is_none() {
                self.births.push((child, parent));
            }
        }
    }

    /// What was learnt is complete.
    pub(super) fn arrange(&mut self) {
        let mut order = Vec::with_capacity(self.births.len() + 1);
        for &(_, elder) in &self.births {
            if self.parent(elder).is_none() && !order.contains(&elder) {
                self.descend(elder, &mut order);
            }
        }
        self.related = order.iter().fold(0, |all, e| all | e.bit());
        self.order = order;
    }

    fn descend(&self, elder: EntityId, order: &mut Vec<EntityId>) {
        for &(child, parent) in &self.births {
            if parent == elder {
                self.descend(child, order);
            }
        }
        order.push(elder);
    }

    /// The members of a set, each child that has left home before its parent: what a child has to do is in the same
    /// place of the whole, whether it is the parent's yet or not.
    pub(super) fn in_order(&self, set: EntitySet) -> impl Iterator<Item = EntityId> {
        let mine = self.order.iter().copied();
        mine.filter(move |e| set & e.bit() != 0)
            .chain(members(set & !self.related))
    }

    /// Who is expected to make this one ready.
    fn parent(&self, child: EntityId) -> Option<EntityId> {
        let birth = self.births.iter().find(|b| b.0 == child);
        birth.map(|&(_, parent)| parent)
    }

    /// What a child has to do is no longer its parent's. The parent, and what the child has; `None` if it has no parent.
    pub(super) fn leave_home(
        &self,
        child: EntityId,
        left: &mut [u32; MAX_ENTITIES],
    ) -> Option<(EntityId, u32)> {
        let parent = self.parent(child)?;
        let (theirs, whole) = (left[child.index()], left[parent.index()]);
        left[parent.index()] = whole.saturating_sub(theirs);
        Some((parent, theirs))
    }

    /// Adds what children have to do to what their parents have.
    pub(super) fn gather(&self, left: &mut [u32; MAX_ENTITIES]) {
        for &(child, parent) in self.births.iter().rev() {
            left[parent.index()] = left[parent.index()].saturating_add(left[child.index()]);
        }
    }
}
