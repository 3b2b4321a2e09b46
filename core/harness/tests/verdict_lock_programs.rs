//! Random lock programs: every lockdep report is decided, and what is decided is right. Six hundred of them:
//! `cargo run --release -p ksplat-harness --example lock_programs`.

#[path = "common/lock_programs.rs"]
mod lock_programs;

#[test]
fn every_report_is_decided() {
    lock_programs::all_decided(60, 5);
}
