//! `ksplat hunt`: generates programs, explores them on all cores, keeps what is new.

use crate::minimize::jobs;
use crate::options::{RuleOptions, bad_input};
use crate::output::{complain, say};
use crate::{files, progress, until};
use ksplat_harness::hunt::{Config, News, hunt};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat hunt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where findings and progress are kept; a hunt goes on where the last one in it stopped
    #[arg(long, default_value = "hunt", value_name = "DIR")]
    dir: PathBuf,
    /// How long; until Ctrl-C if not given
    #[arg(long)]
    seconds: Option<f64>,
    /// How many programs of this shard, counted since the first start
    #[arg(long, value_name = "N")]
    programs: Option<u64>,
    #[command(flatten)]
    rules: RuleOptions,
    /// Shard of a hunt on many machines, such as 2/8
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = shard)]
    shard: (u64, u64),
    /// Seed of the programs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Programs to mutate
    #[arg(long, default_value = "corpus/litmus", value_name = "DIR")]
    corpus: PathBuf,
    /// Make every program from random bytes alone, none from the corpus
    #[arg(long, conflicts_with = "corpus")]
    arbitrary: bool,
    /// Schedules a program
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// Programs explored at the same time; 0: as many as there are processors
    #[arg(long, default_value_t = 0)]
    jobs: usize,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let expected = || "expected I/N with 1 <= I <= N, such as 2/8".to_owned();
    let (i, n) = text.split_once('/').ok_or_else(expected)?;
    match (i.parse::<u64>(), n.parse::<u64>()) {
        (Ok(i), Ok(n)) if (1..=n).contains(&i) => Ok((i - 1, n)),
        _ => Err(expected()),
    }
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let config = match config(args) {
        Ok(config) => config,
        Err(message) => return bad_input(&message),
    };
    let stop = until::interrupted();
    let bar = progress::spinner();
    let result = hunt(&config, &stop, &|news| match news {
        News::Programs(n) => bar.set_message(format!("{n} programs")),
        News::New(_) => {}
        News::Minimised(signature, path) => {
            bar.suspend(|| say(format_args!("{signature}  {}\n", path.display())));
        }
        News::Fault(why) => {
            bar.suspend(|| complain(format_args!("ksplat: fault of this tool: {why}")))
        }
    });
    bar.finish_and_clear();
    let summary = match result {
        Ok(summary) => summary,
        Err(error) => return bad_input(&error.to_string()),
    };
    let status = crate::output::print(&format!(
        "{} programs ({} since the start), {} new findings, {} still to be minimised, {} faults\n",
        summary.programs, summary.total, summary.new, summary.pending, summary.faults
    ));
    if summary.faults > 0 {
        return ExitCode::from(1);
    }
    status
}

fn config(args: &Args) -> Result<Config, String> {
    let rules = args.rules.text()?;
    let time = until::seconds(args.seconds)?;
    let mut corpus = Vec::new();
    if !args.arbitrary {
        if !args.corpus.is_dir() {
            return Err(format!(
                "{}: a directory of programs to mutate was expected here; --corpus names another, --arbitrary does \
                 without",
                args.corpus.display()
            ));
        }
        for path in files::find(std::slice::from_ref(&args.corpus))? {
            corpus.push(files::read(&path)?.program);
        }
    }
    Ok(Config {
        dir: args.dir.clone(),
        seed: args.seed,
        shard: args.shard,
        rules,
        time,
        programs: args.programs,
        jobs: jobs(args.jobs),
        corpus,
        schedules: args.schedules,
    })
}
