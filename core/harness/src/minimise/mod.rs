//! Minimisation: the smallest program and the calmest schedule that still show a finding.
//!
//! The program is reduced on its text: a candidate is the text with something taken out or made simpler, and the parser
//! is who says whether it is a program at all. So every construct of the language can be reduced, those of tomorrow
//! too. Then the schedule: fewest decisions away from the default order. Both alternate until neither changes anything,
//! so that minimising the result again gives the result.

mod edits;
mod schedule;
mod simplify;
mod trial;

pub use trial::CANDIDATE_SCHEDULES;
use trial::{Shows, Wanted};

use crate::check::Found;
use crate::confirm;
use crate::finding::Signature;
use crate::program::{Program, RulesText, parse, print};
use crate::reproducer::reproducer;
use crate::rules::{laid_over, machine_rules};
use crate::run::Litmus;
use ksplat_kernel::rt::Outcome;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How to minimise.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Candidates tried at the same time. The result does not depend on it.
    pub jobs: usize,
    /// Accept nothing that shows more than the original does: a stop that lockdep is silent about stays one that it is
    /// silent about, and where no invariant broke none does.
    pub nothing_more: bool,
    /// Told of every step: characters of the program that are left, candidates tried.
    pub progress: &'a (dyn Fn(usize, u64) + Sync),
    /// Asked now and then whether to give up early; what has been reached then is still a reproducer.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Whether an execution of a candidate that shows the finding shows what is meant by it.
    pub meant: &'a (dyn Fn(&Program, &Outcome) -> bool + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            jobs: 1,
            nothing_more: false,
            progress: &|_, _| {},
            cancelled: &|| false,
            meant: &|_, _| true,
        }
    }
}

/// A minimised finding.
#[derive(Clone, Debug)]
pub struct Minimised {
    /// The reproducer: program, schedule and expectation.
    pub program: Program,
    /// The finding.
    pub signature: Signature,
    /// Candidates tried.
    pub tried: u64,
}

/// Why a finding cannot be minimised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The program does not show it.
    #[error(
        "the program does not show {0}: neither with its schedule nor in {CANDIDATE_SCHEDULES} others"
    )]
    NotShown(Signature),
    /// What was found is not confirmed.
    #[error("{0}")]
    NotConfirmed(String),
}

/// What is being minimised: the text of a program and decisions that show the finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    lines: Vec<String>,
    choices: Vec<u32>,
}

/// The smallest reproducer of a finding that this finds. `choices` are decisions that show it, if they are known.
///
/// # Errors
/// If the program does not show the finding, or it is not confirmed.
pub fn minimise(
    program: &Program,
    signature: &Signature,
    choices: &[u32],
    options: &Options<'_>,
) -> Result<Minimised, Error> {
    let mut bare = program.clone();
    bare.schedule = None;
    bare.expects.clear();
    let not_shown = || Error::NotShown(signature.clone());
    let any = Wanted::any(signature, options.meant);
    let shown = trial::shows(&print(&bare), None, &any, choices).ok_or_else(not_shown)?;
    let wanted = if options.nothing_more {
        any.like(&shown.outcome)
    } else {
        any
    };
    let mut search = Search {
        wanted,
        options,
        tried: Mutex::new(0),
    };
    let mut state = State {
        lines: shown.lines,
        choices: shown.choices,
    };
    loop {
        let before = state.clone();
        // Of the state that this round begins with: the last one then begins as minimising the result again does.
        let litmus = litmus(&parsed(&state.lines)).ok_or_else(not_shown)?;
        search.wanted = wanted.within(&trial::outcome(&litmus, &state.choices));
        search.reduce(&mut state);
        schedule::calm(
            &search.wanted,
            &mut state.choices,
            parsed(&state.lines),
            options.cancelled,
        );
        if state == before || search.is_cancelled() {
            break;
        }
    }
    let program = parsed(&state.lines);
    let litmus = litmus(&program).ok_or_else(not_shown)?;
    let recorded = confirm::record(&litmus, &state.choices);
    let found = Found {
        schedule: 1,
        choices: state.choices,
        outcome: recorded.outcome,
    };
    confirm::confirm(&litmus, signature, &found).map_err(Error::NotConfirmed)?;
    let tried = *search.tried.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Minimised {
        program: reproducer(&program, &RulesText::default(), signature, &found),
        signature: signature.clone(),
        tried,
    })
}

