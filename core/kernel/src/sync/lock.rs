//! Locks of every kind, as one type that knows what its kind means.

use super::word::{self, Mode};
use crate::lockdep_events::{self as lockdep, Acquire, Map};
use crate::rt::event::say;
use crate::rt::{
    Current, Entity, EventKind, Fact, IrqFlags, Machine, OpKind, ResId, ResKind, current, fact,
};
use ksplat_lockdep::{Key, KeyInfo, LockType, Read, WaitType};
use std::fmt::Display;

/// Kinds of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// `raw_spinlock_t`: spins, on PREEMPT_RT too.
    RawSpin,
    /// `spinlock_t`: spins; sleeps on PREEMPT_RT.
    Spin,
    /// `rwlock_t`: spins; sleeps on PREEMPT_RT.
    RwLock,
    /// `struct mutex`.
    Mutex,
    /// `struct rw_semaphore`.
    RwSem,
    /// `struct percpu_rw_semaphore`.
    PercpuRwSem,
    /// `struct rt_mutex`.
    RtMutex,
    /// `local_lock_t`: preemption off; a per-CPU sleeping lock on PREEMPT_RT.
    Local,
    /// A bit in a word, waited for spinning; lockdep does not know it.
    Bit,
}

impl LockKind {
    /// Whether waiters keep their CPU, and holders may not sleep.
    #[must_use]
    pub const fn spins(self, rt: bool) -> bool {
        match self {
            Self::RawSpin | Self::Bit => true,
            Self::Spin | Self::RwLock | Self::Local => !rt,
            Self::Mutex | Self::RwSem | Self::PercpuRwSem | Self::RtMutex => false,
        }
    }

    /// Whether the owner of a lock that sleeps inherits the priority of who waits: rt_mutexes, and what PREEMPT_RT builds of
    /// them. A percpu_rw_semaphore's readers have no owner to boost.
    #[must_use]
    pub const fn boosts(self, rt: bool) -> bool {
        match self {
            Self::RtMutex => true,
            Self::Spin | Self::RwLock | Self::Local | Self::Mutex | Self::RwSem => rt,
            Self::RawSpin | Self::Bit | Self::PercpuRwSem => false,
        }
    }

    /// Registers a lockdep class for locks of this kind.
    #[must_use]
    pub fn class(self, m: &mut Machine, name: &str) -> Key {
        // Without PROVE_RAW_LOCK_NESTING the kernel treats spinlocks as what they are on a non-RT kernel.
        let config = if m.rules().prove_raw_lock_nesting || m.rt() {
            WaitType::Config
        } else {
            WaitType::Spin
        };
        let inner = match self {
            Self::RawSpin => WaitType::Spin,
            Self::Spin | Self::RwLock | Self::Local => config,
            Self::Mutex | Self::RwSem | Self::PercpuRwSem | Self::RtMutex => WaitType::Sleep,
            Self::Bit => WaitType::Inv,
        };
        let lock_type = if self == Self::Local {
            LockType::PerCpu
        } else {
            LockType::Normal
        };
        m.lockdep_mut().register_key(KeyInfo {
            lock_type,
            ..KeyInfo::waiting(name, inner)
        })
    }

    /// Whether it can be taken shared.
    #[must_use]
    pub const fn shared(self) -> bool {
        matches!(self, Self::RwLock | Self::RwSem | Self::PercpuRwSem)
    }
}

/// What a lock operation does to the interrupts of its CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Irq {
    /// Nothing.
    #[default]
    Plain,
    /// `_irq`: disables and, at unlock, enables whatever they were before.
    Irq,
    /// `_irqsave`: disables; unlock restores.
    Save,
    /// `_bh`: disables bottom halves.
    Bh,
}

/// How a lock is taken: everything but the lock itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Interrupts.
    pub irq: Irq,
    /// lockdep subclass (`_nested`).
    pub subclass: u8,
    /// The outer lock that makes nesting in one class legal (`_nest_lock`).
    pub nest: Option<Map>,
}

