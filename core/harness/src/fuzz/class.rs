//! What kind of thing a finding is, whatever the program calls it: `stop/deadlock/blind/PG_locked+lock`.
//!
//! Cheaper and coarser than [`crate::hunt::shape`]: fuzzing meets findings thousands of times a second, and a known one
//! must cost nothing. The words stand for what lockdep can see of a wait: all locks that it validates are `lock`;
//! `nested` where the program annotates nesting and lockdep believes it; `reader` where it has recursive readers.

use crate::finding::{closes, stop_word, subject};
use crate::program::Program;
use crate::program::decl::LockKind;
use crate::program::op::{Nest, Op};
use ksplat_kernel::rt::{Machine, Outcome, ResId, ResKind, Stop};
use ksplat_lockdep::Report;

/// The classes of everything that an execution showed, in the order of [`crate::finding::signatures`].
#[must_use]
pub fn class(program: &Program, machine: &Machine, outcome: &Outcome) -> Vec<String> {
    let caught = !outcome.reports.is_empty();
    let stop = outcome
        .stop
        .iter()
        .map(|s| stop_class(program, machine, s, caught));
    let reports = outcome.reports.iter().map(|r| report_class(program, r));
    let states = outcome.breaks.iter().map(|b| format!("state/{}", b.kind));
    stop.chain(reports).chain(states).collect()
}

/// A class as part of a file name.
#[must_use]
pub fn file_name(class: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "_-+".contains(c) {
            c
        } else {
            '.'
        }
    };
    class.chars().map(plain).collect()
}

fn stop_class(program: &Program, machine: &Machine, stop: &Stop, caught: bool) -> String {
    let waits = stop
        .waits
        .iter()
        .filter(|w| w.wait.is_some() || w.needs != 0);
    let mut parts: Vec<String> = waits
        .map(|w| match w.wait {
            Some(wait) => part(program, machine, wait.res),
            None => "cpu".to_owned(),
        })
        .collect();
    if !closes(stop) {
        parts.drain(..parts.len().saturating_sub(1));
    }
    let blind = (!caught).then(|| excuse(program)).flatten();
    if let Some(word) = blind {
        let locks = parts.iter_mut().filter(|p| *p == "lock");
        locks.for_each(|p| *p = word.to_owned());
    }
    parts.sort();
    parts.dedup();
    let seen = if caught { "caught" } else { "blind" };
    format!("stop/{}/{seen}/{}", stop_word(stop.kind), parts.join("+"))
}

/// What the program has that lockdep is blind behind, if anything.
fn excuse(program: &Program) -> Option<&'static str> {
    let recursive = |kind| matches!(kind, LockKind::Srcu | LockKind::Rwlock);
    if nests(program) {
        return Some("nested");
    }
    let mut locks = program.locks.iter();
    locks.any(|l| recursive(l.kind)).then_some("reader")
}

/// Whether the program tells lockdep that some acquisitions of one class are in order.
fn nests(program: &Program) -> bool {
    let mut found = false;
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |s| {
            if let Op::Lock(acquire, _) | Op::Trylock { acquire, .. } = &s.op {
                found |= acquire.nest != Nest::None;
            }
        });
    }
    found
}

/// What a wait is for.
fn part(program: &Program, machine: &Machine, res: ResId) -> String {
    let res = machine.resource(res);
    if let Some(kind) = declared(program, res.name()) {
        return match kind {
            LockKind::BitLock => "bit_lock",
            LockKind::Seqcount => "sequence",
            LockKind::Srcu => "srcu",
            _ => "lock",
        }
        .to_owned();
    }
    let word = match res.kind() {
        ResKind::Completion => "completion",
        ResKind::Variable => "variable",
        ResKind::Work => "work",
        ResKind::WaitQueue if !res.name().starts_with("an element") => "wait_queue",
        _ => head(res.name()),
    };
    word.to_owned()
}

/// The kind of the declared lock that a resource, or a part of it, is named after.
fn declared(program: &Program, name: &str) -> Option<LockKind> {
    let mut locks = program.locks.iter();
    let of = |own: &str| {
        let rest = name.strip_prefix(own)?;
        rest.chars()
            .next()
            .is_none_or(|c| !(c.is_ascii_alphanumeric() || "_-".contains(c)))
            .then_some(())
    };
    locks.find_map(|l| of(l.name.as_str()).map(|()| l.kind))
}

/// The part of a name that does not depend on the program: `PG_locked of A`, `softirq_ctrl.lock/0`.
fn head(name: &str) -> &str {
    let ends = [" of ", " to ", " on ", " (", "/"];
    let end = ends.iter().filter_map(|e| name.find(e)).min();
    &name[..end.unwrap_or(name.len())]
}

fn report_class(program: &Program, report: &Report) -> String {
    let kind = report.kind().name();
    let about = match subject(report) {
        None => "",
        Some(class) if known_to(program, &class) => "declared",
        Some(class) => return format!("report/{kind}/{}", head(&class)),
    };
    format!("report/{kind}/{about}")
}

/// Whether a lockdep class comes from the program's declarations.
fn known_to(program: &Program, class: &str) -> bool {
    let class = class.split(['/', '#']).next().unwrap_or(class);
    // Or a part of it, such as `zonelist.seqcount`.
    let is = |name: &str| {
        class
            .strip_prefix(name)
            .is_some_and(|part| part.is_empty() || part.starts_with('.'))
    };
    let mut locks = program.locks.iter();
    locks.any(|l| is(l.class_name().as_str()) || is(l.name.as_str()))
        || program
            .works
            .iter()
            .any(|w| class.contains(w.name.as_str()))
        || program
            .workqueues
            .iter()
            .any(|q| class.contains(q.name.as_str()))
        || program
            .timers
            .iter()
            .any(|t| class.contains(t.name.as_str()))
}