/// The program with `under` laid over its rules, as a reproducer has it.
#[must_use]
pub fn under(program: &Program, under: &RulesText) -> Program {
    let mut out = program.clone();
    out.rules = laid_over(&program.rules, under);
    out
}

/// The program of lines that were accepted, so that they parse.
fn parsed(lines: &[String]) -> Program {
    parse("candidate", &lines.join("\n")).unwrap_or_default()
}

fn litmus(program: &Program) -> Option<Litmus> {
    Litmus::new(program, &machine_rules(&program.rules)).ok()
}

struct Search<'a> {
    wanted: Wanted<'a>,
    options: &'a Options<'a>,
    tried: Mutex<u64>,
}

impl Search<'_> {
    fn shows(&self, lines: &[String], state: &State) -> Option<Shows> {
        let text = lines.join("\n");
        trial::shows(&text, Some(&state.lines), &self.wanted, &state.choices)
    }

    fn is_cancelled(&self) -> bool {
        (self.options.cancelled)()
    }

    /// Every kind of edit, until none of them is accepted any more.
    fn reduce(&self, state: &mut State) {
        loop {
            let before = state.lines.clone();
            for edits in [
                edits::without_names,
                edits::without_units,
                edits::without_frames,
                edits::without_pairs,
                simplify::simpler_lines,
            ] {
                self.pass(state, edits);
            }
            if state.lines == before || self.is_cancelled() {
                return;
            }
        }
    }

    /// Tries the edits in order, goes on from the first that is accepted.
    fn pass(&self, state: &mut State, edits: fn(&[String]) -> Vec<Vec<String>>) {
        let mut at = 0;
        let mut candidates = edits(&state.lines);
        while at < candidates.len() && !self.is_cancelled() {
            let size = self.options.jobs.max(1) * 4;
            let batch = &candidates[at..candidates.len().min(at + size)];
            let n = batch.len();
            let first = self.first_accepted(batch, state);
            self.tell(state, n);
            let Some((index, shown)) = first else {
                at += n;
                continue;
            };
            state.lines = shown.lines;
            state.choices = shown.choices;
            at += index;
            candidates = edits(&state.lines);
        }
    }

    fn tell(&self, state: &State, more: usize) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        *tried += more as u64;
        (self.options.progress)(state.lines.iter().map(String::len).sum(), *tried);
    }

    /// The first candidate of the batch that still shows the finding: first in order, not in time.
    fn first_accepted(&self, batch: &[Vec<String>], state: &State) -> Option<(usize, Shows)> {
        if self.options.jobs <= 1 {
            let mut each = batch.iter().enumerate();
            return each.find_map(|(i, lines)| Some((i, self.shows(lines, state)?)));
        }
        let next = AtomicUsize::new(0);
        let best: Mutex<Option<(usize, Shows)>> = Mutex::new(None);
        let found = || best.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.min(batch.len()) {
                scope.spawn(|| {
                    loop {
                        let i = next.fetch_add(1, Ordering::SeqCst);
                        let beaten = found().as_ref().is_some_and(|(b, _)| *b < i);
                        if i >= batch.len() || beaten {
                            return;
                        }
                        let Some(shown) = self.shows(&batch[i], state) else {
                            continue;
                        };
                        let mut best = found();
                        if best.as_ref().is_none_or(|(b, _)| i < *b) {
                            *best = Some((i, shown));
                        }
                    }
                });
            }
        });
        best.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