/// A lock.
#[derive(Clone, Copy, Debug)]
pub struct Lock {
    pub(crate) res: ResId,
    pub(crate) kind: LockKind,
    map: Option<Map>,
    spins: bool,
    /// A local lock of a kernel that is not PREEMPT_RT is the CPU itself: nobody waits for it.
    is_only_preemption: bool,
}

impl Lock {
    /// A lock of a class. `key` is `None` where the kernel has no annotation.
    #[must_use]
    #[track_caller]
    pub fn new(m: &mut Machine, kind: LockKind, name: impl Display, key: Option<Key>) -> Self {
        let spins = kind.spins(m.rt());
        let res = m.add_resource(
            match kind {
                _ if spins => ResKind::SpinLock,
                _ if kind.boosts(m.rt()) => ResKind::PiLock,
                _ => ResKind::SleepLock,
            },
            name,
        );
        let map = key
            .filter(|_| kind != LockKind::Bit)
            .map(|key| Map::new(key, res));
        Self {
            res,
            kind,
            map,
            spins,
            is_only_preemption: kind == LockKind::Local && spins,
        }
    }

    /// Promises that nobody will try it or ask whether it is held by others: who waits for it is all who ever sees that it is.
    /// Where a machine has tasks alone and one has its CPU to itself, giving such a lock back is no decision then.
    /// Without effect on locks that can be taken shared: who waits for those is seen.
    ///
    /// # Panics
    /// Trying the lock does, afterwards.
    pub fn never_tried(&self, m: &mut Machine) {
        if !self.kind.shared() && !self.is_only_preemption {
            m.resources[self.res.index()].untried = true;
        }
    }

