//! Operations on locks: taking, trying, releasing, whatever kind of object the lock is.

use super::exec::site;
use super::frame::Frame;
use super::litmus::World;
use super::locks::{Object, irq};
use crate::program::Block;
use crate::program::op::{Acquire, Flavour, LockRef, Mode, Nest, Pick, Stmt};
use crate::program::verb::{MapVerb, PopulationVerb};
use ksplat_kernel::rt::{IrqFlags, current};
use ksplat_kernel::sync::{How, Irq, Lock, Seqlock};
use ksplat_lockdep::Read;

/// A lock and, if it belongs to a population, which member it is.
type Member<'a> = (&'a Lock, Option<usize>);

impl World {
    /// The lock to take; `None` if there is nothing to lock.
    fn member(&self, index: usize, pick: Pick) -> Option<Member<'_>> {
        let Object::Population(p) = &self.locks[index] else {
            return self.locks[index].lock().map(|lock| (lock, None));
        };
        let member = p.pick(pick)?;
        Some((p.member(member)?, Some(member)))
    }

    fn how(&self, a: Acquire) -> How {
        let (subclass, nest) = match a.nest {
            Nest::None => (0, None),
            Nest::Subclass(n) => (n, None),
            Nest::Lock(lock) => (0, self.locks[lock.lock.index()].map()),
        };
        How {
            irq: irq(a.flavour),
            subclass,
            nest,
        }
    }

    /// `lock L`, `read L`, with a block or without.
    pub(super) fn lock(&self, a: Acquire, block: Option<&Block>, stmt: &Stmt, f: &mut Frame) {
        let index = a.lock.lock.index();
        match (&self.locks[index], a.mode) {
            (Object::Seq(seq), Mode::Shared) => return self.read_sequence(seq, block, f),
            (Object::Map(_), _) => return,
            _ => {}
        }
        let Some((member, flags)) = self.acquire(a) else {
            return;
        };
        let Some(block) = block else {
            return f.took(index, member, flags);
        };
        self.block(block, f);
        current().set_site(site(stmt.at));
        self.give(index, member, a.mode, irq(a.flavour), flags);
    }

    /// Takes a lock, waiting as long as it takes. `None`: there is nothing to lock.
    fn acquire(&self, a: Acquire) -> Option<(Option<usize>, IrqFlags)> {
        let index = a.lock.lock.index();
        match &self.locks[index] {
            Object::Seq(seq) => return Some((None, seq.write_begin(irq(a.flavour)))),
            Object::Srcu(srcu) => {
                srcu.read_lock();
                return Some((None, current().irq_flags()));
            }
            _ => {}
        }
        let (lock, member) = self.member(index, a.lock.pick)?;
        let how = self.how(a);
        let flags = match a.mode {
            Mode::Exclusive => lock.lock(how),
            Mode::Shared => lock.read(how),
        };
        Some((member, flags))
    }

    fn give(&self, index: usize, member: Option<usize>, mode: Mode, irq: Irq, flags: IrqFlags) {
        let object = &self.locks[index];
        let lock = match (object, member) {
            (Object::Seq(_), _) if mode == Mode::Shared => return,
            (Object::Seq(seq), _) => return seq.write_end(irq, flags),
            (Object::Srcu(srcu), _) => return srcu.read_unlock(),
            (Object::Population(p), Some(member)) => p.member(member),
            _ => object.lock(),
        };
        let Some(lock) = lock else { return };
        match mode {
            Mode::Exclusive => lock.unlock(irq, flags),
            Mode::Shared => lock.read_unlock(irq, flags),
        }
    }

    /// `read S { … }`: again and again until nothing was written meanwhile. Without a block only the beginning.
    fn read_sequence(&self, seq: &Seqlock, block: Option<&Block>, f: &mut Frame) {
        loop {
            let begun = seq.read_begin();
            let Some(block) = block else { return };
            self.block(block, f);
            if !seq.read_retry(begun) {
                return;
            }
        }
    }

    /// `unlock L`, `read_unlock L`.
    pub(super) fn unlock(&self, lock: LockRef, mode: Mode, flavour: Flavour, f: &mut Frame) {
        let index = lock.lock.index();
        let (flags, member) = f.gave(index);
        self.give(index, member, mode, irq(flavour), flags);
    }

    /// `trylock L { … } else { … }`.
    pub(super) fn trylock(
        &self,
        a: Acquire,
        keep: bool,
        then: &Block,
        otherwise: &Block,
        f: &mut Frame,
    ) {
        let index = a.lock.lock.index();
        let Some((member, flags)) = self.try_acquire(a) else {
            return self.block(otherwise, f);
        };
        if keep {
            f.took(index, member, flags);
        }
        self.block(then, f);
        if !keep {
            self.give(index, member, a.mode, irq(a.flavour), flags);
        }
    }

    fn try_acquire(&self, a: Acquire) -> Option<(Option<usize>, IrqFlags)> {
        let index = a.lock.lock.index();
        if let Object::Seq(seq) = &self.locks[index] {
            return seq
                .try_write_begin(irq(a.flavour))
                .map(|flags| (None, flags));
        }
        let (lock, member) = self.member(index, a.lock.pick)?;
        let how = self.how(a);
        let flags = match a.mode {
            Mode::Exclusive => lock.trylock(how),
            Mode::Shared => lock.try_read(how),
        };
        flags.map(|flags| (member, flags))
    }

    /// `downgrade L`.
    pub(super) fn downgrade(&self, lock: LockRef) {
        if let Some(lock) = self.locks[lock.lock.index()].lock() {
            lock.downgrade();
        }
    }

    /// `get_object L`, `put_object L`.
    pub(super) fn population(&self, verb: PopulationVerb, index: usize) {
        let Object::Population(p) = &self.locks[index] else {
            return;
        };
        match verb {
            PopulationVerb::Get => p.get(),
            PopulationVerb::Put => p.put(),
        }
    }

    /// `synchronize_srcu S`.
    pub(super) fn synchronize_srcu(&self, index: usize) {
        if let Object::Srcu(srcu) = &self.locks[index] {
            srcu.synchronize();
        }
    }

    /// `map_acquire M` and its like.
    pub(super) fn map(&self, verb: MapVerb, index: usize) {
        let Object::Map(map) = &self.locks[index] else {
            return;
        };
        match verb {
            MapVerb::Acquire => map.acquire(Read::Exclusive),
            MapVerb::AcquireRead => map.acquire(Read::Recursive),
            MapVerb::Release => map.release(),
            MapVerb::Touch => map.touch(),
        }
    }
}
