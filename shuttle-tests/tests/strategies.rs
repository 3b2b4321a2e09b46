//! Every strategy is a shuttle `Scheduler`.

use ksplat_harness::check::{Bounds, Search, search};
use ksplat_harness::explore::{Directed, Party, Replay, StrategySpec};
use ksplat_harness::fuzz::{Decisions, Driven};
use ksplat_harness::run::Litmus;
use ksplat_kernel::rt::{Strategy, StrategyScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use shuttle_tests::litmus;
use std::sync::{Arc, Mutex};

/// What a shuttle test of thread A's third scenario saw.
#[derive(Default)]
struct Seen {
    executions: usize,
    /// Decisions of the first execution that stops.
    stop: Option<Vec<u32>>,
}

fn under_shuttle(strategy: impl Strategy + Send + 'static, executions: usize) -> Seen {
    let l = litmus("a3", "F5");
    run(l, strategy, executions)
}

fn run(l: Litmus, strategy: impl Strategy + Send + 'static, executions: usize) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let out = Arc::clone(&seen);
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(StrategyScheduler::new(strategy, executions), config).run(move || {
        let outcome = l.run_in_shuttle();
        assert_eq!(outcome.fault, None);
        let mut seen = out.lock().unwrap();
        seen.executions += 1;
        if outcome.stop.is_some() && seen.stop.is_none() {
            seen.stop = Some(l.machine().choices());
        }
    });
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn every_sampler_finds_the_deadlock() {
    for name in [
        "random",
        "pct:2",
        "pct:3",
        "pct:10",
        "urw",
        "pos",
        "surw",
        "portfolio",
    ] {
        let spec: StrategySpec = name.parse().expect("a strategy");
        let seen = under_shuttle(spec.build(litmus("a3", "F5").machine(), 5), 300);
        assert_eq!(seen.executions, 300, "{name}");
        assert!(seen.stop.is_some(), "{name}");
    }
}

#[test]
fn exhaustive_search_ends_by_itself() {
    let spec = StrategySpec::Dpor;
    let seen = under_shuttle(spec.build(litmus("a3", "F5").machine(), 0), 100_000);
    assert!(seen.stop.is_some() && seen.executions < 100_000);
}

#[test]
fn decisions_replay() {
    let spec = StrategySpec::Pos;
    let seen = under_shuttle(spec.build(litmus("a3", "F5").machine(), 1), 300);
    let choices = seen.stop.expect("a stop");
    let again = under_shuttle(Replay::new(choices.clone()), 1);
    assert_eq!(again.stop, Some(choices));
}

#[test]
fn bytes_and_a_directed_search_decide_too() {
    let bytes: Vec<u8> = (1..64_u8).map(|i| i.wrapping_mul(37)).collect();
    let decisions = Box::leak(Box::new(Decisions::from_bytes(&bytes)));
    assert!(!decisions.preemptions.is_empty());
    assert_eq!(under_shuttle(Driven::new(decisions), 1).executions, 1);
    let l = litmus("a3", "F5");
    let found = search(&l, &Bounds::default(), Search::stops);
    let (_, hit) = found.signatures(|s| s.is_stop()).next().expect("a stop");
    let waits = hit.outcome.stop.iter().flat_map(|s| &s.waits);
    let cycle = waits.filter_map(|w| w.wait).map(|wait| Party {
        entity: None,
        holds: wait.res,
    });
    let directed = Directed::new(cycle.collect(), 1);
    assert!(under_shuttle(directed, 50).stop.is_some());
}
