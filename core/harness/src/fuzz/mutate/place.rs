//! Places in a program: blocks and operations by number, over all bodies, in the order of the text.

use crate::explore::Rng;
use crate::program::{Block, Program, Stmt};

/// Number of blocks, empty ones and those of declarations included.
pub(super) fn blocks(program: &Program) -> u32 {
    fn count(block: &Block) -> u32 {
        let inner = block.iter().flat_map(|s| s.op.blocks());
        1 + inner.map(count).sum::<u32>()
    }
    program.bodies().map(|(_, _, _, b)| count(&b.block)).sum()
}

/// Number of operations.
pub(super) fn operations(program: &Program) -> u32 {
    let all = program.bodies().map(|(_, _, _, b)| b.block.operations());
    all.sum::<usize>() as u32
}

/// Block number `n`.
pub(super) fn block(program: &mut Program, n: u32) -> Option<&mut Block> {
    let mut left = n;
    program
        .bodies_mut()
        .find_map(|(_, body)| nth_block(&mut body.block, &mut left))
}

fn nth_block<'b>(block: &'b mut Block, left: &mut u32) -> Option<&'b mut Block> {
    if *left == 0 {
        return Some(block);
    }
    *left -= 1;
    block
        .0
        .iter_mut()
        .flat_map(|s| s.op.blocks_mut())
        .find_map(|inner| nth_block(inner, left))
}

/// Operation number `n`: the block it stands in, and where.
pub(super) fn operation(program: &mut Program, n: u32) -> Option<(&mut Block, usize)> {
    let mut left = n;
    program
        .bodies_mut()
        .find_map(|(_, body)| nth_operation(&mut body.block, &mut left))
}

fn nth_operation<'b>(block: &'b mut Block, left: &mut u32) -> Option<(&'b mut Block, usize)> {
    let at = (0..block.len()).find(|&i| {
        let inside = 1 + inside(&block.0[i]);
        if *left < inside {
            return true;
        }
        *left -= inside;
        false
    })?;
    if *left == 0 {
        return Some((block, at));
    }
    *left -= 1;
    let inner = block.0[at].op.blocks_mut();
    inner.into_iter().find_map(|b| nth_operation(b, left))
}

/// Operations in the blocks of an operation.
fn inside(stmt: &Stmt) -> u32 {
    stmt.op.blocks().map(|b| b.operations() as u32).sum()
}

/// Some block.
pub(super) fn some_block<'p>(program: &'p mut Program, rng: &mut Rng) -> Option<&'p mut Block> {
    let n = rng.below(blocks(program));
    block(program, n)
}

/// Some operation.
pub(super) fn some_operation<'p>(
    program: &'p mut Program,
    rng: &mut Rng,
) -> Option<(&'p mut Block, usize)> {
    let count = operations(program);
    if count == 0 {
        return None;
    }
    operation(program, rng.below(count))
}

/// Puts an operation somewhere.
pub(super) fn put(program: &mut Program, stmts: Vec<Stmt>, rng: &mut Rng) {
    if let Some(block) = some_block(program, rng) {
        let at = rng.below(block.len() as u32 + 1) as usize;
        block.0.splice(at..at, stmts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::parse;

    #[test]
    fn every_operation_and_block_has_one_number() {
        let text = "splat x\nmutex a\nflag f\nfn g { set f }\ntask t on cpu0 { lock a { clear f; schedule }; if f { cpu_relax } else { printk } }\n";
        let mut program = parse("x", &text.replace("; ", "\n")).unwrap();
        let count = operations(&program);
        let mut seen = Vec::new();
        for n in 0..count {
            let (block, at) = operation(&mut program, n).unwrap();
            let stmt = block.0[at].clone();
            seen.push(format!("{:?}", stmt.op));
        }
        assert_eq!(count, 7, "{seen:?}");
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len(), "{seen:?}");
        assert!(operation(&mut program, count).is_none());
        let blocks = blocks(&program);
        assert_eq!(blocks, 5);
        assert!((0..blocks).all(|n| block(&mut program, n).is_some()));
        assert!(block(&mut program, blocks).is_none());
    }
}
