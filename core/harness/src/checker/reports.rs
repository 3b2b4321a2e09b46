//! Claimed lockdep reports: every dependency that a report names must have happened in the log.
//!
//! Whether dependencies that did happen amount to a report is not asked again here: that is what the conformance tests
//! of the validator are for. What is asked is whether the report speaks of this execution.

use super::statics::Statics;
use super::{Basis, Rejection};
use crate::story::Moment;
use ksplat_kernel::rt::Fact;
use ksplat_lockdep::{ClassId, Detail, PathStep, Report, Trace};
use std::collections::BTreeMap;

/// An acquisition that lockdep was told of, with what the task held at that moment.
struct Acquisition {
    task: u32,
    class: u64,
    site: u32,
    trylock: bool,
    /// Classes held and where they were taken.
    held: Vec<(u64, u32)>,
    /// Raised from an interrupt handler.
    in_hardirq: bool,
    irqs_off: bool,
}

/// Checks a claimed report against the log of its execution.
pub(super) fn check(
    statics: &Statics,
    moments: &[Moment],
    claim: &Report,
) -> Result<Basis, Rejection> {
    if !moments.iter().any(|m| m.kind == "report") {
        return Err(Rejection("the log has no report".to_owned()));
    }
    let all = acquisitions(statics, moments);
    match &claim.detail {
        Detail::Circular { prev, next, path } => {
            dependencies(&all, path)?;
            closing(&all, claim, code(prev.id), code(next.id))
        }
        Detail::Recursive { class, .. } => closing(&all, claim, code(class.id), code(class.id)),
        Detail::InconsistentState {
            class, from, to, ..
        } if from.state_name() == "HARDIRQ" && to.state_name() == "HARDIRQ" => {
            if released_in_handler(statics, moments, claim) {
                return Ok(Basis::Recorded);
            }
            both_ways(&all, code(class.id))
        }
        _ => Ok(Basis::Recorded),
    }
}

fn code(class: ClassId) -> u64 {
    class.key().index() as u64 * 8 + u64::from(class.subclass())
}

/// What lockdep was told, rebuilt from the log. An interrupt handler acts on the stack of who it interrupted.
fn acquisitions(statics: &Statics, moments: &[Moment]) -> Vec<Acquisition> {
    let mut hosts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut held: BTreeMap<u64, Vec<(u64, u64, u32)>> = BTreeMap::new();
    let mut out = Vec::new();
    for m in moments {
        let handler = statics.is_handler(m.entity as usize);
        let task = hosts.get(&m.entity).copied().unwrap_or(m.entity);
        match Fact::from_code(m.fact) {
            Fact::Begins if handler && m.set != 0 => {
                hosts.insert(m.entity, u64::from(m.set.trailing_zeros()));
            }
            Fact::MapGets => {
                let class = (m.set >> 8) as u64 * 8 + (m.set >> 3 & 7) as u64;
                let stack = held.entry(task).or_default();
                out.push(Acquisition {
                    task: task as u32,
                    class,
                    site: m.site as u32,
                    trylock: m.set & 4 != 0,
                    held: stack
                        .iter()
                        .map(|&(class, _, site)| (class, site))
                        .collect(),
                    in_hardirq: handler,
                    irqs_off: m.irqs_off,
                });
                stack.push((class, m.res, m.site as u32));
            }
            Fact::MapGives => {
                let stack = held.entry(task).or_default();
                if let Some(at) = stack.iter().rposition(|&(_, res, _)| res == m.res) {
                    stack.remove(at);
                }
            }
            _ => {}
        }
    }
    out
}

/// Every dependency of the chain was made by the task and at the places that the report names.
fn dependencies(all: &[Acquisition], path: &[PathStep]) -> Result<(), Rejection> {
    for pair in path.windows(2) {
        let [from, to] = pair else { continue };
        let Some(dependency) = to.dependency else {
            continue;
        };
        let happened = all.iter().any(|a| {
            a.class == code(to.class.id)
                && !a.trylock
                && fits(a, dependency.next)
                && a.held
                    .contains(&(code(from.class.id), dependency.prev.site))
        });
        if !happened {
            return Err(Rejection(format!(
                "the log has no acquisition of {} under {} as the report names it",
                to.class, from.class
            )));
        }
    }
    Ok(())
}

fn fits(a: &Acquisition, trace: Trace) -> bool {
    a.site == trace.site && a.task == trace.task
}

/// The acquisition that the report was made at.
fn closing(all: &[Acquisition], claim: &Report, prev: u64, next: u64) -> Result<Basis, Rejection> {
    let here = |a: &&Acquisition| a.class == next && a.site == claim.site && a.task == claim.task;
    let happened = all
        .iter()
        .filter(here)
        .any(|a| a.held.iter().any(|&(class, _)| class == prev));
    if happened {
        Ok(Basis::Recomputed)
    } else {
        Err(Rejection(
            "the log does not have the acquisition that the report was made at".to_owned(),
        ))
    }
}

/// A handler released a lock below others: lockdep takes those anew, in the handler's context, without an event.
fn released_in_handler(statics: &Statics, moments: &[Moment], claim: &Report) -> bool {
    moments.iter().any(|m| {
        Fact::from_code(m.fact) == Fact::MapGives
            && statics.is_handler(m.entity as usize)
            && m.site as u32 == claim.site
    })
}

/// The class was taken in an interrupt and, elsewhere, with interrupts on.
fn both_ways(all: &[Acquisition], class: u64) -> Result<Basis, Rejection> {
    let of_class = || all.iter().filter(|a| a.class == class);
    let inside = of_class().any(|a| a.in_hardirq);
    let outside = of_class().any(|a| !a.irqs_off);
    match (inside, outside) {
        (true, true) => Ok(Basis::Recomputed),
        // Interrupts may have been enabled while it was held.
        (true, false) => Ok(Basis::Recorded),
        (false, _) => Err(Rejection(
            "the log has no acquisition of the class in an interrupt".to_owned(),
        )),
    }
}
