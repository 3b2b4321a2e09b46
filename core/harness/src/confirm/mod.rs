//! Confirms findings: an alarm must replay twice, step by step the same, and survive the independent checker.

mod reports;

pub use reports::{Decided, Decision, decide, names_cycle};

use crate::check::{Found, Search};
use crate::checker::{self, Opinion};
use crate::explore::Replay;
use crate::finding::{Signature, signatures};
use crate::run::Litmus;
use crate::story::{Moment, recorded};
use ksplat_kernel::rt::{Deterministic, Outcome};

/// One recorded execution with recorded decisions.
#[derive(Debug)]
pub struct Recorded {
    /// What it showed.
    pub outcome: Outcome,
    /// Its events.
    pub moments: Vec<Moment>,
    /// What it showed, by name.
    pub signatures: Vec<Signature>,
    /// The checker's answer about each.
    pub opinions: Vec<Opinion>,
    /// Number of the first recorded decision that the execution did not have, or had with fewer options.
    pub diverged: Option<usize>,
}

/// Runs a program once with these decisions, records and checks it.
#[must_use]
pub fn record(litmus: &Litmus, choices: &[u32]) -> Recorded {
    let machine = litmus.machine();
    machine.set_recording(true);
    let mut strategy = Replay::new(choices.to_vec());
    let (outcome, moments) = recorded(|| litmus.run(&mut Deterministic::new(), &mut strategy));
    machine.set_recording(false);
    let unused = strategy.unused();
    let diverged = strategy
        .diverged()
        .or((unused > 0).then(|| choices.len() - unused));
    Recorded {
        signatures: signatures(machine, &outcome),
        opinions: checker::check(machine, &moments, &outcome),
        outcome,
        moments,
        diverged,
    }
}

/// Confirms one finding.
///
/// # Errors
/// Why it must not be reported: it does not replay, does not replay the same, or the checker rejects it.
pub fn confirm(litmus: &Litmus, signature: &Signature, found: &Found) -> Result<(), String> {
    let first = record(litmus, &found.choices);
    if !first.signatures.contains(signature) {
        return Err(format!("{signature} does not replay"));
    }
    let second = record(litmus, &found.choices);
    if first.moments != second.moments {
        return Err(format!("{signature} replays differently each time"));
    }
    let opinion = first.opinions.iter().find(|o| o.signature == *signature);
    match opinion.map(|o| &o.answer) {
        Some(Ok(_)) => Ok(()),
        Some(Err(why)) => Err(format!("the checker rejects {signature}: {why}")),
        None => Err(format!("the checker has no opinion about {signature}")),
    }
}

/// Takes everything out of a search that is not confirmed; it becomes a fault of this tool.
pub fn confirm_all(litmus: &Litmus, search: &mut Search) {
    let refuse = |(signature, found): (&Signature, &Found)| {
        let why = confirm(litmus, signature, found).err()?;
        Some((signature.clone(), why))
    };
    let refused: Vec<(Signature, String)> = search.found.iter().filter_map(refuse).collect();
    for (signature, why) in refused {
        search.found.remove(&signature);
        search.faults.push(why);
    }
}
