//! `ksplat explain`: the full argument for a verdict, to be pasted into a mail.

use crate::files;
use crate::minimize::jobs;
use crate::options::{BoundOptions, RuleOptions, bad_input};
use ksplat_harness::check::{argue, cases};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A program file
    file: PathBuf,
    #[command(flatten)]
    rules: RuleOptions,
    #[command(flatten)]
    bounds: BoundOptions,
    /// All cases of the program, not only that of its own rules
    #[arg(long)]
    all: bool,
    /// Candidates tried at the same time; 0: as many as there are processors
    #[arg(long, default_value_t = 0)]
    jobs: usize,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let (over, bounds) = match (args.rules.text(), args.bounds.bounds()) {
        (Ok(over), Ok(bounds)) => (over, bounds),
        (Err(message), _) | (_, Err(message)) => return bad_input(&message),
    };
    let file = match files::read(&args.file) {
        Ok(file) => file,
        Err(message) => return bad_input(&message),
    };
    let mut cases = cases(&file.program, over.as_ref());
    if !args.all {
        cases.truncate(1);
    }
    let mut out = String::new();
    let mut differs = false;
    for case in &cases {
        let result = match case.run(&file.program, &bounds) {
            Ok(result) => result,
            Err(missing) => return bad_input(&files::show_unsupported(&args.file, &missing)),
        };
        differs |= !result.differs.is_empty();
        out += &argue(&file.program, &case.under, &result, jobs(args.jobs)).to_string();
        for what in &result.differs {
            out += &format!("NOT AS EXPECTED: {what}\n");
        }
    }
    let status = crate::output::print(&out);
    if differs { ExitCode::from(1) } else { status }
}
