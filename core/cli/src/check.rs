//! `ksplat check`: explores programs and compares with what they expect.

use crate::options::{BoundOptions, RuleOptions, bad_input};
use crate::output::{self, complain};
use crate::{files, progress, save};
use ksplat_harness::check::{Bounds, Case, CaseResult, cases};
use ksplat_harness::confirm::{Decided, Decision};
use ksplat_harness::finding::state_signature;
use ksplat_harness::program::expect::Verdict;
use ksplat_harness::program::word::Word as _;
use ksplat_harness::program::{Program, RulesText};
use ksplat_harness::{run, story};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Arguments of `ksplat check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Program files, or directories with .splat files below
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    rules: RuleOptions,
    #[command(flatten)]
    bounds: BoundOptions,
    /// Cases explored at the same time; 0: as many as there are processors
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Save a reproducer of every finding in this directory
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Print results as JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// One case of one file, and what became of it.
pub struct Done {
    pub file: usize,
    pub case: Case,
    pub result: Result<CaseResult, String>,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    program: String,
    rules: &'a str,
    stop: Vec<Finding<'a>>,
    report: Vec<Finding<'a>>,
    state: Vec<Finding<'a>>,
    verdict: &'static str,
    guard: Option<&'static str>,
    schedules: u64,
    exhaustive: bool,
    given_up: u64,
    bounds: &'a str,
    as_expected: bool,
    differs: &'a [String],
}

#[derive(Serialize)]
struct Finding<'a> {
    signature: &'a str,
    schedule: u64,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let (over, bounds) = match (args.rules.text(), args.bounds.bounds()) {
        (Ok(over), Ok(bounds)) => (over, bounds),
        (Err(message), _) | (_, Err(message)) => return bad_input(&message),
    };
    let paths = match files::find(&args.paths) {
        Ok(paths) => paths,
        Err(message) => return bad_input(&message),
    };
    let mut programs = Vec::new();
    let mut bad = false;
    for path in paths {
        match files::read(&path) {
            Ok(file) => programs.push(file),
            Err(message) => {
                complain(format_args!("{}", message.trim_end()));
                bad = true;
            }
        }
    }
    if programs.is_empty() {
        return ExitCode::from(2);
    }
    let list: Vec<&Program> = programs.iter().map(|f| &f.program).collect();
    let done = explore(&list, over.as_ref(), &bounds, args.jobs);
    let mut differing = 0;
    // Written at the end: what cannot be printed must not keep findings from being saved.
    let mut out = String::new();
    if !args.json {
        out = format!("{HEAD}\n");
    }
    for d in &done {
        let file = &programs[d.file];
        match &d.result {
            Err(message) => {
                complain(format_args!("{}:{message}", file.path.display()));
                bad = true;
            }
            Ok(result) => {
                differing += usize::from(!result.differs.is_empty());
                print_case(
                    &mut out,
                    args.json,
                    &file.path.display().to_string(),
                    &file.program,
                    result,
                );
                if let Some(dir) = &args.save
                    && let Err(message) = save::save(dir, &file.program, &d.case.under, result)
                {
                    complain(format_args!("ksplat: {message}"));
                    bad = true;
                }
            }
        }
    }
    let cases = done.len();
    if !args.json {
        let _ = writeln!(
            out,
            "{}, {}: {} as expected, {differing} not",
            output::count(programs.len(), "program"),
            output::count(cases, "case"),
            cases - differing
        );
    }
    let printed = output::print(&out);
    if printed != ExitCode::SUCCESS {
        return printed;
    }
    match (bad, differing) {
        (true, _) => ExitCode::from(2),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(1),
    }
}

const HEAD: &str = "program                  under                stop      report              state  verdict         schedules";

/// Explores every case of the programs, several at the same time, in a fixed order of results.
pub fn explore(
    programs: &[&Program],
    over: Option<&RulesText>,
    bounds: &Bounds,
    jobs: usize,
) -> Vec<Done> {
    let work: Vec<(usize, Case)> = programs
        .iter()
        .enumerate()
        .flat_map(|(i, p)| cases(p, over).into_iter().map(move |c| (i, c)))
        .collect();
    let jobs = if jobs == 0 {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        jobs
    };
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<CaseResult, String>>>> =
        work.iter().map(|_| Mutex::default()).collect();
    let bar = progress::bar(work.len());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(work.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some((file, case)) = work.get(at) else {
                        break;
                    };
                    let result = case.run(programs[*file], bounds).map_err(|missing| {
                        let lines: Vec<String> = missing
                            .iter()
                            .map(|u| format!("{}: {} cannot be executed yet", u.at, u.what))
                            .collect();
                        lines.join("\n")
                    });
                    *results[at]
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let taken = results.into_iter().map(|r| {
        r.into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    });
    work.into_iter()
        .zip(taken)
        .map(|((file, case), result)| Done {
            file,
            case,
            result: result.unwrap_or_else(|| Err("not explored".to_owned())),
        })
        .collect()
}

fn print_case(out: &mut String, json: bool, file: &str, program: &Program, result: &CaseResult) {
    if json {
        return print_json(out, file, program, result);
    }
    let cut = |text: &str, n: usize| text.chars().take(n).collect::<String>();
    let search = &result.search;
    let stop = search
        .signatures(|s| s.is_stop())
        .next()
        .map_or("never".to_owned(), |(s, _)| {
            s.0.split('/').nth(1).unwrap_or("").to_owned()
        });
    let report = search
        .signatures(|s| s.is_report())
        .next()
        .map_or("-".to_owned(), |(s, _)| {
            s.0.trim_start_matches("report/").to_owned()
        });
    let state = search
        .signatures(|s| s.is_state())
        .next()
        .map_or("ok".to_owned(), |(s, _)| {
            s.0.split('/').nth(1).unwrap_or("").to_owned()
        });
    let _ = writeln!(
        out,
        "{:<24} {:<20} {:<9} {:<19} {:<6} {:<15} {:>9}{}",
        cut(&program.name.to_string(), 24),
        cut(&result.rules, 20),
        cut(&stop, 9),
        cut(&report, 19),
        state,
        result.judgement.verdict.word(),
        search.schedules,
        tried(result),
    );
    for line in because(result) {
        let _ = writeln!(out, "{:<24}   {line}", "");
    }
    for line in violations(result) {
        let _ = writeln!(out, "  {line}");
    }
    for differs in &result.differs {
        let _ = writeln!(out, "{:<24}   DIFFERS: {differs}", "");
    }
    if !result.differs.is_empty() {
        for (signature, found) in &search.found {
            let _ = writeln!(out, "  found {signature} in schedule {}", found.schedule);
            let _ = write!(
                out,
                "{}",
                indent(&story::headlines(result.litmus.machine(), &found.outcome))
            );
        }
    }
}

/// What the number of schedules is of: a sample, all, or all with at most so many preemptions.
fn tried(result: &CaseResult) -> String {
    if result.judgement.every_schedule.is_some() {
        return " all".to_owned();
    }
    let bound = result.search.within.and_then(|c| c.preemptions);
    bound.map_or_else(String::new, |n| format!(" <={n}"))
}

/// What a verdict rests on, in a line each.
fn because(result: &CaseResult) -> Vec<String> {
    let j = &result.judgement;
    let mut out = Vec::new();
    if let Some(g) = &j.guard {
        out.push(format!(
            "prevented by guard {}: without it {} after {} schedules",
            g.setting.name(),
            g.stop,
            g.schedules
        ));
    }
    if let Some(g) = &j.gate {
        out.push(format!(
            "behind the gate {}={}: {} after {} schedules",
            g.setting.name(),
            g.setting.value(),
            g.stop,
            g.schedules
        ));
    }
    if let (Verdict::FalsePositive, Some(executions)) = (j.verdict, j.every_schedule) {
        let executions = output::count(executions as usize, "execution");
        out.push(format!("all schedules up to equivalence, in {executions}"));
    }
    if let (None, Some(coverage)) = (j.every_schedule, result.search.coverage) {
        let bound = result.search.within;
        if bound != Some(coverage) {
            out.push(format!("exhaustive search: {coverage}"));
        }
        out.extend(bound.map(|c| c.to_string()));
    }
    let confirmed = |d: &Decided| matches!(d.decision, Decision::Confirmed(_));
    if result.search.stops() && !j.reports.is_empty() && !j.reports.iter().any(confirmed) {
        out.push("no report of lockdep names the cycle that stops".to_owned());
    }
    for decided in &j.reports {
        if let Decision::Undecided { executions } = decided.decision {
            out.push(format!(
                "{}: not decided in {executions} executions",
                decided.signature
            ));
        }
    }
    if let Some(wanted) = j.wanted {
        out.push(wanted.to_owned());
    }
    out
}

/// What violates which property, each place once.
fn violations(result: &CaseResult) -> Vec<String> {
    let states = result.search.signatures(|s| s.is_state());
    let of_property = states.filter(|(s, _)| s.0.starts_with("state/property/"));
    let told = of_property.filter_map(|(signature, found)| {
        let mut breaks = found.outcome.breaks.iter();
        let broken = breaks.find(|b| state_signature(b) == *signature)?;
        let line = run::place(broken.site).map_or(0, |(line, _)| line);
        Some(format!("line {line}: property {}", broken.detail))
    });
    told.collect()
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}

fn print_json(out: &mut String, file: &str, program: &Program, result: &CaseResult) {
    let search = &result.search;
    let of = |which: fn(&ksplat_harness::finding::Signature) -> bool| -> Vec<Finding<'_>> {
        search
            .signatures(which)
            .map(|(s, f)| Finding {
                signature: &s.0,
                schedule: f.schedule,
            })
            .collect()
    };
    let line = Line {
        file: file.to_owned(),
        program: program.name.to_string(),
        rules: &result.rules,
        stop: of(ksplat_harness::finding::Signature::is_stop),
        report: of(ksplat_harness::finding::Signature::is_report),
        state: of(ksplat_harness::finding::Signature::is_state),
        verdict: result.judgement.verdict.word(),
        guard: result.judgement.guard.as_ref().map(|g| g.setting.name()),
        schedules: search.schedules,
        exhaustive: search.exhaustive,
        given_up: search.given_up,
        bounds: &result.judgement.bounds,
        as_expected: result.differs.is_empty(),
        differs: &result.differs,
    };
    match serde_json::to_string(&line) {
        Ok(text) => {
            out.push_str(&text);
            out.push('\n');
        }
        Err(error) => complain(format_args!("ksplat: {error}")),
    }
}
