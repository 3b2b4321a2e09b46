//! Stress of the page allocator on OS threads: `stress [THREADS] [SECONDS] [lockdep]`.
//!
//! Random allocation and free of mixed orders, frees of what others allocated, drains. Exit status 1 if any invariant
//! is broken at the end.

#[path = "../tests/common/stress.rs"]
mod stress;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let threads = args.next().and_then(|a| a.parse().ok()).unwrap_or(2_u8);
    let seconds = args.next().and_then(|a| a.parse().ok()).unwrap_or(30);
    let lockdep = args.next().is_some_and(|a| a == "lockdep");
    if !(1..=16).contains(&threads) {
        eprintln!("stress: 1 to 16 threads, not {threads}");
        return ExitCode::from(2);
    }
    let time = Duration::from_secs(seconds);
    let report = stress::run(threads, time, lockdep, 0x5eed);
    let rate = report.operations / seconds.max(1);
    println!("{threads} threads, {seconds} s, {rate} operations/s: {report:#?}");
    if report.clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