    /// What waits for it go through.
    #[must_use]
    pub const fn res(&self) -> ResId {
        self.res
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> LockKind {
        self.kind
    }

    /// Its lockdep map.
    #[must_use]
    pub const fn map(&self) -> Option<Map> {
        self.map
    }

    /// Whether waiters keep their CPU on this machine.
    #[must_use]
    pub const fn spins(&self) -> bool {
        self.spins
    }

    /// Takes it exclusively.
    #[inline]
    pub fn lock(&self, how: How) -> IrqFlags {
        self.acquire(Mode::Write, how)
    }

    /// Takes it shared.
    pub fn read(&self, how: How) -> IrqFlags {
        let e = current();
        let recursive = self.kind == LockKind::RwLock && e.in_interrupt();
        if self.kind == LockKind::PercpuRwSem && !e.machine().rules().guard_freeze_protocol {
            return self.read_past_freeze(&e, how);
        }
        self.acquire(
            if recursive {
                Mode::ReadRecursive
            } else {
                Mode::Read
            },
            how,
        )
    }

    #[inline]
    fn acquire(&self, mode: Mode, how: How) -> IrqFlags {
        let e = current();
        let m = e.machine();
        let flags = self.enter(&e, how.irq);
        if e.watched.get() {
            self.tell(&e, "lock", mode, how);
        }
        if let Some(map) = self.map {
            lockdep::acquire(
                m,
                &e,
                map,
                Acquire {
                    subclass: how.subclass,
                    trylock: false,
                    read: lockdep_read(mode),
                    nest: how.nest,
                },
            );
        }
        if self.is_only_preemption {
            self.enter_local(&e);
        } else {
            word::take(m, &e, self.res, mode, self.spins);
        }
        self.note_irq(&e, how.irq);
        flags
    }

    fn enter_local(&self, e: &Entity) {
        let m = e.machine();
        e.point(OpKind::Lock, self.res);
        if word::is_held(m.resource(self.res)) {
            m.state_break_of("local-lock-reentered", self.res, || {
                let name = m.resource(self.res).name();
                format!(
                    "{} enters {name}, which this CPU is inside of already",
                    e.name()
                )
            });
        }
        word::share(e, self.res);
    }

    /// Without the guard `freeze_protocol` a frozen gate lets readers in.
    #[cold]
    fn read_past_freeze(&self, e: &Current, how: How) -> IrqFlags {
        let m = e.machine();
        let flags = self.enter(e, how.irq);
        if e.watched.get() {
            self.tell(e, "lock", Mode::Read, how);
        }
        if let Some(map) = self.map {
            let how = Acquire {
                subclass: how.subclass,
                trylock: false,
                read: lockdep_read(Mode::Read),
                nest: how.nest,
            };
            lockdep::acquire(m, e, map, how);
        }
        e.point(OpKind::Read, self.res);
        if word::is_written(m.resource(self.res)) {
            m.state_break_of("freeze-passed", self.res, || {
                let name = m.resource(self.res).name();
                format!("{} passes {name} while it is frozen", e.name())
            });
        }
        e.hold_shared(self.res);
        e.count_held(1);
        m.changed(e, false);
        flags
    }

    /// Tries to take it exclusively.
    pub fn trylock(&self, how: How) -> Option<IrqFlags> {
        self.try_acquire(Mode::Write, how)
    }

    /// Tries to take it shared.
    pub fn try_read(&self, how: How) -> Option<IrqFlags> {
        self.try_acquire(Mode::Read, how)
    }

    #[inline]
    fn try_acquire(&self, mode: Mode, how: How) -> Option<IrqFlags> {
        let e = current();
        let promised = e.machine().resource(self.res).untried;
        assert!(!promised, "a lock is tried that was promised never to be");
        let before = e.standing();
        let flags = self.keep_cpu(&e, how.irq);
        let got = if self.is_only_preemption {
            self.enter_local(&e);
            true
        } else {
            word::try_take(&e, self.res, mode)
        };
        if e.watched.get() {
            let what = if got { "trylock" } else { "trylock fails:" };
            self.tell(&e, what, mode, how);
        }
        if !got {
            self.leave(&e, how.irq, flags);
            // `spin_trylock_irq()` that fails enables interrupts, whatever they were before.
            let irqs_off = before.3 && !(how.irq == Irq::Irq && self.spins);
            e.audit_no_trace((before.0, before.1, before.2, irqs_off));
            return None;
        }
        if let Some(map) = self.map {
            lockdep::acquire(
                e.machine(),
                &e,
                map,
                Acquire {
                    subclass: how.subclass,
                    trylock: true,
                    read: lockdep_read(mode),
                    nest: how.nest,
                },
            );
        }
        self.note_irq(&e, how.irq);
        Some(flags)
    }

    /// Interrupts stay off as long as a lock is held that was taken with them off (invariant 15).
    #[inline]
    fn note_irq(&self, e: &Entity, irq: Irq) {
        if self.spins && matches!(irq, Irq::Irq | Irq::Save) {
            e.hold_irq(self.res);
        }
    }

    /// Releases what [`Lock::lock`] took. `irq` is how it is to be released, which a buggy program may get wrong.
    #[inline]
    pub fn unlock(&self, irq: Irq, flags: IrqFlags) {
        self.release(Mode::Write, irq, flags);
    }

    /// Releases what [`Lock::read`] took.
    pub fn read_unlock(&self, irq: Irq, flags: IrqFlags) {
        self.release(Mode::Read, irq, flags);
    }

    #[inline]
    fn release(&self, mode: Mode, irq: Irq, flags: IrqFlags) {
        let e = current();
        let m = e.machine();
        m.unlock_point(&e, self.res);
        if e.watched.get() {
            self.tell_unlock(&e);
        }
        if let Some(map) = self.map {
            lockdep::release(m, &e, map);
        }
        let mode = if self.is_only_preemption {
            Mode::Read
        } else {
            mode
        };
        let past = self.kind == LockKind::PercpuRwSem
            && mode == Mode::Read
            && !m.rules().guard_freeze_protocol;
        let given = if past {
            word::unshare_only(&e, self.res)
        } else {
            word::release(m, &e, self.res, mode)
        };
        if !given {
            self.not_held(&e, mode);
            return;
        }
        if self.spins {
            e.drop_irq(self.res);
        }
        self.leave(&e, irq, flags);
    }

    #[cold]
    fn not_held(&self, e: &Entity, mode: Mode) {
        let m = e.machine();
        fact(e, Fact::Lacks, self.res, mode.code());
        m.state_break_of("unlock-not-held", self.res, || {
            let name = m.resource(self.res).name();
            format!("{} releases {name}, which it does not hold", e.name())
        });
    }

    /// A write hold becomes a read hold.
    pub fn downgrade(&self) {
        let e = current();
        e.point(OpKind::Unlock, self.res);
        if let Some(map) = self.map {
            lockdep::downgrade(&e, map);
        }
        if !word::downgrade(&e, self.res) {
            fact(&e, Fact::Lacks, self.res, Mode::Write.code());
            e.machine()
                .state_break_of("downgrade-not-held", self.res, || {
                    format!(
                        "{} downgrades {}, which it does not hold exclusively",
                        e.name(),
                        e.machine().resource(self.res).name()
                    )
                });
        }
    }

    /// Whether anybody holds it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        word::is_held(current().machine().resource(self.res))
    }

