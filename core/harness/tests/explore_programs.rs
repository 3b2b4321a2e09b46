//! The exhaustive searches against brute force on random programs, in all that the language has: interrupts, softirqs,
//! timers, work items, RCU callbacks, reclaim, writeback, memcg, priorities, PREEMPT_RT. No stop and no broken invariant may
//! be lost, nor that lockdep reports. Many more: `cargo run --release -p ksplat-harness --example dpor_worlds`.

#[path = "common/dpor_programs.rs"]
mod dpor_programs;

#[test]
fn no_finding_of_a_random_program_is_lost() {
    dpor_programs::compare(0..280, 300);
}
