//! Single operations.

use super::super::cond::{Atom, Cond, Join};
use super::super::decl::{CompletesIn, Lock, LockKind};
use super::super::error::Problem;
use super::super::gfp::{Gfp, GfpBase, GfpFlags};
use super::super::handler::{Function, FunctionKind};
use super::super::op::{
    Acquire, Body, Change, Flavour, LockRef, Mode, Nest, Op, PageRef, Pick, ReclaimOf, Source, Var,
};
use super::super::table::Id;
use super::super::word::Word;
use super::super::{At, Program, limits};
use super::get;

type Checked = Result<(), Problem>;

/// Whether `op`, without what its blocks contain, means something in `body`. `callee` says that the body inherits a
/// gfp mask.
pub fn operation(program: &Program, body: &Body, op: &Op, at: At, callee: bool) -> Checked {
    let place = Place {
        program,
        body,
        at,
        callee,
    };
    place.op(op)
}

struct Place<'p> {
    program: &'p Program,
    body: &'p Body,
    at: At,
    callee: bool,
}

impl Place<'_> {
    fn wrong<T>(&self, message: impl Into<String>, label: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.at, message, label))
    }

    fn op(&self, op: &Op) -> Checked {
        if let Some(cond) = op.cond() {
            self.cond(cond)?;
        }
        match op {
            Op::Do(_) | Op::Scope(..) | Op::If { .. } | Op::While(..) => Ok(()),
            Op::Assert(_) | Op::SpinUntil(_) => Ok(()),
            Op::Lock(acquire, _) => self.acquire(acquire),
            Op::Unlock {
                lock,
                mode,
                flavour,
            } => self.unlock(*lock, *mode, *flavour),
            Op::Trylock { acquire, .. } => self.trylock(acquire),
            Op::Downgrade(lock) => self.of_kind(self.lock(*lock)?, LockKind::Rwsem),
            Op::Map(_, map) => self.of_kind(self.get(*map)?, LockKind::LockMap),
            Op::SynchronizeSrcu(srcu) => self.of_kind(self.get(*srcu)?, LockKind::Srcu),
            Op::Population(_, lock) => self.population(*lock),
            Op::Loop(times, _) => self.within("rounds", u64::from(*times), 1, limits::LOOP),
            Op::Call(function) | Op::CallRcu(function) => self.plain_function(*function),
            Op::Alloc {
                to, source, gfp, ..
            } => self.alloc(*to, *source, *gfp),
            Op::Free(var) => self.var(*var),
            Op::Copy { to, from } => {
                self.var(*to)?;
                self.var(*from)
            }
            Op::MightAlloc(gfp) => self.gfp(*gfp),
            Op::Reclaim(of, gfp) => {
                if let ReclaimOf::Memcg(memcg) = of {
                    self.get(*memcg)?;
                }
                self.gfp(*gfp)
            }
            Op::Charge {
                memcg, pages, gfp, ..
            } => {
                self.get(*memcg)?;
                self.gfp(*gfp)?;
                self.within("pages", u64::from(*pages), 1, limits::INSTANCES)
            }
            Op::Uncharge { memcg, pages } => {
                self.get(*memcg)?;
                self.within("pages", u64::from(*pages), 1, limits::INSTANCES)
            }
            op => self.reference(op),
        }
    }

    /// Operations that are right when what they refer to exists.
    fn reference(&self, op: &Op) -> Checked {
        match op {
            Op::Set(flag, _) => self.get(*flag).map(|_| ()),
            Op::Count(counter, change) => {
                self.get(*counter)?;
                match change {
                    Change::Assign(value) => self.value(*value),
                    Change::Inc | Change::Dec => Ok(()),
                }
            }
            Op::Complete { completion, .. } | Op::WaitFor { completion, .. } => {
                self.get(*completion).map(|_| ())
            }
            Op::WaitEvent { queue, .. } | Op::WakeUp { queue, .. } => self.get(*queue).map(|_| ()),
            Op::Work(_, work) => self.get(*work).map(|_| ()),
            Op::FlushWorkqueue(queue) => self.get(*queue).map(|_| ()),
            Op::Timer(_, timer) => self.get(*timer).map(|_| ()),
            Op::RaiseIrq(irq) => self.get(*irq).map(|_| ()),
            Op::RaiseSoftirq(softirq) => self.get(*softirq).map(|_| ()),
            Op::Page(_, page) | Op::PageStat(page, _) => self.page(*page),
            Op::MapPage(page, mm) => {
                self.get(*mm)?;
                self.page(*page)
            }
            Op::BioAddPage(batch, page) => {
                self.get(*batch)?;
                self.page(*page)
            }
            Op::Batch(_, batch) => self.get(*batch).map(|_| ()),
            Op::Serve(device, _) => self.serve(*device),
            Op::Mapping(_, mapping) => self.get(*mapping).map(|_| ()),
            Op::SwitchWb(inode, wb) => {
                self.get(*inode)?;
                self.get(*wb).map(|_| ())
            }
            Op::MovePage(page, memcg) => {
                self.get(*memcg)?;
                self.page(*page)
            }
            Op::OfflineMemcg { memcg, parent } => {
                self.get(*memcg)?;
                self.get(*parent).map(|_| ())
            }
            Op::WbStat(inode, _) => self.get(*inode).map(|_| ()),
            Op::Memcg(_, memcg) => self.get(*memcg).map(|_| ()),
            Op::Mm(_, mm) | Op::Invalidate(mm, _) => self.get(*mm).map(|_| ()),
            Op::Hotplug { zone, .. } if usize::from(*zone) >= self.program.machine.zones.len() => {
                self.wrong("there is no such zone", "expected a zone of the machine")
            }
            _ => Ok(()),
        }
    }

    fn get<T: super::super::Declared>(&self, id: Id<T>) -> Result<&T, Problem> {
        get(self.program, id, self.at)
    }

    fn within(&self, what: &str, value: u64, least: u64, most: u64) -> Checked {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let label = format!("expected {what}: a number from {least} to {most}");
        self.wrong(format!("{value} is out of range"), label)
    }

    fn value(&self, value: i32) -> Checked {
        self.within(
            "a counter",
            i64::from(value).unsigned_abs(),
            0,
            limits::COUNTER.unsigned_abs(),
        )
    }

    /// The lock, if its member is named where there are members, and only there.
    fn lock(&self, lock: LockRef) -> Result<&Lock, Problem> {
        let found = self.get(lock.lock)?;
        match (found.population, lock.pick) {
            (None, Pick::Only) | (Some(_), Pick::Referenced | Pick::Unreferenced) => Ok(found),
            (None, _) => self.wrong(
                format!("`{}` has no population", found.name),
                "expected the lock alone, without `referenced` or `unreferenced`",
            ),
            (Some(_), Pick::Only) => self.wrong(
                format!("`{}` has a population", found.name),
                format!(
                    "expected `{0} referenced` or `{0} unreferenced`",
                    found.name
                ),
            ),
        }
    }

    fn of_kind(&self, lock: &Lock, kind: LockKind) -> Checked {
        if lock.kind == kind {
            return Ok(());
        }
        let message = format!("`{}` is a {}", lock.name, lock.kind.word());
        self.wrong(message, format!("expected a {}", kind.word()))
    }

    fn mode(&self, lock: &Lock, mode: Mode, flavour: Flavour) -> Checked {
        let message = format!("`{}` is a {}", lock.name, lock.kind.word());
        let fits = match mode {
            Mode::Exclusive => lock.kind.has_writers(),
            Mode::Shared => lock.kind.has_readers(),
        };
        if !fits {
            let label = match (lock.kind, mode) {
                (LockKind::LockMap, _) => "expected `map_acquire`, `map_release` or `map_touch`",
                (_, Mode::Exclusive) => "expected `read`: it has no exclusive mode",
                (_, Mode::Shared) => "expected `lock`: it has no readers",
            };
            return self.wrong(message, label);
        }
        let counted = mode == Mode::Shared && lock.kind == LockKind::Seqlock;
        if flavour != Flavour::Plain && (counted || !lock.kind.has_flavours()) {
            return self.wrong(
                message,
                "expected no `irq`, `irqsave` or `bh`: it has no such flavours",
            );
        }
        Ok(())
    }

    fn acquire(&self, acquire: &Acquire) -> Checked {
        let lock = self.lock(acquire.lock)?;
        self.mode(lock, acquire.mode, acquire.flavour)?;
        match acquire.nest {
            Nest::None => return Ok(()),
            Nest::Subclass(subclass) => {
                self.within("a subclass", u64::from(subclass), 1, limits::SUBCLASS)?;
            }
            Nest::Lock(outer) => {
                let outer = self.lock(outer)?;
                if !outer.kind.has_writers() {
                    let message = format!("`{}` is a {}", outer.name, outer.kind.word());
                    return self.wrong(message, "expected a lock that serialises others");
                }
            }
        }
        if lock.kind.has_nesting() {
            return Ok(());
        }
        let message = format!("`{}` is a {}", lock.name, lock.kind.word());
        self.wrong(
            message,
            "expected no `nested` or `nest_lock`: it has no such flavours",
        )
    }

    fn trylock(&self, acquire: &Acquire) -> Checked {
        self.acquire(acquire)?;
        let lock = self.lock(acquire.lock)?;
        let sampled = acquire.mode == Mode::Shared && lock.kind == LockKind::Seqlock;
        if lock.kind.has_trylock() && !sampled {
            return Ok(());
        }
        let message = format!("`{}` is a {}", lock.name, lock.kind.word());
        self.wrong(message, "expected a lock that can be tried")
    }

    fn unlock(&self, lock: LockRef, mode: Mode, flavour: Flavour) -> Checked {
        let lock = self.lock(lock)?;
        self.mode(lock, mode, flavour)?;
        let sampled =
            mode == Mode::Shared && matches!(lock.kind, LockKind::Seqlock | LockKind::Seqcount);
        if !sampled {
            return Ok(());
        }
        let message = format!("`{}` is a {}", lock.name, lock.kind.word());
        self.wrong(
            message,
            "expected `read NAME { … }`: a reader of it holds nothing",
        )
    }

    fn population(&self, lock: Id<Lock>) -> Checked {
        let lock = self.get(lock)?;
        if lock.population.is_some() {
            return Ok(());
        }
        let message = format!("`{}` has no population", lock.name);
        self.wrong(message, "expected a lock declared with `population`")
    }

    fn plain_function(&self, function: Id<Function>) -> Checked {
        let function = self.get(function)?;
        if function.kind == FunctionKind::Plain {
            return Ok(());
        }
        let message = format!("`{}` is a `{}`", function.name, function.kind.word());
        self.wrong(message, "expected a `fn`")
    }

    fn alloc(&self, to: Option<Var>, source: Source, gfp: Gfp) -> Checked {
        if let Some(to) = to {
            self.var(to)?;
        }
        self.gfp(gfp)?;
        match source {
            Source::Pages { order } => self.within("the order", u64::from(order), 0, limits::ORDER),
            Source::Slab => Ok(()),
            Source::Mempool(pool) => self.get(pool).map(|_| ()),
            Source::PageCache(mapping) => self.get(mapping).map(|_| ()),
        }
    }

    fn var(&self, var: Var) -> Checked {
        match var {
            Var::Slot(slot) => self.get(slot).map(|_| ()),
            Var::Local(local) if usize::from(local) < self.body.locals.len() => Ok(()),
            Var::Local(_) => self.wrong(
                "there is no such variable",
                "expected a variable of the body",
            ),
        }
    }

    fn page(&self, page: PageRef) -> Checked {
        let found = self.get(page.page)?;
        if page.index < found.count {
            return Ok(());
        }
        let message = format!("`{}` has no page {}", found.name, page.index);
        self.wrong(message, format!("expected an index below {}", found.count))
    }

    fn serve(&self, device: Id<super::super::decl::Device>) -> Checked {
        let device = self.get(device)?;
        if device.completes == CompletesIn::Daemon {
            return Ok(());
        }
        let message = format!("`{}` is not served by a daemon", device.name);
        self.wrong(message, "expected a device that `completes daemon`")
    }

    fn gfp(&self, gfp: Gfp) -> Checked {
        let known = gfp.set.union(gfp.clear).without(GfpFlags::ALL).is_empty();
        if !known || !gfp.set.common(gfp.clear).is_empty() {
            return self.wrong("the gfp mask sets and clears one bit", "expected either");
        }
        if gfp.base == GfpBase::Inherited {
            return self.inherits();
        }
        Ok(())
    }

    fn inherits(&self) -> Checked {
        if self.callee {
            return Ok(());
        }
        self.wrong(
            "this body was not called with a gfp mask",
            "expected a mask such as `GFP_KERNEL`: only callbacks and functions have `gfp`",
        )
    }

    fn cond(&self, cond: &Cond) -> Checked {
        let count = cond.terms.len();
        self.within("terms", count as u64, 1, limits::TERMS as u64)?;
        if count == 1 && cond.join != Join::All {
            return self.wrong("one term cannot be joined", "expected a second one");
        }
        cond.terms.iter().try_for_each(|term| self.atom(term.atom))
    }

    fn atom(&self, atom: Atom) -> Checked {
        match atom {
            Atom::Maybe => Ok(()),
            Atom::Flag(flag) => self.get(flag).map(|_| ()),
            Atom::Counter { counter, value, .. } => {
                self.get(counter)?;
                self.value(value)
            }
            Atom::Holds(var) => self.var(var),
            Atom::Page { page, .. } => self.page(page),
            Atom::Done(completion) => self.get(completion).map(|_| ()),
            Atom::Gfp(_) => self.inherits(),
        }
    }
}
