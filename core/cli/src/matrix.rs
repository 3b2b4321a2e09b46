//! `ksplat matrix`: scenario by variant, expected beside found.

use crate::check::explore;
use crate::files;
use crate::options::{BoundOptions, bad_input};
use crate::output::say;
use ksplat_harness::check::CaseResult;
use ksplat_harness::program::Program;
use ksplat_harness::program::expect::{Expect, ReportExpect, StopExpect};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat matrix`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A discussion: a, b, c, d or e; all of them if none is named
    threads: Vec<String>,
    /// Where the scenarios are
    #[arg(long, default_value = "corpus/litmus", value_name = "DIR")]
    corpus: PathBuf,
    #[command(flatten)]
    bounds: BoundOptions,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let bounds = match args.bounds.bounds() {
        Ok(bounds) => bounds,
        Err(message) => return bad_input(&message),
    };
    let threads = match threads(args) {
        Ok(threads) => threads,
        Err(message) => return bad_input(&message),
    };
    let mut differing = 0;
    let mut cells = 0;
    for thread in &threads {
        let read = files::find(&[args.corpus.join(thread)]).and_then(|paths| {
            paths
                .iter()
                .map(|p| files::read(p))
                .collect::<Result<Vec<_>, _>>()
        });
        let programs = match read {
            Ok(programs) => programs,
            Err(message) => return bad_input(&message),
        };
        say(format_args!(
            "Thread {}: expected / found in each cell; D a real stop, R a lockdep report, S broken state, - nothing\n\n",
            thread.to_uppercase()
        ));
        let list: Vec<&Program> = programs.iter().map(|f| &f.program).collect();
        let done = explore(&list, None, &bounds, 0);
        let columns = columns(&list);
        let heads: Vec<String> = columns.iter().map(|c| short(c)).collect();
        say(format_args!("{}\n", row("", &heads, &heads)));
        for (i, program) in list.iter().enumerate() {
            let mut line = vec![String::new(); columns.len()];
            for d in done.iter().filter(|d| d.file == i) {
                let result = match &d.result {
                    Ok(result) => result,
                    Err(message) => {
                        return bad_input(&format!("{}:{message}", programs[i].path.display()));
                    }
                };
                let Some(expect) = &result.expect else {
                    continue;
                };
                let column = ksplat_harness::rules::spelled(&d.case.under);
                let Some(at) = columns.iter().position(|c| *c == column) else {
                    continue;
                };
                cells += 1;
                differing += usize::from(!result.differs.is_empty());
                line[at] = cell(expect, result);
            }
            say(format_args!(
                "{}\n",
                row(&program.name.to_string(), &line, &heads)
            ));
        }
        say(format_args!("\n"));
    }
    say(format_args!(
        "{cells} cells, {differing} differ from what is expected\n"
    ));
    if differing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn threads(args: &Args) -> Result<Vec<String>, String> {
    if !args.threads.is_empty() {
        return Ok(args.threads.clone());
    }
    let entries =
        std::fs::read_dir(&args.corpus).map_err(|e| format!("{}: {e}", args.corpus.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|name| name.len() == 1)
        .collect();
    names.sort();
    Ok(names)
}

/// Every set of rules that some program has an expectation for, in order of first mention.
fn columns(programs: &[&Program]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for expect in programs.iter().flat_map(|p| &p.expects) {
        let name = ksplat_harness::rules::spelled(&expect.under);
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    columns.sort();
    columns
}

/// A column's head: of a variant such as `fs_reclaim=F2` the value says enough.
fn short(rules: &str) -> String {
    let word = |w: &str| match w.split_once('=') {
        Some((_, value)) if value.starts_with(|c: char| c.is_ascii_uppercase()) => value.to_owned(),
        _ => w.trim_start_matches("guard:").to_owned(),
    };
    rules.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn row(head: &str, cells: &[String], heads: &[String]) -> String {
    let cell = |(c, h): (&String, &String)| format!("{c:<width$}", width = h.len().max(9));
    let cells: Vec<String> = cells.iter().zip(heads).map(cell).collect();
    format!("{head:<27} {}", cells.join(" "))
        .trim_end()
        .to_owned()
}

/// Expected and found, and a mark if they differ.
fn cell(expect: &Expect, result: &CaseResult) -> String {
    let stop = matches!(expect.stop, Some(StopExpect::Found(_)));
    let report = matches!(expect.report, Some(ReportExpect::Some { .. }));
    let state = matches!(
        expect.state,
        Some(ksplat_harness::program::expect::StateExpect::Broken(_))
    );
    let expected = letters(stop, report, state);
    let s = &result.search;
    let found = letters(s.stops(), s.reports(), s.breaks());
    let mark = if result.differs.is_empty() {
        ""
    } else {
        " DIFFERS"
    };
    format!("{expected} / {found}{mark}")
}

fn letters(stop: bool, report: bool, state: bool) -> String {
    let all = [(stop, 'D'), (report, 'R'), (state, 'S')];
    let letters: String = all
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, letter)| *letter)
        .collect();
    if letters.is_empty() {
        "-".to_owned()
    } else {
        letters
    }
}
