//! `ksplat from-fuzz`: an input of a fuzz target as a program.

use crate::options::{RuleOptions, bad_input};
use crate::output;
use ksplat_harness::check::Found;
use ksplat_harness::fuzz::{Input, execute};
use ksplat_harness::hunt::write_whole;
use ksplat_harness::program::{self, Schedule};
use ksplat_harness::reproducer::{reproducer, to_text};
use ksplat_harness::rules::laid_over;
use ksplat_kernel::rt::Deterministic;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat from-fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The fuzz target: program
    target: String,
    /// The input, such as fuzz/artifacts/program/crash-…
    file: PathBuf,
    #[command(flatten)]
    rules: RuleOptions,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    if args.target != "program" {
        return bad_input(&format!(
            "no fuzz target '{}' has programs as inputs; expected: program",
            args.target
        ));
    }
    let over = match args.rules.text() {
        Ok(over) => over.unwrap_or_default(),
        Err(message) => return bad_input(&message),
    };
    let bytes = match std::fs::read(&args.file) {
        Ok(bytes) => bytes,
        Err(error) => return bad_input(&format!("{}: {error}", args.file.display())),
    };
    let Some(input) = Input::decode(&bytes) else {
        return bad_input(&format!(
            "{}: {} bytes do not make an input of this target",
            args.file.display(),
            bytes.len()
        ));
    };
    let text = text(&input, &over);
    let Some(output) = &args.output else {
        return output::print(&text);
    };
    match write_whole(output, text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => bad_input(&error.to_string()),
    }
}

/// The input as a reproducer of the first thing it shows, or as a plain program with its schedule.
fn text(input: &Input, over: &program::RulesText) -> String {
    let executed = execute(input, over, &mut Deterministic::new());
    let first = executed
        .as_ref()
        .and_then(|e| e.signatures.first().cloned());
    if let (Some(executed), Some(signature)) = (&executed, first) {
        let found = Found {
            schedule: 1,
            choices: executed.choices.clone(),
            outcome: executed.outcome.clone(),
        };
        return to_text(
            &reproducer(&input.program, over, &signature, &found),
            &signature,
        );
    }
    let mut program = input.program.clone();
    program.rules = laid_over(&program.rules, over);
    let decisions =
        executed.map_or_else(Vec::new, |e| e.choices.iter().map(|&c| c as u16).collect());
    program.schedule = Some(Schedule {
        decisions,
        ..Schedule::default()
    });
    program::print(&program)
}
