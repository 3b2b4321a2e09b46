//! The `ksplat` command.

mod lockdep;

use clap::Parser;
use std::process::ExitCode;

/// Settles arguments about locking under memory reclaim.
#[derive(Parser)]
#[command(version)]
enum Cli {
    Lockdep(lockdep::Args),
}

fn main() -> ExitCode {
    match Cli::parse() {
        Cli::Lockdep(args) => lockdep::run(&args),
    }
}
