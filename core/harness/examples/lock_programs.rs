//! Decides every lockdep report of six hundred random lock programs, and prints how many were real.

#[path = "../tests/common/lock_programs.rs"]
mod lock_programs;

fn main() {
    lock_programs::all_decided(600, 60);
}
