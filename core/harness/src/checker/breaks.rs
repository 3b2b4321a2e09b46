//! Claimed broken invariants: found again from the books where the log says enough.

use super::books::Books;
use super::statics::Statics;
use super::{Basis, Rejection};
use crate::story::Moment;
use ksplat_kernel::rt::{EntityKind, Fact, StateBreak};

/// Checks a claimed broken invariant against the log of its execution.
pub(super) fn check(
    statics: &Statics,
    moments: &[Moment],
    claim: &StateBreak,
) -> Result<Basis, Rejection> {
    let mut books = Books::new(statics);
    for (number, m) in moments.iter().enumerate() {
        books
            .enter(m)
            .map_err(|why| Rejection(format!("event {}: {why}", number + 1)))?;
        if is_it(m, claim) {
            return again(&books, &moments[..=number], m, claim);
        }
    }
    if claim.entity.is_none() {
        // Found when the machine had come to rest: after the last event.
        return Ok(Basis::Recorded);
    }
    Err(Rejection("the log has no such event".to_owned()))
}

fn is_it(m: &Moment, claim: &StateBreak) -> bool {
    let who = claim.entity.map(|e| e.index() as u64);
    Fact::from_code(m.fact) == Fact::Breaks
        && m.text.split(':').next() == Some(claim.kind)
        && who == Some(m.entity)
        && m.site as u32 == claim.site
}

/// Finds it again from what the log says of the entity up to here.
fn again(
    books: &Books<'_>,
    log: &[Moment],
    m: &Moment,
    claim: &StateBreak,
) -> Result<Basis, Rejection> {
    let id = m.entity as usize;
    let handler = books.statics.is_handler(id);
    let holds = |res: u64| books.holders(res) & 1 << id != 0;
    let any_lock = (0..books.statics.resources.len() as u64).any(holds);
    let fits = match claim.kind {
        "irq-state" => irqs_at_begin(log, m, claim).is_some_and(|were_off| m.irqs_off != were_off),
        // Softirqs run with interrupts on.
        "irqs-at-exit" => {
            let hardirq = books.statics.entities[id].kind == EntityKind::HardIrq;
            m.irqs_off != (handler && hardirq)
        }
        "irqs-on-under-irq-lock" => any_lock && m.irqs_off,
        "sleep-in-atomic" => m.atomic || m.irqs_off,
        "lock-held-at-exit" => any_lock,
        // A handler's count is never 0; how high it is is not in the log.
        "preempt-count" if !handler => m.atomic,
        "unlock-not-held" | "downgrade-not-held" => {
            return not_held(books, id, claim);
        }
        "pf-flags" => {
            let first = log.iter().find(|e| e.entity == m.entity);
            first.is_some_and(|first| first.pf != m.pf)
                || books.statics.entities[id].kind != EntityKind::Task
        }
        _ => return Ok(Basis::Recorded),
    };
    if fits {
        Ok(Basis::Recomputed)
    } else {
        Err(Rejection(format!(
            "the log shows {} in order at that event",
            claim.kind
        )))
    }
}

/// The lock that was released, by its name in the claim, must not be held by who released it.
fn not_held(books: &Books<'_>, id: usize, claim: &StateBreak) -> Result<Basis, Rejection> {
    let by_name = books.statics.by_name();
    let named = claim
        .detail
        .strip_suffix(", which it does not hold")
        .and_then(|d| d.split_once(" releases ").map(|(_, lock)| lock))
        .and_then(|lock| by_name.get(lock));
    match named {
        Some(&res) if books.holders(res) & 1 << id != 0 => {
            // It may hold it the other way round; the mode of the release is not in the log.
            let both = books.lock(res).is_some_and(|l| !l.readers.is_empty());
            if both || books.lock(res).is_some_and(|l| l.writer == Some(id)) {
                Ok(Basis::Recorded)
            } else {
                Err(Rejection("the log shows the lock held".to_owned()))
            }
        }
        Some(_) => Ok(Basis::Recomputed),
        None => Ok(Basis::Recorded),
    }
}

/// Whether interrupts were off when the transaction began that a claim names.
fn irqs_at_begin(log: &[Moment], m: &Moment, claim: &StateBreak) -> Option<bool> {
    let what = claim.detail.split_once(" when ")?.1;
    let what = what.split_once(" began,")?.0;
    let mine = log.iter().rev().filter(|e| e.entity == m.entity);
    let mut inner = 0;
    for e in mine {
        match e.text.split_once(' ') {
            Some(("ends", w)) if w == what => inner += 1,
            Some(("begins", w)) if w == what && inner == 0 => return Some(e.irqs_off),
            Some(("begins", w)) if w == what => inner -= 1,
            _ => {}
        }
    }
    None
}
