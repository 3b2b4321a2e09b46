//! What of a log is worth a line: bare facts go, what belongs together becomes one step.

use super::record::Moment;
use ksplat_kernel::mm::Pf;
use ksplat_kernel::rt::Fact;
use std::collections::BTreeMap;

/// One line of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The event it tells, the last one where it tells several.
    pub moment: Moment,
    /// What happens.
    pub text: String,
    /// What changed in the task's context before it, or matters for it: PF flags, interrupts.
    pub context: String,
}

/// The steps of a log.
#[must_use]
pub fn steps(moments: &[Moment]) -> Vec<Step> {
    let told: Vec<&Moment> = moments.iter().filter(|m| m.kind != "fact").collect();
    let mut contexts: BTreeMap<u64, (Pf, bool)> = BTreeMap::new();
    let mut out: Vec<Step> = Vec::new();
    for m in told {
        if m.kind == "begin" && m.text.is_empty() {
            continue;
        }
        if let Some(last) = out.last_mut().filter(|last| joins(&last.moment, m)) {
            last.text = joined(&last.moment, &last.text, m);
            last.moment = m.clone();
            continue;
        }
        out.push(Step {
            moment: m.clone(),
            text: words(m),
            context: context(m, &mut contexts),
        });
    }
    out
}

/// Number of steps up to the last one that shows a finding.
pub(super) fn last_finding(steps: &[Step]) -> Option<usize> {
    let finding = |s: &Step| matches!(s.moment.kind.as_str(), "report" | "state" | "stop");
    steps.iter().rposition(finding).map(|at| at + 1)
}

/// Whether the second event only says how the first one ended.
fn joins(first: &Moment, second: &Moment) -> bool {
    if first.entity != second.entity || first.site != second.site {
        return false;
    }
    let map = |m: &Moment, what: &str| m.text.strip_prefix(what).map(str::to_owned);
    let touched = map(first, "lock_map_acquire ")
        .is_some_and(|name| map(second, "lock_map_release ") == Some(name));
    touched || passes(first, second) || waits_at_once(first, second)
}

/// A lock that is released as soon as it is taken.
fn passes(first: &Moment, second: &Moment) -> bool {
    let Some(name) = second.text.strip_prefix("unlock ") else {
        return false;
    };
    let taken = first
        .text
        .strip_prefix("lock ")
        .or_else(|| first.text.strip_prefix("trylock "));
    taken.is_some_and(|t| t == name || t.strip_prefix(name).is_some_and(|t| t.starts_with(' ')))
}

/// A lock that is asked for and not free, or a wait that has to wait.
fn waits_at_once(first: &Moment, second: &Moment) -> bool {
    let asks = matches!(first.kind.as_str(), "lock" | "block") && first.fact != Fact::Waits as u64;
    asks && second.fact == Fact::Waits as u64 && second.how < 20
}

fn joined(first: &Moment, text: &str, second: &Moment) -> String {
    if waits_at_once(first, second) {
        let verb = if second.how < 10 { "spins" } else { "waits" };
        let by = second
            .text
            .find(", held by")
            .map_or("", |at| &second.text[at..]);
        return format!("{text}: {verb}{by}");
    }
    if passes(first, second) {
        return format!("{text}, unlock");
    }
    text.replacen("lock_map_acquire", "touch", 1)
}

fn words(m: &Moment) -> String {
    match m.kind.as_str() {
        "end" => "ends".to_owned(),
        "report" => format!("LOCKDEP: {}", m.text),
        "state" => format!("STATE {}", m.text),
        "stop" => format!("STOP: {}", m.text.to_lowercase()),
        _ => m.text.clone(),
    }
}

/// What changed since the task's last step; all of it where a step depends on it.
fn context(m: &Moment, contexts: &mut BTreeMap<u64, (Pf, bool)>) -> String {
    let flags = Pf::from_bits(m.pf as u32).scopes();
    let now = (flags, m.irqs_off);
    let before = contexts.insert(m.entity, now).unwrap_or((Pf::NONE, false));
    if matches!(m.kind.as_str(), "end" | "stop" | "begin") {
        return String::new();
    }
    let matters = matches!(m.kind.as_str(), "alloc" | "reclaim" | "report" | "state");
    let mut parts = Vec::new();
    if flags != Pf::NONE && (matters || flags != before.0) {
        parts.push(flags.to_string());
    } else if flags != before.0 {
        parts.push("PF flags clear".to_owned());
    }
    if m.irqs_off && (matters || !before.1) {
        parts.push("irqs off".to_owned());
    }
    parts.join(" ")
}
