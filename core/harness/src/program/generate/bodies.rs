//! Operations out of bytes: mostly those of the program's subjects, now and then any.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::super::cond::{Atom, Cond, Join, Term};
use super::super::gfp::{Gfp, GfpBase, GfpFlag, GfpFlags};
use super::super::op::{
    Acquire, Flavour, LockRef, Mode, Nest, Op, Pick, Pressure, ReclaimOf, Source, Stmt, Var,
};
use super::super::table::Id;
use super::super::verb::{Do, PageVerb, Scope, WorkVerb};
use super::super::{At, Block};
use super::swarm;

impl<'a> Arbitrary<'a> for Stmt {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let op = if swarm::is_open() {
            any(u)?
        } else {
            match u.int_in_range(0..=9)? {
                0..=6 => swarm::operation(u)?,
                7 | 8 => Op::Lock(acquire(u)?, Some(u.arbitrary()?)),
                _ => any(u)?,
            }
        };
        let at = At::NOWHERE;
        Ok(Self { at, op })
    }
}

/// Any operation, those more often that make threads of reclaim and locking meet.
fn any(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(match u.int_in_range(0..=25)? {
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
        13 => complete(u)?,
        14 => wait_for(u)?,
        15 => work(u)?,
        16 => reclaim(u)?,
        17 => Op::Trylock {
            acquire: acquire(u)?,
            keep: false,
            then: u.arbitrary()?,
            otherwise: Block::default(),
        },
        18 => Op::Page(u.arbitrary()?, u.arbitrary()?),
        19 => mapping(u)?,
        _ => u.arbitrary()?,
    })
}

fn lock(u: &mut Unstructured<'_>) -> Result<LockRef> {
    Ok(LockRef {
        // The first lock is one that may be taken anywhere where there are such.
        lock: if swarm::in_atomic() {
            Id::new(0)
        } else {
            u.arbitrary()?
        },
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

pub(super) fn alloc(u: &mut Unstructured<'_>) -> Result<Op> {
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
    if swarm::in_atomic() && !u.ratio(1, 8)? {
        return Ok(Gfp::of(GfpBase::Atomic));
    }
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

pub(super) fn allocation_scope(u: &mut Unstructured<'_>) -> Result<Op> {
    let scope = *u.choose(&[Scope::Nofs, Scope::Noio, Scope::Noreclaim])?;
    Ok(Op::Scope(scope, u.arbitrary()?))
}

pub(super) fn irq_scope(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Scope(Scope::Irqsave, u.arbitrary()?))
}

pub(super) fn irq_lock(u: &mut Unstructured<'_>) -> Result<Op> {
    let lock = LockRef {
        lock: Id::new(0),
        pick: Pick::Only,
    };
    let flavour = *u.choose(&[Flavour::Plain, Flavour::Irqsave, Flavour::Irqsave])?;
    let acquire = Acquire {
        lock,
        mode: Mode::Exclusive,
        flavour,
        nest: Nest::None,
    };
    Ok(Op::Lock(acquire, Some(u.arbitrary()?)))
}

pub(super) fn reclaim(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Reclaim(ReclaimOf::Node, gfp(u)?))
}

pub(super) fn memcg_reclaim(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Reclaim(ReclaimOf::Memcg(u.arbitrary()?), gfp(u)?))
}

pub(super) fn charge(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Charge {
        memcg: u.arbitrary()?,
        pages: 1,
        gfp: gfp(u)?,
        pressure: if u.arbitrary()? {
            Pressure::Reclaim
        } else {
            Pressure::Maybe
        },
    })
}

/// An allocation that is charged to the task's memcg.
pub(super) fn charged_alloc(u: &mut Unstructured<'_>) -> Result<Op> {
    let mut op = alloc(u)?;
    if let Op::Alloc { gfp, .. } = &mut op {
        gfp.set = gfp.set.with(GfpFlag::Account);
    }
    Ok(op)
}

pub(super) fn memcg(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Memcg(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn page_lock(u: &mut Unstructured<'_>) -> Result<Op> {
    let verb = *u.choose(&[
        PageVerb::LockPage,
        PageVerb::UnlockPage,
        PageVerb::WaitOnLocked,
    ])?;
    Ok(Op::Page(verb, u.arbitrary()?))
}

pub(super) fn page_change(u: &mut Unstructured<'_>) -> Result<Op> {
    let verb = *u.choose(&[
        PageVerb::Release,
        PageVerb::Truncate,
        PageVerb::Unmap,
        PageVerb::MarkAccessed,
    ])?;
    Ok(Op::Page(verb, u.arbitrary()?))
}

pub(super) fn page_writeback(u: &mut Unstructured<'_>) -> Result<Op> {
    let verb = *u.choose(&[
        PageVerb::SetDirty,
        PageVerb::WaitOnWriteback,
        PageVerb::ClearDirtyForIo,
        PageVerb::Redirty,
    ])?;
    Ok(Op::Page(verb, u.arbitrary()?))
}

pub(super) fn mapping(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Mapping(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn batch(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(if u.arbitrary()? {
        Op::BioAddPage(u.arbitrary()?, u.arbitrary()?)
    } else {
        Op::Batch(u.arbitrary()?, u.arbitrary()?)
    })
}

pub(super) fn serve(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Serve(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn mm(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Mm(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn invalidate(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Invalidate(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn wb_stat(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::WbStat(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn page_stat(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::PageStat(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn switch_wb(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::SwitchWb(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn rebuild(_: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Do(Do::RebuildZonelists))
}

pub(super) fn hotplug(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Hotplug {
        zone: u.arbitrary()?,
        online: u.arbitrary()?,
    })
}

pub(super) fn complete(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Complete {
        completion: u.arbitrary()?,
        all: false,
    })
}

pub(super) fn wait_for(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::WaitFor {
        completion: u.arbitrary()?,
        timeout: false,
    })
}

pub(super) fn set(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::Set(u.arbitrary()?, u.arbitrary()?))
}

pub(super) fn wait_event(u: &mut Unstructured<'_>) -> Result<Op> {
    let flag = Term {
        negated: u.arbitrary()?,
        atom: Atom::Flag(u.arbitrary()?),
    };
    Ok(Op::WaitEvent {
        queue: u.arbitrary()?,
        until: Cond {
            join: Join::All,
            terms: vec![flag],
        },
        timeout: false,
    })
}

pub(super) fn wake_up(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(Op::WakeUp {
        queue: u.arbitrary()?,
        all: false,
    })
}

pub(super) fn grace_period(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(if u.arbitrary()? {
        Op::SynchronizeSrcu(u.arbitrary()?)
    } else {
        Op::Do(Do::SynchronizeRcu)
    })
}

pub(super) fn work(u: &mut Unstructured<'_>) -> Result<Op> {
    let verb = if u.arbitrary()? {
        WorkVerb::Queue
    } else {
        WorkVerb::Flush
    };
    Ok(Op::Work(verb, u.arbitrary()?))
}
