//! What makes decisions.

use super::ids::{EntityId, members};
use super::op::Op;

/// A point where exploration chooses who runs next: at least two candidates.
#[derive(Debug)]
pub struct Decision<'a> {
    /// Set of the entities that can run, one bit each ([`EntityId::bit`]).
    pub candidates: u64,
    /// The entity that ran last, if it can go on.
    pub current: Option<EntityId>,
    /// The pending operation of every entity, by [`EntityId::index`].
    pub next: &'a [Op],
}

impl Decision<'_> {
    /// Number of candidates.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.candidates.count_ones()
    }

    /// Never true: a decision has at least two candidates.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.candidates == 0
    }

    /// The candidates in choice order: the current entity first, then by id. Choice 0 is therefore "no preemption".
    pub fn in_order(&self) -> impl Iterator<Item = EntityId> {
        let current = self.current;
        let rest = self.candidates & !current.map_or(0, EntityId::bit);
        current.into_iter().chain(members(rest))
    }

    /// The candidate with this choice number, modulo their number.
    #[must_use]
    pub fn nth(&self, choice: u32) -> EntityId {
        let choice = choice % self.len().max(1);
        self.in_order()
            .nth(choice as usize)
            .unwrap_or(EntityId(self.candidates.trailing_zeros() as u8))
    }

    /// The choice number of a candidate.
    #[must_use]
    pub fn number_of(&self, entity: EntityId) -> u32 {
        match self.current {
            Some(c) if c == entity => 0,
            Some(c) => 1 + (self.candidates & !c.bit() & (entity.bit() - 1)).count_ones(),
            None => (self.candidates & (entity.bit() - 1)).count_ones(),
        }
    }

    /// The pending operation of an entity.
    #[must_use]
    pub fn op(&self, entity: EntityId) -> Op {
        self.next[entity.index()]
    }
}

/// Makes the decisions of executions. One execution is a pure function of program and choices.
pub trait Strategy {
    /// A new execution begins.
    fn begin(&mut self) {}

    /// Who runs next, one of `decision.candidates`.
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId;

    /// A choice among `n >= 2` alternatives that is not about who runs; below `n`. 0 is the undisturbed one.
    fn choose(&mut self, n: u32) -> u32;

    /// `entity` has executed the operation that it announced.
    fn executed(&mut self, _entity: EntityId, _op: Op) {}

    /// Whether [`Strategy::executed`] wants to be called, also where there was nothing to decide.
    fn wants_steps(&self) -> bool {
        false
    }
}

/// Always continues with the current entity: the schedule without preemptions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl Strategy for Undisturbed {
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        decision.nth(0)
    }

    fn choose(&mut self, _n: u32) -> u32 {
        0
    }
}
