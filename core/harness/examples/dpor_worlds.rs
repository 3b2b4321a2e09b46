//! Compares the reduced exhaustive search with brute force on thousands of random worlds: minutes.

#[path = "../tests/common/dpor_worlds.rs"]
mod dpor_worlds;

fn main() {
    dpor_worlds::compare(300..3_000, 10_000);
    dpor_worlds::compare_promised(400..6_000, 10_000);
}
