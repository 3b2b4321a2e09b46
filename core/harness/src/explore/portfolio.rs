//! A portfolio: strategies that take turns, because none is good at everything.

use super::spec::StrategySpec;
use ksplat_kernel::rt::{Decision, Ending, EntityId, Machine, Step, Strategy};

/// Strategies that take turns, one execution each. Costs at most its size times what the best member costs.
pub struct Portfolio {
    members: Vec<(StrategySpec, Box<dyn Strategy + Send>)>,
    /// Member that makes the current execution.
    turn: usize,
    begun: bool,
}

impl std::fmt::Debug for Portfolio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portfolio")
            .field("member", &self.member())
            .finish_non_exhaustive()
    }
}

impl Portfolio {
    /// Members that no search of the default portfolio goes without.
    pub const DEFAULT: [StrategySpec; 6] = [
        StrategySpec::Random,
        StrategySpec::Surw,
        StrategySpec::Pos,
        StrategySpec::Urw,
        StrategySpec::Pct { depth: 3 },
        StrategySpec::Pct { depth: 10 },
    ];

    /// A portfolio of these strategies, each with a seed of its own; of [`Portfolio::DEFAULT`] if there are none.
    #[must_use]
    pub fn new(members: &[StrategySpec], machine: &Machine, seed: u64) -> Self {
        let members = if members.is_empty() {
            &Self::DEFAULT
        } else {
            members
        };
        let build = |(i, spec): (usize, &StrategySpec)| {
            let seed = seed ^ (i as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
            (spec.clone(), spec.build(machine, seed))
        };
        Self {
            members: members.iter().enumerate().map(build).collect(),
            turn: 0,
            begun: false,
        }
    }

    /// The strategy that makes, or made last, an execution.
    #[must_use]
    pub fn member(&self) -> &StrategySpec {
        &self.members[self.turn].0
    }

    fn current(&mut self) -> &mut (dyn Strategy + Send) {
        &mut *self.members[self.turn].1
    }

    /// The next member that still has something to show, or just the next.
    fn advance(&mut self) {
        let n = self.members.len();
        let next = (1..=n).map(|i| (self.turn + i) % n);
        let next = next
            .clone()
            .find(|&i| !self.members[i].1.finished())
            .or(next.clone().next());
        self.turn = next.unwrap_or(0);
    }
}

impl Strategy for Portfolio {
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            self.advance();
        }
        self.current().begin();
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.current().pick(decision)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.current().choose(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        self.current().step(step);
    }

    fn end(&mut self, ending: &Ending<'_>) {
        self.current().end(ending);
    }

    fn wants_steps(&self) -> bool {
        self.members[self.turn].1.wants_steps()
    }

    /// A member that has seen everything has seen it for all; one with a bound has not.
    fn finished(&self) -> bool {
        let bounded = |spec: &StrategySpec| matches!(spec, StrategySpec::Bounded { .. });
        let mut members = self.members.iter();
        members.any(|(spec, m)| m.finished() && !bounded(spec))
            || self.members.iter().all(|(_, m)| m.finished())
    }
}
