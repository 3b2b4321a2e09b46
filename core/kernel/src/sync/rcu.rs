//! RCU: read sections, grace periods that wait for all older readers, and callbacks that run after one.

use super::late::Late;
use crate::lockdep_events as lockdep;
use crate::rt::set::{AtomicSet, sets};
use crate::rt::{
    CpuId, Entity, EntityId, EntitySet, EventKind, Fact, Machine, OpKind, ResId, ResKind, current,
    fact, members, record,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The RCU of a machine.
#[derive(Debug)]
pub struct Rcu {
    res: ResId,
    /// Entities inside a read section.
    readers: AtomicSet,
    /// Read sections begun so far, and for each entity the number of the one that it is in.
    sections: AtomicU64,
    section: Box<[AtomicU64]>,
    /// For each entity that waits for a grace period: the readers it still waits for.
    pub(super) awaited: Box<[AtomicSet]>,
    callbacks: Mutex<Callbacks>,
    late: Late,
}

/// What `call_rcu` queued, oldest first.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    pub(super) queued: Vec<Callback>,
    /// Callbacks queued so far.
    total: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Callback {
    cpu: CpuId,
    function: usize,
    number: u64,
    /// Read sections begun before it.
    before: u64,
    /// Readers whose end it waits for.
    pub(super) awaited: EntitySet,
    running: bool,
}

impl Rcu {
    /// RCU without readers.
    #[must_use]
    pub fn new(m: &mut Machine) -> Self {
        Self {
            res: m.add_resource(ResKind::GracePeriod, "rcu"),
            readers: AtomicSet::default(),
            sections: AtomicU64::new(0),
            section: m.entities().iter().map(|_| AtomicU64::new(0)).collect(),
            awaited: sets(m.entities().len()),
            callbacks: Mutex::default(),
            late: Late::default(),
        }
    }

    /// What grace periods wait for.
    #[must_use]
    pub const fn res(&self) -> ResId {
        self.res
    }

    /// Back to no readers, for a new execution.
    pub fn reset(&self) {
        self.readers.store(0, SeqCst);
        self.sections.store(0, SeqCst);
        self.awaited.iter().for_each(|a| a.store(0, SeqCst));
        self.late.reset();
        let mut callbacks = self.callbacks();
        callbacks.queued.clear();
        callbacks.total = 0;
    }

    pub(super) fn callbacks(&self) -> MutexGuard<'_, Callbacks> {
        self.callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// `rcu_read_lock()`. Preemption is off inside, unless the kernel is PREEMPT_RT.
    pub fn read_lock(&self) {
        let e = current();
        record(EventKind::Lock, || "rcu_read_lock".to_owned());
        e.point(OpKind::Read, self.res);
        if !e.machine().rt() {
            e.preempt_disable();
        }
        lockdep::rcu_read_lock(&e);
        let n = e.rcu.get();
        e.rcu.set(n + 1);
        if n == 0 {
            let number = self.sections.fetch_add(1, SeqCst) + 1;
            self.section[e.id().index()].store(number, SeqCst);
            self.readers.fetch_or(e.bit(), SeqCst);
            fact(&e, Fact::Reads, self.res, 0);
            e.machine().changed(&e, false);
        }
    }

    /// `rcu_read_unlock()`.
    pub fn read_unlock(&self) {
        let e = current();
        e.point(OpKind::Unlock, self.res);
        record(EventKind::Unlock, || "rcu_read_unlock".to_owned());
        let n = e.rcu.get();
        if n == 0 {
            e.machine().state_break("rcu-unbalanced", || {
                format!("{}: rcu_read_unlock outside a read section", e.name())
            });
            return;
        }
        lockdep::rcu_read_unlock(&e);
        e.rcu.set(n - 1);
        if n == 1 {
            self.reader_ends(&e);
        }
        if !e.machine().rt() {
            e.preempt_enable();
        }
    }

    /// The last read section of an entity ends: grace periods get further, and with them callbacks.
    fn reader_ends(&self, e: &Entity) {
        fact(e, Fact::ReadsNot, self.res, 0);
        let gone = !e.bit();
        self.readers.fetch_and(gone, SeqCst);
        for awaited in &*self.awaited {
            awaited.fetch_and(gone, SeqCst);
        }
        let m = e.machine();
        m.changed(e, false);
        m.wake(self.res);
        let mut ready = 0u64;
        for c in self
            .callbacks()
            .queued
            .iter_mut()
            .filter(|c| c.awaited != 0)
        {
            c.awaited &= gone;
            if c.awaited == 0 {
                ready |= 1 << c.cpu.index();
            }
        }
        for cpu in (0..m.nr_cpus()).filter(|cpu| ready & 1 << cpu != 0) {
            if let Some(softirq) = m.softirq_of(CpuId(cpu as u8)) {
                m.add_softirq(softirq);
            }
        }
    }

    /// `synchronize_rcu()`: waits for every read section that was entered before.
    pub fn synchronize(&self) {
        let e = current();
        e.might_sleep();
        e.point(OpKind::Wait, self.res);
        record(EventKind::Block, || "synchronize_rcu".to_owned());
        let awaited = &self.awaited[e.id().index()];
        let before = self.sections.load(SeqCst);
        fact(&e, Fact::GraceBegins, self.res, 0);
        awaited.store(self.readers.load(SeqCst), SeqCst);
        if awaited.load(SeqCst) & e.bit() != 0 {
            e.machine().state_break("rcu-self-wait", || {
                format!("{}: synchronize_rcu inside its own read section", e.name())
            });
        }
        e.sleep_until_none(self.res, || awaited.load(SeqCst));
        self.audit_grace_period(&e, before);
    }

    /// Invariant 18: at the end of a grace period nobody is in a read section that began before it did.
    fn audit_grace_period(&self, e: &Entity, before: u64) {
        let m = e.machine();
        let readers = self.readers.load(SeqCst);
        let older = |id: &EntityId| self.section[id.index()].load(SeqCst) <= before;
        let Some(reader) = members(readers).find(older).filter(|_| m.simulated()) else {
            return;
        };
        m.state_break("rcu-grace-period", || {
            let reader = m.entity(reader).name();
            format!("a grace period ends although {reader} has been reading since before it")
        });
    }

    /// `call_rcu()`: the function runs in softirq context of this CPU, some time after the readers of now have ended.
    /// [`Softirqs::update`](super::Softirqs::update) is the caller's. Once all tasks have ended each function is queued
    /// at most once more.
    pub fn call(&self, function: usize, name: &str) {
        let e = current();
        e.point(OpKind::Store, self.res);
        record(EventKind::Step, || format!("call_rcu {name}"));
        if !self.late.may_queue(function) {
            return;
        }
        e.machine().changed(&e, true);
        let mut callbacks = self.callbacks();
        callbacks.total += 1;
        fact(&e, Fact::GraceBegins, self.res, 1);
        let callback = Callback {
            cpu: e.cpu(),
            function,
            number: callbacks.total,
            before: self.sections.load(SeqCst),
            awaited: self.readers.load(SeqCst),
            running: false,
        };
        callbacks.queued.push(callback);
    }

    /// The oldest callback of a CPU, if its grace period is over.
    #[must_use]
    pub fn ready_callback(&self, cpu: CpuId) -> Option<usize> {
        let callbacks = self.callbacks();
        let first = callbacks
            .queued
            .iter()
            .find(|c| c.cpu == cpu && !c.running)?;
        (first.awaited == 0).then_some(first.function)
    }

    /// Takes the callback that [`Rcu::ready_callback`] tells, to run it.
    pub fn start_callback(&self, cpu: CpuId) -> Option<usize> {
        let mut callbacks = self.callbacks();
        let first = callbacks
            .queued
            .iter_mut()
            .find(|c| c.cpu == cpu && !c.running)?;
        if first.awaited != 0 {
            return None;
        }
        first.running = true;
        let (function, before) = (first.function, first.before);
        drop(callbacks);
        self.audit_grace_period(&current(), before);
        Some(function)
    }

    /// The callback that the running entity took has run.
    pub fn end_callback(&self) {
        let e = current();
        self.callbacks()
            .queued
            .retain(|c| !(c.running && c.cpu == e.cpu()));
        e.machine().changed(&e, true);
        e.machine().wake(self.res);
    }

    /// `rcu_barrier()`: waits until every callback queued before has run.
    pub fn barrier(&self) {
        let e = current();
        e.might_sleep();
        e.point(OpKind::Wait, self.res);
        record(EventKind::Block, || "rcu_barrier".to_owned());
        let last = self.callbacks().total;
        e.sleep_until_none(self.res, || self.barrier_needs(e.machine(), last));
    }

    /// Who has to get further before the callbacks up to number `last` have run.
    fn barrier_needs(&self, m: &Machine, last: u64) -> EntitySet {
        let older = |c: &&Callback| c.number <= last;
        let runs = |c: &Callback| m.softirq_of(c.cpu).map_or(0, |e| e.bit());
        self.callbacks()
            .queued
            .iter()
            .filter(older)
            .fold(0, |s, c| {
                s | if c.awaited == 0 { runs(c) } else { c.awaited }
            })
    }
}
