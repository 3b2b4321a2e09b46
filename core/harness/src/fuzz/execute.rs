//! One execution of a fuzz input, and what must hold of it whatever the program.

use super::decisions::Driven;
use super::input::{Input, STEPS};
use crate::program::rules_text::Setting;
use crate::program::{Program, RulesText};
use crate::rules::{laid_over, machine_rules};
use crate::run::Litmus;
use ksplat_kernel::rt::{Deterministic, Outcome};

/// Switches that say how a kernel is configured, and not which kernel it is. A program keeps these under the release
/// that it is fuzzed under; its other switches, and its guards, would make a kernel that nobody has.
const CONFIGURATION: [&str; 5] = [
    "preempt_rt",
    "cgroup",
    "cgroup_v1_move_charge",
    "cgroup_writeback",
    "memory_hotremove",
];

/// The rules that a program is fuzzed under: a kernel, and what the program says of its configuration.
#[must_use]
pub fn rules_under(program: &Program, kernel: &RulesText) -> RulesText {
    let configures =
        |s: &&Setting| matches!(s, Setting::Switch { .. }) && CONFIGURATION.contains(&s.name());
    let own = RulesText {
        settings: program
            .rules
            .settings
            .iter()
            .filter(configures)
            .copied()
            .collect(),
        ..RulesText::default()
    };
    laid_over(&own, kernel)
}

/// One executed input.
#[derive(Debug)]
pub struct Executed {
    /// The machine it ran on.
    pub litmus: Litmus,
    /// What it showed.
    pub outcome: Outcome,
}

/// Runs an input once under a kernel. `None`: the machine cannot execute the program.
#[must_use]
pub fn execute(
    input: &Input,
    kernel: &RulesText,
    executor: &mut Deterministic,
) -> Option<Executed> {
    Some(run(place(input, kernel)?, input, executor))
}

/// Puts an input's program on a machine. `None`: the machine cannot execute it.
pub(super) fn place(input: &Input, kernel: &RulesText) -> Option<Litmus> {
    let rules = machine_rules(&rules_under(&input.program, kernel));
    Litmus::with_steps(&input.program, &rules, STEPS).ok()
}

/// Runs an input once on the machine of its program.
pub(super) fn run(litmus: Litmus, input: &Input, executor: &mut Deterministic) -> Executed {
    let outcome = litmus.run(executor, &mut Driven::new(&input.decisions));
    Executed { litmus, outcome }
}

/// Broken invariants that no program can be blamed for: the machine's own books are wrong.
const OUR_FAULT: [&str; 1] = ["mm-"];

/// What must hold of every execution, whatever the program.
///
/// # Errors
/// Which of it does not hold.
pub fn oracle(outcome: &Outcome) -> Result<(), String> {
    if let Some(fault) = &outcome.fault {
        return Err(format!("internal fault: {fault}"));
    }
    let ours = |kind: &str| OUR_FAULT.iter().any(|o| kind.starts_with(o));
    if let Some(broken) = outcome.breaks.iter().find(|b| ours(b.kind)) {
        return Err(format!(
            "the machine's own invariant is broken: {}: {}",
            broken.kind, broken.detail
        ));
    }
    if let Some(stop) = &outcome.stop
        && (stop.stuck == 0 || stop.waits.is_empty())
    {
        return Err("a stop without anybody stuck".to_owned());
    }
    Ok(())
}
