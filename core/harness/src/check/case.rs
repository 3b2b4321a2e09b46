//! One program under one set of rules: explored, judged, compared with what is expected.

use super::search::{Bounds, Runtime, Search, search};
use super::verdict::{Judgement, judge};
use crate::confirm::confirm_all;
use crate::finding::{state_name, state_signature, stop_word, subject};
use crate::program::expect::{Expect, ReportExpect, StateExpect, StopExpect, StopKind, Verdict};
use crate::program::word::Word;
use crate::program::{Program, RulesText};
use crate::rules::{laid_over, machine_rules, spelled};
use crate::run::{Litmus, Unsupported};
use ksplat_kernel::rt;

/// A program under one set of rules.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is laid over the program's own rules.
    pub under: RulesText,
    /// What is expected, if anything.
    pub expect: Option<Expect>,
}

/// What became of a case.
#[derive(Debug)]
pub struct CaseResult {
    /// The rules, as one word a setting.
    pub rules: String,
    /// The machine it ran on, to tell findings with.
    pub litmus: Litmus,
    /// What was found.
    pub search: Search,
    /// What that means.
    pub judgement: Judgement,
    /// What was expected.
    pub expect: Option<Expect>,
    /// Every point where the two differ; empty if as expected.
    pub differs: Vec<String>,
}

/// The cases of a program: one an expectation, or its own rules if nothing is expected. With `over` one case: those
/// rules, and the expectation for them if there is one.
#[must_use]
pub fn cases(program: &Program, over: Option<&RulesText>) -> Vec<Case> {
    if let Some(over) = over {
        let wanted = machine_rules(&laid_over(&program.rules, over));
        let expect = program
            .expects
            .iter()
            .find(|e| machine_rules(&laid_over(&program.rules, &e.under)) == wanted);
        return vec![Case {
            under: over.clone(),
            expect: expect.cloned(),
        }];
    }
    if program.expects.is_empty() {
        return vec![Case {
            under: RulesText::default(),
            expect: None,
        }];
    }
    program
        .expects
        .iter()
        .map(|e| Case {
            under: e.under.clone(),
            expect: Some(e.clone()),
        })
        .collect()
}

impl Case {
    /// Explores and compares.
    ///
    /// # Errors
    /// What of the program cannot be executed.
    pub fn run(&self, program: &Program, bounds: &Bounds) -> Result<CaseResult, Vec<Unsupported>> {
        let text = laid_over(&program.rules, &self.under);
        let rules = machine_rules(&text);
        let litmus = Litmus::new(program, &rules)?;
        let mut search = search(&litmus, bounds, |_| false);
        if bounds.runtime != Runtime::Threads {
            confirm_all(&litmus, &mut search);
        }
        let judgement = judge(program, &text, &litmus, bounds, &mut search);
        let mut differs = self
            .expect
            .as_ref()
            .map_or_else(Vec::new, |e| differences(e, &search, judgement.verdict));
        differs.extend(search.faults.iter().map(|f| format!("internal fault: {f}")));
        let rules = if self.under.is_empty() {
            spelled(&text)
        } else {
            spelled(&self.under)
        };
        Ok(CaseResult {
            rules,
            litmus,
            search,
            judgement,
            expect: self.expect.clone(),
            differs,
        })
    }
}

/// Where findings and expectation differ.
fn differences(e: &Expect, found: &Search, verdict: Verdict) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(stop) = e.stop {
        out.extend(stop_differs(stop, found));
    }
    if let Some(report) = &e.report {
        out.extend(report_differs(report, found));
    }
    if let Some(state) = &e.state {
        out.extend(state_differs(state, found));
    }
    if let Some(expected) = e.verdict.filter(|v| *v != verdict) {
        out.push(format!(
            "verdict {} expected, {} found",
            expected.word(),
            verdict.word()
        ));
    }
    out
}

fn stop_differs(expected: StopExpect, found: &Search) -> Option<String> {
    let kinds: Vec<rt::StopKind> = found
        .found
        .values()
        .filter_map(|f| f.outcome.stop.as_ref())
        .map(|s| s.kind)
        .collect();
    match expected {
        StopExpect::Never if kinds.is_empty() => None,
        StopExpect::Never => Some(format!("no stop expected, {} found", stop_word(kinds[0]))),
        StopExpect::Found(None) if !kinds.is_empty() => None,
        StopExpect::Found(Some(kind)) if kinds.iter().any(|&k| is_kind(k, kind)) => None,
        StopExpect::Found(kind) => Some(format!(
            "stop expected{}, none such found",
            kind.map_or(String::new(), |k| format!(" ({})", k.word()))
        )),
    }
}

fn is_kind(found: rt::StopKind, expected: StopKind) -> bool {
    (found == rt::StopKind::Livelock) == (expected == StopKind::Livelock)
}

fn report_differs(expected: &ReportExpect, found: &Search) -> Option<String> {
    let mut reports = found.found.values().flat_map(|f| &f.outcome.reports);
    match expected {
        ReportExpect::None => reports
            .next()
            .map(|r| format!("no report expected, \"{}\" found", r.title())),
        ReportExpect::Some {
            headline,
            subject: about,
        } => {
            let about = about.as_ref().map(ToString::to_string);
            let fits = |r: &ksplat_lockdep::Report| {
                r.title().contains(headline.as_str()) && (about.is_none() || subject(r) == about)
            };
            let about = about
                .as_ref()
                .map_or(String::new(), |a| format!(" about {a}"));
            (!reports.any(fits))
                .then(|| format!("report \"{headline}\"{about} expected, none such found"))
        }
    }
}

fn state_differs(expected: &StateExpect, found: &Search) -> Option<String> {
    let mut kinds = found
        .found
        .values()
        .flat_map(|f| &f.outcome.breaks)
        .map(|b| state_name(&state_signature(b)));
    match expected {
        StateExpect::Ok => kinds
            .next()
            .map(|k| format!("no broken state expected, {k} found")),
        StateExpect::Broken(name) => {
            // Tables print dashes.
            let name = name.to_string().replace('-', "_");
            (!kinds.any(|k| k == name)).then(|| format!("broken state {name} expected, not found"))
        }
    }
}
