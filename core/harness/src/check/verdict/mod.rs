//! From the findings of a search to a classification one can defend: what it rests on, and within which bounds.

mod blind;
mod least;
mod prerequisites;

pub use blind::{Edge, MissingEdge, missing_edges, reporting_annotations};
pub use least::{Least, Need, least};
pub use prerequisites::{Prerequisite, prerequisites};

use super::probe::{EXHAUSTIVE, bounded, changing, exhaust, guards_off, probe, with};
use super::search::{Bounds, Runtime, Search, search};
use crate::confirm::{self, Decided, Decision};
use crate::explore::StrategySpec;
use crate::finding::Signature;
use crate::program::expect::Verdict;
use crate::program::rules_text::Setting;
use crate::program::{Program, RulesText};
use crate::rules::machine_rules;
use crate::run::Litmus;
use ksplat_kernel::rules::Rules;

/// A change of the rules that makes a stop appear.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The guard taken away, or the gate opened.
    pub setting: Setting,
    /// The stop that appears.
    pub stop: Signature,
    /// Decisions that show it.
    pub choices: Vec<u32>,
    /// Schedules that it took.
    pub schedules: u64,
}

/// A classification with what it rests on.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The classification.
    pub verdict: Verdict,
    /// The guard without which the program stops.
    pub guard: Option<Opened>,
    /// The gate whose opening lets the program stop.
    pub gate: Option<Opened>,
    /// What became of each lockdep report.
    pub reports: Vec<Decided>,
    /// Executions after which every schedule was tried, up to equivalence.
    pub every_schedule: Option<u64>,
    /// The bounds, in words.
    pub bounds: String,
    /// What would decide it, where it is undecided.
    pub wanted: Option<&'static str>,
}

/// Gates that a kernel's configuration keeps closed; opened one by one to see what is behind them.
const GATES: &[(&str, &str)] = &[
    ("allow_both", "on"),
    ("report_prints", "on"),
    ("preempt_rt", "on"),
    ("cgroup", "v1"),
    ("cgroup", "v2"),
];

/// Schedules that have to pass without a stop before a forced gate is held to be needed for it.
const UNFORCED_SCHEDULES: u64 = 2_000;

/// Where not every schedule can be tried, more preemptions than these are not tried exhaustively either.
const MOST_PREEMPTIONS: u32 = 3;

/// Classifies what a search of `program` under the rules of `text` found. Stops that are met on the way are added.
pub fn judge(
    program: &Program,
    text: &RulesText,
    litmus: &Litmus,
    bounds: &Bounds,
    found: &mut Search,
) -> Judgement {
    let simulated = bounds.runtime != Runtime::Threads;
    let every_schedule = if simulated && !found.stops() {
        every_schedule(litmus, bounds, found)
    } else {
        found.exhaustive.then_some(found.schedules)
    };
    let reports = if simulated && found.reports() {
        confirm::decide(litmus, found, bounds.seed, every_schedule)
    } else {
        Vec::new()
    };
    add_confirmed(litmus, found, &reports);
    let mut judgement = Judgement {
        verdict: classify(litmus, found),
        guard: None,
        gate: None,
        reports,
        every_schedule,
        bounds: in_words(found, every_schedule),
        wanted: None,
    };
    if !simulated {
        return judgement;
    }
    match judgement.verdict {
        Verdict::Caught | Verdict::Blind | Verdict::Real if needs_force(program, text) => {
            judgement.verdict = Verdict::Latent;
        }
        Verdict::FalsePositive => judgement.guard = opened(program, text, guards_off()),
        Verdict::Clean => {
            judgement.gate = opened(program, text, gates());
            if judgement.gate.is_some() {
                judgement.verdict = Verdict::Latent;
            }
        }
        Verdict::Undecided => {
            judgement.wanted = Some(
                "most executions reached the step limit: raise `steps` in the machine section, \
                 or bound the loops of the program",
            );
        }
        _ => {}
    }
    judgement
}

/// Whether a stop needs the gates that `allow_both` forces open, which no upstream configuration opens together:
/// without the force there is none within the bounds of a gate's search.
fn needs_force(program: &Program, text: &RulesText) -> bool {
    let forced = machine_rules(text);
    if !forced.allow_both {
        return false;
    }
    let unforced = Rules {
        allow_both: false,
        ..forced
    };
    let bounds = Bounds {
        schedules: UNFORCED_SCHEDULES,
        ..Bounds::default()
    };
    Litmus::new(program, &unforced)
        .is_ok_and(|litmus| !search(&litmus, &bounds, Search::stops).stops())
}

