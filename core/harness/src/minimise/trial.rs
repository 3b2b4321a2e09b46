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

/// A program that shows the finding.
#[derive(Clone, Debug)]
pub struct Shows {
    /// Its text.
    pub lines: Vec<String>,
    /// Decisions that show it.
    pub choices: Vec<u32>,
}

/// Whether a text is a program that is simpler than `than` and shows the finding: with these decisions, or in a short
/// search that is the same every time.
pub(super) fn shows(
    text: &str,
    than: Option<&[String]>,
    signature: &Signature,
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
    if has(&litmus, &outcome, signature) {
        let choices = litmus.machine().choices();
        return Some(Shows { lines, choices });
    }
    let bounds = Bounds {
        schedules: CANDIDATE_SCHEDULES,
        strategy: StrategySpec::default(),
        ..Bounds::default()
    };
    let found = search(&litmus, &bounds, |s| s.found.contains_key(signature));
    let choices = found.found.get(signature)?.choices.clone();
    Some(Shows { lines, choices })
}

/// What minimisation makes smaller, so that it comes to an end: the length of the text, then the text. The plainest
/// mask counts little, though others have shorter names.
fn weight(lines: &[String]) -> (usize, String) {
    let text = lines.join("\n").replace("GFP_KERNEL", "G");
    (text.len(), text)
}

/// Whether an execution showed the finding.
pub(super) fn has(litmus: &Litmus, outcome: &Outcome, signature: &Signature) -> bool {
    let clean = outcome.stop.is_none() && outcome.reports.is_empty() && outcome.breaks.is_empty();
    !clean && signatures(litmus.machine(), outcome).contains(signature)
}
