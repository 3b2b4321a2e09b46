//! Confirms or refutes what lockdep reports: a stop whose cycle is the reported one, or the proof that there is none.

use crate::check::probe::{ALL_SCHEDULES, EXHAUSTIVE};
use crate::check::{Bounds, Found, Search, search};
use crate::explore::StrategySpec;
use crate::finding::Signature;
use crate::run::Litmus;
use ksplat_kernel::rt::Stop;
use ksplat_lockdep::{ClassRef, Detail, Report};
use std::collections::BTreeSet;

/// What became of a report.
#[derive(Clone, Debug)]
pub enum Decision {
    /// A schedule stops in the reported cycle.
    Confirmed(Box<Found>),
    /// Every schedule was tried, up to equivalence; none stops in the reported cycle. Whether one stops otherwise.
    Refuted {
        /// Executions that it took.
        executions: u64,
        /// A stop in another cycle exists.
        stops_otherwise: bool,
    },
    /// A report about the rules of locking, not about a cycle: it is its own proof.
    NoCycle,
    /// Neither was found within the bounds.
    Undecided {
        /// Executions that were tried.
        executions: u64,
    },
}

/// A report with what became of it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The report.
    pub signature: Signature,
    /// What became of it.
    pub decision: Decision,
    /// Schedules that it took.
    pub schedules: u64,
}

/// Directed executions before the exhaustive search begins.
const DIRECTED: u64 = 200;

/// Decides every report of a search. `every_schedule`: executions after which what was found is known to be all there is.
#[must_use]
pub fn decide(
    litmus: &Litmus,
    found: &Search,
    seed: u64,
    every_schedule: Option<u64>,
) -> Vec<Decided> {
    let reports = found.found.iter().filter(|(s, _)| s.is_report());
    reports
        .filter_map(|(signature, f)| {
            let mut reports = f.outcome.reports.iter();
            let report = reports.find(|r| crate::finding::report_signature(r) == *signature)?;
            Some(decide_one(
                litmus,
                found,
                signature,
                report,
                seed,
                every_schedule,
            ))
        })
        .collect()
}

fn decide_one(
    litmus: &Litmus,
    found: &Search,
    signature: &Signature,
    report: &Report,
    seed: u64,
    every_schedule: Option<u64>,
) -> Decided {
    let done = |decision, schedules| Decided {
        signature: signature.clone(),
        decision,
        schedules,
    };
    if cycle_classes(report).is_empty() {
        return done(Decision::NoCycle, 0);
    }
    let fits = |f: &&Found| matches(litmus, report, f);
    if let Some(known) = found.found.values().find(fits) {
        return done(Decision::Confirmed(Box::new(known.clone())), known.schedule);
    }
    if let Some(executions) = every_schedule {
        let refuted = Decision::Refuted {
            executions,
            stops_otherwise: found.stops(),
        };
        return done(refuted, executions);
    }
    let mut tried = 0;
    let mut otherwise = found.stops();
    for (strategy, schedules) in [
        (StrategySpec::default(), DIRECTED),
        (ALL_SCHEDULES, EXHAUSTIVE),
    ] {
        let exhaustive = strategy.is_exhaustive();
        let bounds = Bounds {
            schedules,
            strategy,
            seed,
            ..Bounds::default()
        };
        let more = search(litmus, &bounds, |s| s.found.values().any(|f| fits(&f)));
        tried += more.schedules;
        otherwise |= more.stops();
        if let Some(hit) = more.found.values().find(fits) {
            return done(Decision::Confirmed(Box::new(hit.clone())), tried);
        }
        if exhaustive && more.is_all() {
            let refuted = Decision::Refuted {
                executions: more.schedules,
                stops_otherwise: otherwise,
            };
            return done(refuted, tried);
        }
    }
    done(Decision::Undecided { executions: tried }, tried)
}

fn matches(litmus: &Litmus, report: &Report, found: &Found) -> bool {
    found
        .outcome
        .stop
        .as_ref()
        .is_some_and(|stop| names_cycle(litmus, report, stop))
}

/// Whether a report speaks of the locks that a stop's cycle goes through.
///
/// A circular report has to name exactly the classes of the locks in the cycle; maps that no lock stands behind stand
/// for whatever waits they were put there to tell of. A report about one class has to name one of them.
#[must_use]
pub fn names_cycle(litmus: &Litmus, report: &Report, stop: &Stop) -> bool {
    let reported = cycle_classes(report);
    let stopped = stop_classes(litmus, stop);
    let maps_only = !reported.iter().any(|class| is_lock(litmus, class));
    if let (Detail::Recursive { .. }, true) = (&report.detail, maps_only) {
        // A section that is entered again inside itself: one task that waits for itself.
        return stop.waits.len() == 1 && crate::finding::closes(stop);
    }
    if stopped.is_empty() {
        return false;
    }
    match &report.detail {
        Detail::Circular { .. } => {
            let real: BTreeSet<String> = reported
                .iter()
                .filter(|class| is_lock(litmus, class))
                .cloned()
                .collect();
            if real.len() == reported.len() {
                reported == stopped
            } else {
                real.iter().all(|class| stopped.contains(class))
            }
        }
        _ => reported.iter().any(|class| stopped.contains(class)),
    }
}

/// The classes that a report is about; none if it is not about a cycle. Subclasses count as their class.
fn cycle_classes(report: &Report) -> BTreeSet<String> {
    let classes: Vec<&ClassRef> = match &report.detail {
        Detail::Circular { path, .. } => path.iter().map(|step| &step.class).collect(),
        Detail::Recursive { class, .. } | Detail::InconsistentState { class, .. } => vec![class],
        Detail::IrqInversion { this, other, .. } => vec![this, other],
        Detail::SafeUnsafe { safe, r#unsafe, .. } => vec![safe, r#unsafe],
        _ => Vec::new(),
    };
    classes.into_iter().map(|c| plain(&c.to_string())).collect()
}

/// The class without its subclass: `a/1` is an `a`.
fn plain(class: &str) -> String {
    match class.rsplit_once('/') {
        Some((name, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => name.to_owned(),
        _ => class.to_owned(),
    }
}

/// The class that the program gives a lock of this name; none if it is no lock.
fn class_of(litmus: &Litmus, resource: &str) -> Option<String> {
    let name = plain(resource);
    let mut locks = litmus.program().locks.iter();
    let lock = locks.find(|l| l.name.to_string() == name)?;
    Some(lock.class_name().to_string())
}

fn is_lock(litmus: &Litmus, class: &str) -> bool {
    use crate::program::decl::LockKind;
    let mut locks = litmus.program().locks.iter();
    locks.any(|l| l.class_name().to_string() == class && l.kind != LockKind::LockMap)
}

/// Classes of the locks that the waits of a stop are for.
fn stop_classes(litmus: &Litmus, stop: &Stop) -> BTreeSet<String> {
    let waits = stop.waits.iter().filter_map(|w| w.wait);
    waits
        .filter_map(|w| class_of(litmus, litmus.machine().resource(w.res).name()))
        .collect()
}
