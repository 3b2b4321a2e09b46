//! The full argument for a verdict, fit for a mail: what is claimed, within which bounds, the story, why lockdep says
//! what it says, and what the finding needs.

use super::case::CaseResult;
use super::probe::with;
use super::verdict::{Opened, least, missing_edges, prerequisites, reporting_annotations};
use crate::confirm::Decision;
use crate::finding::Signature;
use crate::minimise::{self, Options, minimise};
use crate::program::expect::Verdict;
use crate::program::word::Word as _;
use crate::program::{Program, RulesText, parse, print};
use crate::rules::spelled;
use crate::story;
use std::fmt::Write as _;

/// An argument, section by section.
#[derive(Clone, Debug, Default)]
pub struct Argument {
    /// Headings and what stands under them.
    pub sections: Vec<(String, String)>,
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (heading, text) in &self.sections {
            writeln!(f, "{heading}\n{}\n{text}", "-".repeat(heading.len()))?;
        }
        Ok(())
    }
}

impl Argument {
    fn add(&mut self, heading: &str, text: &str) {
        if !text.is_empty() {
            self.sections.push((heading.to_owned(), text.to_owned()));
        }
    }
}

/// The argument for the verdict of a case. `under` is what the case lays over the program's rules.
#[must_use]
pub fn argue(program: &Program, under: &RulesText, result: &CaseResult, jobs: usize) -> Argument {
    let program = minimise::under(program, under);
    let mut out = Argument::default();
    let rules = spelled(&program.rules);
    let rules = if rules.is_empty() { "v6.12" } else { &rules };
    let verdict = result.judgement.verdict;
    let heading = format!("{} under {rules}: {}", program.name, verdict.word());
    out.add(&heading, &claim(result));
    let main = main_finding(result);
    if let Some((signature, choices)) = &main {
        let (heading, text) = shown(&program, signature, choices, jobs);
        out.add(&heading, &text);
    }
    if let Some(guard) = &result.judgement.guard {
        let heading = format!("Without the guard {}", guard.setting.name());
        out.add(&heading, &opened(&program, guard, jobs));
    }
    if let Some(gate) = &result.judgement.gate {
        let heading = format!("With {} = {}", gate.setting.name(), gate.setting.value());
        out.add(&heading, &opened(&program, gate, jobs));
    }
    if verdict == Verdict::Blind {
        out.add("Why lockdep is silent", &silence(&program, result));
    }
    if let Some((signature, choices)) = &main {
        let text = needs(&program, signature, choices);
        out.add(&format!("What {signature} needs"), &text);
    }
    out
}

/// The finding that the verdict is about: a stop if there is one, else a report, else a state.
fn main_finding(result: &CaseResult) -> Option<(Signature, Vec<u32>)> {
    let mut all: Vec<_> = result.search.found.iter().collect();
    all.sort_by_key(|(s, _)| (!s.is_stop(), !s.is_report()));
    let (signature, found) = all.first()?;
    Some(((*signature).clone(), found.choices.clone()))
}

/// What is claimed, in sentences.
fn claim(result: &CaseResult) -> String {
    let j = &result.judgement;
    let mut out = String::new();
    let sentence = match j.verdict {
        Verdict::Real => "It really stops; lockdep is off.",
        Verdict::Blind => "It really stops, and lockdep is silent in every execution seen.",
        Verdict::Caught => "It really stops, and lockdep reports.",
        Verdict::FalsePositive => "lockdep reports, and no schedule tried stops.",
        Verdict::Latent => {
            "Nothing is found under these rules; with a gate of the configuration open it stops."
        }
        Verdict::State => "It does not stop and lockdep is silent, but an invariant breaks.",
        Verdict::Clean => "Nothing is found.",
        Verdict::Undecided => "The bounds were too small to say.",
    };
    out.push_str(&paragraph(sentence));
    out.push_str(&paragraph(&format!("Tried: {}.", j.bounds)));
    if j.every_schedule.is_none() && !result.search.stops() {
        out.push_str(&paragraph(match result.search.within {
            Some(_) => "That is no proof about schedules with more preemptions.",
            None => "That is a sample and no proof that nothing else can happen.",
        }));
    }
    for decided in &j.reports {
        let what = match &decided.decision {
            Decision::Confirmed(found) => format!(
                "confirmed: schedule {} stops in the cycle that it reports",
                found.schedule
            ),
            Decision::Refuted {
                executions,
                stops_otherwise,
            } => format!(
                "refuted: none of the {executions} schedules there are up to equivalence stops in \
                 that cycle{}",
                if *stops_otherwise {
                    "; it stops otherwise"
                } else {
                    ""
                }
            ),
            Decision::NoCycle => "about the rules of locking, not about a cycle".to_owned(),
            Decision::Undecided { executions } => format!(
                "undecided: no stop in that cycle in {executions} executions, and there are more"
            ),
        };
        out.push_str(&paragraph(&format!("{}: {what}.", decided.signature)));
    }
    match (&j.guard, j.verdict) {
        (Some(guard), _) => out.push_str(&paragraph(&format!(
            "What prevents the stop is the guard {}: {}. With it off, {} after {} schedules.",
            guard.setting.name(),
            guard_words(guard.setting.name()),
            guard.stop,
            guard.schedules
        ))),
        (None, Verdict::FalsePositive) => out.push_str(&paragraph(
            "No single guard of the model prevents it: taking each away alone shows no stop. What \
             prevents it is in the program itself, such as an outer lock or an order of waits.",
        )),
        _ => {}
    }
    if let Some(wanted) = j.wanted {
        out.push_str(&paragraph(wanted));
    }
    out
}

