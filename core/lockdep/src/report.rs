//! Reports as values.

use crate::graph::Deps;
use crate::key::{ClassId, LockMap, Read, WaitType};
use crate::usage::{Usage, UsageBit, UsageState};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// Number of a report within one [`crate::Lockdep`], counted from 1 since the last reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(pub(crate) NonZeroU32);

impl ReportId {
    /// Position in [`crate::Lockdep::reports`].
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// What an operation returns: the first *new* report it raised, if any.
pub type Outcome<T = ()> = Result<T, ReportId>;

/// The kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each is the name of the report that `Detail` describes"
)]
pub enum Kind {
    Circular,
    Recursive,
    InconsistentState,
    IrqInversion,
    HardirqSafeUnsafe,
    SoftirqSafeUnsafe,
    ReclaimFsSafeUnsafe,
    WaitContext,
    NestNotHeld,
    BadUnlock,
    HeldLockFreed,
    LocksHeldAtExit,
    HeldAtSysexit,
    SleepInAtomic,
    SuspiciousRcu,
    InvalidSubclass,
    LockdepOff,
    DebugLocksWarn,
    Warn,
    AssertHeld,
}

impl Kind {
    /// The kind's name in machine-readable output, such as `circular` or `bad-unlock`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circular => "circular",
            Self::Recursive => "recursive",
            Self::InconsistentState => "inconsistent-state",
            Self::IrqInversion => "irq-inversion",
            Self::HardirqSafeUnsafe => "hardirq-safe-unsafe",
            Self::SoftirqSafeUnsafe => "softirq-safe-unsafe",
            Self::ReclaimFsSafeUnsafe => "reclaim-fs-safe-unsafe",
            Self::WaitContext => "wait-context",
            Self::NestNotHeld => "nest-not-held",
            Self::BadUnlock => "bad-unlock",
            Self::HeldLockFreed => "held-lock-freed",
            Self::LocksHeldAtExit => "locks-held-at-exit",
            Self::HeldAtSysexit => "held-at-sysexit",
            Self::SleepInAtomic => "sleep-in-atomic",
            Self::SuspiciousRcu => "suspicious-rcu",
            Self::InvalidSubclass => "invalid-subclass",
            Self::LockdepOff => "lockdep-off",
            Self::DebugLocksWarn => "debug-locks-warn",
            Self::Warn => "warn",
            Self::AssertHeld => "assert-held",
        }
    }

    /// True if the kernel switches lockdep off after a report of this kind (`debug_locks_off()`). Plain
    /// `WARN`s and what the scheduler or RCU says leave it on.
    pub fn switches_off(self) -> bool {
        !matches!(
            self,
            Self::SleepInAtomic | Self::SuspiciousRcu | Self::Warn | Self::AssertHeld
        )
    }
}

/// A class as it was when a report was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRef {
    /// The class.
    pub id: ClassId,
    /// The name of its key.
    pub name: Arc<str>,
    /// Its usage bits.
    pub usage: Usage,
    /// Its inner wait type.
    pub wait_type_inner: WaitType,
    /// Its outer wait type, with [`WaitType::Inv`] resolved to the inner one.
    pub wait_type_outer: WaitType,
}

impl core::fmt::Display for ClassRef {
    /// `name`, or `name/1` for subclass 1.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.id.subclass() {
            0 => f.write_str(&self.name),
            subclass => write!(f, "{}/{subclass}", self.name),
        }
    }
}

/// Where something was first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The caller's source position.
    pub site: u32,
    /// The task, by [`crate::TaskState::id`].
    pub task: u32,
}

/// A class on a path through the dependency graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The class.
    pub class: ClassRef,
    /// The dependency that led here; `None` at the root of the search.
    pub dependency: Option<Dependency>,
}

/// A dependency as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its kinds.
    pub deps: Deps,
    /// Where the first of its two locks was taken when the dependency was added.
    pub prev: Trace,
    /// Where the second one was taken.
    pub next: Trace,
}

