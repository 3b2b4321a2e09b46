//! Calls: no function calls itself, and nothing sleeps where it cannot.

use super::super::error::Problem;
use super::super::handler::{Function, FunctionKind};
use super::super::op::{Op, ReclaimOf};
use super::super::table::Id;
use super::super::verb::{BatchVerb, Do, MemcgVerb, PageVerb, TimerVerb, WorkVerb};
use super::super::word::Word;
use super::super::{At, Block, Context, Program};

pub(super) fn check(program: &Program, problems: &mut Vec<Problem>) {
    if let Some((caller, callee, at)) = call_cycle(program) {
        let (caller, callee) = (
            &program.functions[caller].name,
            &program.functions[callee].name,
        );
        let message = format!("`{caller}` calls `{callee}`, which ends up calling `{caller}`");
        problems.push(Problem::new(
            at,
            message,
            "expected no recursion: bodies are finite",
        ));
        return;
    }
    for (context, name, _, body) in program.bodies() {
        if matches!(context, Context::Hardirq | Context::Softirq) {
            let why = match context {
                Context::Hardirq => format!("`{name}` is an interrupt handler"),
                _ => format!("`{name}` runs in softirq context"),
            };
            refuse_sleep(program, &body.block, &why, problems);
        }
    }
    for (function, why) in atomic_functions(program) {
        refuse_sleep(
            program,
            &program.functions[function].body.block,
            &why,
            problems,
        );
    }
}

fn refuse_sleep(program: &Program, block: &Block, why: &str, problems: &mut Vec<Problem>) {
    block.walk(&mut |statement| {
        if let Some(what) = sleeps(program, &statement.op) {
            let message = format!("{what} may sleep here");
            let problem = Problem::new(
                statement.at,
                message,
                "expected an operation that cannot sleep",
            );
            problems.push(problem.with_help(Some(why.to_owned())));
        }
    });
}

/// Functions that run where nothing may sleep, each with the reason. Calls must not be cyclic.
pub fn atomic_functions(program: &Program) -> Vec<(Id<Function>, String)> {
    let mut atomic: Vec<(Id<Function>, String)> = program
        .functions
        .entries()
        .filter(|(_, f)| f.kind == FunctionKind::Console)
        .map(|(id, f)| {
            (
                id,
                format!("`{}` is called by printk in any context", f.name),
            )
        })
        .collect();
    let add = |atomic: &mut Vec<(Id<Function>, String)>, id: Id<Function>, why: String| {
        if program.functions.get(id).is_some() && atomic.iter().all(|(known, _)| *known != id) {
            atomic.push((id, why));
        }
    };
    for (context, name, _, body) in program.bodies() {
        let is_atomic = matches!(context, Context::Hardirq | Context::Softirq);
        body.block.walk(&mut |statement| match statement.op {
            Op::Call(id) if is_atomic => {
                add(
                    &mut atomic,
                    id,
                    format!("`{name}` calls it, which may not sleep"),
                );
            }
            Op::CallRcu(id) => add(
                &mut atomic,
                id,
                "call_rcu runs it in softirq context".to_owned(),
            ),
            _ => {}
        });
    }
    let mut done = 0;
    while done < atomic.len() {
        let Some(function) = program.functions.get(atomic[done].0) else {
            break;
        };
        function.body.block.walk(&mut |statement| {
            if let Op::Call(id) = statement.op {
                let why = format!("`{}` calls it, which may not sleep", function.name);
                add(&mut atomic, id, why);
            }
        });
        done += 1;
    }
    atomic
}

/// A call that closes a cycle: caller, callee, place.
pub fn call_cycle(program: &Program) -> Option<(Id<Function>, Id<Function>, At)> {
    let calls: Vec<Vec<(Id<Function>, At)>> = program
        .functions
        .iter()
        .map(|function| {
            let mut calls = Vec::new();
            function.body.block.walk(&mut |statement| {
                if let Op::Call(id) = statement.op {
                    calls.push((id, statement.at));
                }
            });
            calls
        })
        .collect();
    let reaches = |from: Id<Function>, to: Id<Function>| {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(&function) = seen.get(next) {
            if function == to {
                return true;
            }
            for (callee, _) in calls.get(function.index()).into_iter().flatten() {
                if !seen.contains(callee) {
                    seen.push(*callee);
                }
            }
            next += 1;
        }
        false
    };
    program.functions.entries().find_map(|(caller, _)| {
        calls[caller.index()]
            .iter()
            .find(|(callee, _)| reaches(*callee, caller))
            .map(|(callee, at)| (caller, *callee, *at))
    })
}

/// What of `op` (without its blocks) may sleep wherever it stands; `None` when nothing does.
pub fn sleeps(program: &Program, op: &Op) -> Option<String> {
    let word = match op {
        Op::Do(verb) => match verb {
            Do::SynchronizeRcu
            | Do::RcuBarrier
            | Do::Schedule
            | Do::Msleep
            | Do::RebuildZonelists => verb.word(),
            _ => return None,
        },
        Op::Lock(acquire, _) => {
            let lock = program
                .locks
                .get(acquire.lock.lock)
                .filter(|lock| lock.kind.sleeps())?;
            return Some(format!("taking the {} `{}`", lock.kind.word(), lock.name));
        }
        Op::Alloc { gfp, .. } | Op::Charge { gfp, .. } => {
            gfp.direct_reclaim().filter(|may| *may)?;
            return Some("an allocation with __GFP_DIRECT_RECLAIM".to_owned());
        }
        Op::Reclaim(ReclaimOf::Node | ReclaimOf::Memcg(_) | ReclaimOf::Slab, _) => "reclaim",
        Op::WaitFor { .. } => "wait_for_completion",
        Op::WaitEvent { .. } => "wait_event",
        Op::Work(verb @ (WorkVerb::Flush | WorkVerb::CancelSync), _) => verb.word(),
        Op::FlushWorkqueue(_) => "flush_workqueue",
        Op::Timer(verb @ TimerVerb::DelSync, _) => verb.word(),
        Op::SynchronizeSrcu(_) => "synchronize_srcu",
        Op::Page(verb, _) => match verb {
            PageVerb::LockPage
            | PageVerb::WaitOnWriteback
            | PageVerb::WaitOnLocked
            | PageVerb::Truncate
            | PageVerb::Unmap
            | PageVerb::Release => verb.word(),
            _ => return None,
        },
        Op::Batch(verb @ BatchVerb::Wait, _) => verb.word(),
        Op::Serve(..) => "serve",
        Op::Mapping(verb, _) => verb.word(),
        Op::Memcg(verb @ MemcgVerb::StartMove, _) => verb.word(),
        Op::MovePage(..) => "move_page",
        Op::OfflineMemcg { .. } => "offline_memcg",
        Op::Mm(verb, _) => verb.word(),
        Op::Invalidate(..) => "invalidate",
        Op::Hotplug { .. } => "memory hotplug",
        _ => return None,
    };
    Some(word.to_owned())
}
