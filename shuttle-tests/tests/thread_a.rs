//! Thread A, fs_reclaim, explored under plain shuttle, as a shuttle user would write it.

use ksplat_harness::run::Litmus;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use shuttle_tests::litmus;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SCHEDULES: usize = 300;

/// Stops and reports that a scheduler finds.
fn explore(litmus: Litmus, scheduler: impl Scheduler + 'static) -> (usize, usize) {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let seen = Arc::clone(&counts);
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(scheduler, config).run(move || {
        let outcome = litmus.run_in_shuttle();
        assert_eq!(outcome.fault, None);
        seen.0
            .fetch_add(usize::from(outcome.stop.is_some()), Relaxed);
        seen.1
            .fetch_add(usize::from(!outcome.reports.is_empty()), Relaxed);
    });
    (counts.0.load(Relaxed), counts.1.load(Relaxed))
}

#[test]
fn a1_is_a_false_positive_of_f2_under_check_random() {
    let l = litmus("a1", "F2");
    let test = move || {
        let outcome = l.run_in_shuttle();
        assert!(outcome.stop.is_none(), "no schedule stops");
        assert!(
            !outcome.reports.is_empty(),
            "lockdep reports in every schedule"
        );
    };
    shuttle::check_random(test, SCHEDULES);
}

#[test]
fn a3_deadlocks_and_only_f4_and_later_report() {
    for (variant, reports) in [("F2", false), ("F3", false), ("F4", true), ("F5", true)] {
        let random = explore(
            litmus("a3", variant),
            RandomScheduler::new_from_seed(1, SCHEDULES),
        );
        let pct = explore(
            litmus("a3", variant),
            PctScheduler::new_from_seed(1, 3, SCHEDULES),
        );
        let urw = explore(
            litmus("a3", variant),
            UrwRandomScheduler::new_from_seed(1, SCHEDULES),
        );
        for (name, (stops, reported)) in [("random", random), ("pct", pct), ("urw", urw)] {
            assert!(stops > 0, "{variant}: {name} finds the deadlock");
            assert_eq!(reported > 0, reports, "{variant}: {name}");
        }
    }
}

#[test]
fn a3_stops_under_check_pct() {
    let l = litmus("a3", "F5");
    let stops = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&stops);
    let test = move || {
        seen.fetch_add(usize::from(l.run_in_shuttle().stop.is_some()), Relaxed);
    };
    shuttle::check_pct(test, SCHEDULES, 3);
    assert!(stops.load(Relaxed) > 0);
}
