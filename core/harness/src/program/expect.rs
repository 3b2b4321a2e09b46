//! `expect` sections: what a program is known to do.

use serde::{Deserialize, Serialize};

use super::rules_text::RulesText;
use super::word::Word;
use super::{At, Name, limits};

/// How a stop happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, arbitrary::Arbitrary)]
pub enum StopKind {
    /// `deadlock`: a cycle of waits, or a wait that nothing can end.
    Deadlock,
    /// `livelock`: a cycle with spinners or retries, or tasks that run for ever without progress.
    Livelock,
}

impl Word for StopKind {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Deadlock, "deadlock"), (Self::Livelock, "livelock")];
}

/// `stop never`, `stop found`, `stop found livelock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, arbitrary::Arbitrary)]
pub enum StopExpect {
    /// No schedule stops.
    Never,
    /// A schedule stops, in the given way if one is given.
    Found(Option<StopKind>),
}

/// `report none`, `report "possible recursive locking" fs_reclaim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportExpect {
    /// Lockdep stays silent.
    None,
    /// Lockdep reports.
    Some {
        /// A part of the report's headline: printable ASCII without `"` and `\`, not empty.
        headline: String,
        /// The class the report is about: the one being taken, as lockdep names it.
        subject: Option<Name>,
    },
}

/// `state ok`, `state irq_state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateExpect {
    /// Every invariant holds.
    Ok,
    /// The invariant of this name breaks.
    Broken(Name),
}

/// The classification of a program from all its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, arbitrary::Arbitrary)]
pub enum Verdict {
    /// `REAL`: it stops.
    Real,
    /// `FALSE_POSITIVE`: lockdep reports, nothing stops within the bounds.
    FalsePositive,
    /// `BLIND`: it stops, lockdep is silent.
    Blind,
    /// `CAUGHT`: it stops and lockdep reports.
    Caught,
    /// `LATENT`: it stops only with a gate forced open.
    Latent,
    /// `STATE`: an invariant breaks, nothing else.
    State,
    /// `CLEAN`: nothing is found.
    Clean,
    /// `UNDECIDED`: the bounds were too small to say.
    Undecided,
}

impl Word for Verdict {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Real, "REAL"),
        (Self::FalsePositive, "FALSE_POSITIVE"),
        (Self::Blind, "BLIND"),
        (Self::Caught, "CAUGHT"),
        (Self::Latent, "LATENT"),
        (Self::State, "STATE"),
        (Self::Clean, "CLEAN"),
        (Self::Undecided, "UNDECIDED"),
    ];
}

/// `expect under fs_reclaim=F2 { stop never; report none; state ok; verdict CLEAN }`. What is not written is not
/// checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// The rules it is about: laid over those of the program. Empty: the program's own rules.
    pub under: RulesText,
    /// Whether it stops.
    pub stop: Option<StopExpect>,
    /// What lockdep says.
    pub report: Option<ReportExpect>,
    /// Whether the state is right.
    pub state: Option<StateExpect>,
    /// The classification.
    pub verdict: Option<Verdict>,
}

impl Expect {
    /// Whether it expects anything at all.
    pub fn says_something(&self) -> bool {
        self.stop.is_some()
            || self.report.is_some()
            || self.state.is_some()
            || self.verdict.is_some()
    }
}

/// Whether `headline` can stand between quotes.
pub fn is_headline(headline: &str) -> bool {
    (1..=limits::HEADLINE).contains(&headline.len())
        && headline
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\')
}
