//! `ksplat bisect`: which release, switch and commit brings a finding, which takes it away, and what that costs.

use crate::options::{RuleOptions, bad_input};
use crate::{files, progress};
use ksplat_harness::bisect::{Bisection, Effect, bisect, commit_of};
use ksplat_harness::check::probe::SCHEDULES;
use ksplat_harness::finding::Signature;
use ksplat_harness::program::rules_text::Setting;
use ksplat_harness::rules::laid_over;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `ksplat bisect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A program file
    file: PathBuf,
    #[command(flatten)]
    rules: RuleOptions,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let over = match args.rules.text() {
        Ok(over) => over,
        Err(message) => return bad_input(&message),
    };
    let mut program = match files::read(&args.file) {
        Ok(file) => file.program,
        Err(message) => return bad_input(&message),
    };
    if let Some(over) = over {
        program.rules = laid_over(&program.rules, &over);
    }
    let bar = progress::bar(100);
    let result = bisect(&program, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let result = match result {
        Ok(result) => result,
        Err(missing) => return bad_input(&files::show_unsupported(&args.file, &missing)),
    };
    let text = if args.json {
        json(&result)
    } else {
        table(&program.name.to_string(), &result)
    };
    crate::output::print(&text)
}

fn table(name: &str, b: &Bisection) -> String {
    let mut out = format!("{name}: what each release shows, {SCHEDULES} schedules each\n\n");
    let _ = writeln!(
        out,
        "{:<9} {:<9} {:<7} {:<6} what changed, and by which commit",
        "release", "stop", "report", "state"
    );
    let mut last: Option<&BTreeSet<Signature>> = None;
    for row in &b.releases {
        let found = &row.shown.findings;
        if last == Some(found) && row.effect.new_edges.is_empty() {
            continue;
        }
        last = Some(found);
        let has = |which: fn(&Signature) -> bool| if found.iter().any(which) { "yes" } else { "-" };
        let by: Vec<String> = row.by.iter().map(|s| setting(*s)).collect();
        let head = format!(
            "{:<9} {:<9} {:<7} {:<6}",
            row.release.to_string(),
            has(Signature::is_stop),
            has(Signature::is_report),
            has(Signature::is_state)
        );
        let _ = writeln!(out, "{head} {}", by.join(" and ").trim_end());
        changes(&mut out, &row.effect);
    }
    let _ = writeln!(out, "\nEach switch alone, from the rules of the program:\n");
    for row in &b.switches {
        let _ = writeln!(out, "{}", setting(row.setting));
        changes(&mut out, &row.effect);
    }
    if b.switches.is_empty() {
        out.push_str("no switch changes anything\n");
    }
    out
}

fn changes(out: &mut String, effect: &Effect) {
    for gone in &effect.goes {
        let _ = writeln!(out, "            goes: {gone}");
    }
    for new in &effect.appears {
        let _ = writeln!(out, "            new:  {new}");
    }
    for edge in &effect.new_edges {
        let _ = writeln!(out, "            edge: {edge}");
    }
}

/// The setting with the commit that brought it.
fn setting(s: Setting) -> String {
    let commit = match commit_of(s) {
        Some(c) => format!(" ({}, {})", c.id, c.release.unwrap_or("not merged")),
        None => String::new(),
    };
    format!("{}={}{commit}", s.name(), s.value())
}

#[derive(Serialize)]
struct Line<'a> {
    release: Option<String>,
    by: Vec<String>,
    findings: Option<&'a BTreeSet<Signature>>,
    appears: &'a [Signature],
    goes: &'a [Signature],
    new_edges: &'a [String],
}

fn json(b: &Bisection) -> String {
    let releases = b.releases.iter().map(|row| Line {
        release: Some(row.release.to_string()),
        by: row.by.iter().map(|s| setting(*s)).collect(),
        findings: Some(&row.shown.findings),
        appears: &row.effect.appears,
        goes: &row.effect.goes,
        new_edges: &row.effect.new_edges,
    });
    let switches = b.switches.iter().map(|row| Line {
        release: None,
        by: vec![setting(row.setting)],
        findings: None,
        appears: &row.effect.appears,
        goes: &row.effect.goes,
        new_edges: &row.effect.new_edges,
    });
    releases
        .chain(switches)
        .filter_map(|line| serde_json::to_string(&line).ok())
        .map(|line| line + "\n")
        .collect()
}
