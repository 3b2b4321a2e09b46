//! Findings: one element each of the triple stop, report, state, with a stable signature.

use ksplat_kernel::rt::{Machine, Outcome, StateBreak, Stop, StopKind, StuckWait};
use ksplat_lockdep::{Detail, Report};
use serde::{Deserialize, Serialize};

/// Name of a finding that does not depend on the schedule: `stop/deadlock/A>B`, `report/circular/L`, `state/irq-state`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub String);

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Signature {
    /// Whether it names a stop.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        self.0.starts_with("stop/")
    }

    /// Whether it names a lockdep report.
    #[must_use]
    pub fn is_report(&self) -> bool {
        self.0.starts_with("report/")
    }

    /// Whether it names a broken invariant.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.0.starts_with("state/")
    }
}

/// The signatures of everything that an execution showed, in the order stop, reports, states.
#[must_use]
pub fn signatures(machine: &Machine, outcome: &Outcome) -> Vec<Signature> {
    let stop = outcome.stop.iter().map(|s| stop_signature(machine, s));
    let reports = outcome.reports.iter().map(report_signature);
    stop.chain(reports)
        .chain(outcome.breaks.iter().map(state_signature))
        .collect()
}

/// Name of a kind of stop.
#[must_use]
pub const fn stop_word(kind: StopKind) -> &'static str {
    match kind {
        StopKind::Deadlock => "deadlock",
        StopKind::Livelock => "livelock",
        StopKind::NoEnder => "no-ender",
    }
}

/// The resources of the cycle, beginning with the smallest name, so that where the telling began does not matter. Where
/// there is no cycle, what the last wait is for: who else waits behind it is the schedule's business.
#[must_use]
pub fn stop_signature(machine: &Machine, stop: &Stop) -> Signature {
    let name = |w: &StuckWait| match w.wait {
        Some(w) => machine.resource(w.res).name().to_owned(),
        None => format!("cpu{}", machine.entity(w.waiter).cpu().0),
    };
    // Whom a wait counted on may be at rest itself: an interrupt that nobody raises.
    let waits = |w: &&StuckWait| w.wait.is_some() || w.needs != 0;
    let mut names: Vec<String> = stop.waits.iter().filter(waits).map(name).collect();
    if !closes(stop) {
        names.drain(..names.len().saturating_sub(1));
    }
    let smallest = (0..names.len()).min_by_key(|&i| {
        let (head, tail) = names.split_at(i);
        tail.iter().chain(head).cloned().collect::<Vec<_>>()
    });
    names.rotate_left(smallest.unwrap_or(0));
    Signature(format!("stop/{}/{}", stop_word(stop.kind), names.join(">")))
}

/// Whether the waits of a stop lead around to the first.
#[must_use]
pub fn closes(stop: &Stop) -> bool {
    let ends = stop.waits.first().zip(stop.waits.last());
    ends.is_some_and(|(first, last)| last.needs & first.waiter.bit() != 0)
}

/// The kind of report and the class it is about; for a cycle its classes, whichever of them closed it.
#[must_use]
pub fn report_signature(report: &Report) -> Signature {
    let kind = report.kind().name();
    if let Detail::Circular { path, .. } = &report.detail {
        let mut classes: Vec<String> = path.iter().map(|step| step.class.to_string()).collect();
        classes.sort();
        classes.dedup();
        return Signature(format!("report/{kind}/{}", classes.join(">")));
    }
    Signature(match subject(report) {
        Some(class) => format!("report/{kind}/{class}"),
        None => format!("report/{kind}"),
    })
}

/// The class that a report is about: the lock being acquired, or the one whose usage changed.
#[must_use]
pub fn subject(report: &Report) -> Option<String> {
    match &report.detail {
        Detail::InconsistentState { class, .. } | Detail::IrqInversion { this: class, .. } => {
            Some(class.to_string())
        }
        _ => report.acquiring.as_ref().map(|l| l.class.to_string()),
    }
}

/// What `expect` calls a broken invariant: its kind with `_` for `-`, or the name of a property.
#[must_use]
pub fn state_name(state: &Signature) -> String {
    let kind = state.0.trim_start_matches("state/");
    match kind
        .strip_prefix("property/")
        .and_then(|p| p.split('/').next())
    {
        Some(property) => property.to_owned(),
        None => kind.replace('-', "_"),
    }
}

/// The kind of invariant, and what of it broke where it holds for several things: the property, the body and the
/// operation that violates it.
#[must_use]
pub fn state_signature(broken: &StateBreak) -> Signature {
    Signature(match &broken.about {
        Some(about) => format!("state/{}/{about}", broken.kind),
        None => format!("state/{}", broken.kind),
    })
}
