//! Thread A, fs_reclaim, explored under plain shuttle, as a shuttle user would write it.

use ksplat_harness::program::{Program, RulesText, parse, rules_text::Setting};
use ksplat_harness::rules::{laid_over, machine_rules};
use ksplat_harness::run::Litmus;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const SCHEDULES: usize = 300;

fn scenario(name: &str) -> Program {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/litmus/a");
    let entries = std::fs::read_dir(dir).expect("the corpus is there");
    let is = |p: &std::path::PathBuf| {
        p.file_name()
            .is_some_and(|f| f.to_string_lossy().starts_with(name))
    };
    let path = entries.map(|e| e.expect("a file").path()).find(is);
    let path = path.unwrap_or_else(|| panic!("{dir} has a scenario {name}"));
    let text = std::fs::read_to_string(&path).expect("readable");
    parse(&path.display().to_string(), &text).expect("a legal program")
}

fn litmus(name: &str, fs_reclaim: &str) -> Litmus {
    let program = scenario(name);
    let variant = Setting::switch("fs_reclaim", fs_reclaim).expect("a variant");
    let over = RulesText {
        settings: vec![variant],
        ..RulesText::default()
    };
    Litmus::new(&program, &machine_rules(&laid_over(&program.rules, &over))).expect("executable")
}

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

/// A failing assertion makes shuttle keep its schedule; the schedule alone brings the deadlock back.
#[test]
fn shuttles_schedule_replays() {
    let dir = std::env::temp_dir().join(format!("ksplat-shuttle-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder");
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::File(Some(dir.clone()));
    let fails = |l: &Litmus| assert!(l.run_in_shuttle().stop.is_none(), "a stop");
    let l = litmus("a3", "F5");
    let runner = Runner::new(RandomScheduler::new_from_seed(7, 10_000), config);
    let failed = catch_unwind(AssertUnwindSafe(|| runner.run(move || fails(&l))));
    assert!(failed.is_err(), "a schedule deadlocks");
    let file = std::fs::read_dir(&dir)
        .expect("the folder")
        .next()
        .expect("a schedule")
        .expect("a file")
        .path();
    let l = litmus("a3", "F5");
    let replayed = catch_unwind(AssertUnwindSafe(|| {
        shuttle::replay_from_file(move || fails(&l), &file)
    }));
    let message = replayed.expect_err("the schedule fails again");
    let text = message
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_default();
    assert!(text.contains("a stop"), "{text}");
    std::fs::remove_dir_all(&dir).expect("removable");
}
