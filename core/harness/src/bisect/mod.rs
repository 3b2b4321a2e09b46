//! Bisection: which release, which switch, which commit brings a finding, which takes it away, and what that costs.

mod commits;

pub use commits::{COMMITS, Commit, commit_of, follows_releases};

use crate::check::Search;
use crate::check::probe::{changing, probe, switches, with};
use crate::confirm::confirm_all;
use crate::finding::Signature;
use crate::program::rules_text::{Release, Setting};
use crate::program::{Program, RulesText};
use crate::rules::machine_rules;
use crate::run::{Litmus, Unsupported};
use std::collections::BTreeSet;

/// Releases at which some preset changes, and one before each.
const RELEASES: &[&str] = &[
    "v2.6.29", "v2.6.30", "v3.5", "v3.6", "v3.9", "v4.1", "v4.2", "v4.5", "v4.12", "v4.14",
    "v4.16", "v4.17", "v4.18", "v5.4", "v5.10", "v5.11", "v6.0", "v6.3", "v6.6", "v6.12", "v6.13",
    "v6.16",
];

/// What a program shows under one set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its findings.
    pub findings: BTreeSet<Signature>,
    /// The dependencies that lockdep learnt, as `A -> B`.
    pub edges: BTreeSet<String>,
}

/// What one change of the rules does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Findings that appear.
    pub appears: Vec<Signature>,
    /// Findings that go.
    pub goes: Vec<Signature>,
    /// Dependencies that lockdep learns in addition.
    pub new_edges: Vec<String>,
}

/// One release, and what changed since the one before.
#[derive(Clone, Debug)]
pub struct ReleaseRow {
    /// The release.
    pub release: Release,
    /// What the program shows.
    pub shown: Shown,
    /// What changed.
    pub effect: Effect,
    /// The switch that does it, alone; several if only together they do.
    pub by: Vec<Setting>,
}

/// One switch turned alone, from the rules of the program.
#[derive(Clone, Debug)]
pub struct SwitchRow {
    /// What is turned.
    pub setting: Setting,
    /// What that does.
    pub effect: Effect,
}

/// The answer of a bisection.
#[derive(Clone, Debug)]
pub struct Bisection {
    /// What the program shows under its own rules.
    pub own: Shown,
    /// Oldest first; releases that show what the one before shows are there too.
    pub releases: Vec<ReleaseRow>,
    /// Switches that change something.
    pub switches: Vec<SwitchRow>,
}

/// Bisects a program.
///
/// # Errors
/// What of the program cannot be executed.
pub fn bisect(
    program: &Program,
    mut progress: impl FnMut(usize, usize),
) -> Result<Bisection, Vec<Unsupported>> {
    Litmus::new(program, &machine_rules(&program.rules))?;
    let settings: Vec<Setting> = changing(&program.rules, switches())
        .filter(|s| s.name() != "lockdep")
        .collect();
    let all = RELEASES.len() + settings.len();
    let own = shown(program, &program.rules);
    let mut releases: Vec<ReleaseRow> = Vec::new();
    let mut before: Option<(RulesText, Shown)> = None;
    for (n, release) in RELEASES
        .iter()
        .filter_map(|r| Release::parse(r))
        .enumerate()
    {
        progress(n, all);
        let text = at_release(&program.rules, release);
        let now = shown(program, &text);
        let row = match &before {
            None => row(release, now.clone(), Effect::default(), Vec::new()),
            Some((old_text, old)) => {
                let effect = effect(old, &now);
                let by = culprits(program, old_text, &text, old, &now);
                row(release, now.clone(), effect, by)
            }
        };
        releases.push(row);
        before = Some((text, now));
    }
    let mut switches = Vec::new();
    for (n, setting) in settings.into_iter().enumerate() {
        progress(RELEASES.len() + n, all);
        let effect = effect(&own, &shown(program, &with(&program.rules, setting)));
        if effect != Effect::default() {
            switches.push(SwitchRow { setting, effect });
        }
    }
    Ok(Bisection {
        own,
        releases,
        switches,
    })
}

fn row(release: Release, shown: Shown, effect: Effect, by: Vec<Setting>) -> ReleaseRow {
    ReleaseRow {
        release,
        shown,
        effect,
        by,
    }
}

/// The program's rules at another release: what is configuration stays, what follows releases follows.
fn at_release(text: &RulesText, release: Release) -> RulesText {
    let mut out = text.clone();
    out.release = Some(release);
    out.settings.retain(|s| !follows_releases(s.name()));
    out
}

/// What a program shows: a short search whose findings are confirmed, and lockdep's edges over all of its executions.
fn shown(program: &Program, text: &RulesText) -> Shown {
    let mut out = Shown::default();
    let Ok(watched) = Litmus::new(program, &machine_rules(text)) else {
        return out;
    };
    let Some((litmus, mut found)) = probe(program, text, |_| false) else {
        return out;
    };
    confirm_all(&litmus, &mut found);
    out.edges = edges(&watched, &found);
    out.findings = found.found.into_keys().collect();
    out
}

/// lockdep's edges over a fixed set of executions.
fn edges(litmus: &Litmus, found: &Search) -> BTreeSet<String> {
    use crate::explore::{Replay, StrategySpec};
    use ksplat_kernel::rt::Deterministic;
    let mut executor = Deterministic::new();
    let mut edges = BTreeSet::new();
    let mut strategy = StrategySpec::default().build(litmus.machine(), 0);
    for _ in 0..32 {
        litmus.run(&mut executor, &mut *strategy);
        collect(litmus, &mut edges);
    }
    for f in found.found.values() {
        litmus.run(&mut executor, &mut Replay::new(f.choices.clone()));
        collect(litmus, &mut edges);
    }
    edges
}

fn collect(litmus: &Litmus, edges: &mut BTreeSet<String>) {
    let graph = litmus.machine().lockdep().graph_info();
    let name = |id| {
        let class = graph.classes.iter().find(|c| c.id == id);
        class.map_or_else(|| "?".to_owned(), ToString::to_string)
    };
    edges.extend(
        graph
            .edges
            .iter()
            .map(|e| format!("{} -> {}", name(e.from), name(e.to))),
    );
}

fn effect(old: &Shown, new: &Shown) -> Effect {
    Effect {
        appears: new.findings.difference(&old.findings).cloned().collect(),
        goes: old.findings.difference(&new.findings).cloned().collect(),
        new_edges: new.edges.difference(&old.edges).cloned().collect(),
    }
}

/// Of the switches that differ between two releases, the one that alone makes the difference in findings.
fn culprits(
    program: &Program,
    old_text: &RulesText,
    new_text: &RulesText,
    old: &Shown,
    new: &Shown,
) -> Vec<Setting> {
    if old.findings == new.findings {
        return Vec::new();
    }
    let new_rules = machine_rules(new_text);
    // Switches whose value in the new release is not that of the old one.
    let moved: Vec<Setting> = changing(old_text, switches())
        .filter(|s| machine_rules(&with(new_text, *s)) == new_rules)
        .collect();
    let alone = |s: &&Setting| shown(program, &with(old_text, **s)).findings == new.findings;
    match moved.iter().find(alone) {
        Some(one) => vec![*one],
        None => moved,
    }
}
