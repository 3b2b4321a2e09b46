//! The `schedule` section: the decisions of one execution.

use serde::{Deserialize, Serialize};

use super::At;
use super::word::Word;

/// Who made the decisions; for the reader, not for the replay.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, arbitrary::Arbitrary,
)]
pub enum StrategyName {
    /// `random`.
    #[default]
    Random,
    /// `pct`.
    Pct,
    /// `pos`.
    Pos,
    /// `urw`.
    Urw,
    /// `surw`.
    Surw,
    /// `exhaustive`.
    Exhaustive,
    /// `bytes`: a fuzz input.
    Bytes,
    /// `directed`: a search towards a lockdep report.
    Directed,
}

impl Word for StrategyName {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Random, "random"),
        (Self::Pct, "pct"),
        (Self::Pos, "pos"),
        (Self::Urw, "urw"),
        (Self::Surw, "surw"),
        (Self::Exhaustive, "exhaustive"),
        (Self::Bytes, "bytes"),
        (Self::Directed, "directed"),
    ];
}

/// `schedule seed 7 strategy pct { 0*12 1 3 }`.
///
/// Each number is the option taken at one decision, in order; `0*12` stands for twelve zeros. Past the end of the list
/// every decision takes option 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// The seed of the strategy that found it.
    pub seed: Option<u64>,
    /// The strategy that found it.
    pub strategy: Option<StrategyName>,
    /// The option taken at each decision.
    pub decisions: Vec<u16>,
}

impl Schedule {
    /// The decisions as (option, how often in a row), as they are printed.
    pub fn runs(&self) -> Vec<(u16, usize)> {
        let mut runs: Vec<(u16, usize)> = Vec::new();
        for &decision in &self.decisions {
            match runs.last_mut() {
                Some((option, times)) if *option == decision => *times += 1,
                _ => runs.push((decision, 1)),
            }
        }
        runs
    }
}
