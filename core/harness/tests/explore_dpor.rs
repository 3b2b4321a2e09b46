//! The reduction against brute force: on many small random worlds no final state, stop or state break may be lost. Many
//! more and larger ones: `cargo run --release -p ksplat-harness --example dpor_worlds`.

#[path = "common/dpor_worlds.rs"]
mod dpor_worlds;

#[test]
fn nothing_is_lost() {
    dpor_worlds::compare(0..300, 3_000);
}

#[test]
fn nothing_is_lost_where_unlocks_are_not_decided() {
    dpor_worlds::compare_promised(0..400, 3_000);
}
