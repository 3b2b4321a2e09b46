//! Mutations of what happens: operations inserted, deleted, swapped, spliced, moved, enclosed, retyped.

use super::place::{operations, put, some_block, some_operation};
use crate::explore::Rng;
use crate::program::gfp::{Gfp, GfpBase, GfpFlag, GfpFlags};
use crate::program::op::{Acquire, Flavour, LockRef, Mode, Nest, Op, Pick, Pressure, Stmt};
use crate::program::verb::{PageVerb, Scope};
use crate::program::word::Word;
use crate::program::{At, Block, Id, Program};

/// One change.
pub(super) fn mutate(program: &mut Program, rng: &mut Rng) {
    match rng.below(16) {
        0..=3 => insert(program, rng),
        4 | 5 => delete(program, rng),
        6 => unwrap(program, rng),
        7 => swap(program, rng),
        8 => splice(program, rng),
        9 | 10 => move_elsewhere(program, rng),
        11 => enclose(program, rng),
        12 => retype_gfp(program, rng),
        13 => repress(program, rng),
        _ => redirect(program, rng),
    }
}

/// Makes a program smaller by an operation, or by a declaration.
pub(super) fn shrink(program: &mut Program, rng: &mut Rng) {
    if operations(program) > 0 && rng.below(4) != 0 {
        delete(program, rng);
    } else {
        super::declarations::remove(program, rng);
    }
}

fn stmt(op: Op) -> Stmt {
    Stmt {
        at: At::NOWHERE,
        op,
    }
}

fn insert(program: &mut Program, rng: &mut Rng) {
    let bytes = super::material(rng, 64);
    let Ok(new) = arbitrary::Unstructured::new(&bytes).arbitrary::<Stmt>() else {
        return;
    };
    // Without its other half such an operation only breaks the rules of locking, which hides all else.
    let half = matches!(new.op, Op::Lock(_, None) | Op::Unlock { .. } | Op::Do(_));
    if !half || rng.below(8) == 0 {
        put(program, vec![new], rng);
    }
}

fn delete(program: &mut Program, rng: &mut Rng) {
    if let Some((block, at)) = some_operation(program, rng) {
        block.0.remove(at);
    }
}

/// Replaces an operation by what its blocks contain.
fn unwrap(program: &mut Program, rng: &mut Rng) {
    let Some((block, at)) = some_operation(program, rng) else {
        return;
    };
    let mut stmt = block.0.remove(at);
    let inner = stmt.op.blocks_mut();
    let inner: Vec<Stmt> = inner.flat_map(|b| std::mem::take(&mut b.0)).collect();
    block.0.splice(at..at, inner);
}

fn swap(program: &mut Program, rng: &mut Rng) {
    let Some((block, at)) = some_operation(program, rng) else {
        return;
    };
    let other = rng.below(block.len() as u32) as usize;
    block.0.swap(at, other);
}

/// Copies a few operations of some block to some place.
fn splice(program: &mut Program, rng: &mut Rng) {
    let Some((block, at)) = some_operation(program, rng) else {
        return;
    };
    let end = (at + 1 + rng.below(3) as usize).min(block.len());
    let copied = block.0[at..end].to_vec();
    put(program, copied, rng);
}

/// Moves an operation to another place: most often another task.
fn move_elsewhere(program: &mut Program, rng: &mut Rng) {
    let Some((block, at)) = some_operation(program, rng) else {
        return;
    };
    let moved = block.0.remove(at);
    put(program, vec![moved], rng);
}

/// Puts a lock, a scope or a loop around a few operations.
fn enclose(program: &mut Program, rng: &mut Rng) {
    let locks = program.locks.len() as u32;
    let Some(block) = some_block(program, rng) else {
        return;
    };
    let at = rng.below(block.len() as u32 + 1) as usize;
    let end = (at + rng.below(4) as usize).min(block.len());
    let inner = Block(block.0.drain(at..end).collect());
    let op = match rng.below(4) {
        0 => Op::Loop(2, inner),
        1 => Op::Scope(word::<Scope>(rng), inner),
        _ => Op::Lock(acquire(locks, rng), Some(inner)),
    };
    block.0.insert(at, stmt(op));
}

fn acquire(locks: u32, rng: &mut Rng) -> Acquire {
    Acquire {
        lock: LockRef {
            lock: Id::new(rng.below(locks) as u16),
            pick: Pick::Referenced,
        },
        mode: Mode::Exclusive,
        flavour: if rng.below(4) == 0 {
            word::<Flavour>(rng)
        } else {
            Flavour::Plain
        },
        nest: Nest::None,
    }
}

