//! `ksplat minimize`: the smallest program and the calmest schedule that still show a finding.

use crate::options::bad_input;
use crate::output::complain;
use crate::{files, progress, until};
use ksplat_harness::check::{Bounds, Search, search};
use ksplat_harness::finding::Signature;
use ksplat_harness::hunt::write_whole;
use ksplat_harness::minimise::{Options, minimise};
use ksplat_harness::program::Program;
use ksplat_harness::reproducer::{named_signature, replay, to_text};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Arguments of `ksplat minimize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A reproducer, or a program that shows a finding when it is explored
    file: PathBuf,
    /// Where to write the result; standard output if not given
    #[arg(short, long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Which finding to keep, such as stop/deadlock/a>b; the one that the file names, or the first
    #[arg(long, value_name = "SIGNATURE")]
    finding: Option<String>,
    /// Accept nothing that shows more: where lockdep is silent it stays silent, where no invariant breaks none does
    #[arg(long)]
    nothing_more: bool,
    /// Candidates tried at the same time; 0: as many as there are processors
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Stop after so many seconds, or fractions; what has been reached then, as on Ctrl-C, is a reproducer too
    #[arg(long)]
    seconds: Option<f64>,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let file = match files::read(&args.file) {
        Ok(file) => file,
        Err(message) => return bad_input(&message),
    };
    let (signature, choices) = match finding(args, &file.program, &file.text) {
        Ok(found) => found,
        Err(message) => return bad_input(&format!("{}: {message}", args.file.display())),
    };
    let time = match until::seconds(args.seconds) {
        Ok(time) => time,
        Err(message) => return bad_input(&message),
    };
    let (stop, begun) = (until::interrupted(), Instant::now());
    let over = || stop.load(Ordering::SeqCst) || time.is_some_and(|time| begun.elapsed() >= time);
    let before = ksplat_harness::program::print(&file.program).len();
    let bar = progress::bar(before);
    let options = Options {
        jobs: jobs(args.jobs),
        nothing_more: args.nothing_more,
        cancelled: &over,
        progress: &|left, tried| {
            bar.set_position(before.saturating_sub(left) as u64);
            bar.set_message(format!("{left} characters left, {tried} candidates tried"));
        },
        ..Options::default()
    };
    let minimised = minimise(&file.program, &signature, &choices, &options);
    bar.finish_and_clear();
    let minimised = match minimised {
        Ok(minimised) => minimised,
        Err(error) => return bad_input(&format!("{}: {error}", args.file.display())),
    };
    if over() {
        complain(format_args!(
            "ksplat: cut short: this may not be the smallest"
        ));
    }
    let text = to_text(&minimised.program, &signature);
    let Some(out) = &args.out else {
        return crate::output::print(&text);
    };
    if let Err(error) = write_whole(out, text.as_bytes()) {
        return bad_input(&error.to_string());
    }
    let operations = text.lines().count();
    crate::output::print(&format!(
        "{}: {signature}, {operations} lines, {} candidates tried\n",
        out.display(),
        minimised.tried
    ))
}

/// As many as asked for, or as there are processors.
pub fn jobs(asked: usize) -> usize {
    if asked > 0 {
        return asked;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The finding to keep, and decisions that show it if the file has them.
fn finding(args: &Args, program: &Program, text: &str) -> Result<(Signature, Vec<u32>), String> {
    let unsupported = |missing: Vec<ksplat_harness::run::Unsupported>| {
        files::show_unsupported(&args.file, &missing)
    };
    let wanted = args.finding.clone().map(Signature);
    let wanted = wanted.or_else(|| named_signature(text));
    if program.schedule.is_some() {
        let replayed = replay(program).map_err(unsupported)?.recorded;
        let decisions = program.schedule.iter().flat_map(|s| &s.decisions);
        let choices = decisions.map(|&d| u32::from(d)).collect();
        let found = replayed.signatures;
        return pick(wanted, found).map(|signature| (signature, choices));
    }
    let litmus = Litmus::new(program, &machine_rules(&program.rules)).map_err(unsupported)?;
    let enough = |s: &Search| match &wanted {
        Some(wanted) => s.found.contains_key(wanted),
        None => s.stops(),
    };
    let found = search(&litmus, &Bounds::default(), enough);
    let mut names: Vec<Signature> = found.found.keys().cloned().collect();
    names.sort_by_key(|s| !s.is_stop());
    let signature = pick(wanted, names)?;
    let choices = found.found[&signature].choices.clone();
    Ok((signature, choices))
}

fn pick(wanted: Option<Signature>, found: Vec<Signature>) -> Result<Signature, String> {
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    match wanted {
        Some(wanted) if found.contains(&wanted) => Ok(wanted),
        Some(wanted) if names.is_empty() => Err(format!("{wanted} is not shown: nothing is found")),
        Some(wanted) => Err(format!(
            "{wanted} is not shown; found: {}",
            names.join(", ")
        )),
        None => found
            .into_iter()
            .next()
            .ok_or_else(|| "nothing is found that could be minimised".to_owned()),
    }
}
