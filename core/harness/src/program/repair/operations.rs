//! Single operations: positions and sizes.

use super::super::cond::{Atom, Cond, Join, Term};
use super::super::decl::{CompletesIn, Lock, LockKind};
use super::super::gfp::{Gfp, GfpBase, GfpFlags};
use super::super::handler::FunctionKind;
use super::super::op::{
    Acquire, Change, Flavour, LockRef, Mode, Nest, Op, PageRef, Pick, ReclaimOf, Source, Var,
};
use super::super::table::{Declared, Id};
use super::super::{Program, limits};
use super::declarations::{reduced, reduced_where};
use super::{wrap_u8, wrap_u16};

/// Reduces every position in `op` (not in its blocks) to what is declared, and every size to its range. Where nothing
/// fits, the operation is left for the checker to refuse.
pub(super) fn fit(program: &Program, op: &mut Op, callee: bool) {
    let fit = Fit { program, callee };
    if let Some(cond) = op.cond_mut() {
        fit.cond(cond);
    }
    for var in op.vars_mut() {
        fit.var(var);
    }
    fit.op(op);
}

struct Fit<'p> {
    program: &'p Program,
    callee: bool,
}

impl Fit<'_> {
    fn op(&self, op: &mut Op) {
        match op {
            Op::Lock(acquire, _) => self.acquire(acquire, |lock| lock.kind != LockKind::LockMap),
            Op::Trylock { acquire, .. } => self.trylock(acquire),
            Op::Unlock {
                lock,
                mode,
                flavour,
            } => self.unlock(lock, mode, flavour),
            Op::Downgrade(lock) => {
                self.lock(lock, |lock| lock.kind == LockKind::Rwsem);
            }
            Op::Map(_, map) => self.id_where(map, |lock| lock.kind == LockKind::LockMap),
            Op::SynchronizeSrcu(srcu) => self.id_where(srcu, |lock| lock.kind == LockKind::Srcu),
            Op::Population(_, lock) => self.id_where(lock, |lock| lock.population.is_some()),
            Op::Loop(times, _) => *times = wrap_u16(*times, 1, limits::LOOP),
            Op::Call(function) | Op::CallRcu(function) => {
                self.id_where(function, |f| f.kind == FunctionKind::Plain);
            }
            Op::Alloc { source, gfp, .. } => {
                self.gfp(gfp);
                match source {
                    Source::Pages { order } => *order = wrap_u8(*order, 0, limits::ORDER),
                    Source::Slab => {}
                    Source::Mempool(pool) => self.id(pool),
                    Source::PageCache(mapping) => self.id(mapping),
                }
            }
            Op::MightAlloc(gfp) => self.gfp(gfp),
            Op::Reclaim(of, gfp) => {
                self.gfp(gfp);
                if let ReclaimOf::Memcg(memcg) = of {
                    self.id(memcg);
                }
            }
            Op::Charge {
                memcg, pages, gfp, ..
            } => {
                self.gfp(gfp);
                self.id(memcg);
                *pages = wrap_u16(*pages, 1, limits::INSTANCES);
            }
            Op::Uncharge { memcg, pages } => {
                self.id(memcg);
                *pages = wrap_u16(*pages, 1, limits::INSTANCES);
            }
            op => self.references(op),
        }
    }

    fn references(&self, op: &mut Op) {
        match op {
            Op::Set(flag, _) => self.id(flag),
            Op::Count(counter, change) => {
                self.id(counter);
                if let Change::Assign(value) = change {
                    *value = clamped(*value);
                }
            }
            Op::Complete { completion, .. } | Op::WaitFor { completion, .. } => self.id(completion),
            Op::WaitEvent { queue, .. } | Op::WakeUp { queue, .. } => self.id(queue),
            Op::Work(_, work) => self.id(work),
            Op::FlushWorkqueue(queue) => self.id(queue),
            Op::Timer(_, timer) => self.id(timer),
            Op::RaiseIrq(irq) => self.id(irq),
            Op::RaiseSoftirq(softirq) => self.id(softirq),
            Op::Page(_, page) | Op::PageStat(page, _) => self.page(page),
            Op::MapPage(page, mm) => {
                self.page(page);
                self.id(mm);
            }
            Op::BioAddPage(batch, page) => {
                self.id(batch);
                self.page(page);
            }
            Op::Batch(_, batch) => self.id(batch),
            Op::Serve(device, _) => self.id_where(device, |d| d.completes == CompletesIn::Daemon),
            Op::Mapping(_, mapping) => self.id(mapping),
            Op::SwitchWb(inode, wb) => {
                self.id(inode);
                self.id(wb);
            }
            Op::MovePage(page, memcg) => {
                self.page(page);
                self.id(memcg);
            }
            Op::OfflineMemcg { memcg, parent } => {
                self.id(memcg);
                self.id(parent);
            }
            Op::WbStat(inode, _) => self.id(inode),
            Op::Memcg(_, memcg) => self.id(memcg),
            Op::Mm(_, mm) | Op::Invalidate(mm, _) => self.id(mm),
            Op::Hotplug { zone, .. } => {
                let zones = self.program.machine.zones.len();
                *zone = u8::try_from(usize::from(*zone) % zones).unwrap_or(0);
            }
            // Fitted before, or without anything but conditions, variables and blocks.
            Op::Do(_)
            | Op::Lock(..)
            | Op::Unlock { .. }
            | Op::Trylock { .. }
            | Op::Downgrade(_)
            | Op::Map(..)
            | Op::Population(..)
            | Op::Scope(..)
            | Op::If { .. }
            | Op::While(..)
            | Op::Loop(..)
            | Op::Call(_)
            | Op::Assert(_)
            | Op::Alloc { .. }
            | Op::Free(_)
            | Op::MightAlloc(_)
            | Op::Reclaim(..)
            | Op::Charge { .. }
            | Op::Uncharge { .. }
            | Op::SpinUntil(_)
            | Op::CallRcu(_)
            | Op::SynchronizeSrcu(_)
            | Op::Copy { .. } => {}
        }
    }

    fn id<T: Declared>(&self, id: &mut Id<T>) {
        *id = reduced(self.program, *id).unwrap_or(*id);
    }

    fn id_where<T: Declared>(&self, id: &mut Id<T>, fits: impl Fn(&T) -> bool) {
        *id = reduced_where(self.program, *id, fits).unwrap_or(*id);
    }

    /// The lock that is meant, and its member where it has members.
    fn lock(&self, lock: &mut LockRef, fits: impl Fn(&Lock) -> bool) -> Option<&Lock> {
        self.id_where(&mut lock.lock, fits);
        let found = self.program.locks.get(lock.lock)?;
        lock.pick = match (found.population, lock.pick) {
            (None, _) => Pick::Only,
            (Some(_), Pick::Only) => Pick::Referenced,
            (Some(_), pick) => pick,
        };
        Some(found)
    }

    fn mode(lock: &Lock, mode: &mut Mode, flavour: &mut Flavour) {
        if *mode == Mode::Shared && !lock.kind.has_readers() {
            *mode = Mode::Exclusive;
        }
        if *mode == Mode::Exclusive && !lock.kind.has_writers() {
            *mode = Mode::Shared;
        }
        let sampled = *mode == Mode::Shared && lock.kind == LockKind::Seqlock;
        if sampled || !lock.kind.has_flavours() {
            *flavour = Flavour::Plain;
        }
    }

    fn acquire(&self, acquire: &mut Acquire, fits: impl Fn(&Lock) -> bool) {
        let Some(lock) = self.lock(&mut acquire.lock, fits) else {
            return;
        };
        Self::mode(lock, &mut acquire.mode, &mut acquire.flavour);
        if !lock.kind.has_nesting() {
            acquire.nest = Nest::None;
        }
        match &mut acquire.nest {
            Nest::None => {}
            Nest::Subclass(subclass) => *subclass = wrap_u8(*subclass, 1, limits::SUBCLASS),
            Nest::Lock(outer) => {
                self.lock(outer, |lock| lock.kind.has_writers());
            }
        }
    }

    fn trylock(&self, acquire: &mut Acquire) {
        self.acquire(acquire, |lock| lock.kind.has_trylock());
        let lock = self.program.locks.get(acquire.lock.lock);
        if acquire.mode == Mode::Shared && lock.is_some_and(|l| l.kind == LockKind::Seqlock) {
            acquire.mode = Mode::Exclusive;
        }
    }

    fn unlock(&self, lock: &mut LockRef, mode: &mut Mode, flavour: &mut Flavour) {
        let Some(found) = self.lock(lock, |lock| lock.kind != LockKind::LockMap) else {
            return;
        };
        if matches!(found.kind, LockKind::Seqlock | LockKind::Seqcount) {
            *mode = Mode::Exclusive;
        }
        Self::mode(found, mode, flavour);
    }

    fn page(&self, page: &mut PageRef) {
        self.id(&mut page.page);
        let count = self
            .program
            .pages
            .get(page.page)
            .map_or(1, |found| found.count.max(1));
        page.index %= count;
    }

    fn var(&self, var: &mut Var) {
        match var {
            Var::Local(local) => *local = wrap_u8(*local, 0, limits::LOCALS as u64 - 1),
            Var::Slot(slot) => match reduced(self.program, *slot) {
                Some(known) => *slot = known,
                None => {
                    let local = u8::try_from(slot.index() % limits::LOCALS).unwrap_or(0);
                    *var = Var::Local(local);
                }
            },
        }
    }

    fn gfp(&self, gfp: &mut Gfp) {
        if gfp.base == GfpBase::Inherited && !self.callee {
            gfp.base = GfpBase::Kernel;
        }
        gfp.clear = gfp.clear.common(GfpFlags::ALL);
        gfp.set = gfp.set.common(GfpFlags::ALL).without(gfp.clear);
    }

    fn cond(&self, cond: &mut Cond) {
        cond.terms.truncate(limits::TERMS);
        if cond.terms.is_empty() {
            cond.terms.push(Term {
                negated: false,
                atom: Atom::Maybe,
            });
        }
        if cond.terms.len() == 1 {
            cond.join = Join::All;
        }
        for term in &mut cond.terms {
            self.atom(&mut term.atom);
        }
    }

    /// What cannot be tested may be true or false.
    fn atom(&self, atom: &mut Atom) {
        let program = self.program;
        let fits = match atom {
            Atom::Maybe | Atom::Holds(_) => true,
            Atom::Flag(flag) => {
                self.id(flag);
                !program.flags.is_empty()
            }
            Atom::Counter { counter, value, .. } => {
                self.id(counter);
                *value = clamped(*value);
                !program.counters.is_empty()
            }
            Atom::Page { page, .. } => {
                self.page(page);
                !program.pages.is_empty()
            }
            Atom::Done(completion) => {
                self.id(completion);
                !program.completions.is_empty()
            }
            Atom::Gfp(_) => self.callee,
        };
        if !fits {
            *atom = Atom::Maybe;
        }
    }
}

fn clamped(value: i32) -> i32 {
    let most = i32::try_from(limits::COUNTER).unwrap_or(i32::MAX);
    value.clamp(-most, most)
}
