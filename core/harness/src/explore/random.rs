//! Random walk: every candidate is as likely.

use super::rng::Rng;
use ksplat_kernel::rt::{Decision, EntityId, Strategy};

/// The random walk. Cheap and hard to beat on shallow bugs; schedules that leave one entity alone for long have
/// exponentially small probability.
#[derive(Clone, Debug)]
pub struct Random {
    rng: Rng,
}

impl Random {
    /// Equal seeds decide equally.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
        }
    }
}

impl Strategy for Random {
    #[inline]
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.rng.member(decision.candidates)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }
}
