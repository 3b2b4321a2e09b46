//! URW: uniform random walk (Zhao, Wolff, Mathur, Roychoudhury, ASPLOS 2025; the non-selective form).

use super::family::Family;
use super::rng::{Rng, nth_member};
use ksplat_kernel::rt::{Decision, Ending, EntityId, MAX_ENTITIES, Step, Strategy, members};

/// Chooses each entity with probability proportional to the operations that it still has to do. With exact counts and
/// without blocking this samples interleavings uniformly.
///
/// Counts are the mean over the executions so far; the first execution is a random walk.
#[derive(Clone, Debug)]
pub struct Urw {
    rng: Rng,
    executions: u32,
    /// Steps of each entity in all executions so far.
    total: [u64; MAX_ENTITIES],
    /// Steps that each entity is expected to do yet.
    left: [u32; MAX_ENTITIES],
    done: [u32; MAX_ENTITIES],
    family: Family,
}

impl Urw {
    /// Equal seeds decide equally.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            executions: 0,
            total: [0; MAX_ENTITIES],
            left: [0; MAX_ENTITIES],
            done: [0; MAX_ENTITIES],
            family: Family::default(),
        }
    }

    /// Looks who was made ready by the last step: what these have to do is no longer their parents'.
    fn look(&mut self, decision: &Decision<'_>) {
        let born = self.family.born(decision);
        if born == 0 {
            return;
        }
        for child in members(born) {
            self.family.leave_home(child, &mut self.left);
        }
        self.family.learn(born);
    }
}

impl Strategy for Urw {
    fn begin(&mut self) {
        self.family.begin();
        self.done = [0; MAX_ENTITIES];
        if self.executions == 0 {
            return;
        }
        let n = u64::from(self.executions);
        for (left, total) in self.left.iter_mut().zip(&self.total) {
            *left = u32::try_from((total + n / 2) / n).unwrap_or(u32::MAX);
        }
        self.family.gather(&mut self.left);
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.look(decision);
        let weight = |e: EntityId| u64::from(self.left[e.index()].max(1));
        let sum: u64 = members(decision.candidates).map(weight).sum();
        let mut at = self.rng.next() % sum;
        for e in members(decision.candidates) {
            let w = u64::from(self.left[e.index()].max(1));
            if at < w {
                return e;
            }
            at -= w;
        }
        nth_member(decision.candidates, 0)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        self.look(&step.decision);
        self.family.step(step.picked);
        let i = step.picked.index();
        self.done[i] += 1;
        self.left[i] = self.left[i].saturating_sub(1);
    }

    fn end(&mut self, _ending: &Ending<'_>) {
        self.executions += 1;
        for (total, done) in self.total.iter_mut().zip(&self.done) {
            *total += u64::from(*done);
        }
    }

    fn wants_steps(&self) -> bool {
        true
    }
}
