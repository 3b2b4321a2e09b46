//! The reductions against brute force: on many small random worlds no final state, stop or state break may be lost. Many
//! more and larger ones: `cargo run --release -p ksplat-harness --example dpor_worlds`.

#[path = "common/dpor_worlds.rs"]
mod dpor_worlds;

use dpor_worlds::{compare, compare_bounded, compare_promised, plain, wide};

#[test]
fn nothing_is_lost() {
    compare(plain, 0..300, 3_000);
}

#[test]
fn nothing_is_lost_with_priorities_and_every_kind_of_lock() {
    compare(wide, 0..250, 2_000);
}

#[test]
fn nothing_is_lost_within_a_bound_of_preemptions() {
    compare_bounded(plain, 0..60, 2_000);
    compare_bounded(wide, 0..90, 2_000);
}

#[test]
fn nothing_is_lost_where_unlocks_are_not_decided() {
    compare_promised(plain, 0..200, 2_000);
    compare_promised(wide, 0..120, 2_000);
}
