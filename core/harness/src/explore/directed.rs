//! Directed search: drives entities into a given cycle of locks or waits.
//!
//! After DeadlockFuzzer (Joshi, Park, Sen, Naik, PLDI 2009): whoever is about to take the last step into the cycle is
//! held back until the others have taken theirs.

use super::pos::Pos;
use super::rng::Rng;
use ksplat_kernel::rt::{
    Decision, EntityId, EntitySet, Op, OpKind, ResId, Step, Strategy, members,
};

/// Times that an entity is let go because everybody is held back, until it is not held back again.
const PATIENCE: u32 = 2;

/// One party of a cycle: it holds its resource and wants that of the next party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Who it is; anybody if `None`.
    pub entity: Option<EntityId>,
    /// What it holds.
    pub holds: ResId,
}

/// Holds an entity back while it stands before what the cycle says it wants, holds what the cycle says it holds, and
/// nobody has taken what it wants; everything else runs as in [`Pos`]. Parties of the cycle are any number.
#[derive(Clone, Debug)]
pub struct Directed {
    cycle: Vec<Party>,
    inner: Pos,
    rng: Rng,
    /// Holders of each party's resource, as far as the operations show.
    held: Vec<EntitySet>,
    /// How often each entity was let go, in this execution.
    let_go: Vec<u32>,
    releases: u64,
}

impl Directed {
    /// Towards this cycle. With fewer than two parties nobody is ever held back.
    #[must_use]
    pub fn new(cycle: Vec<Party>, seed: u64) -> Self {
        Self {
            held: vec![0; cycle.len()],
            cycle,
            inner: Pos::new(seed),
            rng: Rng::new(seed ^ 0x6a09_e667_f3bc_c909),
            let_go: Vec::new(),
            releases: 0,
        }
    }

    /// How often somebody was let go in all executions because everybody was held back: a measure of how badly the
    /// cycle fits the program.
    #[must_use]
    pub const fn releases(&self) -> u64 {
        self.releases
    }

    /// Whether an entity is about to close its part of the cycle.
    fn poised(&self, entity: EntityId, op: Op) -> bool {
        let n = self.cycle.len();
        let takes = matches!(
            op.kind,
            OpKind::Lock | OpKind::Read | OpKind::TryLock | OpKind::Wait
        );
        let patient = self.let_go.get(entity.index()).copied().unwrap_or(0) < PATIENCE;
        n > 1
            && takes
            && patient
            && (0..n).any(|i| {
                let party = self.cycle[i];
                party.entity.is_none_or(|e| e == entity)
                    && self.held[i] & entity.bit() != 0
                    && self.cycle[(i + 1) % n].holds == op.res
            })
    }

    /// Whether an entity would take from a named party what that one is to hold.
    fn robs(&self, entity: EntityId, op: Op) -> bool {
        let takes = matches!(op.kind, OpKind::Lock | OpKind::Read | OpKind::TryLock);
        let part = self
            .cycle
            .iter()
            .any(|p| p.entity.is_none_or(|e| e == entity));
        takes && !part && self.cycle.iter().any(|p| p.holds == op.res)
    }
}

impl Strategy for Directed {
    fn begin(&mut self) {
        self.inner.begin();
        self.held.fill(0);
        self.let_go.fill(0);
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let held_back = members(decision.candidates)
            .filter(|&e| self.poised(e, decision.op(e)))
            .fold(0, |set, e| set | e.bit());
        let free = decision.candidates & !held_back;
        let honest = members(free)
            .filter(|&e| !self.robs(e, decision.op(e)))
            .fold(0, |set, e| set | e.bit());
        for set in [honest, free] {
            if set != 0 {
                return self.inner.highest_of(set);
            }
        }
        let released = self.rng.member(held_back);
        if self.let_go.len() <= released.index() {
            self.let_go.resize(released.index() + 1, 0);
        }
        self.let_go[released.index()] += 1;
        self.releases += 1;
        released
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        self.inner.step(step);
        let op = step.decision.op(step.picked);
        for (party, held) in self.cycle.iter().zip(&mut self.held) {
            if party.holds != op.res {
                continue;
            }
            match op.kind {
                // Whether a try succeeds is not announced: a wrong guess costs a release.
                OpKind::Lock | OpKind::Read | OpKind::TryLock => *held |= step.picked.bit(),
                OpKind::Unlock => *held &= !step.picked.bit(),
                _ => {}
            }
        }
    }

    fn wants_steps(&self) -> bool {
        true
    }
}
