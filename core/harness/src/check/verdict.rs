//! From the findings of a search to its classification.

use super::search::{Bounds, Search, search};
use crate::program::Program;
use crate::program::expect::Verdict;
use crate::program::rules_text::GUARDS;
use crate::run::Litmus;
use ksplat_kernel::rules::Rules;

/// A classification with what it rests on.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The classification.
    pub verdict: Verdict,
    /// The guard without which the stop that lockdep reports really happens, and after how many schedules.
    pub guard: Option<(&'static str, u64)>,
    /// The bounds, in words.
    pub bounds: String,
}

/// Classifies what a search found under `rules`.
#[must_use]
pub fn judge(program: &Program, rules: &Rules, bounds: &Bounds, found: &Search) -> Judgement {
    let verdict = match (found.stops(), found.reports(), found.breaks()) {
        (true, _, _) if needs_force(program, rules, bounds) => Verdict::Latent,
        (true, true, _) => Verdict::Caught,
        (true, false, _) if rules.lockdep => Verdict::Blind,
        (true, false, _) => Verdict::Real,
        (false, true, _) => Verdict::FalsePositive,
        (false, false, true) => Verdict::State,
        (false, false, false) if found.given_up > found.schedules / 2 => Verdict::Undecided,
        (false, false, false) => Verdict::Clean,
    };
    let guard = if verdict == Verdict::FalsePositive {
        guard_of(program, rules, bounds)
    } else {
        None
    };
    Judgement {
        verdict,
        guard,
        bounds: in_words(found),
    }
}

/// Whether a stop needs a configuration gate that is forced open: without the force there is none within the bounds.
fn needs_force(program: &Program, rules: &Rules, bounds: &Bounds) -> bool {
    if !rules.allow_both {
        return false;
    }
    let unforced = Rules {
        allow_both: false,
        ..rules.clone()
    };
    Litmus::new(program, &unforced)
        .is_ok_and(|litmus| !search(&litmus, bounds, Search::stops).stops())
}

/// The bounds of a search in words.
#[must_use]
pub fn in_words(found: &Search) -> String {
    let mut words = if found.exhaustive {
        format!("all schedules up to equivalence ({})", found.schedules)
    } else {
        format!("{} schedules", found.schedules)
    };
    if found.given_up > 0 {
        words += &format!(", {} of them given up at the step limit", found.given_up);
    }
    words
}

/// The first guard whose removal lets the program stop.
fn guard_of(program: &Program, rules: &Rules, bounds: &Bounds) -> Option<(&'static str, u64)> {
    GUARDS.iter().find_map(|(guard, _)| {
        let mut without = rules.clone();
        if !without.set_guard(guard, false) || without == *rules {
            return None;
        }
        let litmus = Litmus::new(program, &without).ok()?;
        let bounds = Bounds {
            schedules: bounds.schedules.min(2_000),
            ..bounds.clone()
        };
        let found = search(&litmus, &bounds, Search::stops);
        found.stops().then_some((*guard, found.schedules))
    })
}
