//! Trials: does this text, as a program, still show the finding?

use crate::check::{Bounds, search};
use crate::explore::{Replay, StrategySpec};
use crate::finding::{Signature, signatures};
use crate::program::{Program, parse, print};
use crate::rules::machine_rules;
use crate::run::Litmus;
use ksplat_kernel::rt::{Deterministic, Outcome};

/// Schedules that a candidate is given to show the finding.
pub const CANDIDATE_SCHEDULES: u64 = 300;
/// Steps after which an execution of a candidate is given up: what is to be shown is short.
const STEPS: u32 = 4_000;
/// But at least so many.
const FEWEST_STEPS: u32 = 200;

/// Whether an execution of a program shows what is meant by a signature.
pub(super) type Meant<'a> = &'a (dyn Fn(&Program, &Outcome) -> bool + Sync);

/// What the decisions make of a program.
pub(super) fn outcome(litmus: &Litmus, choices: &[u32]) -> Outcome {
    litmus.run(
        &mut Deterministic::new(),
        &mut Replay::new(choices.to_vec()),
    )
}

/// What every candidate has to show, and what besides it may show.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    signature: &'a Signature,
    reports: bool,
    breaks: bool,
    /// Most steps that it may take.
    steps: u32,
    /// Whether an execution that shows the signature shows what is meant by it.
    meant: Meant<'a>,
}

impl<'a> Wanted<'a> {
    /// Whatever shows the signature.
    pub(super) const fn any(signature: &'a Signature, meant: Meant<'a>) -> Self {
        Self {
            signature,
            reports: true,
            breaks: true,
            steps: STEPS,
            meant,
        }
    }

    /// But nothing that shows more than `outcome` does, in kind.
    pub(super) const fn like(self, outcome: &Outcome) -> Self {
        Self {
            reports: !outcome.reports.is_empty(),
            breaks: !outcome.breaks.is_empty(),
            ..self
        }
    }

    /// The program, with executions as long as they may be. `None` if it cannot run.
    pub(super) fn litmus(&self, program: &mut Program) -> Option<Litmus> {
        let limit = program.machine.steps.unwrap_or(STEPS).min(self.steps);
        program.machine.steps = Some(limit);
        Litmus::new(program, &machine_rules(&program.rules)).ok()
    }

    /// And in not many more steps than `outcome` took: a candidate that loops costs as much as all others together.
    pub(super) fn within(self, outcome: &Outcome) -> Self {
        let steps = outcome.steps.saturating_mul(4).clamp(FEWEST_STEPS, STEPS);
        Self { steps, ..self }
    }

    /// Whether an execution showed it.
    pub(super) fn shown_by(&self, litmus: &Litmus, outcome: &Outcome) -> bool {
        let (reports, breaks) = (!outcome.reports.is_empty(), !outcome.breaks.is_empty());
        let more = reports && !self.reports || breaks && !self.breaks;
        let clean = outcome.stop.is_none() && !reports && !breaks;
        !more
            && !clean
            && signatures(litmus.machine(), outcome).contains(self.signature)
            && (self.meant)(litmus.program(), outcome)
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
    let litmus = wanted.litmus(&mut program)?;
    let outcome = outcome(&litmus, choices);
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
