//! Bodies: size, nesting, calls, and what may not sleep.

use super::super::block::Block;
use super::super::check::{atomic_functions, call_cycle, has_wait, operation, sleeps};
use super::super::gfp::{GfpBase, GfpFlag, GfpFlags};
use super::super::handler::TaskFlag;
use super::super::op::{Body, Op, Stmt};
use super::super::{At, Context, Name, Program, limits};
use super::{declarations, operations, variables};

pub(super) fn repair(program: &mut Program) {
    declarations::classes(&mut program.locks.0);
    let mut bodies: Vec<(Context, Body)> = program
        .bodies_mut()
        .map(|(context, body)| (context, std::mem::take(body)))
        .collect();
    let mut room = Room {
        program,
        any: Body {
            locals: vec![Name::default(); limits::LOCALS],
            block: Block::default(),
        },
        operations: limits::OPERATIONS,
    };
    for (context, body) in &mut bodies {
        room.fill(&mut body.block, *context == Context::Callee, 1);
    }
    put_back(program, bodies);
    no_recursion(program);
    no_sleep(program);
    variables::repair(program);
    for task in &mut program.tasks.0 {
        if task.flags.contains(TaskFlag::Daemon) && !has_wait(&task.body.block) {
            task.flags = task.flags.without(TaskFlag::Daemon);
        }
    }
}

fn put_back(program: &mut Program, bodies: Vec<(Context, Body)>) {
    for ((_, place), (_, body)) in program.bodies_mut().zip(bodies) {
        *place = body;
    }
}

/// What operations have to fit into.
struct Room<'p> {
    program: &'p Program,
    /// Variables come later; until then any position below the limit will do.
    any: Body,
    /// How many more there may be.
    operations: usize,
}

impl Room<'_> {
    /// Makes each operation of a block at `depth` fit, or drops it.
    fn fill(&mut self, block: &mut Block, callee: bool, depth: usize) {
        let mut kept = Vec::new();
        for mut statement in block.0.drain(..) {
            if self.operations == 0 {
                break;
            }
            operations::fit(self.program, &mut statement.op, callee);
            let op = &statement.op;
            let legal = operation(self.program, &self.any, op, At::NOWHERE, callee).is_ok();
            let too_deep = depth == limits::DEPTH && op.blocks().next().is_some();
            let keep = legal && !too_deep;
            self.operations -= usize::from(keep);
            let inner = depth + usize::from(keep);
            for block in statement.op.blocks_mut() {
                self.fill(block, callee, inner);
            }
            keep_or_splice(&mut kept, statement, keep);
        }
        block.0 = kept;
    }
}

/// The operation, or the contents of its blocks in its place.
fn keep_or_splice(kept: &mut Vec<Stmt>, mut statement: Stmt, keep: bool) {
    if keep {
        return kept.push(statement);
    }
    for block in statement.op.blocks_mut() {
        kept.append(&mut block.0);
    }
}

/// Drops what `keep` refuses, from the inside out.
pub(super) fn retain(block: &mut Block, keep: &mut dyn FnMut(&mut Op) -> bool) {
    let mut kept = Vec::new();
    for mut statement in block.0.drain(..) {
        for inner in statement.op.blocks_mut() {
            retain(inner, keep);
        }
        let stays = keep(&mut statement.op);
        keep_or_splice(&mut kept, statement, stays);
    }
    block.0 = kept;
}

fn no_recursion(program: &mut Program) {
    while let Some((caller, callee, _)) = call_cycle(program) {
        let block = &mut program.functions[caller].body.block;
        retain(block, &mut |op| *op != Op::Call(callee));
    }
}

fn no_sleep(program: &mut Program) {
    let functions = atomic_functions(program);
    let mut bodies: Vec<(Context, Body)> = program
        .bodies_mut()
        .map(|(context, body)| (context, std::mem::take(body)))
        .collect();
    for (i, (context, body)) in bodies.iter_mut().enumerate() {
        // Functions come first among the bodies.
        let called = functions.iter().any(|(id, _)| id.index() == i);
        if called || matches!(context, Context::Hardirq | Context::Softirq) {
            retain(&mut body.block, &mut |op| {
                atomic_gfp(op);
                sleeps(program, op).is_none()
            });
        }
    }
    put_back(program, bodies);
}

/// An allocation that might sleep becomes one that does not.
fn atomic_gfp(op: &mut Op) {
    let (Op::Alloc { gfp, .. } | Op::Charge { gfp, .. }) = op else {
        return;
    };
    if gfp.direct_reclaim() == Some(true) {
        gfp.base = GfpBase::Atomic;
        gfp.set = gfp
            .set
            .without(GfpFlags::default().with(GfpFlag::DirectReclaim));
    }
}
