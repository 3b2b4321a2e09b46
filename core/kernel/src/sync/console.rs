//! printk and the legacy consoles: who writes what was printed, and what is held meanwhile.
//!
//! `printk = sync`: the caller, if it gets the console lock, or else whoever has it. `deferred`: an interrupt on the same
//! CPU, later. `threaded`, and always on PREEMPT_RT: a thread.

use super::lock::{How, Irq, Lock, LockKind};
use super::map::LockMap;
use super::wait_queue::WaitQueue;
use super::word::SHARED;
use crate::lockdep_events::{self as lockdep, Acquire, Map};
use crate::rt::set::AtomicSet;
use crate::rt::{
    Entity, EntityId, EventKind, IrqFlags, Machine, Needs, OpKind, Quantity, ResId, ResKind, Wait,
    WaitHow, count, current, record,
};
use crate::rt::{Fact, fact};
use crate::rules::Printk;
use ksplat_lockdep::{KeyInfo, LockType, Read, WaitType};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The consoles of a machine.
#[derive(Debug)]
pub struct Consoles {
    lock: Lock,
    /// Held while a record is written, and by who spins for that to end.
    owner: LockMap,
    /// Lets spinlocks be taken wherever somebody prints.
    legacy: Map,
    /// Held while a record is written.
    writing: ResId,
    spinner: AtomicU64,
    records: AtomicU64,
    printed: AtomicU64,
    /// Entities inside of printk.
    printing: AtomicSet,
    /// Depth of `printk_deferred_enter`, by CPU.
    deferred: Vec<AtomicU64>,
    /// What prints later, by CPU.
    irq_work: Vec<Option<EntityId>>,
    idle: WaitQueue,
    present: bool,
}

impl Consoles {
    /// `present`: there is a console at all. `irq_work`: the interrupts that print later, by CPU.
    #[must_use]
    pub fn new(m: &mut Machine, present: bool, irq_work: Vec<Option<EntityId>>) -> Self {
        let key = LockMap::class(m, "console_lock");
        let lock = Lock::new(m, LockKind::Mutex, "console_lock", Some(key));
        let key = LockMap::class(m, "console_owner");
        let owner = LockMap::new(m, "console_owner", key);
        let key = m.lockdep_mut().register_key(KeyInfo {
            lock_type: LockType::WaitOverride,
            ..KeyInfo::waiting("printk_legacy_map", WaitType::Config)
        });
        let legacy = Map::new(key, m.add_resource(ResKind::State, "printk_legacy_map"));
        let zero = || AtomicU64::new(0);
        Self {
            lock,
            owner,
            legacy,
            writing: m.add_resource(ResKind::SpinLock, "console_owner"),
            spinner: zero(),
            records: zero(),
            printed: zero(),
            printing: AtomicSet::default(),
            deferred: (0..m.nr_cpus()).map(|_| zero()).collect(),
            irq_work,
            idle: WaitQueue::new(m, ResKind::Idle, "something to print", 0),
            present,
        }
    }

    /// Nothing printed.
    pub fn reset(&self) {
        self.printing.store(0, SeqCst);
        let all = [&self.spinner, &self.records, &self.printed];
        for zero in all.into_iter().chain(&self.deferred) {
            zero.store(0, SeqCst);
        }
    }

    /// `printk_deferred_enter()`: what is printed on this CPU is written later.
    pub fn deferred_enter(&self) {
        let e = current();
        if e.machine().rules().guard_printk_deferral {
            self.deferred[e.cpu().index()].fetch_add(1, SeqCst);
            count(&e, Quantity::PrintkDeferred, ResId::NONE, 1);
        }
    }

    /// Whether what the running entity prints is written by somebody else, later.
    #[must_use]
    pub fn is_deferred(&self) -> bool {
        let e = current();
        let rules = e.machine().rules();
        !self.present
            || e.machine().rt()
            || rules.printk != Printk::Sync
            || self.deferred[e.cpu().index()].load(SeqCst) != 0
    }

    /// `printk_deferred_exit()`.
    pub fn deferred_exit(&self) {
        let e = current();
        let m = e.machine();
        let depth = &self.deferred[e.cpu().index()];
        let balanced = depth
            .fetch_update(SeqCst, SeqCst, |d| d.checked_sub(1))
            .is_ok();
        if balanced {
            count(&e, Quantity::PrintkDeferred, ResId::NONE, -1);
        }
        if !balanced && m.rules().guard_printk_deferral {
            m.state_break("printk-deferred-unbalanced", || {
                format!("{}: printk_deferred_exit without enter", e.name())
            });
        }
    }