    /// Whether the running entity holds it.
    #[must_use]
    pub fn held_by_current(&self) -> bool {
        let e = current();
        word::held_by(e.machine().resource(self.res), &e)
    }

    /// What comes before asking for the lock: the CPU is kept, or a sleep must be legal.
    #[inline]
    fn enter(&self, e: &Current, irq: Irq) -> IrqFlags {
        if !self.spins {
            e.might_sleep();
        }
        self.keep_cpu(e, irq)
    }

    /// What a holder keeps from its CPU. On PREEMPT_RT a sleeping spinlock keeps bottom halves only.
    #[inline]
    fn keep_cpu(&self, e: &Current, irq: Irq) -> IrqFlags {
        let flags = e.irq_flags();
        if !self.spins {
            if irq == Irq::Bh {
                e.bh_off_now();
            }
            return flags;
        }
        e.cpu_point();
        match irq {
            Irq::Plain => {}
            Irq::Irq | Irq::Save => e.irqs_off_now(),
            Irq::Bh => e.bh_off_now(),
        }
        e.preempt_disable();
        flags
    }

    #[inline]
    fn leave(&self, e: &Entity, irq: Irq, flags: IrqFlags) {
        if !self.spins {
            if irq == Irq::Bh {
                e.local_bh_enable();
            }
            return;
        }
        match irq {
            Irq::Plain => {}
            Irq::Irq => e.irqs_on_now(),
            Irq::Save => e.local_irq_restore(flags),
            Irq::Bh => e.local_bh_enable(),
        }
        e.preempt_enable();
    }

    #[cold]
    fn tell_unlock(&self, e: &Entity) {
        say(e, EventKind::Unlock, || {
            format!("unlock {}", e.machine().resource(self.res).name())
        });
    }

    #[cold]
    fn tell(&self, e: &Entity, what: &str, mode: Mode, how: How) {
        let name = e.machine().resource(self.res).name();
        let shared = if mode == Mode::Write {
            ""
        } else {
            " for reading"
        };
        let irq = match how.irq {
            Irq::Plain => "",
            Irq::Irq => " irq",
            Irq::Save => " irqsave",
            Irq::Bh => " bh",
        };
        let nested = if how.subclass == 0 {
            String::new()
        } else {
            format!(" nested {}", how.subclass)
        };
        say(e, EventKind::Lock, || {
            format!("{what} {name}{shared}{irq}{nested}")
        });
    }
}

const fn lockdep_read(mode: Mode) -> Read {
    match mode {
        Mode::Write => Read::Exclusive,
        Mode::Read => Read::Shared,
        Mode::ReadRecursive => Read::Recursive,
    }
}
