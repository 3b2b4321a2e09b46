//! PCT: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010).

use super::rng::Rng;
use ksplat_kernel::rt::{Decision, EntityId, EntitySet, MAX_ENTITIES, OpKind, Strategy, members};

/// Decisions assumed for the first execution.
const FIRST_ESTIMATE: u32 = 64;

/// Random distinct priorities, the highest runs; at `depth - 1` random decisions the running entity falls below all.
///
/// Finds a bug of depth `d` among `n` entities and `k` decisions with probability at least `1 / (n * k^(d-1))`. `k` is
/// the most decisions seen in an execution so far. An entity that only yields falls below all too: a spinner of high
/// priority would starve the others.
#[derive(Clone, Debug)]
pub struct Pct {
    rng: Rng,
    depth: u32,
    estimate: u32,
    decisions: u32,
    /// Decisions at which the priority changes, ascending from the back.
    changes: Vec<u32>,
    /// Higher runs first; random ones are at least `1 << 32`, those of the fallen below.
    priority: [u64; MAX_ENTITIES],
    /// Entities that have a priority.
    drawn: EntitySet,
    lowest: u64,
}

impl Pct {
    /// Depth `depth`, at least 1 (no change of priority at all).
    #[must_use]
    pub fn new(depth: u32, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            depth: depth.max(1),
            estimate: FIRST_ESTIMATE,
            decisions: 0,
            changes: Vec::with_capacity(depth as usize),
            priority: [0; MAX_ENTITIES],
            drawn: 0,
            lowest: 0,
        }
    }

    fn highest(&self, candidates: EntitySet) -> EntityId {
        members(candidates)
            .max_by_key(|e| self.priority[e.index()])
            .unwrap_or(EntityId::new(0))
    }

    fn demote(&mut self, entity: EntityId) {
        self.lowest -= 1;
        self.priority[entity.index()] = self.lowest;
    }
}

impl Strategy for Pct {
    fn begin(&mut self) {
        self.estimate = self.estimate.max(self.decisions);
        if self.decisions != 0 && self.estimate == FIRST_ESTIMATE {
            self.estimate = self.decisions;
        }
        self.decisions = 0;
        self.lowest = 1 << 32;
        self.drawn = 0;
        self.changes.clear();
        for _ in 1..self.depth {
            self.changes.push(self.rng.below(self.estimate));
        }
        self.changes.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        for e in members(decision.candidates & !self.drawn) {
            self.priority[e.index()] = self.rng.next() | 1 << 32;
        }
        self.drawn |= decision.candidates;
        let yielding = |e: EntityId| decision.op(e).kind == OpKind::Yield;
        if let Some(current) = decision.current.filter(|&c| yielding(c)) {
            self.demote(current);
        }
        while self.changes.last() == Some(&self.decisions) {
            self.changes.pop();
            let top = self.highest(decision.candidates);
            self.demote(top);
        }
        self.decisions += 1;
        self.highest(decision.candidates)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }
}