fn word<T: Word + Copy + 'static>(rng: &mut Rng) -> T {
    T::WORDS[rng.below(T::WORDS.len() as u32) as usize].0
}

fn gfp_of(op: &mut Op) -> Option<&mut Gfp> {
    match op {
        Op::Alloc { gfp, .. } | Op::Charge { gfp, .. } | Op::MightAlloc(gfp) => Some(gfp),
        Op::Reclaim(_, gfp) => Some(gfp),
        _ => None,
    }
}

/// Some operation that `want` wants, changed by `change`.
fn change<T: ?Sized>(
    program: &mut Program,
    rng: &mut Rng,
    want: impl Fn(&mut Op) -> Option<&mut T>,
    change: impl FnOnce(&mut T, &mut Rng),
) {
    let wanted = |program: &mut Program, nth: u32| {
        let (mut seen, mut found) = (0, None);
        for (b, (_, body)) in program.bodies_mut().enumerate() {
            let mut i = 0;
            body.block.walk_mut(&mut |s| {
                if want(&mut s.op).is_some() {
                    if seen == nth {
                        found = Some((b, i));
                    }
                    seen += 1;
                }
                i += 1;
            });
        }
        (seen, found)
    };
    let (count, _) = wanted(program, 0);
    if count == 0 {
        return insert(program, rng);
    }
    let (_, Some((b, at))) = wanted(program, rng.below(count)) else {
        return;
    };
    let mut apply = Some(change);
    let Some((_, body)) = program.bodies_mut().nth(b) else {
        return;
    };
    let mut i = 0;
    body.block.walk_mut(&mut |s| {
        if i == at
            && let (Some(part), Some(apply)) = (want(&mut s.op), apply.take())
        {
            apply(part, rng);
        }
        i += 1;
    });
}

fn retype_gfp(program: &mut Program, rng: &mut Rng) {
    change(program, rng, gfp_of, |gfp, rng| match rng.below(4) {
        0 | 1 => gfp.base = word::<GfpBase>(rng),
        2 => gfp.set = gfp.set.with(word::<GfpFlag>(rng)),
        _ => {
            gfp.set = GfpFlags::default();
            gfp.clear = GfpFlags::default();
        }
    });
}

fn pressure_of(op: &mut Op) -> Option<&mut Pressure> {
    match op {
        Op::Alloc { pressure, .. } | Op::Charge { pressure, .. } => Some(pressure),
        _ => None,
    }
}

fn repress(program: &mut Program, rng: &mut Rng) {
    change(program, rng, pressure_of, |pressure, rng| {
        *pressure = word::<Pressure>(rng);
    });
}

/// Lets an operation do the same to something else, or something else to the same.
fn redirect(program: &mut Program, rng: &mut Rng) {
    let refers = |op: &mut Op| {
        matches!(
            op,
            Op::Lock(..)
                | Op::Trylock { .. }
                | Op::Unlock { .. }
                | Op::Page(..)
                | Op::Scope(..)
                | Op::Complete { .. }
                | Op::WaitFor { .. }
                | Op::Call(_)
        )
    };
    let pages = program.pages.len() as u32;
    let locks = program.locks.len() as u32;
    let functions = program.functions.len() as u32;
    change(
        program,
        rng,
        |op| refers(op).then_some(op),
        |op, rng| match op {
            Op::Lock(a, _) | Op::Trylock { acquire: a, .. } => match rng.below(4) {
                0 => a.flavour = word::<Flavour>(rng),
                1 => a.mode = other_mode(a.mode),
                _ => a.lock.lock = Id::new(rng.below(locks) as u16),
            },
            Op::Unlock { lock, .. } => lock.lock = Id::new(rng.below(locks) as u16),
            Op::Page(verb, page) => match rng.below(2) {
                0 => *verb = word::<PageVerb>(rng),
                _ => page.page = Id::new(rng.below(pages) as u16),
            },
            Op::Scope(scope, _) => *scope = word::<Scope>(rng),
            Op::Complete { all, .. } => *all = !*all,
            Op::WaitFor { timeout, .. } => *timeout = !*timeout,
            Op::Call(f) => *f = Id::new(rng.below(functions) as u16),
            _ => {}
        },
    );
}

fn other_mode(mode: Mode) -> Mode {
    match mode {
        Mode::Exclusive => Mode::Shared,
        Mode::Shared => Mode::Exclusive,
    }
}
