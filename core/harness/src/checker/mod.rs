//! An independent second opinion: re-checks claimed findings from the event log of an execution alone.
//!
//! Nothing here asks the machine that ran. From the log and a few static facts ([`Statics`]: who runs where, who may end
//! which wait) the state of locks, waits and CPUs is rebuilt event by event ([`Books`]), an impossible event being
//! reason enough to reject; then the claim is compared with what the books say. The judge of the machine grows the set
//! of those who can go on; the checker shrinks the set of those who cannot. Both must agree.

mod books;
mod breaks;
mod ledger;
mod reports;
mod statics;
mod stops;

pub use books::Books;
pub use statics::{EntityFacts, KeyFacts, ResourceFacts, Statics};

use crate::finding::{Signature, report_signature, state_signature, stop_signature};
use crate::story::Moment;
use ksplat_kernel::rt::{Machine, Outcome};

/// What an acceptance rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Found again from the log.
    Recomputed,
    /// The log has it, and nothing in the log contradicts it; the log does not say enough to find it again.
    Recorded,
}

/// A claim that the log does not bear out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(pub String);

/// The checker's answer about one finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The finding.
    pub signature: Signature,
    /// Accepted, on which basis, or rejected, for which reason.
    pub answer: Result<Basis, Rejection>,
}

/// Checks every finding that an execution claims against its log.
#[must_use]
pub fn check(machine: &Machine, moments: &[Moment], outcome: &Outcome) -> Vec<Opinion> {
    let statics = Statics::of(machine);
    let stop = outcome.stop.iter().map(|stop| Opinion {
        signature: stop_signature(machine, stop),
        answer: stops::check(&statics, moments, stop),
    });
    let reports = outcome.reports.iter().map(|report| Opinion {
        signature: report_signature(report),
        answer: reports::check(&statics, moments, report),
    });
    let breaks = outcome.breaks.iter().map(|broken| Opinion {
        signature: state_signature(broken),
        answer: breaks::check(&statics, moments, broken),
    });
    stop.chain(reports).chain(breaks).collect()
}

/// The first claim that the checker rejects, in words.
#[must_use]
pub fn rejected(opinions: &[Opinion]) -> Option<String> {
    opinions.iter().find_map(|o| match &o.answer {
        Ok(_) => None,
        Err(why) => Some(format!("{}: {why}", o.signature)),
    })
}
