//! Executes bodies: walks the tree of operations on the entity that runs.

use super::frame::Frame;
use super::litmus::World;
use super::locks::irq;
use crate::program::cond::{Atom, Cond, Join, Term};
use crate::program::op::{Acquire, Change, LockRef, Mode, Nest, Op, Stmt};
use crate::program::verb::{Do, MapVerb, Scope, WorkVerb};
use crate::program::word::Word;
use crate::program::{At, Block, Body};
use ksplat_kernel::mm::{
    Scope as PfScope, memalloc_nofs_save, memalloc_noio_save, memalloc_noreclaim_save,
};
use ksplat_kernel::rt::{EventKind, IrqFlags, Needs, OpKind, ResId, WaitHow, current, record};
use ksplat_kernel::sync::{How, Lock};
use ksplat_lockdep::Read;
use std::sync::atomic::Ordering::Relaxed;

/// Bodies that can be active inside each other before a kernel stack is used up. Calls cannot recurse, but what
/// reclaim calls can reclaim.
const MAX_DEPTH: u8 = 20;

/// A place in the program text as the machine carries it: line and column.
#[must_use]
pub fn site(at: At) -> u32 {
    if at.is_known() {
        at.line.min(0xf_ffff) << 12 | at.column.min(0xfff)
    } else {
        0
    }
}

/// Line and column of a site; `None` for no place.
#[must_use]
pub const fn place(site: u32) -> Option<(u32, u32)> {
    if site == 0 {
        None
    } else {
        Some((site >> 12, site & 0xfff))
    }
}

impl World {
    /// Runs a body with a mask.
    pub(super) fn body(&self, body: &Body, gfp: u32) {
        let e = current();
        let depth = &self.depth[e.id().index()];
        let outer = depth.fetch_add(1, Relaxed);
        if outer >= MAX_DEPTH {
            self.memory.out_of_stack(&e);
        }
        let mut frame = Frame::new(gfp, body.locals.len());
        let site = e.site();
        self.block(&body.block, &mut frame);
        e.set_site(site);
        depth.store(outer, Relaxed);
    }

    pub(super) fn block(&self, block: &Block, frame: &mut Frame) {
        for stmt in block {
            self.stmt(stmt, frame);
        }
    }

    fn stmt(&self, stmt: &Stmt, f: &mut Frame) {
        current().set_site(site(stmt.at));
        match &stmt.op {
            Op::Do(what) => self.perform(*what, f),
            Op::Lock(acquire, block) => self.lock(*acquire, block.as_ref(), stmt, f),
            Op::Unlock {
                lock,
                mode,
                flavour,
            } => self.unlock(*lock, *mode, *flavour, f),
            Op::Trylock {
                acquire,
                keep,
                then,
                otherwise,
            } => self.trylock(*acquire, *keep, then, otherwise, f),
            Op::Downgrade(lock) => {
                if let Some(lock) = self.locks[lock.lock.index()].lock() {
                    lock.downgrade();
                }
            }
            Op::Map(verb, lock) => self.map(*verb, lock.index()),
            Op::Scope(scope, block) => self.scope(*scope, block, f),
            Op::If {
                cond,
                then,
                otherwise,
            } => {
                let block = if self.holds(cond, f) { then } else { otherwise };
                self.block(block, f);
            }
            Op::While(cond, block) => self.while_loop(cond, block, f),
            Op::Loop(times, block) => (0..*times).for_each(|_| self.block(block, f)),
            Op::Call(function) => self.body(&self.program.functions[*function].body, f.gfp),
            Op::Assert(cond) => self.assert(cond, stmt.at, f),
            Op::Set(flag, on) => self
                .vars
                .update(&self.vars.flags[flag.index()], |_| i64::from(*on)),
            Op::Count(counter, change) => {
                self.vars.update(&self.vars.counters[counter.index()], |v| {
                    changed(v, *change)
                })
            }
            Op::Complete {
                completion,
                all: false,
            } => self.completions[completion.index()].complete(),
            Op::Complete {
                completion,
                all: true,
            } => self.completions[completion.index()].complete_all(),
            Op::WaitFor {
                completion,
                timeout,
            } => self.wait_for(completion.index(), *timeout),
            Op::WaitEvent {
                queue,
                until,
                timeout,
            } => self.wait_event(queue.index(), until, *timeout, f),
            Op::WakeUp { queue, .. } => self.queues[queue.index()].wake_up(),
            Op::SpinUntil(cond) => {
                while !self.holds(cond, f) {
                    self.vars.spin();
                }
            }
            Op::Work(WorkVerb::Queue, work) => self.works.queue(work.index()),
            Op::Work(WorkVerb::Flush, work) => self.works.flush(work.index()),
            Op::Work(WorkVerb::CancelSync, work) => self.works.cancel_sync(work.index()),
            Op::FlushWorkqueue(queue) => self.works.flush_queue(queue.index()),
            Op::RaiseIrq(irq) => self.raise(*irq),
            other => self.memory_op(other, f),
        }
    }

