//! `ksplat replay`: runs a reproducer exactly once and tells the story.

use crate::files;
use crate::options::bad_input;
use crate::output::{complain, say};
use ksplat_harness::checker;
use ksplat_harness::program::Program;
use ksplat_harness::program::expect::{ReportExpect, StateExpect, StopExpect};
use ksplat_harness::reproducer::{Replayed, named_signature, replay};
use ksplat_harness::story;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A program with a schedule section
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    reproduced: bool,
    signatures: &'a [ksplat_harness::finding::Signature],
    diverged_at: Option<usize>,
    steps: u32,
    story: String,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let file = match files::read(&args.file) {
        Ok(file) => file,
        Err(message) => return bad_input(&message),
    };
    if file.program.schedule.is_none() {
        return bad_input(&format!(
            "{}: no schedule section: expected a reproducer, as `ksplat check --save` writes",
            args.file.display()
        ));
    }
    let replay = match replay(&file.program) {
        Ok(replay) => replay,
        Err(missing) => return bad_input(&files::show_unsupported(&args.file, &missing)),
    };
    let missed = missed(&file.program, &file.text, &replay);
    if args.json {
        print_json(&replay, missed.is_empty());
    } else {
        say(format_args!("{}", tell(&file.program, &replay)));
        for what in &missed {
            say(format_args!("NOT REPRODUCED: {what}\n"));
        }
        if missed.is_empty() {
            say(format_args!("reproduced\n"));
        }
    }
    if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// The story and the findings.
fn tell(program: &Program, replay: &Replayed) -> String {
    let rules = ksplat_harness::rules::spelled(&program.rules);
    let mut out = format!(
        "{} under {}\n\n",
        program.name,
        if rules.is_empty() { "v6.12" } else { &rules }
    );
    out += &story::steps(&replay.recorded.moments);
    out.push('\n');
    out += &story::findings(
        replay.litmus.machine(),
        &replay.recorded.outcome,
        &replay.recorded.moments,
    );
    out
}

/// What the file promises and the execution did not show.
fn missed(program: &Program, text: &str, replay: &Replayed) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(why) = checker::rejected(&replay.recorded.opinions) {
        out.push(format!("the independent checker rejects {why}"));
    }
    if let Some(at) = replay.recorded.diverged {
        out.push(format!(
            "the execution has no decision number {} as recorded: the program or the tool changed",
            at + 1
        ));
    }
    if let Some(signature) =
        named_signature(text).filter(|s| !replay.recorded.signatures.contains(s))
    {
        out.push(format!("{signature} was recorded"));
    }
    for expect in &program.expects {
        let has = |which: fn(&ksplat_harness::finding::Signature) -> bool| {
            replay.recorded.signatures.iter().any(which)
        };
        if matches!(expect.stop, Some(StopExpect::Found(_)))
            && !has(ksplat_harness::finding::Signature::is_stop)
        {
            out.push("a stop is expected".to_owned());
        }
        if matches!(expect.report, Some(ReportExpect::Some { .. }))
            && !has(ksplat_harness::finding::Signature::is_report)
        {
            out.push("a lockdep report is expected".to_owned());
        }
        if matches!(expect.state, Some(StateExpect::Broken(_)))
            && !has(ksplat_harness::finding::Signature::is_state)
        {
            out.push("broken state is expected".to_owned());
        }
    }
    out
}

fn print_json(replay: &Replayed, reproduced: bool) {
    let line = Line {
        reproduced,
        signatures: &replay.recorded.signatures,
        diverged_at: replay.recorded.diverged,
        steps: replay.recorded.outcome.steps,
        story: story::steps(&replay.recorded.moments),
    };
    match serde_json::to_string(&line) {
        Ok(text) => say(format_args!("{text}\n")),
        Err(error) => complain(format_args!("ksplat: {error}")),
    }
}
