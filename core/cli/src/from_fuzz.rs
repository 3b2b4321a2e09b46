//! `ksplat from-fuzz`: an input of a fuzz target as a program.

use crate::options::{RuleOptions, bad_input};
use crate::output::say;
use ksplat_harness::check::Found;
use ksplat_harness::fuzz::{Cases, Finding, Input, Judge, Judged, Options, rules_under, seeds};
use ksplat_harness::hunt::write_whole;
use ksplat_harness::program::{self, Program, Schedule};
use ksplat_harness::reproducer::{reproducer, to_text};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `ksplat from-fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The fuzz target: program, program_shuttle or schedule
    target: String,
    /// The input, such as fuzz/artifacts/program/crash-…
    file: PathBuf,
    /// The release to run it under is --rules, else KSPLAT_RULES, else the newest, as for the target
    #[command(flatten)]
    rules: RuleOptions,
    /// The cases that `schedule` was built with
    #[arg(long, value_name = "DIR", default_value = "corpus/litmus")]
    corpus: PathBuf,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Targets whose inputs are programs, or stand for some.
const TARGETS: [&str; 3] = ["program", "program_shuttle", SCHEDULE];
const SCHEDULE: &str = "schedule";

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match convert(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => bad_input(&message),
    }
}

fn convert(args: &Args) -> Result<(), String> {
    if !TARGETS.contains(&args.target.as_str()) {
        return Err(format!(
            "no fuzz target '{}' has programs as inputs; expected one of {}",
            args.target,
            TARGETS.join(", ")
        ));
    }
    let in_file = |why: &dyn std::fmt::Display| format!("{}: {why}", args.file.display());
    let mut options = Options::from_env().map_err(|e| e.to_string())?;
    if let Some(over) = args.rules.text()? {
        options.kernel = over;
    }
    let bytes = std::fs::read(&args.file).map_err(|e| in_file(&e))?;
    let input = if args.target == SCHEDULE {
        cases(&args.corpus)?
            .decode(&bytes)
            .map_err(|e| in_file(&e))?
    } else {
        Input::decode(&bytes).map_err(|e| in_file(&e))?
    };
    let text = text(&input, options);
    match &args.output {
        None => say(format_args!("{text}")),
        Some(output) => write_whole(output, text.as_bytes()).map_err(|e| e.to_string())?,
    }
    Ok(())
}

/// What the target `schedule` chooses from.
fn cases(corpus: &Path) -> Result<Cases, String> {
    let all = seeds(corpus).map_err(|e| {
        let at = corpus.display();
        format!("{at}: {e}; expected the folder of cases that the target was built with")
    })?;
    let all = all.into_iter();
    Cases::new(all.map(|(name, input)| (name, Program::clone(&input.program)))).map_err(
        |(one, other)| {
            format!(
                "{}: {one} and {other} cannot be told apart",
                corpus.display()
            )
        },
    )
}

/// The input as a reproducer of the first thing it shows that nothing explains, or else of the first thing it shows, or
/// as a plain program with its schedule.
fn text(input: &Input, options: Options) -> String {
    let rules = rules_under(&input.program, &options.kernel);
    let mut bare = Program::clone(&input.program);
    bare.rules = rules.clone();
    let Some(judged) = Judge::new(options).judge(input) else {
        return program::print(&bare);
    };
    let choices = judged.executed.litmus.machine().choices();
    if let Some(finding) = telling(&judged) {
        let found = Found {
            schedule: 1,
            choices,
            outcome: judged.executed.outcome.clone(),
        };
        let signature = judged.signature(finding);
        return to_text(&reproducer(&bare, &rules, &signature, &found), &signature);
    }
    let decision = |&c: &u32| u16::try_from(c).unwrap_or(u16::MAX);
    bare.schedule = Some(Schedule {
        decisions: choices.iter().map(decision).collect(),
        ..Schedule::default()
    });
    program::print(&bare)
}

fn telling(judged: &Judged) -> Option<&Finding> {
    judged.unknown().or_else(|| judged.findings.first())
}
