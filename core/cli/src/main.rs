//! The `ksplat` command: settles arguments about locking under memory reclaim.

mod bisect;
mod check;
mod explain;
mod files;
mod from_fuzz;
mod hunt;
mod lockdep;
mod matrix;
mod minimize;
mod options;
mod output;
mod progress;
mod replay;
mod save;
mod until;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Settles arguments about locking under memory reclaim: does a schedule really stop, does lockdep report, is some
/// state wrong?
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(after_help = "Exit status: 0 as expected, 1 not as expected, 2 bad input.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explore programs, classify what is found, compare it with what they expect
    Check(check::Args),
    /// Run a reproducer exactly once and print its story
    Replay(replay::Args),
    /// Explore scenario by variant and compare with the expected matrix, cell by cell
    Matrix(matrix::Args),
    /// Argue a verdict in full: bounds, story, why lockdep says what it says, what the finding needs
    Explain(explain::Args),
    /// Find the release, switch and commit that brings a finding or takes it away, and what that costs
    Bisect(bisect::Args),
    /// Generate programs, explore them, keep, confirm and reduce what is new
    Hunt(hunt::Args),
    /// Reduce a program and its schedule to the smallest that still shows a finding
    Minimize(minimize::Args),
    /// Convert an input of a fuzz target to a program
    FromFuzz(from_fuzz::Args),
    /// Run lock programs and compare with the real kernel's lockdep
    Lockdep(lockdep::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { 2 } else { 0 };
            // Nothing is left to be told if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Bisect(args) => bisect::run(&args),
        Command::Hunt(args) => hunt::run(&args),
        Command::Minimize(args) => minimize::run(&args),
        Command::FromFuzz(args) => from_fuzz::run(&args),
        Command::Lockdep(args) => lockdep::run(&args),
    }
}
