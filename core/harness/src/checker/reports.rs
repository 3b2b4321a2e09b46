//! Claimed lockdep reports: what they speak of must follow from what lockdep was told, found again from the log.
//!
//! Of a cycle, every dependency must be an acquisition in the log by that task at that place, and the acquisition that
//! closes it must be the last thing that lockdep was told. Usage bits, wait contexts and refused releases are found
//! again in the same way. Whether the kernel would have reported what follows is what the conformance tests of the
//! validator are for.

use super::ledger::{Acquired, Held, Last, Ledger, Mark, Task, direct, wait_context};
use super::statics::Statics;
use super::{Basis, Rejection};
use crate::story::Moment;
use ksplat_lockdep::{
    ClassId, ClassRef, Detail, HeldLock, LockMap, MAX_LOCK_DEPTH, PathStep, Report, Trace, UsageBit,
};

/// Checks a claimed report against the log of its execution.
pub(super) fn check(
    statics: &Statics,
    moments: &[Moment],
    claim: &Report,
) -> Result<Basis, Rejection> {
    let mut ledger = Ledger::new(statics);
    let mut answer = Err(rejection("the log has no such report"));
    for m in moments {
        ledger.enter(m);
        let here = m.kind == "report"
            && m.site == u64::from(claim.site)
            && ledger.task_of(m) == u64::from(claim.task);
        if !here {
            continue;
        }
        answer = again(statics, &ledger, claim);
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn rejection(why: &str) -> Rejection {
    Rejection(why.to_owned())
}

fn code(class: ClassId) -> u64 {
    class.key().index() as u64 * 8 + u64::from(class.subclass())
}

/// Finds it again from what lockdep had been told when it reported.
fn again(statics: &Statics, ledger: &Ledger<'_>, claim: &Report) -> Result<Basis, Rejection> {
    let Some(task) = ledger.task(u64::from(claim.task)) else {
        return Err(rejection("lockdep was not told anything of the task"));
    };
    match &claim.detail {
        Detail::Circular { prev, next, path } => {
            let ends = path.first().zip(path.last());
            if ends.is_none_or(|(a, b)| a.class.id != next.id || b.class.id != prev.id) {
                return Err(rejection(
                    "the chain does not lead from one lock to the other",
                ));
            }
            dependencies(ledger, path, true)?;
            closing(task, claim, next, |a| depends_on(a, prev))
        }
        Detail::Recursive {
            class,
            same_instance,
            prev_read,
            next_read,
        } => closing(task, claim, class, |a| {
            let same = |h: &&Held| {
                h.class == code(class.id)
                    && h.read == *prev_read as u8
                    && (h.map == a.held.map) == *same_instance
            };
            a.held.read == *next_read as u8 && a.below.iter().any(|h| same(&h))
        }),
        Detail::InconsistentState {
            class,
            from,
            to,
            registered,
        } => {
            conflict(*from, *to)?;
            if from.is_read() && to.is_read() {
                return Err(rejection("readers do not keep each other out"));
            }
            marked(ledger, class, *to, here(claim))?;
            marked(ledger, class, *from, *registered)
        }
        Detail::IrqInversion {
            this,
            other,
            bit,
            new_bit,
            forwards,
            path,
            registered,
        } => {
            conflict(*bit, *new_bit)?;
            joins(path, this, other)?;
            dependencies(ledger, path, *forwards)?;
            marked(ledger, this, *new_bit, here(claim))?;
            marked(ledger, other, *bit, *registered)
        }
        Detail::SafeUnsafe {
            prev,
            next,
            safe,
            r#unsafe,
            safe_bit,
            unsafe_bit,
            safe_path,
            unsafe_path,
            registered,
        } => {
            conflict(*safe_bit, *unsafe_bit)?;
            joins(safe_path, prev, safe)?;
            joins(unsafe_path, next, r#unsafe)?;
            dependencies(ledger, safe_path, false)?;
            dependencies(ledger, unsafe_path, true)?;
            marked(ledger, safe, *safe_bit, registered[0])?;
            marked(ledger, r#unsafe, *unsafe_bit, registered[1])?;
            closing(task, claim, next, |a| depends_on(a, prev))
        }
        Detail::WaitContext { class, context } => closing(task, claim, class, |a| {
            let own = wait_context(a.held.context);
            let limit = ledger.wait_limit(&a.below, a.held.context);
            !a.held.trylock && own == *context as u8 && statics.key(a.held.map.0).outer > limit
        }),
        Detail::NestNotHeld { class, .. } => closing(task, claim, class, |a| {
            a.held.nest != 0 && !Ledger::holds_nest(&a.below, a.held.nest)
        }),
        Detail::BadUnlock { map, depth, .. } => {
            let refused = task.last.refused.is_some_and(|told| is_map(told, *map));
            found(
                refused && task.stack.len() == *depth,
                "the log shows the lock held",
            )
        }
        Detail::LocksHeldAtExit { depth } => found(
            task.last.task_exits && *depth != 0 && task.stack.len() == *depth,
            "the log does not show a task that ends with so many locks held",
        ),
        Detail::DebugLocksWarn { condition: text } | Detail::Warn { message: text } => found(
            task.last.warnings.contains(text),
            "the log shows what lockdep asserts",
        ),
        Detail::LockdepOff { message } if *message == TOO_DEEP => found(
            task.stack.len() >= MAX_LOCK_DEPTH,
            "the log does not show so many locks held",
        ),
        // How full the tables of lockdep are is no fact of an execution.
        Detail::LockdepOff { .. } => Ok(Basis::Recorded),
        _ => Err(rejection("the machine tells lockdep of nothing like that")),
    }
}

const TOO_DEEP: &str = "BUG: MAX_LOCK_DEPTH too low!";

fn found(again: bool, otherwise: &str) -> Result<Basis, Rejection> {
    if again {
        Ok(Basis::Recomputed)
    } else {
        Err(rejection(otherwise))
    }
}

/// The task and the place that a report was made at.
const fn here(claim: &Report) -> Trace {
    Trace {
        site: claim.site,
        task: claim.task,
    }
}

/// The instance of RCU's maps is no resource.
fn is_map(told: (u64, u64), map: LockMap) -> bool {
    let key = map.key.index() as u64;
    told.0 == key && (told.1 == u64::from(map.instance) || told.1 == u64::from(u32::MAX))
}

/// The acquisition that the report was made at: the last thing that lockdep was told of the task, with what the report
/// says was held.
fn closing(
    task: &Task,
    claim: &Report,
    class: &ClassRef,
    fits: impl Fn(&Acquired) -> bool,
) -> Result<Basis, Rejection> {
    let Last { site, acquired, .. } = &task.last;
    let same = |a: &&Acquired| {
        a.held.class == code(class.id)
            && a.below.len() == claim.held.len()
            && a.below.iter().zip(&claim.held).all(|(h, c)| is_held(h, c))
    };
    let at = *site == u64::from(claim.site);
    found(
        at && acquired.iter().filter(same).any(fits),
        "the log does not have the acquisition that the report was made at",
    )
}

fn is_held(held: &Held, claim: &HeldLock) -> bool {
    held.class == code(claim.class.id)
        && is_map(held.map, claim.map)
        && held.read == claim.read as u8
        && held.trylock == claim.trylock
        && held.context == claim.irq_context
        && held.references == u64::from(claim.references)
        && held.site == u64::from(claim.site)
}

fn depends_on(a: &Acquired, prev: &ClassRef) -> bool {
    !a.held.trylock && direct(&a.below, a.held.context).any(|h| h.class == code(prev.id))
}

/// Every dependency of a chain was made by the task and at the places that the report names. Against the order of
/// locking, each class of the chain was taken under the next.
fn dependencies(ledger: &Ledger<'_>, path: &[PathStep], forwards: bool) -> Result<(), Rejection> {
    for pair in path.windows(2) {
        let [a, b] = pair else { continue };
        let (from, to) = if forwards { (a, b) } else { (b, a) };
        let Some(claimed) = b.dependency else {
            return Err(rejection("a chain without a dependency"));
        };
        let happened = ledger.dependencies.iter().any(|d| {
            d.classes == (code(from.class.id), code(to.class.id))
                && d.sites == (claimed.prev.site.into(), claimed.next.site.into())
                && d.task == u64::from(claimed.prev.task)
                && d.task == u64::from(claimed.next.task)
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

fn joins(path: &[PathStep], first: &ClassRef, last: &ClassRef) -> Result<(), Rejection> {
    let ends = path.first().zip(path.last());
    match ends {
        Some((a, b)) if a.class.id == first.id && b.class.id == last.id => Ok(()),
        _ => Err(rejection("the chain does not join the two classes")),
    }
}

/// Used in a context, and held where that context can come.
fn conflict(a: UsageBit, b: UsageBit) -> Result<(), Rejection> {
    let same = a.state().is_some() && a.state() == b.state();
    if same && a.is_enabled() != b.is_enabled() {
        Ok(())
    } else {
        Err(rejection("the two usages do not conflict"))
    }
}

/// The class got the bit by that task at that place.
fn marked(
    ledger: &Ledger<'_>,
    class: &ClassRef,
    bit: UsageBit,
    at: Trace,
) -> Result<Basis, Rejection> {
    let wanted = Mark {
        class: code(class.id),
        bit: bit.index(),
        site: at.site.into(),
        task: at.task.into(),
    };
    if ledger.marks.contains(&wanted) {
        Ok(Basis::Recomputed)
    } else {
        Err(Rejection(format!(
            "the log does not show how {class} became {bit}"
        )))
    }
}
