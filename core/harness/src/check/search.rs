//! Explores a program under one set of rules and collects what is found.

use crate::explore::{Bounded, Coverage, Dpor, StrategySpec};
use crate::finding::{Signature, signatures};
use crate::run::Litmus;
use ksplat_kernel::rt::{Deterministic, End, Outcome, Strategy, StrategyScheduler};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Which runtime executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// Our own executor.
    #[default]
    Deterministic,
    /// shuttle.
    Shuttle,
    /// OS threads: samples what the scheduler of the operating system happens to do.
    Threads,
}

/// Bounds of a search. Time only ends it between executions; it never influences one.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Most schedules.
    pub schedules: u64,
    /// Most time.
    pub time: Option<Duration>,
    /// What decides.
    pub strategy: StrategySpec,
    /// Seed of what decides.
    pub seed: u64,
    /// What executes.
    pub runtime: Runtime,
}

impl Default for Bounds {
    /// 10,000 schedules of the portfolio.
    fn default() -> Self {
        Self {
            schedules: 10_000,
            time: None,
            strategy: StrategySpec::default(),
            seed: 0,
            runtime: Runtime::default(),
        }
    }
}

/// The first execution that showed a finding.
#[derive(Clone, Debug)]
pub struct Found {
    /// Number of the schedule, from 1.
    pub schedule: u64,
    /// Decisions of that execution.
    pub choices: Vec<u32>,
    /// What it showed.
    pub outcome: Outcome,
}

/// What a search found, and how far it looked.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Findings by signature.
    pub found: BTreeMap<Signature, Found>,
    /// Schedules tried.
    pub schedules: u64,
    /// Every schedule up to equivalence was tried.
    pub exhaustive: bool,
    /// What a reduced exhaustive search covered, if that was what decided.
    pub coverage: Option<Coverage>,
    /// All schedules with at most so many preemptions were tried.
    pub within: Option<Coverage>,
    /// Executions given up at the step limit: they say nothing.
    pub given_up: u64,
    /// Visible operations of the longest execution.
    pub longest: u32,
    /// Internal faults: errors of this tool.
    pub faults: Vec<String>,
}

impl Search {
    fn add(&mut self, litmus: &Litmus, outcome: Outcome, choices: impl FnOnce() -> Vec<u32>) {
        self.schedules += 1;
        self.longest = self.longest.max(outcome.steps);
        self.given_up += u64::from(outcome.end == End::StepLimit);
        if let Some(fault) = &outcome.fault
            && !self.faults.contains(fault)
        {
            self.faults.push(fault.clone());
        }
        if outcome.stop.is_none() && outcome.reports.is_empty() && outcome.breaks.is_empty() {
            return;
        }
        let new: Vec<Signature> = signatures(litmus.machine(), &outcome)
            .into_iter()
            .filter(|s| !self.found.contains_key(s))
            .collect();
        if new.is_empty() {
            return;
        }
        let choices = choices();
        for signature in new {
            let found = Found {
                schedule: self.schedules,
                choices: choices.clone(),
                outcome: outcome.clone(),
            };
            self.found.insert(signature, found);
        }
    }

    /// Whether every schedule up to equivalence was tried, to its end.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.exhaustive && self.given_up == 0
    }

    /// Signatures of stops, reports or states, as `which` picks.
    pub fn signatures(
        &self,
        which: impl Fn(&Signature) -> bool,
    ) -> impl Iterator<Item = (&Signature, &Found)> {
        self.found.iter().filter(move |(s, _)| which(s))
    }

    /// Whether a stop was found.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.found.keys().any(Signature::is_stop)
    }

    /// Whether lockdep reported.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.found.keys().any(Signature::is_report)
    }

    /// Whether an invariant broke.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.found.keys().any(Signature::is_state)
    }
}

/// Explores within `bounds`. `done` is asked after every execution whether that is enough.
pub fn search(litmus: &Litmus, bounds: &Bounds, mut done: impl FnMut(&Search) -> bool) -> Search {
    let mut out = Search::default();
    let end = bounds.time.map(|t| Instant::now() + t);
    let late = || end.is_some_and(|end| Instant::now() >= end);
    match bounds.runtime {
        Runtime::Deterministic => deterministic(litmus, bounds, &mut out, &mut done, &late),
        Runtime::Threads => {
            while out.schedules < bounds.schedules && !late() {
                let outcome = litmus.run_on_threads(bounds.seed.wrapping_add(out.schedules));
                out.add(litmus, outcome, Vec::new);
                if done(&out) {
                    break;
                }
            }
        }
        Runtime::Shuttle => return under_shuttle(litmus, bounds, &late),
    }
    out
}

fn deterministic(
    litmus: &Litmus,
    bounds: &Bounds,
    out: &mut Search,
    done: &mut dyn FnMut(&Search) -> bool,
    late: &dyn Fn() -> bool,
) {
    let machine = litmus.machine();
    match bounds.strategy {
        StrategySpec::Dpor => {
            let mut dpor = Dpor::new(machine);
            executions(litmus, bounds, &mut dpor, out, done, late);
            out.coverage = Some(dpor.coverage());
        }
        StrategySpec::Bounded { preemptions } => {
            let mut bounded = Bounded::new(machine, preemptions);
            executions(litmus, bounds, &mut bounded, out, done, late);
            let coverage = bounded.coverage();
            // Where the bound kept nothing from being tried, it is none.
            out.exhaustive = coverage.complete && coverage.preemptions.is_none();
            out.within = Some(coverage).filter(Coverage::is_within);
            out.coverage = Some(coverage);
        }
        _ => {
            let mut strategy = bounds.strategy.build(machine, bounds.seed);
            executions(litmus, bounds, &mut *strategy, out, done, late);
        }
    }
}

fn executions(
    litmus: &Litmus,
    bounds: &Bounds,
    strategy: &mut dyn Strategy,
    out: &mut Search,
    done: &mut dyn FnMut(&Search) -> bool,
    late: &dyn Fn() -> bool,
) {
    let mut executor = Deterministic::new();
    while !strategy.finished() {
        if out.schedules >= bounds.schedules || late() {
            return;
        }
        let outcome = litmus.run(&mut executor, strategy);
        out.add(litmus, outcome, || litmus.machine().choices());
        if done(out) {
            return;
        }
    }
    out.exhaustive = bounds.strategy.is_exhaustive();
}

/// The same under shuttle, in short runs so that the time limit is looked at in between.
fn under_shuttle(litmus: &Litmus, bounds: &Bounds, late: &dyn Fn() -> bool) -> Search {
    use std::sync::{Arc, Mutex, PoisonError};
    let out = Arc::new(Mutex::new(Search::default()));
    let seen = Arc::clone(&out);
    let mut left = bounds.schedules;
    let mut seed = bounds.seed;
    while left > 0 && !late() {
        let now = left.min(500);
        let Ok(fresh) = Litmus::new(litmus.program(), litmus.machine().rules()) else {
            break;
        };
        let seen = Arc::clone(&seen);
        let strategy = bounds.strategy.build(litmus.machine(), seed);
        let scheduler = StrategyScheduler::new(strategy, usize::try_from(now).unwrap_or(500));
        let mut config = shuttle_engine::Config::new();
        config.failure_persistence = shuttle_engine::FailurePersistence::None;
        shuttle_engine::Runner::new(scheduler, config).run(move || {
            let outcome = fresh.run_in_shuttle();
            let choices = || fresh.machine().choices();
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(&fresh, outcome, choices);
        });
        left -= now;
        seed = seed.wrapping_add(1);
    }
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *out)
}
