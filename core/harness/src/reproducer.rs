//! Reproducers: a program with the decisions of one execution and what it shows.

use crate::check::Found;
use crate::confirm::{self, Recorded};
use crate::finding::{Signature, state_name, subject};
use crate::program::expect::{Expect, ReportExpect, StateExpect, StopExpect, StopKind};
use crate::program::{Name, Program, RulesText, Schedule};
use crate::rules::{laid_over, machine_rules};
use crate::run::{Litmus, Unsupported};
use ksplat_kernel::rt::{self, Outcome};

/// First words of the comment that names a reproducer's finding.
const MARK: &str = "# reproduces ";

/// The reproducer of a finding: `program` under `under`, with the decisions that show it.
#[must_use]
pub fn reproducer(
    program: &Program,
    under: &RulesText,
    signature: &Signature,
    found: &Found,
) -> Program {
    let mut out = program.clone();
    out.rules = laid_over(&program.rules, under);
    let mut decisions: Vec<u16> = found
        .choices
        .iter()
        .map(|&c| u16::try_from(c).unwrap_or(u16::MAX))
        .collect();
    while decisions.last() == Some(&0) {
        decisions.pop();
    }
    out.schedule = Some(Schedule {
        decisions,
        ..Schedule::default()
    });
    out.expects = vec![expectation(signature, &found.outcome)];
    out
}

/// The text of a reproducer.
#[must_use]
pub fn to_text(reproducer: &Program, signature: &Signature) -> String {
    format!("{MARK}{signature}\n{}", crate::program::print(reproducer))
}

/// The finding that a reproducer's text names, if it does.
#[must_use]
pub fn named_signature(text: &str) -> Option<Signature> {
    let line = text.lines().find_map(|l| l.strip_prefix(MARK))?;
    Some(Signature(line.trim().to_owned()))
}

fn expectation(signature: &Signature, outcome: &Outcome) -> Expect {
    let mut expect = Expect::default();
    if signature.is_stop() {
        let livelock = outcome
            .stop
            .as_ref()
            .is_some_and(|s| s.kind == rt::StopKind::Livelock);
        expect.stop = Some(StopExpect::Found(Some(if livelock {
            StopKind::Livelock
        } else {
            StopKind::Deadlock
        })));
    }
    if signature.is_report() {
        let report = outcome
            .reports
            .iter()
            .find(|r| crate::finding::report_signature(r) == *signature);
        expect.report = report.map(|r| ReportExpect::Some {
            headline: r.title(),
            subject: subject(r).and_then(|s| Name::new(&s)),
        });
    }
    if signature.is_state() {
        expect.state = Name::new(state_name(signature)).map(StateExpect::Broken);
    }
    expect
}

/// What a replay showed.
#[derive(Debug)]
pub struct Replayed {
    /// The machine it ran on.
    pub litmus: Litmus,
    /// The execution, recorded and checked.
    pub recorded: Recorded,
}

/// Runs a program exactly once, with the decisions of its schedule, and records the story.
///
/// # Errors
/// What of the program cannot be executed.
pub fn replay(program: &Program) -> Result<Replayed, Vec<Unsupported>> {
    let litmus = Litmus::new(program, &machine_rules(&program.rules))?;
    let decisions = program.schedule.as_ref().map_or(&[][..], |s| &s.decisions);
    let choices: Vec<u32> = decisions.iter().map(|&d| u32::from(d)).collect();
    let recorded = confirm::record(&litmus, &choices);
    Ok(Replayed { litmus, recorded })
}
