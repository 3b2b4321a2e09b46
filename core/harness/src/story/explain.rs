//! Explains findings in words: the cycle of waits, the broken invariant, the report as the kernel prints it.

use super::record::Moment;
use crate::finding::stop_word;
use crate::run::place;
use ksplat_kernel::rt::{
    EntityId, EntitySet, Fact, Machine, Needs, Outcome, ResId, Stop, StuckWait, WaitHow, members,
};
use ksplat_lockdep::Sites;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// The findings of an execution as text; `moments` is its log, to say where what is held was taken.
#[must_use]
pub fn findings(machine: &Machine, outcome: &Outcome, moments: &[Moment]) -> String {
    let mut out = String::new();
    for broken in &outcome.breaks {
        let text = format!(
            "broken state: {}: {}{}",
            broken.kind,
            broken.detail,
            at(broken.site)
        );
        for line in super::render::wrap(&text, super::WIDTH) {
            let _ = writeln!(out, "{line}");
        }
    }
    if let Some(stop) = &outcome.stop {
        out.push_str(&cycle(machine, stop, moments));
    }
    for report in &outcome.reports {
        if !out.is_empty() {
            out.push('\n');
        }
        for line in report.render(&Places(machine)).to_string().lines() {
            out.push_str(&fitted(line));
        }
    }
    if out.is_empty() {
        out.push_str("nothing found in this execution\n");
    }
    out
}

/// A line of a report, broken where it is too long; what it begins with stays.
fn fitted(line: &str) -> String {
    if line.len() <= super::WIDTH {
        return format!("{line}\n");
    }
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let parts = super::render::wrap(text, super::WIDTH - indent.len());
    parts.iter().map(|p| format!("{indent}{p}\n")).collect()
}

/// Names places by their line in the program and tasks by their names.
struct Places<'a>(&'a Machine);

impl Sites for Places<'_> {
    fn site(&self, site: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match place(site) {
            Some((line, _)) => write!(f, "line {line}"),
            None => f.write_str("the model"),
        }
    }

    fn task(&self, task: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.entities().get(task as usize) {
            Some(e) => f.write_str(e.name()),
            None => write!(f, "task {task}"),
        }
    }
}

/// One line a finding, for lists.
#[must_use]
pub fn headlines(machine: &Machine, outcome: &Outcome) -> String {
    let mut out = String::new();
    for report in &outcome.reports {
        let about = crate::finding::subject(report);
        let about = about.map_or(String::new(), |a| format!(" about {a}"));
        let _ = writeln!(
            out,
            "lockdep reports: {}{about}{}",
            report.title(),
            at(report.site)
        );
    }
    for broken in &outcome.breaks {
        let _ = writeln!(
            out,
            "broken state: {}: {}{}",
            broken.kind,
            broken.detail,
            at(broken.site)
        );
    }
    if let Some(stop) = &outcome.stop {
        out.push_str(&cycle(machine, stop, &[]));
    }
    out
}

fn at(site: u32) -> String {
    place(site).map_or(String::new(), |(line, _)| format!(" (line {line})"))
}

/// "X waits for R, which only Y can end", around the cycle.
#[must_use]
pub fn cycle(machine: &Machine, stop: &Stop, moments: &[Moment]) -> String {
    let mut out = format!("real stop: {}\n", stop_word(stop.kind));
    let taken = taken(moments);
    for wait in &stop.waits {
        out.push_str(&paragraph(&sentence(machine, wait, &taken)));
    }
    let others: Vec<&str> = members(stop.stuck)
        .filter(|id| !stop.waits.iter().any(|w| w.waiter == *id))
        .map(|id| machine.entity(id).name())
        .collect();
    if !others.is_empty() {
        out.push_str(&paragraph(&format!(
            "stuck behind them: {}",
            others.join(", ")
        )));
    }
    out
}

/// Where each hold that is still there was taken: by resource and holder.
fn taken(moments: &[Moment]) -> BTreeMap<(u64, u64), u64> {
    let mut held = BTreeMap::new();
    for m in moments {
        match Fact::from_code(m.fact) {
            Fact::Gets => {
                held.insert((m.res, m.entity), m.site);
            }
            Fact::Gives => {
                held.remove(&(m.res, m.entity));
            }
            _ => {}
        }
    }
    held
}

fn paragraph(text: &str) -> String {
    let lines = super::render::wrap(text, super::WIDTH - 2);
    lines.iter().map(|l| format!("  {l}\n")).collect()
}

fn sentence(machine: &Machine, w: &StuckWait, taken: &BTreeMap<(u64, u64), u64>) -> String {
    let who = machine.entity(w.waiter).name();
    let Some(wait) = w.wait else {
        if w.needs == 0 {
            return format!("{who} is at rest, and nobody that is left raises it");
        }
        let cpu = machine.entity(w.waiter).cpu().0;
        return format!("{who} waits for cpu{cpu}, {}", ended(machine, w, "give up"));
    };
    let how = if wait.how == WaitHow::Spin {
        "spins on"
    } else {
        "waits for"
    };
    let holders = holders(machine, wait.res, w.needs, wait.needs, taken);
    format!(
        "{who} {how} {}{}, {}{holders}",
        machine.resource(wait.res).name(),
        at(w.site),
        ended(machine, w, "end")
    )
}

fn ended(machine: &Machine, w: &StuckWait, verb: &str) -> String {
    let who = machine.entity(w.waiter).name();
    let enders: Vec<&str> = members(w.needs)
        .map(|id| machine.entity(id).name())
        .collect();
    match enders.as_slice() {
        [] => format!("which nobody that is left can {verb}"),
        [one] if *one == who => format!("which only {who} itself can {verb}"),
        [one] => format!("which only {one} can {verb}"),
        many => format!("which only {} can {verb}", many.join(" or ")),
    }
}

/// "(taken in line 7)" for the holders of a lock.
fn holders(
    machine: &Machine,
    res: ResId,
    who: EntitySet,
    needs: Needs,
    taken: &BTreeMap<(u64, u64), u64>,
) -> String {
    if !matches!(needs, Needs::Holders) {
        return String::new();
    }
    let line = |id: EntityId| {
        let site = taken.get(&(res.index() as u64, id.index() as u64))?;
        let (line, _) = place(*site as u32)?;
        Some(format!(
            "{} took it in line {line}",
            machine.entity(id).name()
        ))
    };
    let lines: Vec<String> = members(who).filter_map(line).collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!(" ({})", lines.join(", "))
    }
}