/// A held lock, or the lock being acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Its class.
    pub class: ClassRef,
    /// The instance.
    pub map: LockMap,
    /// How it is held.
    pub read: Read,
    /// By trylock.
    pub trylock: bool,
    /// Bit 1: taken in a hard interrupt; bit 0: in a soft one.
    pub irq_context: u8,
    /// Number of instances folded into this entry under a nest lock, 0 if none.
    pub references: u16,
    /// Where it was taken.
    pub site: u32,
}

/// The three flavours of RCU read-side sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rcu {
    /// `rcu_read_lock()`.
    Preempt = 0,
    /// `rcu_read_lock_bh()`.
    Bh = 1,
    /// `rcu_read_lock_sched()`.
    Sched = 2,
}

/// What a report says, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// The dependency prev → next closes a strong cycle (`print_circular_bug()`).
    Circular {
        /// The held lock's class.
        prev: ClassRef,
        /// The acquired lock's class.
        next: ClassRef,
        /// The existing chain, from `next` to `prev`.
        path: Vec<PathStep>,
    },
    /// A class is taken while already held (`print_deadlock_bug()`).
    Recursive {
        /// The class.
        class: ClassRef,
        /// Whether it is even the same instance.
        same_instance: bool,
        /// How it is held.
        prev_read: Read,
        /// How it is taken again.
        next_read: Read,
    },
    /// A class got a usage bit that conflicts with one it has (`print_usage_bug()`).
    InconsistentState {
        /// The class.
        class: ClassRef,
        /// The old bit.
        from: UsageBit,
        /// The new bit.
        to: UsageBit,
        /// Where the old bit was set.
        registered: Trace,
    },
    /// A new usage bit conflicts with that of a class along the dependencies (`print_irq_inversion_bug()`).
    IrqInversion {
        /// The class that got the bit.
        this: ClassRef,
        /// The class in conflict.
        other: ClassRef,
        /// The bit of `other`.
        bit: UsageBit,
        /// The bit `this` got.
        new_bit: UsageBit,
        /// True if `other` is taken after `this`, false if before.
        forwards: bool,
        /// From `this` to `other`.
        path: Vec<PathStep>,
        /// Where `other` got its bit.
        registered: Trace,
    },
    /// The dependency prev → next connects a class used in interrupts with one held over them
    /// (`print_bad_irq_dependency()`).
    SafeUnsafe {
        /// The held lock's class.
        prev: ClassRef,
        /// The acquired lock's class.
        next: ClassRef,
        /// The class used in interrupts.
        safe: ClassRef,
        /// The class held with them enabled.
        r#unsafe: ClassRef,
        /// The bit of `safe`.
        safe_bit: UsageBit,
        /// The bit of `r#unsafe`.
        unsafe_bit: UsageBit,
        /// From `prev` back to `safe`.
        safe_path: Vec<PathStep>,
        /// From `next` on to `r#unsafe`.
        unsafe_path: Vec<PathStep>,
        /// Where the two bits were set.
        registered: [Trace; 2],
    },
    /// A lock is taken where its kind of waiting is not allowed (`print_lock_invalid_wait_context()`).
    WaitContext {
        /// The class.
        class: ClassRef,
        /// What the context itself allows, held locks apart.
        context: WaitType,
    },
    /// The nest lock of an acquisition is not held.
    NestNotHeld {
        /// The class acquired.
        class: ClassRef,
        /// The name of the nest lock's key.
        nest: Arc<str>,
    },
    /// A lock that is not held is released, downgraded or changes class (`print_unlock_imbalance_bug()`).
    BadUnlock {
        /// The lock.
        map: LockMap,
        /// The name of its key.
        lock: Arc<str>,
        /// How many locks are held.
        depth: usize,
    },
    /// A held lock is freed or initialised again.
    HeldLockFreed {
        /// Its class.
        class: ClassRef,
    },
    /// A task ends with locks held.
    LocksHeldAtExit {
        /// How many.
        depth: usize,
    },
    /// A task returns to user space with locks held.
    HeldAtSysexit {
        /// How many.
        depth: usize,
    },
    /// A task that must not sleep might.
    SleepInAtomic {
        /// `preempt_count()`.
        preempt_count: u32,
        /// Whether hard interrupts are off.
        irqs_disabled: bool,
    },
    /// A task might sleep in an RCU read-side section (`rcu_sleep_check()`).
    SuspiciousRcu {
        /// The flavour.
        flavour: Rcu,
    },
    /// A subclass of 8 or more.
    InvalidSubclass {
        /// The subclass.
        subclass: u8,
    },
    /// A table is full. Lockdep goes off in either mode.
    LockdepOff {
        /// The kernel's message.
        message: &'static str,
    },
    /// An inconsistency that the kernel asserts against (`DEBUG_LOCKS_WARN_ON()`).
    DebugLocksWarn {
        /// The asserted condition.
        condition: &'static str,
    },
    /// A plain warning in lockdep.
    Warn {
        /// Its text.
        message: &'static str,
    },
    /// `lockdep_assert_held()` failed.
    AssertHeld {
        /// The lock.
        map: LockMap,
        /// The name of its key.
        lock: Arc<str>,
        /// Asserted as held by a reader (true), a writer (false), or anyhow.
        read: Option<bool>,
    },
}