fn classify(litmus: &Litmus, found: &Search) -> Verdict {
    let lockdep = litmus.machine().rules().lockdep;
    match (found.stops(), found.reports(), found.breaks()) {
        (true, true, _) => Verdict::Caught,
        (true, false, _) if lockdep => Verdict::Blind,
        (true, false, _) => Verdict::Real,
        (false, _, _) if found.given_up > found.schedules / 2 => Verdict::Undecided,
        (false, true, _) => Verdict::FalsePositive,
        (false, false, true) => Verdict::State,
        (false, false, false) => Verdict::Clean,
    }
}

/// Tries every schedule, if that can be done; what it shows is added to what was found.
fn every_schedule(litmus: &Litmus, bounds: &Bounds, found: &mut Search) -> Option<u64> {
    if found.exhaustive {
        return Some(found.schedules);
    }
    if matches!(bounds.strategy, StrategySpec::Bounded { .. }) {
        // What was asked for is an answer within this bound.
        return None;
    }
    let tried = found.coverage.map_or(0, |c| c.executions);
    if tried < EXHAUSTIVE {
        let mut all = exhaust(litmus, bounds);
        found.coverage = all.coverage;
        add(litmus, found, &mut all);
        if all.is_all() {
            return Some(all.schedules);
        }
    }
    within(litmus, bounds, found)
}

/// Where there are too many schedules: all with at most so many preemptions, for the largest such number that can be done.
fn within(litmus: &Litmus, bounds: &Bounds, found: &mut Search) -> Option<u64> {
    let mut executions = 0;
    for preemptions in 0..=MOST_PREEMPTIONS {
        let mut some = bounded(litmus, bounds, preemptions, executions);
        executions += some.schedules;
        let every = some.is_all().then_some(some.schedules);
        let done = some.within;
        add(litmus, found, &mut some);
        if every.is_some() {
            return every;
        }
        found.within = Some(done?);
    }
    None
}

/// Adds what a search found, if it is confirmed.
fn add(litmus: &Litmus, found: &mut Search, more: &mut Search) {
    confirm::confirm_all(litmus, more);
    for (signature, f) in std::mem::take(&mut more.found) {
        found.found.entry(signature).or_insert(f);
    }
    found.faults.append(&mut more.faults);
}

/// Stops that confirm a report are findings like others.
fn add_confirmed(litmus: &Litmus, found: &mut Search, reports: &[Decided]) {
    for decided in reports {
        let Decision::Confirmed(hit) = &decided.decision else {
            continue;
        };
        let Some(stop) = &hit.outcome.stop else {
            continue;
        };
        let signature = crate::finding::stop_signature(litmus.machine(), stop);
        if !found.found.contains_key(&signature)
            && confirm::confirm(litmus, &signature, hit).is_ok()
        {
            found.found.insert(signature, (**hit).clone());
        }
    }
}

fn gates() -> impl Iterator<Item = Setting> {
    let all = GATES.iter();
    all.filter_map(|(name, value)| Setting::switch(name, value))
}

/// The first of these changes that lets the program stop; confirmed like every finding.
fn opened(
    program: &Program,
    text: &RulesText,
    settings: impl Iterator<Item = Setting>,
) -> Option<Opened> {
    changing(text, settings).find_map(|setting| {
        let (litmus, found) = probe(program, &with(text, setting), Search::stops)?;
        let (stop, hit) = found.signatures(|s| s.is_stop()).next()?;
        confirm::confirm(&litmus, stop, hit).ok()?;
        Some(Opened {
            setting,
            stop: stop.clone(),
            choices: hit.choices.clone(),
            schedules: found.schedules,
        })
    })
}

/// Whether two rules texts mean the same machine.
#[must_use]
pub fn same_rules(a: &RulesText, b: &RulesText) -> bool {
    machine_rules(a) == machine_rules(b)
}

/// The bounds of a search in words.
#[must_use]
pub fn in_words(found: &Search, every_schedule: Option<u64>) -> String {
    let mut parts = Vec::new();
    if let Some(executions) = every_schedule {
        parts.push(format!(
            "every schedule up to equivalence ({executions} executions)"
        ));
    } else {
        let other = found.coverage.filter(|c| found.within != Some(*c));
        if found.within.is_none() || other.is_some() {
            parts.push(format!("{} schedules, a sample", found.schedules));
        }
        parts.extend(other.map(|c| format!("the exhaustive search: {c}")));
        parts.extend(found.within.map(|c| c.to_string()));
    }
    let mut words = parts.join("; ");
    if found.given_up > 0 {
        words += &format!(", {} of them given up at the step limit", found.given_up);
    }
    words
}