    /// `printk()`: stores a record; `write` writes one record to all consoles.
    pub fn printk(&self, write: impl Fn()) {
        let e = current();
        let m = e.machine();
        e.point(OpKind::Store, self.writing);
        record(EventKind::Step, || "printk".to_owned());
        self.records.fetch_add(1, SeqCst);
        m.changed(&e, true);
        if !self.present || self.printing.load(SeqCst) & e.bit() != 0 {
            return;
        }
        let deferred = self.deferred[e.cpu().index()].load(SeqCst) != 0;
        match m.rules().printk {
            Printk::Threaded => self.idle.wake_up_quietly(),
            _ if m.rt() => self.idle.wake_up_quietly(),
            Printk::Deferred => self.later(&e),
            Printk::Sync if deferred => self.later(&e),
            Printk::Sync => self.now(&e, &write),
        }
    }

    /// An interrupt on this CPU will write.
    fn later(&self, e: &Entity) {
        record(EventKind::Step, || "the record is written later".to_owned());
        if let Some(irq) = self.irq_work[e.cpu().index()] {
            e.machine().raise_irq(irq);
        }
    }

    fn now(&self, e: &Entity, write: &impl Fn()) {
        e.preempt_disable();
        if self.trylock_spinning(e) {
            self.flush(e, write);
        }
        e.preempt_enable();
    }

    /// The interrupt that `later` raised: writes unless somebody does already.
    pub fn irq_work(&self, write: impl Fn()) {
        if self.trylock() {
            self.flush(&current(), &write);
        }
    }

    /// Life of the thread that writes.
    pub fn thread(&self, write: impl Fn()) {
        let e = current();
        loop {
            self.idle
                .wait_event(WaitHow::Idle, Needs::Anyone, || self.pending());
            let flags = self.lock.lock(How::default());
            while self.pending() {
                self.printed.fetch_add(1, SeqCst);
                self.printing.fetch_or(e.bit(), SeqCst);
                write();
                self.printing.fetch_and(!e.bit(), SeqCst);
            }
            self.lock.unlock(Irq::Plain, flags);
        }
    }

    fn pending(&self) -> bool {
        self.printed.load(SeqCst) < self.records.load(SeqCst)
    }

    fn trylock(&self) -> bool {
        self.lock.trylock(How::default()).is_some()
    }

    /// `console_trylock_spinning()`: one printer at a time spins until the owner has written its record.
    fn trylock_spinning(&self, e: &Entity) -> bool {
        if self.trylock() {
            return true;
        }
        let r = e.machine().resource(self.writing);
        let me = e.bit() | e.task().id().bit();
        let others = r.holders() & !me;
        if others == 0 || self.spinner.swap(1, SeqCst) != 0 {
            return false;
        }
        let flags = e.local_irq_save();
        self.owner.acquire(Read::Exclusive);
        let wait = Wait {
            res: self.writing,
            how: WaitHow::Spin,
            needs: Needs::Holders,
        };
        e.wait_until(wait, || r.holders() & others == 0);
        self.owner.release();
        self.spinner.store(0, SeqCst);
        e.local_irq_restore(flags);
        self.trylock()
    }

    /// `console_unlock()`: writes every record, then gives the lock back, and looks once more.
    fn flush(&self, e: &Entity, write: &impl Fn()) {
        loop {
            while self.pending() {
                self.printed.fetch_add(1, SeqCst);
                self.emit(e, write);
            }
            self.lock.unlock(Irq::Plain, IrqFlags::new(true));
            if !self.pending() || !self.trylock() {
                return;
            }
        }
    }

    fn emit(&self, e: &Entity, write: &impl Fn()) {
        let m = e.machine();
        let r = m.resource(self.writing);
        let flags = e.local_irq_save();
        self.printing.fetch_or(e.bit(), SeqCst);
        self.owner.acquire(Read::Exclusive);
        let anywhere = Acquire {
            trylock: true,
            ..Acquire::default()
        };
        lockdep::acquire(e.machine(), e, self.legacy, anywhere);
        r.listed.fetch_or(e.bit(), SeqCst);
        fact(e, Fact::Gets, self.writing, SHARED);
        write();
        r.listed.fetch_and(!e.bit(), SeqCst);
        fact(e, Fact::Gives, self.writing, SHARED);
        lockdep::release(e.machine(), e, self.legacy);
        self.owner.release();
        self.printing.fetch_and(!e.bit(), SeqCst);
        m.changed(e, false);
        m.wake(self.writing);
        e.local_irq_restore(flags);
    }
}
