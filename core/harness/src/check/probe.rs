//! What-if: a program under rules that differ in one point.

use super::search::{Bounds, Search, search};
use crate::explore::{Replay, StrategySpec};
use crate::finding::{Signature, signatures};
use crate::program::rules_text::{GUARDS, SWITCHES, Setting};
use crate::program::{Program, RulesText};
use crate::rules::{laid_over, machine_rules};
use crate::run::Litmus;
use ksplat_kernel::rt::Deterministic;

/// Schedules of a what-if question.
pub const SCHEDULES: u64 = 400;
/// Executions of an exhaustive search before it is given up.
pub const EXHAUSTIVE: u64 = 20_000;

/// What decides where every schedule is wanted.
pub const ALL_SCHEDULES: StrategySpec = StrategySpec::Dpor;

/// The program with its rules changed in one point.
#[must_use]
pub fn with(text: &RulesText, setting: Setting) -> RulesText {
    let over = RulesText {
        settings: vec![setting],
        ..RulesText::default()
    };
    laid_over(text, &over)
}

/// A short search under other rules; `None` if the program does not run under them.
#[must_use]
pub fn probe(
    program: &Program,
    text: &RulesText,
    done: impl FnMut(&Search) -> bool,
) -> Option<(Litmus, Search)> {
    let litmus = Litmus::new(program, &machine_rules(text)).ok()?;
    let bounds = Bounds {
        schedules: SCHEDULES,
        ..Bounds::default()
    };
    let found = search(&litmus, &bounds, done);
    Some((litmus, found))
}

/// Whether a finding is still there under other rules: with known decisions, or in a short search.
#[must_use]
pub fn persists(
    program: &Program,
    text: &RulesText,
    signature: &Signature,
    choices: &[u32],
) -> bool {
    let Ok(litmus) = Litmus::new(program, &machine_rules(text)) else {
        return false;
    };
    let mut replay = Replay::new(choices.to_vec());
    let outcome = litmus.run(&mut Deterministic::new(), &mut replay);
    if signatures(litmus.machine(), &outcome).contains(signature) {
        return true;
    }
    let has = |s: &Search| s.found.contains_key(signature);
    probe(program, text, has).is_some_and(|(_, found)| has(&found))
}

/// Every schedule of the program, if there are not too many ([`Search::is_all`]): what they show. It may take twice the
/// executions of a sample within `bounds`, and as much time; an execution that is given up ends it.
#[must_use]
pub fn exhaust(litmus: &Litmus, bounds: &Bounds) -> Search {
    let bounds = Bounds {
        schedules: EXHAUSTIVE.min(bounds.schedules.saturating_mul(2)),
        strategy: ALL_SCHEDULES,
        time: bounds.time,
        ..Bounds::default()
    };
    search(litmus, &bounds, |s| s.given_up > 0)
}

/// Every schedule with at most so many preemptions, in what is left of the executions that [`exhaust`] has.
#[must_use]
pub fn bounded(litmus: &Litmus, bounds: &Bounds, preemptions: u32, gone: u64) -> Search {
    let most = EXHAUSTIVE.min(bounds.schedules.saturating_mul(2));
    let bounds = Bounds {
        schedules: most.saturating_sub(gone),
        strategy: StrategySpec::Bounded { preemptions },
        time: bounds.time,
        ..Bounds::default()
    };
    search(litmus, &bounds, |s| s.given_up > 0)
}

/// Every switch at every value that it can be spelled with.
pub fn switches() -> impl Iterator<Item = Setting> {
    let all = SWITCHES.iter();
    all.flat_map(|s| s.values.iter().filter_map(|v| Setting::switch(s.name, v)))
}

/// Every guard, off.
pub fn guards_off() -> impl Iterator<Item = Setting> {
    GUARDS
        .iter()
        .filter_map(|(name, _)| Setting::guard(name, false))
}

/// The settings of a list that change the rules of `text`.
pub fn changing(
    text: &RulesText,
    settings: impl Iterator<Item = Setting>,
) -> impl Iterator<Item = Setting> {
    let now = machine_rules(text);
    settings.filter(move |s| machine_rules(&with(text, *s)) != now)
}
