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
    if statics.beyond {
        return match moments.iter().any(|m| is_it(m, claim)) {
            true => Ok(Basis::Recorded),
            false => Err(Rejection("the log has no such event".to_owned())),
        };
    }
    let mut books = Books::new(statics);
    for (number, m) in moments.iter().enumerate() {
        books
            .enter(m)
            .map_err(|why| Rejection(format!("event {}: {why}", number + 1)))?;
        if is_it(m, claim) {
            return again(&books, &moments[..=number], m, claim);
        }
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
        "irq-state" => m.irqs_off != handler,
        "sleep-in-atomic" => m.atomic || m.irqs_off,
        // A hold that a frozen gate let through by fault is in no lock's books.
        "lock-held-at-exit" if !any_lock => return Ok(Basis::Recorded),
        "lock-held-at-exit" => true,
        // How deep a count is beyond zero is not in the log; handlers begin above zero.
        "preempt-count" if handler || books.statics.entities[id].kind.is_raised() => {
            return Ok(Basis::Recorded);
        }
        "preempt-count" => m.atomic,
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
