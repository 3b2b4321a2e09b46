//! POS: partial order sampling (Yuan, Yang, Gu, CAV 2018).

use super::rng::Rng;
use ksplat_kernel::rt::{Decision, EntityId, EntitySet, MAX_ENTITIES, Step, Strategy, members};

/// Every pending operation has a random priority of its own, the highest runs; an operation that is executed takes the
/// priorities of those that race with it along, so that they are drawn anew.
#[derive(Clone, Debug)]
pub struct Pos {
    rng: Rng,
    priority: [u64; MAX_ENTITIES],
    /// Entities whose pending operation has a priority.
    drawn: EntitySet,
}

impl Pos {
    /// Equal seeds decide equally.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            priority: [0; MAX_ENTITIES],
            drawn: 0,
        }
    }

    /// The entity of highest priority in a set that is not empty.
    pub(super) fn highest_of(&mut self, set: EntitySet) -> EntityId {
        for e in members(set & !self.drawn) {
            self.priority[e.index()] = self.rng.next();
        }
        self.drawn |= set;
        members(set)
            .max_by_key(|e| self.priority[e.index()])
            .unwrap_or(EntityId::new(0))
    }
}

impl Strategy for Pos {
    fn begin(&mut self) {
        self.drawn = 0;
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.highest_of(decision.candidates)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        let op = step.decision.op(step.picked);
        self.drawn &= !step.picked.bit();
        for e in members(self.drawn & step.decision.candidates) {
            if step.decision.op(e).conflicts(op) {
                self.drawn &= !e.bit();
            }
        }
    }

    fn wants_steps(&self) -> bool {
        true
    }
}
