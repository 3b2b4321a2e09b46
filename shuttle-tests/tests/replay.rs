//! shuttle's own schedules replay. Alone in its process: the first runner of a process decides where shuttle's panic
//! hook keeps schedules.

use ksplat_harness::run::Litmus;
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, Runner};
use shuttle_tests::litmus;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    let text = message.downcast_ref::<&str>().map(ToString::to_string);
    let text = text
        .or_else(|| message.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    assert!(text.contains("a stop"), "{text}");
    std::fs::remove_dir_all(&dir).expect("removable");
}
