//! The reduction against brute force: on many small random worlds no final state, stop or state break may be lost. Many
//! more and larger ones: `cargo run --release -p ksplat-harness --example dpor_worlds`.

#[path = "common/dpor_worlds.rs"]
mod dpor_worlds;

#[test]
fn nothing_is_lost() {
    dpor_worlds::compare(0..300, 3_000);
}
