//! What the machine cannot execute: such programs are refused, with the place.

use crate::program::op::{Mode, Op};
use crate::program::verb::MemcgVerb;
use crate::program::{At, Block, Program, repair};

/// A construct that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub what: String,
}

/// Everything in a program that cannot be executed.
#[must_use]
pub fn unsupported(program: &Program) -> Vec<Unsupported> {
    let mut found = Vec::new();
    for (_, _, _, body) in program.bodies() {
        block(&body.block, program, &mut found);
    }
    found
}

fn block(b: &Block, program: &Program, found: &mut Vec<Unsupported>) {
    for stmt in b {
        if let Some(what) = operation(&stmt.op, program) {
            found.push(Unsupported {
                at: stmt.at,
                what: what.to_owned(),
            });
        }
        for inner in inner_blocks(&stmt.op) {
            block(inner, program, found);
        }
    }
}

/// The blocks inside an operation.
fn inner_blocks(op: &Op) -> Vec<&Block> {
    match op {
        Op::Lock(_, Some(b))
        | Op::Scope(_, b)
        | Op::While(_, b)
        | Op::Loop(_, b)
        | Op::Serve(_, b)
        | Op::PageStat(_, b)
        | Op::WbStat(_, b)
        | Op::Invalidate(_, b) => vec![b],
        Op::Trylock {
            then, otherwise, ..
        }
        | Op::If {
            then, otherwise, ..
        } => vec![then, otherwise],
        _ => vec![],
    }
}

fn operation(op: &Op, program: &Program) -> Option<&'static str> {
    Some(match op {
        Op::Lock(a, _) | Op::Trylock { acquire: a, .. }
            if a.mode == Mode::Shared
                && program
                    .locks
                    .get(a.lock.lock)
                    .is_none_or(|l| !l.kind.has_readers()) =>
        {
            "reading a lock without readers"
        }
        Op::Memcg(MemcgVerb::DrainStock, _) => "charge stocks",
        _ => return None,
    })
}

/// Makes a program executable: what the machine cannot execute is taken out, or replaced by what it can.
///
/// For programs that nobody wrote: fuzz inputs. What a person wrote is refused instead.
pub fn executable(program: &mut Program) {
    few_enough(program);
    let snapshot = program.clone();
    for (_, body) in program.bodies_mut() {
        keep_executable(&mut body.block, &snapshot);
    }
    repair(program);
}

/// No more entities than a machine can have: see `Roles::of`.
fn few_enough(program: &mut Program) {
    program.irqs.0.truncate(16);
    program.devices.0.truncate(8);
    program.workqueues.0.truncate(3);
    for queue in &mut program.workqueues.0 {
        queue.workers = queue.workers.clamp(1, 3);
    }
}

fn keep_executable(block: &mut Block, program: &Program) {
    block
        .0
        .retain(|stmt| operation(&stmt.op, program).is_none());
    for stmt in &mut block.0 {
        match &mut stmt.op {
            Op::Lock(_, Some(b))
            | Op::Scope(_, b)
            | Op::While(_, b)
            | Op::Loop(_, b)
            | Op::Serve(_, b)
            | Op::Invalidate(_, b)
            | Op::PageStat(_, b)
            | Op::WbStat(_, b) => keep_executable(b, program),
            Op::Trylock {
                then, otherwise, ..
            }
            | Op::If {
                then, otherwise, ..
            } => {
                keep_executable(then, program);
                keep_executable(otherwise, program);
            }
            _ => {}
        }
    }
}