fn guard_words(name: &str) -> &'static str {
    let mut guards = crate::program::rules_text::GUARDS.iter();
    guards
        .find(|(n, _)| *n == name)
        .map_or("", |(_, about)| about)
}

/// The minimised finding and its story.
fn shown(
    program: &Program,
    signature: &Signature,
    choices: &[u32],
    jobs: usize,
) -> (String, String) {
    let options = Options {
        jobs,
        ..Options::default()
    };
    let heading = format!("The smallest program that shows {signature}");
    let minimised = match minimise(program, signature, choices, &options) {
        Ok(minimised) => minimised,
        Err(error) => return (heading, format!("{error}\n")),
    };
    let text = print(&minimised.program);
    let mut out: String = text
        .lines()
        .enumerate()
        .fold(String::new(), |mut s, (n, l)| {
            let _ = writeln!(s, "{:>3}  {l}", n + 1);
            s
        });
    out.push('\n');
    // Read again, so that the story cites the lines above.
    let Ok(program) = parse("minimised", &text) else {
        return (heading, out);
    };
    match crate::reproducer::replay(&program) {
        Ok(replayed) => {
            let recorded = &replayed.recorded;
            out += &story::steps(&recorded.moments);
            out.push('\n');
            out += &story::findings(
                replayed.litmus.machine(),
                &recorded.outcome,
                &recorded.moments,
            );
        }
        Err(_) => out.push_str("the minimised program does not run\n"),
    }
    (heading, out)
}

fn opened(program: &Program, opened: &Opened, jobs: usize) -> String {
    let mut changed = program.clone();
    changed.rules = with(&program.rules, opened.setting);
    shown(&changed, &opened.stop, &opened.choices, jobs).1
}

/// The edges of the cycle that lockdep lacks, and what would report it.
fn silence(program: &Program, result: &CaseResult) -> String {
    let mut out = String::new();
    let stop = result.search.signatures(|s| s.is_stop()).next();
    let Some((_, found)) = stop else {
        return out;
    };
    for missing in missing_edges(&result.litmus, found) {
        let edge = &missing.edge;
        let why = missing
            .why
            .unwrap_or_else(|| "lockdep has this edge".to_owned());
        out.push_str(&paragraph(&format!(
            "{} -> {} ({} has the first and waits for the second): {why}.",
            edge.holds, edge.wants, edge.task
        )));
    }
    let annotations = reporting_annotations(program, &program.rules);
    if annotations.is_empty() {
        out.push_str(&paragraph(
            "No annotation that the model knows makes lockdep report it.",
        ));
    }
    for (setting, commit, report) in annotations {
        let commit = commit.map_or(String::new(), |c| format!(" ({c})"));
        out.push_str(&paragraph(&format!(
            "With {} = {}{commit} lockdep says {report}.",
            setting.name(),
            setting.value()
        )));
    }
    out
}

/// What the finding depends on.
fn needs(program: &Program, signature: &Signature, choices: &[u32]) -> String {
    let mut out = String::new();
    let list = prerequisites(program, &program.rules, signature, choices);
    for p in &list {
        let what = if p.guard { "guard " } else { "" };
        let also = if p.also.is_empty() {
            String::new()
        } else {
            format!(" (or {})", p.also.join(", "))
        };
        out.push_str(&paragraph(&format!(
            "{what}{} = {}{also}; gone with {}",
            p.name,
            p.now,
            p.gone.join(", ")
        )));
    }
    if list.is_empty() {
        out.push_str("nothing of the rules: it is there whatever switch is turned\n");
    }
    if let Some(least) = least(program, &program.rules, signature, choices) {
        let together = match least.needs.as_slice() {
            [] => "nothing".to_owned(),
            needs => needs.join(", "),
        };
        out.push_str(&paragraph(&format!(
            "All that it needs at once: {together}."
        )));
        if !least.absent.is_empty() {
            let absent = least.absent.join(", ");
            out.push_str(&paragraph(&format!(
                "Not needed, all absent together: {absent}."
            )));
        }
    }
    out.push_str(&paragraph(&format!(
        "Each switch was turned alone and {} schedules tried: \"gone\" means not found in those.",
        super::probe::SCHEDULES
    )));
    out
}

fn paragraph(text: &str) -> String {
    let lines = story::wrapped(text, story::WIDTH);
    lines.iter().map(|l| format!("{l}\n")).collect()
}
