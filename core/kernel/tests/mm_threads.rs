//! The page allocator on OS threads: real races, checked against an account of its own and all invariants at the end.

#[path = "common/stress.rs"]
mod stress;

use std::time::Duration;

fn keeps_every_invariant(threads: u8, lockdep: bool) {
    let report = stress::run(threads, Duration::from_millis(500), lockdep, 0x5eed);
    assert!(report.operations > 1000, "{report:?}");
    assert!(report.clean(), "{report:?}");
}

#[test]
fn two_threads() {
    keeps_every_invariant(2, false);
    keeps_every_invariant(2, true);
}

#[test]
fn eight_threads() {
    keeps_every_invariant(8, false);
    keeps_every_invariant(8, true);
}