    fn perform(&self, what: Do, f: &mut Frame) {
        let e = current();
        record(EventKind::Context, || what.word().to_owned());
        match what {
            Do::LocalIrqDisable => e.local_irq_disable(),
            Do::LocalIrqEnable => e.local_irq_enable(),
            Do::LocalIrqSave => f.save_irq(e.local_irq_save()),
            Do::LocalIrqRestore => {
                e.local_irq_restore(f.restore_irq().unwrap_or(IrqFlags::new(true)))
            }
            Do::LocalBhDisable => e.local_bh_disable(),
            Do::LocalBhEnable => e.local_bh_enable(),
            Do::PreemptDisable => {
                e.cpu_point();
                e.preempt_disable();
            }
            Do::PreemptEnable => e.preempt_enable(),
            Do::RcuReadLock => self.rcu.read_lock(),
            Do::RcuReadUnlock => self.rcu.read_unlock(),
            Do::SynchronizeRcu => self.rcu.synchronize(),
            Do::MemallocNofsSave => f.save_pf(memalloc_nofs_save()),
            Do::MemallocNoioSave => f.save_pf(memalloc_noio_save()),
            Do::MemallocNoreclaimSave => f.save_pf(memalloc_noreclaim_save()),
            Do::MemallocNofsRestore | Do::MemallocNoioRestore | Do::MemallocNoreclaimRestore => {
                restore_pf(f)
            }
            Do::MightSleep => e.might_sleep(),
            Do::CondResched | Do::Schedule | Do::Msleep => {
                e.might_sleep();
                e.point(OpKind::Yield, ResId::NONE);
            }
            Do::CpuRelax => self.vars.spin(),
            other => self.memory_verb(other),
        }
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

    fn lock(&self, a: Acquire, block: Option<&Block>, stmt: &Stmt, f: &mut Frame) {
        let index = a.lock.lock.index();
        let Some(lock) = self.locks[index].lock() else {
            return;
        };
        let how = self.how(a);
        let flags = match a.mode {
            Mode::Exclusive => lock.lock(how),
            Mode::Shared => lock.read(how),
        };
        let Some(block) = block else {
            f.took(index, flags);
            return;
        };
        self.block(block, f);
        current().set_site(site(stmt.at));
        give(lock, a, flags);
    }

    fn unlock(
        &self,
        lock: LockRef,
        mode: Mode,
        flavour: crate::program::op::Flavour,
        f: &mut Frame,
    ) {
        let index = lock.lock.index();
        let Some(lock) = self.locks[index].lock() else {
            return;
        };
        let flags = f.gave(index);
        match mode {
            Mode::Exclusive => lock.unlock(irq(flavour), flags),
            Mode::Shared => lock.read_unlock(irq(flavour), flags),
        }
    }

    fn trylock(&self, a: Acquire, keep: bool, then: &Block, otherwise: &Block, f: &mut Frame) {
        let index = a.lock.lock.index();
        let Some(lock) = self.locks[index].lock() else {
            return;
        };
        let how = self.how(a);
        let got = match a.mode {
            Mode::Exclusive => lock.trylock(how),
            Mode::Shared => lock.try_read(how),
        };
        let Some(flags) = got else {
            self.block(otherwise, f);
            return;
        };
        if keep {
            f.took(index, flags);
        }
        self.block(then, f);
        if !keep {
            give(lock, a, flags);
        }
    }

    fn map(&self, verb: MapVerb, index: usize) {
        let super::locks::Object::Map(map) = &self.locks[index] else {
            return;
        };
        match verb {
            MapVerb::Acquire => map.acquire(Read::Exclusive),
            MapVerb::AcquireRead => map.acquire(Read::Recursive),
            MapVerb::Release => map.release(),
            MapVerb::Touch => map.touch(),
        }
    }

    fn scope(&self, scope: Scope, block: &Block, f: &mut Frame) {
        let e = current();
        record(EventKind::Context, || format!("{} {{", scope.word()));
        match scope {
            Scope::Nofs => self.pf_scope(memalloc_nofs_save(), block, f),
            Scope::Noio => self.pf_scope(memalloc_noio_save(), block, f),
            Scope::Noreclaim => self.pf_scope(memalloc_noreclaim_save(), block, f),
            Scope::Irqsave => {
                let flags = e.local_irq_save();
                self.block(block, f);
                e.local_irq_restore(flags);
            }
            Scope::IrqDisable => {
                e.local_irq_disable();
                self.block(block, f);
                e.local_irq_enable();
            }
            Scope::Bh => {
                e.local_bh_disable();
                self.block(block, f);
                e.local_bh_enable();
            }
            Scope::PreemptOff => {
                e.cpu_point();
                e.preempt_disable();
                self.block(block, f);
                e.preempt_enable();
            }
            Scope::Rcu => {
                self.rcu.read_lock();
                self.block(block, f);
                self.rcu.read_unlock();
            }
            Scope::PrintkDeferred | Scope::Plug => self.block(block, f),
        }
    }

    fn pf_scope(&self, scope: PfScope, block: &Block, f: &mut Frame) {
        self.block(block, f);
        scope.restore();
    }

    fn while_loop(&self, cond: &Cond, block: &Block, f: &mut Frame) {
        while self.holds(cond, f) {
            self.block(block, f);
            current().point(OpKind::Yield, ResId::NONE);
        }
    }

    fn wait_for(&self, completion: usize, timeout: bool) {
        // A timed wait always ends: whether before or after the completion is a decision.
        if timeout && current().machine().choose(2) == 1 {
            current().might_sleep();
            return;
        }
        if timeout {
            let _ = self.completions[completion].try_wait();
            return;
        }
        self.completions[completion].wait();
    }

    fn wait_event(&self, queue: usize, until: &Cond, timeout: bool, f: &mut Frame) {
        if self.holds(until, f) || timeout {
            return;
        }
        self.queues[queue].wait_event(WaitHow::Sleep, Needs::Enders, || self.evaluate(until, f));
        record(EventKind::Wake, || "wait_event ends".to_owned());
    }

    fn assert(&self, cond: &Cond, at: At, f: &Frame) {
        if !self.holds(cond, f) {
            current().machine().state_break("assertion", || {
                format!("the assertion at {at} does not hold")
            });
        }
    }

    fn raise(&self, irq: crate::program::Id<crate::program::handler::Irq>) {
        let e = current();
        let Some(target) = self.roles.irq(irq) else {
            return;
        };
        e.point(OpKind::Cpu, ResId::cpu(self.machine_cpu(target)));
        record(EventKind::Wake, || {
            format!("raises {}", e.machine().entity(target).name())
        });
        e.machine().raise_irq(target);
    }

    fn machine_cpu(&self, entity: ksplat_kernel::rt::EntityId) -> ksplat_kernel::rt::CpuId {
        current().machine().entity(entity).cpu()
    }

    /// Announces every read of a condition, then evaluates it at once.
    fn holds(&self, cond: &Cond, f: &Frame) -> bool {
        for term in &cond.terms {
            match term.atom {
                Atom::Flag(flag) => self.vars.flags[flag.index()].look(),
                Atom::Counter { counter, .. } => self.vars.counters[counter.index()].look(),
                Atom::Holds(var) => self.look_at(var),
                _ => {}
            }
        }
        self.evaluate(cond, f)
    }

    fn evaluate(&self, cond: &Cond, f: &Frame) -> bool {
        let mut terms = cond.terms.iter().map(|t| self.term(t, f));
        match cond.join {
            Join::All => terms.all(|t| t),
            Join::Any => terms.any(|t| t),
        }
    }

    fn term(&self, term: &Term, f: &Frame) -> bool {
        let truth = match term.atom {
            Atom::Maybe => current().machine().choose(2) == 1,
            Atom::Flag(flag) => self.vars.flags[flag.index()].get() != 0,
            Atom::Counter { counter, is, value } => {
                is.holds(self.vars.counters[counter.index()].get() as i32, value)
            }
            Atom::Holds(var) => self.holding(var, f).is_some(),
            Atom::Page { bit, page } => self.page_bit(bit, page),
            Atom::Done(completion) => self.completions[completion.index()].is_done(),
            Atom::Gfp(flag) => self.gfp_has(f.gfp, flag),
        };
        truth != term.negated
    }
}

fn give(lock: &Lock, a: Acquire, flags: IrqFlags) {
    match a.mode {
        Mode::Exclusive => lock.unlock(irq(a.flavour), flags),
        Mode::Shared => lock.read_unlock(irq(a.flavour), flags),
    }
}

fn restore_pf(f: &mut Frame) {
    if let Some(scope) = f.restore_pf() {
        scope.restore();
    }
}

fn changed(value: i64, change: Change) -> i64 {
    let clamp = |v: i64| v.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    match change {
        Change::Inc => clamp(value + 1),
        Change::Dec => clamp(value - 1),
        Change::Assign(v) => i64::from(v),
    }
}
