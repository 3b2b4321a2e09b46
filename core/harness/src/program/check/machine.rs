//! Rules, machine, schedule, expectations.

use super::super::error::Problem;
use super::super::expect::{Expect, ReportExpect, StateExpect, is_headline};
use super::super::machine::Machine;
use super::super::rules_text::RulesText;
use super::super::{At, Program, limits};

pub(super) fn check(program: &Program, problems: &mut Vec<Problem>) {
    rules(&program.rules, problems);
    machine(&program.machine, problems);
    if let Some(schedule) = &program.schedule
        && schedule.decisions.len() > limits::DECISIONS
    {
        let label = format!("expected at most {} decisions", limits::DECISIONS);
        problems.push(Problem::new(schedule.at, "the schedule is too long", label));
    }
    if program.expects.len() > limits::EXPECTS {
        let label = format!("expected at most {}", limits::EXPECTS);
        let at = program.expects[limits::EXPECTS].at;
        problems.push(Problem::new(at, "too many `expect` sections", label));
    }
    for (i, e) in program.expects.iter().enumerate() {
        expect(e, problems);
        if program.expects[..i]
            .iter()
            .any(|before| before.under.same_as(&e.under))
        {
            let label = "expected other rules, or one section for both";
            problems.push(Problem::new(
                e.at,
                "these rules have an `expect` section already",
                label,
            ));
        }
    }
}

fn rules(rules: &RulesText, problems: &mut Vec<Problem>) {
    if rules.release.is_some_and(|r| !r.is_legal()) {
        problems.push(Problem::new(
            rules.at,
            "there is no such release",
            "expected v2.6 or later",
        ));
    }
    for (i, setting) in rules.settings.iter().enumerate() {
        if !setting.is_legal() {
            let label = "expected a switch or guard that exists";
            problems.push(Problem::new(rules.at, "there is no such setting", label));
        }
        if rules.settings[..i].iter().any(|s| s.same_subject(*setting)) {
            let message = format!("`{}` is set twice", setting.name());
            problems.push(Problem::new(rules.at, message, "expected it once"));
        }
    }
}

fn machine(machine: &Machine, problems: &mut Vec<Problem>) {
    let at = machine.zones.first().map_or(At::NOWHERE, |zone| zone.at);
    let mut wrong = |at: At, message: &str, label: String| {
        problems.push(Problem::new(at, message, label));
    };
    if !(1..=limits::CPUS).contains(&u64::from(machine.cpus)) {
        wrong(
            at,
            "the number of CPUs is out of range",
            format!("expected 1 to {}", limits::CPUS),
        );
    }
    if !(1..=limits::NODES).contains(&u64::from(machine.nodes)) {
        wrong(
            at,
            "the number of nodes is out of range",
            format!("expected 1 to {}", limits::NODES),
        );
    }
    if machine.zones.is_empty() {
        wrong(
            at,
            "the machine has no memory",
            "expected a `zone`".to_owned(),
        );
    }
    for (i, zone) in machine.zones.iter().enumerate() {
        if zone.node >= machine.nodes {
            let label = format!("expected a node below {}", machine.nodes);
            wrong(zone.at, "the zone's node does not exist", label);
        } else if !zone.is_legal(machine.nodes) {
            let label = "expected 1 or more pages, min <= low <= high <= pages, and free <= pages";
            wrong(
                zone.at,
                "the numbers of the zone do not fit together",
                label.to_owned(),
            );
        }
        let before = &machine.zones[..i];
        if before
            .iter()
            .any(|z| z.kind == zone.kind && z.node == zone.node)
        {
            wrong(
                zone.at,
                "the node has this zone already",
                "expected one of each kind".to_owned(),
            );
        }
    }
    let pcp_fits = machine
        .pcp
        .is_none_or(|p| p.batch >= 1 && u64::from(p.high.max(p.batch)) <= limits::INSTANCES);
    if !pcp_fits {
        let label = format!("expected a batch from 1, and at most {}", limits::INSTANCES);
        wrong(
            at,
            "the numbers of the per-CPU lists are out of range",
            label,
        );
    }
    if machine.kswapd.is_some_and(|cpu| cpu >= machine.cpus) {
        wrong(
            at,
            "kswapd runs on a CPU that does not exist",
            cpu_label(machine.cpus),
        );
    }
    if machine.steps == Some(0) {
        wrong(
            at,
            "an execution of 0 steps runs nothing",
            "expected at least 1".to_owned(),
        );
    }
}

/// "expected cpu0 to cpu1".
pub(super) fn cpu_label(cpus: u8) -> String {
    match cpus {
        0 | 1 => "expected `cpu0`, the only CPU of the machine".to_owned(),
        n => format!("expected `cpu0` to `cpu{}`", n - 1),
    }
}

fn expect(expect: &Expect, problems: &mut Vec<Problem>) {
    rules(&expect.under, problems);
    if !expect.says_something() {
        let label = "expected `stop`, `report`, `state` or `verdict`";
        problems.push(Problem::new(
            expect.at,
            "this section expects nothing",
            label,
        ));
    }
    if let Some(ReportExpect::Some { headline, subject }) = &expect.report {
        let fits =
            is_headline(headline) && subject.as_ref().is_none_or(super::super::Name::is_free);
        if !fits {
            let label = "expected printable ASCII, and a name";
            problems.push(Problem::new(expect.at, "this cannot be a report", label));
        }
    }
    if let Some(StateExpect::Broken(name)) = &expect.state
        && (!name.is_free() || name.as_str() == "ok")
    {
        let label = "expected the name of an invariant";
        problems.push(Problem::new(expect.at, "this cannot be a state", label));
    }
}
