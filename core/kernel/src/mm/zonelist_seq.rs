//! `zonelist_update_seq`: how an allocation in the slow path learns that the zonelists were rebuilt meanwhile, so that
//! it tries again instead of failing or killing somebody over a position in a list that no longer exists.
//!
//! | variant | writer | reader |
//! | --- | --- | --- |
//! | Z0 | a private spinlock | none |
//! | Z1 `3d36424b3b58` | `write_seqlock`, interrupts on | every slow path, waits while odd |
//! | Z2 `1007843a9190` | interrupts off, printk deferred, then `write_seqlock` | as Z1 |
//! | Z3 `a2ebb5157582` | `write_seqlock_irqsave`, then printk deferred | as Z1 |
//! | Z4 (2023, not merged) | as Z1 | as Z1, but only who may reclaim |
//! | Z5 (2023, not merged) | a counter under a private irqsave spinlock | read once; who may reclaim retries if it changed or is odd |

use super::Mm;
use super::gfp::Gfp;
use crate::rt::{IrqFlags, Machine, OpKind, ResId, ResKind, current};
use crate::rules::ZonelistSeq as Variant;
use crate::sync::{How, Irq, Lock, LockKind, Seqlock};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What an allocation remembers of the sequence (`zonelist_iter_begin()`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cookie(u64);

/// The sequence in its variants, and who serialises its writers.
#[derive(Debug)]
pub(crate) enum Sequence {
    /// Z0: nothing that readers see.
    None(Lock),
    /// Z1 to Z4.
    Seqlock(Seqlock),
    /// Z5.
    Counter {
        lock: Lock,
        res: ResId,
        count: AtomicU64,
    },
}

impl Sequence {
    pub(crate) fn new(m: &mut Machine) -> Self {
        let name = "zonelist_update_seq";
        match m.rules().zonelist_seq {
            Variant::Z0 => Self::None(private_lock(m)),
            Variant::Z5 => Self::Counter {
                lock: private_lock(m),
                res: m.add_resource(ResKind::Sequence, name),
                count: AtomicU64::new(0),
            },
            _ => {
                let lock = LockKind::Spin.class(m, name);
                let count = crate::sync::LockMap::class(m, "zonelist_update_seq.seqcount");
                Self::Seqlock(Seqlock::seqlock(m, name, lock, count))
            }
        }
    }

    pub(crate) fn reset(&self) {
        match self {
            Self::None(_) => {}
            Self::Seqlock(seq) => seq.reset(),
            Self::Counter { count, .. } => count.store(0, SeqCst),
        }
    }

    /// Makes the sequence odd, as the one writer. Interrupts and printk are the caller's.
    pub(crate) fn write_begin(&self, irq: Irq) -> IrqFlags {
        let how = How {
            irq,
            ..How::default()
        };
        match self {
            Self::None(lock) => lock.lock(how),
            Self::Seqlock(seq) => seq.write_begin(irq),
            Self::Counter { lock, res, count } => {
                let flags = lock.lock(how);
                step(*res, count);
                flags
            }
        }
    }

    /// Makes the sequence even again.
    pub(crate) fn write_end(&self, irq: Irq, flags: IrqFlags) {
        match self {
            Self::None(lock) => lock.unlock(irq, flags),
            Self::Seqlock(seq) => seq.write_end(irq, flags),
            Self::Counter { lock, res, count } => {
                step(*res, count);
                lock.unlock(irq, flags);
            }
        }
    }
}

fn private_lock(m: &mut Machine) -> Lock {
    let key = LockKind::Spin.class(m, "build_all_zonelists.lock");
    Lock::new(m, LockKind::Spin, "build_all_zonelists.lock", Some(key))
}

/// Another value of a counter that nobody waits for.
fn step(res: ResId, count: &AtomicU64) {
    let e = current();
    e.point(OpKind::Store, res);
    count.fetch_add(1, SeqCst);
    e.machine().changed(&e, true);
}

impl Mm {
    /// `zonelist_iter_begin()`: waits while the sequence is odd, in the variants that do.
    pub(crate) fn zonelist_iter_begin(&self, gfp: Gfp) -> Cookie {
        let e = current();
        if !e.machine().rules().memory_hotremove {
            return Cookie::default();
        }
        match &self.sequence {
            Sequence::None(_) => Cookie::default(),
            Sequence::Seqlock(_) if self.is_opted_out(gfp) => Cookie::default(),
            Sequence::Seqlock(seq) => Cookie(seq.read_begin()),
            Sequence::Counter { res, count, .. } => {
                e.point(OpKind::Load, *res);
                Cookie(count.load(SeqCst))
            }
        }
    }

    /// `check_retry_zonelist()`: whether the request has to start again, because the lists were rebuilt or, in Z5, are
    /// being rebuilt.
    pub(crate) fn check_retry_zonelist(&self, gfp: Gfp, cookie: Cookie) -> bool {
        let e = current();
        if !e.machine().rules().memory_hotremove {
            return false;
        }
        match &self.sequence {
            Sequence::None(_) => false,
            Sequence::Seqlock(_) if self.is_opted_out(gfp) => false,
            Sequence::Seqlock(seq) => seq.read_retry(cookie.0),
            Sequence::Counter { .. } if !gfp.may_block() => false,
            Sequence::Counter { res, count, .. } => {
                e.point(OpKind::Load, *res);
                let now = count.load(SeqCst);
                now != cookie.0 || now % 2 == 1
            }
        }
    }

    /// Z4: who may not reclaim does not look at the sequence.
    fn is_opted_out(&self, gfp: Gfp) -> bool {
        current().machine().rules().zonelist_seq == Variant::Z4 && !gfp.may_block()
    }
}
