//! Compares the reduced exhaustive searches with brute force on thousands of random worlds and programs: minutes.

#[path = "../tests/common/dpor_programs.rs"]
mod dpor_programs;

#[path = "../tests/common/dpor_worlds.rs"]
mod dpor_worlds;

use dpor_worlds::{compare, compare_bounded, compare_promised, plain, wide};

fn main() {
    dpor_programs::compare(400..4_000, 2_000);
    compare(plain, 300..3_000, 10_000);
    compare(wide, 400..4_000, 10_000);
    compare_bounded(plain, 300..1_500, 10_000);
    compare_bounded(wide, 400..2_000, 10_000);
    compare_promised(plain, 400..6_000, 10_000);
    compare_promised(wide, 400..3_000, 10_000);
}
