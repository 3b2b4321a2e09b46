//! Why lockdep is silent about a stop: the edge that its graph lacks, and the annotation that would add it.

use crate::bisect::commit_of;
use crate::check::probe::{changing, probe, with};
use crate::check::{Found, Search};
use crate::confirm;
use crate::program::rules_text::{SWITCHES, Setting};
use crate::program::{Program, RulesText};
use crate::run::Litmus;
use ksplat_kernel::rt::{Fact, ResKind, Stop};
use std::collections::BTreeMap;

/// A dependency that a stop's cycle has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who has it.
    pub task: String,
    /// What it holds, or has to end.
    pub holds: String,
    /// What it waits for.
    pub wants: String,
}

/// A dependency of the cycle with what lockdep makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEdge {
    /// The dependency.
    pub edge: Edge,
    /// Why lockdep does not have it; `None`: it has it.
    pub why: Option<String>,
}

/// Walks the cycle of a stop and asks lockdep's graph for each of its edges.
#[must_use]
pub fn missing_edges(litmus: &Litmus, found: &Found) -> Vec<MissingEdge> {
    let Some(stop) = &found.outcome.stop else {
        return Vec::new();
    };
    let recorded = confirm::record(litmus, &found.choices);
    // Classes of the locks that lockdep was told of, by resource: what was never acquired has none.
    let classes: BTreeMap<u64, u64> = recorded
        .moments
        .iter()
        .filter(|m| Fact::from_code(m.fact) == Fact::MapGets)
        .map(|m| (m.res, (m.set >> 8) as u64))
        .collect();
    let graph = litmus.machine().lockdep().graph_info();
    let edges: Vec<(u64, u64)> = graph
        .edges
        .iter()
        .map(|e| (e.from.key().index() as u64, e.to.key().index() as u64))
        .collect();
    let n = stop.waits.len();
    (0..n)
        .map(|i| {
            let held = (i + n - 1) % n;
            let why = why(litmus, stop, held, i, &classes, &edges);
            let edge = Edge {
                task: litmus
                    .machine()
                    .entity(stop.waits[i].waiter)
                    .name()
                    .to_owned(),
                holds: name(litmus, stop, held),
                wants: name(litmus, stop, i),
            };
            MissingEdge { edge, why }
        })
        .collect()
}

fn name(litmus: &Litmus, stop: &Stop, at: usize) -> String {
    let w = &stop.waits[at];
    match w.wait {
        Some(wait) => litmus.machine().resource(wait.res).name().to_owned(),
        None => format!("cpu{}", litmus.machine().entity(w.waiter).cpu().0),
    }
}

/// Why the graph has no edge from what wait `held` is for to what wait `wants` is for.
fn why(
    litmus: &Litmus,
    stop: &Stop,
    held: usize,
    wants: usize,
    classes: &BTreeMap<u64, u64>,
    edges: &[(u64, u64)],
) -> Option<String> {
    let class = |at: usize| {
        let wait = stop.waits[at].wait?;
        classes.get(&(wait.res.index() as u64)).copied()
    };
    for at in [held, wants] {
        if class(at).is_none() {
            return Some(unmapped(litmus, stop, at));
        }
    }
    let (from, to) = (class(held)?, class(wants)?);
    if edges.contains(&(from, to)) {
        return None;
    }
    Some(
        "it was not made: the acquisition was tried only, nested, or in another context".to_owned(),
    )
}

/// Why lockdep knows nothing of a resource.
fn unmapped(litmus: &Litmus, stop: &Stop, at: usize) -> String {
    let name = name(litmus, stop, at);
    let Some(wait) = stop.waits[at].wait else {
        return format!("{name} is no lock: who keeps a CPU is not recorded");
    };
    if name.starts_with("PG_") {
        return format!(
            "{name} is a page bit: set here, cleared there, no lockdep map stands for it"
        );
    }
    let why = match litmus.machine().resource(wait.res).kind() {
        ResKind::PageBit => "is a page bit: no lockdep map stands for it",
        ResKind::Completion => "is a completion: who will complete it is not known to lockdep",
        ResKind::WaitQueue => "is a wait queue: who will wake it is not known to lockdep",
        ResKind::Work => "is a work item: the wait for it is not the wait for a lock",
        ResKind::Io => "is IO: who finishes it is not known to lockdep",
        ResKind::Memory => "is free memory: who frees it is not known to lockdep",
        ResKind::GracePeriod => "is a grace period: read sections carry no dependencies",
        ResKind::Variable => "is a variable: spinning on it is not recorded",
        ResKind::Sequence => "is a sequence count: readers only touch its map",
        _ => "was never acquired with an annotation",
    };
    format!("{name} {why}")
}

/// Switches that only tell lockdep more or less.
const ANNOTATIONS: &[&str] = &[
    "fs_reclaim",
    "mmu_notifier",
    "map_scope",
    "memcg_reclaim_holds_fs_reclaim",
    "nolockdep",
    "scope_aware_lockdep",
    "annotate_unsubmitted",
    "work_maps",
];

/// Annotations under which lockdep does report, with the commit that brought them; what it then says.
#[must_use]
pub fn reporting_annotations(
    program: &Program,
    text: &RulesText,
) -> Vec<(Setting, Option<&'static str>, String)> {
    let all = SWITCHES
        .iter()
        .filter(|s| ANNOTATIONS.contains(&s.name))
        .flat_map(|s| s.values.iter().filter_map(|v| Setting::switch(s.name, v)));
    changing(text, all)
        .filter_map(|setting| {
            let (_, found) = probe(program, &with(text, setting), Search::reports)?;
            let (report, _) = found.signatures(|s| s.is_report()).next()?;
            let commit = commit_of(setting).map(|c| c.id);
            Some((setting, commit, report.to_string()))
        })
        .collect()
}
