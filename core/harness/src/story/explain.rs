//! Explains findings in words: the cycle of waits, the broken invariant, the report.

use crate::finding::stop_word;
use crate::run::place;
use ksplat_kernel::rt::{Machine, Outcome, Stop, StuckWait, WaitHow, members};
use std::fmt::Write as _;

/// The findings of an execution as text.
#[must_use]
pub fn findings(machine: &Machine, outcome: &Outcome) -> String {
    let mut out = String::new();
    for report in &outcome.reports {
        let _ = writeln!(
            out,
            "lockdep reports: {}{}",
            report.title(),
            at(report.site)
        );
        if let Some(subject) = crate::finding::subject(report) {
            let _ = writeln!(out, "  about {subject}");
        }
        let held: Vec<String> = report
            .held
            .iter()
            .map(|h| format!("{}{}", h.class, at(h.site)))
            .collect();
        if !held.is_empty() {
            let _ = writeln!(out, "  while holding {}", held.join(", "));
        }
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
        out.push_str(&cycle(machine, stop));
    }
    if out.is_empty() {
        out.push_str("nothing found in this execution\n");
    }
    out
}

fn at(site: u32) -> String {
    place(site).map_or(String::new(), |(line, column)| {
        format!(" (at {line}:{column})")
    })
}

/// "X waits for R, which only Y can end", around the cycle.
#[must_use]
pub fn cycle(machine: &Machine, stop: &Stop) -> String {
    let mut out = format!("real stop: {}\n", stop_word(stop.kind));
    for wait in &stop.waits {
        let _ = writeln!(out, "  {}", sentence(machine, wait));
    }
    let others: Vec<&str> = members(stop.stuck)
        .filter(|id| !stop.waits.iter().any(|w| w.waiter == *id))
        .map(|id| machine.entity(id).name())
        .collect();
    if !others.is_empty() {
        let _ = writeln!(out, "  stuck behind them: {}", others.join(", "));
    }
    out
}

fn sentence(machine: &Machine, w: &StuckWait) -> String {
    let who = machine.entity(w.waiter).name();
    let enders: Vec<&str> = members(w.needs)
        .map(|id| machine.entity(id).name())
        .collect();
    let ended = match enders.as_slice() {
        [] => "which nobody can end".to_owned(),
        [one] if *one == who => "which only itself can end".to_owned(),
        [one] => format!("which only {one} can end"),
        many => format!("which only {} can end", many.join(" or ")),
    };
    match w.wait {
        None => format!(
            "{who} waits for cpu{}, {ended}",
            machine.entity(w.waiter).cpu().0
        ),
        Some(wait) => {
            let how = if wait.how == WaitHow::Spin {
                "spins on"
            } else {
                "waits for"
            };
            format!(
                "{who} {how} {}, {ended}{}",
                machine.resource(wait.res).name(),
                at(w.site)
            )
        }
    }
}
