//! Trials: does this text, as a program, still show the finding?

use crate::check::{Bounds, search};
use crate::explore::{Replay, StrategySpec};
use crate::finding::{Signature, signatures};
use crate::program::{parse, print};
use crate::rules::machine_rules;
use crate::run::Litmus;
use ksplat_kernel::rt::{Deterministic, Outcome};

/// Schedules that a candidate is given to show the finding.
pub const CANDIDATE_SCHEDULES: u64 = 300;
/// Steps after which an execution of a candidate is given up: what is to be shown is short.
const STEPS: u32 = 4_000;

/// What every candidate has to show, and what besides it may show.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    signature: &'a Signature,
    reports: bool,
    breaks: bool,
}

impl<'a> Wanted<'a> {
    /// Whatever shows the signature.
    pub(super) const fn any(signature: &'a Signature) -> Self {
        Self {
            signature,
            reports: true,
            breaks: true,
        }
    }

    /// What `outcome` shows, in kind.
    pub(super) const fn like(signature: &'a Signature, outcome: &Outcome) -> Self {
        Self {
            signature,
            reports: !outcome.reports.is_empty(),
            breaks: !outcome.breaks.is_empty(),
        }
    }

    /// Whether an execution showed it.
    pub(super) fn shown_by(&self, litmus: &Litmus, outcome: &Outcome) -> bool {
        let (reports, breaks) = (!outcome.reports.is_empty(), !outcome.breaks.is_empty());
        let more = reports && !self.reports || breaks && !self.breaks;
        let clean = outcome.stop.is_none() && !reports && !breaks;
        !more && !clean && signatures(litmus.machine(), outcome).contains(self.signature)
    }
}

/// A program that shows the finding.
#[derive(Clone, Debug)]
pub(super) struct Shows {
    /// Its text.
    pub(super) lines: Vec<String>,
    /// Decisions that show it.
    pub(super) choices: Vec<u32>,
    /// What their execution showed.
    pub(super) outcome: Outcome,
}

/// Whether a text is a program that is simpler than `than` and shows the finding: with these decisions, or in a short
/// search that is the same every time.
pub(super) fn shows(
    text: &str,
    than: Option<&[String]>,
    wanted: &Wanted<'_>,
    choices: &[u32],
) -> Option<Shows> {
    let mut program = parse("candidate", text).ok()?;
    let lines: Vec<String> = print(&program).lines().map(str::to_owned).collect();
    if than.is_some_and(|than| weight(&lines) >= weight(than)) {
        return None;
    }
    let limit = program.machine.steps.unwrap_or(STEPS).min(STEPS);
    program.machine.steps = Some(limit);
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).ok()?;
    let mut executor = Deterministic::new();
    let mut replay = Replay::new(choices.to_vec());
    let outcome = litmus.run(&mut executor, &mut replay);
    if wanted.shown_by(&litmus, &outcome) {
        return Some(Shows {
            lines,
            choices: litmus.machine().choices(),
            outcome,
        });
    }
    let bounds = Bounds {
        schedules: CANDIDATE_SCHEDULES,
        strategy: StrategySpec::default(),
        ..Bounds::default()
    };
    let mut found = search(&litmus, &bounds, |s| s.found.contains_key(wanted.signature));
    let found = found.found.remove(wanted.signature)?;
    wanted.shown_by(&litmus, &found.outcome).then_some(Shows {
        lines,
        choices: found.choices,
        outcome: found.outcome,
    })
}

/// What minimisation makes smaller, so that it comes to an end: the length of the text, then the text. The plainest
/// mask counts little, though others have shorter names.
fn weight(lines: &[String]) -> (usize, String) {
    let text = lines.join("\n").replace("GFP_KERNEL", "G");
    (text.len(), text)
}
