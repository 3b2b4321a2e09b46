//! Operations out of bytes: mostly those that make threads of reclaim and locking meet, now and then any.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::gfp::{Gfp, GfpBase, GfpFlag, GfpFlags};
use super::super::op::{
    Acquire, Flavour, LockRef, Mode, Nest, Op, Pick, Pressure, ReclaimOf, Source, Stmt, Var,
};
use super::super::verb::{Scope, WorkVerb};
use super::super::{At, Block};

impl<'a> Arbitrary<'a> for Stmt {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let op = match u.int_in_range(0..=25)? {
            0..=4 => Op::Lock(acquire(u)?, Some(u.arbitrary()?)),
            5 => Op::Lock(acquire(u)?, None),
            6 => Op::Unlock {
                lock: lock(u)?,
                mode: mode(u)?,
                flavour: Flavour::Plain,
            },
            7..=10 => alloc(u)?,
            11 => Op::Free(Var::Local(u.int_in_range(0..=1)?)),
            12 => Op::Scope(scope(u)?, u.arbitrary()?),
            13 => Op::Complete {
                completion: u.arbitrary()?,
                all: false,
            },
            14 => Op::WaitFor {
                completion: u.arbitrary()?,
                timeout: false,
            },
            15 => Op::Work(work(u)?, u.arbitrary()?),
            16 => Op::Reclaim(ReclaimOf::Node, gfp(u)?),
            17 => Op::Trylock {
                acquire: acquire(u)?,
                keep: false,
                then: u.arbitrary()?,
                otherwise: Block::default(),
            },
            18 => Op::Page(u.arbitrary()?, u.arbitrary()?),
            19 => Op::Mapping(u.arbitrary()?, u.arbitrary()?),
            _ => u.arbitrary()?,
        };
        let at = At::NOWHERE;
        Ok(Self { at, op })
    }
}

fn lock(u: &mut Unstructured<'_>) -> Result<LockRef> {
    Ok(LockRef {
        lock: u.arbitrary()?,
        pick: if u.arbitrary()? {
            Pick::Referenced
        } else {
            Pick::Unreferenced
        },
    })
}

fn mode(u: &mut Unstructured<'_>) -> Result<Mode> {
    Ok(if u.ratio(1, 4)? {
        Mode::Shared
    } else {
        Mode::Exclusive
    })
}

fn acquire(u: &mut Unstructured<'_>) -> Result<Acquire> {
    let flavour = match u.int_in_range(0..=5)? {
        0 => Flavour::Irqsave,
        1 => u.arbitrary()?,
        _ => Flavour::Plain,
    };
    Ok(Acquire {
        lock: lock(u)?,
        mode: mode(u)?,
        flavour,
        nest: if u.ratio(1, 16)? {
            u.arbitrary()?
        } else {
            Nest::None
        },
    })
}

fn alloc(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Alloc {
        to: Some(Var::Local(u.int_in_range(0..=1)?)),
        source: if u.ratio(1, 4)? {
            Source::Slab
        } else {
            Source::Pages { order: 0 }
        },
        gfp: gfp(u)?,
        pressure: match u.int_in_range(0..=3)? {
            0 => u.arbitrary()?,
            1 => Pressure::Maybe,
            _ => Pressure::Reclaim,
        },
    })
}

fn gfp(u: &mut Unstructured<'_>) -> Result<Gfp> {
    let none = GfpFlags::default();
    Ok(match u.int_in_range(0..=7)? {
        0..=2 => Gfp::of(GfpBase::Kernel),
        3 => Gfp {
            set: none.with(GfpFlag::Nomemalloc),
            ..Gfp::of(GfpBase::Kernel)
        },
        4 => Gfp::of(GfpBase::Inherited),
        5 => Gfp::of(GfpBase::Nofs),
        6 => Gfp::of(GfpBase::Atomic),
        _ => u.arbitrary()?,
    })
}

fn scope(u: &mut Unstructured<'_>) -> Result<Scope> {
    Ok(match u.int_in_range(0..=3)? {
        0 => Scope::Nofs,
        1 => Scope::Irqsave,
        _ => u.arbitrary()?,
    })
}

fn work(u: &mut Unstructured<'_>) -> Result<WorkVerb> {
    Ok(if u.arbitrary()? {
        WorkVerb::Queue
    } else {
        WorkVerb::Flush
    })
}