impl Detail {
    /// The kind of report.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Circular { .. } => Kind::Circular,
            Self::Recursive { .. } => Kind::Recursive,
            Self::InconsistentState { .. } => Kind::InconsistentState,
            Self::IrqInversion { .. } => Kind::IrqInversion,
            Self::SafeUnsafe { safe_bit, .. } => match safe_bit.state() {
                Some(UsageState::Softirq) => Kind::SoftirqSafeUnsafe,
                Some(UsageState::ReclaimFs) => Kind::ReclaimFsSafeUnsafe,
                Some(UsageState::Hardirq) | None => Kind::HardirqSafeUnsafe,
            },
            Self::WaitContext { .. } => Kind::WaitContext,
            Self::NestNotHeld { .. } => Kind::NestNotHeld,
            Self::BadUnlock { .. } => Kind::BadUnlock,
            Self::HeldLockFreed { .. } => Kind::HeldLockFreed,
            Self::LocksHeldAtExit { .. } => Kind::LocksHeldAtExit,
            Self::HeldAtSysexit { .. } => Kind::HeldAtSysexit,
            Self::SleepInAtomic { .. } => Kind::SleepInAtomic,
            Self::SuspiciousRcu { .. } => Kind::SuspiciousRcu,
            Self::InvalidSubclass { .. } => Kind::InvalidSubclass,
            Self::LockdepOff { .. } => Kind::LockdepOff,
            Self::DebugLocksWarn { .. } => Kind::DebugLocksWarn,
            Self::Warn { .. } => Kind::Warn,
            Self::AssertHeld { .. } => Kind::AssertHeld,
        }
    }

    /// The headline the kernel prints.
    pub fn title(&self) -> String {
        match self {
            Self::Circular { .. } => "possible circular locking dependency detected".into(),
            Self::Recursive { .. } => "possible recursive locking detected".into(),
            Self::InconsistentState { .. } => "inconsistent lock state".into(),
            Self::IrqInversion { .. } => "possible irq lock inversion dependency detected".into(),
            Self::SafeUnsafe { safe_bit, .. } => {
                let irq = safe_bit.state_name();
                format!("{irq}-safe -> {irq}-unsafe lock order detected")
            }
            Self::WaitContext { .. } => "BUG: Invalid wait context".into(),
            Self::NestNotHeld { .. } => "Nested lock was not taken".into(),
            Self::BadUnlock { .. } => "bad unlock balance detected!".into(),
            Self::HeldLockFreed { .. } => "held lock freed!".into(),
            Self::LocksHeldAtExit { .. } => "still has locks held!".into(),
            Self::HeldAtSysexit { .. } => "lock held when returning to user space!".into(),
            Self::SleepInAtomic { .. } => {
                "BUG: sleeping function called from invalid context".into()
            }
            Self::SuspiciousRcu { .. } => "suspicious RCU usage".into(),
            Self::InvalidSubclass { .. } => "BUG: looking up invalid subclass".into(),
            Self::LockdepOff { message } | Self::Warn { message } => (*message).into(),
            Self::DebugLocksWarn { condition } => format!("DEBUG_LOCKS_WARN_ON({condition})"),
            Self::AssertHeld { .. } => "lockdep_assert_held() failed".into(),
        }
    }

    /// What makes two reports the same for the mode that continues: the kind and its subjects.
    pub(crate) fn identity(&self, site: u32) -> (Kind, [u64; 3]) {
        let pair = |a: &ClassRef, b: &ClassRef| u64::from(a.id.0) << 16 | u64::from(b.id.0);
        let bits = |a: UsageBit, b: UsageBit| (a.index() * 16 + b.index()) as u64;
        let map = |m: &LockMap| u64::from(m.key.0) << 32 | u64::from(m.instance);
        let subject = match self {
            Self::Circular { prev, next, .. } => [pair(prev, next), 0, 0],
            Self::Recursive {
                class,
                prev_read,
                next_read,
                ..
            } => [u64::from(class.id.0), *prev_read as u64, *next_read as u64],
            Self::InconsistentState {
                class, from, to, ..
            } => [u64::from(class.id.0), bits(*from, *to), 0],
            Self::IrqInversion {
                this,
                other,
                bit,
                new_bit,
                ..
            } => [pair(this, other), bits(*bit, *new_bit), 0],
            Self::SafeUnsafe {
                prev,
                next,
                safe,
                r#unsafe,
                safe_bit,
                unsafe_bit,
                ..
            } => [
                pair(prev, next),
                pair(safe, r#unsafe),
                bits(*safe_bit, *unsafe_bit),
            ],
            Self::WaitContext { class, context } => [u64::from(class.id.0), *context as u64, 0],
            Self::NestNotHeld { class, .. } | Self::HeldLockFreed { class } => {
                [u64::from(class.id.0), u64::from(site), 0]
            }
            Self::BadUnlock { map: lock, .. } | Self::AssertHeld { map: lock, .. } => {
                [map(lock), u64::from(site), 0]
            }
            Self::SuspiciousRcu { flavour } => [*flavour as u64, u64::from(site), 0],
            Self::InvalidSubclass { subclass } => [u64::from(*subclass), u64::from(site), 0],
            Self::LockdepOff { message }
            | Self::DebugLocksWarn { condition: message }
            | Self::Warn { message } => [
                message.len() as u64,
                u64::from(site),
                message.bytes().map(u64::from).sum(),
            ],
            Self::LocksHeldAtExit { .. }
            | Self::HeldAtSysexit { .. }
            | Self::SleepInAtomic { .. } => [u64::from(site), 0, 0],
        };
        (self.kind(), subject)
    }
}

/// One report: a complete value that needs nothing of the engine that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number.
    pub id: ReportId,
    /// What it says.
    pub detail: Detail,
    /// The task that executed the operation, by [`crate::TaskState::id`].
    pub task: u32,
    /// The operation's source position.
    pub site: u32,
    /// The lock being acquired, if the operation acquires one.
    pub acquiring: Option<HeldLock>,
    /// The locks the task holds, first acquired first.
    pub held: Vec<HeldLock>,
    /// Whether usage is printed with the RECLAIM_FS characters.
    pub reclaim_fs: bool,
}

impl Report {
    /// The kind of report.
    pub fn kind(&self) -> Kind {
        self.detail.kind()
    }

    /// The headline the kernel prints.
    pub fn title(&self) -> String {
        self.detail.title()
    }
}
