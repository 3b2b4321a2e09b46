//! Claimed broken invariants: found again from the books where the log says enough.
//!
//! What is not found again is the business of `docs/verdicts.md`: what programs themselves assert, and the page
//! allocator's and the memcgs' books, whose every frame and counter the log would have to follow.

use super::books::{Books, NONE};
use super::statics::Statics;
use super::{Basis, Rejection};
use crate::run::MAX_CALL_DEPTH;
use crate::story::Moment;
use ksplat_kernel::mm::{MAX_RECLAIM_DEPTH, Pf};
use ksplat_kernel::rt::{EntityKind, Fact, Quantity, StateBreak};

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
        return at_rest(&books, claim);
    }
    Err(Rejection("the log has no such event".to_owned()))
}

/// Found when the machine had come to rest, after the last event.
fn at_rest(books: &Books<'_>, claim: &StateBreak) -> Result<Basis, Rejection> {
    if claim.kind != "writeback-left" {
        return Ok(Basis::Recorded);
    }
    let left = |res: &u64| {
        let name = books.statics.resource(*res);
        let page = name.strip_prefix("PG_writeback of ");
        page.is_some_and(|p| {
            claim
                .detail
                .starts_with(&format!("{p} is still under writeback"))
        }) && books.quantity(0, Quantity::Writeback, *res) > 0
    };
    let resources = 0..books.statics.resources.len() as u64;
    recomputed(resources.into_iter().any(|res| left(&res)), claim)
}

fn recomputed(fits: bool, claim: &StateBreak) -> Result<Basis, Rejection> {
    if fits {
        return Ok(Basis::Recomputed);
    }
    Err(Rejection(format!(
        "the log shows {} in order at that event",
        claim.kind
    )))
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
    let answers = [of_context, of_locks, of_rcu, of_memory];
    let answer = answers.iter().find_map(|of| of(books, log, m, claim));
    answer.map_or(Ok(Basis::Recorded), |fits| recomputed(fits, claim))
}

/// Breaks of what a context promises: interrupts, preemption, bottom halves, PF flags.
fn of_context(books: &Books<'_>, log: &[Moment], m: &Moment, claim: &StateBreak) -> Option<bool> {
    let id = m.entity as usize;
    let kind = books.statics.entities[id].kind;
    let handler = books.statics.is_handler(id);
    let hardirq = handler && kind == EntityKind::HardIrq;
    // Softirqs, and threads of handlers, run with bottom halves off.
    let thread = books.statics.rt && kind == EntityKind::HardIrq;
    let bh = u64::from(kind == EntityKind::SoftIrq || thread);
    Some(match claim.kind {
        "irq-state" => irqs_at_begin(log, m, claim).is_some_and(|were_off| m.irqs_off != were_off),
        // Softirqs run with interrupts on.
        "irqs-at-exit" => m.irqs_off != hardirq,
        "sleep-in-atomic" => m.atomic || m.irqs_off,
        "preempt-count" => m.preempt != u64::from(hardirq),
        "bh-count" if claim.detail.contains(" ends with ") => m.bh != bh,
        "bh-count" => m.bh <= bh,
        "bh-enable-irqs-off" => m.irqs_off && !hardirq,
        "work-leaked-context" => any_lock(books, id) || m.atomic || m.irqs_off,
        "pf-flags" => {
            let first = log.iter().find(|e| e.entity == m.entity);
            first.is_some_and(|first| first.pf != m.pf) || kind != EntityKind::Task
        }
        _ => return None,
    })
}

/// Breaks of what locks and sequences promise; the event names the resource.
fn of_locks(books: &Books<'_>, _: &[Moment], m: &Moment, claim: &StateBreak) -> Option<bool> {
    let id = m.entity as usize;
    let holders = books.holders(m.res);
    let holds = holders & 1 << id != 0;
    Some(match claim.kind {
        "irqs-on-under-irq-lock" => holds && m.irqs_off,
        "lock-held-at-exit" => any_lock(books, id),
        "unlock-not-held" | "downgrade-not-held" => {
            let lacks = books.entities[id].lacks;
            lacks.is_some_and(|(res, mode)| res == m.res && !books.holds_so(id, res, mode))
        }
        "local-lock-reentered" | "seqcount-nested-writer" => holders != 0,
        "freeze-passed" => books.lock(m.res).is_some_and(|l| l.writer.is_some()),
        "seqcount-preemptible" => !m.atomic && !m.irqs_off,
        "seqcount-not-written" | "srcu-unbalanced" | "page-not-locked" => !holds,
        "printk-not-deferred" => {
            books.quantity(id, Quantity::PrintkDeferred, NONE) <= 0 && books.writes_sequence()
        }
        _ => return None,
    })
}

/// Breaks of RCU's sections.
fn of_rcu(books: &Books<'_>, _: &[Moment], m: &Moment, claim: &StateBreak) -> Option<bool> {
    let id = m.entity as usize;
    let reads = books.entities[id].reads.is_some();
    Some(match claim.kind {
        "rcu-self-wait" | "rcu-held-at-exit" => reads,
        "rcu-unbalanced" => !reads,
        "rcu-grace-period" => {
            let of_callbacks = books.graces.iter().copied();
            let mut began = books.entities[id].grace.into_iter().chain(of_callbacks);
            let mut readers = books.entities.iter().filter_map(|e| e.reads);
            began.any(|began| readers.any(|reads| reads < began))
        }
        _ => return None,
    })
}

/// Breaks of what reclaim and writeback promise, as far as the log follows them.
fn of_memory(books: &Books<'_>, _: &[Moment], m: &Moment, claim: &StateBreak) -> Option<bool> {
    let id = m.entity as usize;
    let pf = Pf::from_bits(m.pf as u32);
    Some(match claim.kind {
        "reclaim-recursion" => pf.has(Pf::MEMALLOC),
        "stack-overflow" => {
            let depth = |what| books.quantity(id, what, NONE);
            depth(Quantity::ReclaimDepth) > i64::from(MAX_RECLAIM_DEPTH)
                || depth(Quantity::CallDepth) > i64::from(MAX_CALL_DEPTH)
        }
        "direct-reclaim-writes" => !pf.has(Pf::KSWAPD),
        "proposal-unsubmitted-batch" => {
            let owner = m.entity;
            books.quantity(id, Quantity::Unsubmitted, owner) > 0 && !pf.has(Pf::MEMALLOC)
        }
        "moving-account" => books.quantity(id, Quantity::Moving, m.res) <= 0,
        "writeback-set-twice" => books.quantity(id, Quantity::Writeback, m.res) > 0,
        "writeback-not-set" => books.quantity(id, Quantity::Writeback, m.res) <= 0,
        _ => return None,
    })
}

fn any_lock(books: &Books<'_>, id: usize) -> bool {
    let mut resources = 0..books.statics.resources.len() as u64;
    resources.any(|res| books.holders(res) & 1 << id != 0)
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
