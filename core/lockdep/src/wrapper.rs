//! Locks of `parking_lot`, or of anything that implements `lock_api`, watched by lockdep.
//!
//! The engine knows no threads and no globals; this module adds what an application needs of both: one
//! validator for the process, one task state per thread, and what to do with a report: it goes to standard error, unless
//! [`on_report`] says otherwise.

use crate::{
    Acquire, Config, Key, KeyInfo, LockMap, Lockdep, Mode, Outcome, Read, Report, ReportId,
    TaskState, WaitType,
};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use lock_api::{RawMutex, RawRwLock};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex as StdMutex, OnceLock, PoisonError};
use std::{eprintln, thread_local};

static LOCKDEP: LazyLock<Lockdep> = LazyLock::new(|| {
    Lockdep::new(Config {
        mode: Mode::Continue,
        ..Config::default()
    })
});
static CALL_SITES: StdMutex<BTreeMap<&'static Location<'static>, Key>> =
    StdMutex::new(BTreeMap::new());
static HANDLER: OnceLock<fn(&Report)> = OnceLock::new();
static NEXT_INSTANCE: AtomicU32 = AtomicU32::new(0);
static NEXT_TASK: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static TASK: RefCell<TaskState> = RefCell::new(TaskState::new(NEXT_TASK.fetch_add(1, Ordering::Relaxed)));
}

/// The process's validator.
pub fn lockdep() -> &'static Lockdep {
    &LOCKDEP
}

/// Runs `f` on this thread's state.
pub fn with_task<T>(f: impl FnOnce(&mut TaskState) -> T) -> T {
    TASK.with_borrow_mut(f)
}

/// What is done with each new report from now on: panic, log, count. False: that was said before, and holds.
pub fn on_report(handler: fn(&Report)) -> bool {
    HANDLER.set(handler).is_ok()
}

fn print(report: &Report) {
    eprintln!("{}", report.render(&|line| format!("line {line}")));
}

#[cold]
fn complain(report: ReportId) {
    let handler = HANDLER.get().copied().unwrap_or(print);
    if let Some(report) = lockdep().report(report) {
        handler(&report);
    }
}

fn check(outcome: Outcome) {
    if let Err(report) = outcome {
        complain(report);
    }
}

fn acquire(map: LockMap, how: Acquire) {
    check(with_task(|task| lockdep().acquire(task, map, how)));
}

fn release(map: LockMap) {
    check(with_task(|task| lockdep().release(task, map, 0)));
}

/// A class of locks: everything made with it is one node in the dependency graph.
#[derive(Clone, Copy)]
pub struct Class(Key);

impl Class {
    /// A class with a name and a wait type.
    pub fn new(name: &str, wait_type: WaitType) -> Self {
        Self(lockdep().register_key(KeyInfo::waiting(name, wait_type)))
    }

    /// The class of all locks that are made at one place in the source.
    fn of_call_site(site: &'static Location<'static>) -> Self {
        let mut sites = CALL_SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let register =
            || lockdep().register_key(KeyInfo::waiting(site.to_string(), WaitType::Sleep));
        Self(*sites.entry(site).or_insert_with(register))
    }

    fn instance(self) -> LockMap {
        LockMap::new(self.0, NEXT_INSTANCE.fetch_add(1, Ordering::Relaxed))
    }
}

/// What `f` does is done in an interrupt handler: interrupts off, and locks taken inside must never be held
/// elsewhere with interrupts on. Stands for signal handlers, completion callbacks and the like.
pub fn interrupt<T>(f: impl FnOnce() -> T) -> T {
    let was_on = with_task(|task| {
        let was_on = task.hardirqs_enabled();
        task.hardirqs_off();
        task.hardirq_enter(true);
        was_on
    });
    let result = f();
    check(with_task(|task| {
        task.hardirq_exit();
        if was_on {
            lockdep().hardirqs_on(task, 0)
        } else {
            Ok(())
        }
    }));
    result
}

/// Interrupts cannot happen in what `f` does.
pub fn interrupts_off<T>(f: impl FnOnce() -> T) -> T {
    let was_on = with_task(|task| {
        let was_on = task.hardirqs_enabled();
        task.hardirqs_off();
        was_on
    });
    let result = f();
    if was_on {
        check(with_task(|task| lockdep().hardirqs_on(task, 0)));
    }
    result
}

#[track_caller]
#[inline]
fn site() -> u32 {
    Location::caller().line()
}

/// A mutex that reports to lockdep.
pub struct LockdepMutex<R, T: ?Sized> {
    map: LockMap,
    lock: lock_api::Mutex<R, T>,
}

/// Holds a lock: the guard of the lock below, and its release told to lockdep.
pub struct Guard<G> {
    map: LockMap,
    guard: G,
}

/// Holds a [`LockdepMutex`].
pub type MutexGuard<'a, R, T> = Guard<lock_api::MutexGuard<'a, R, T>>;
/// Reads a [`LockdepRwLock`].
pub type ReadGuard<'a, R, T> = Guard<lock_api::RwLockReadGuard<'a, R, T>>;
/// Writes a [`LockdepRwLock`].
pub type WriteGuard<'a, R, T> = Guard<lock_api::RwLockWriteGuard<'a, R, T>>;

impl<G> Drop for Guard<G> {
    #[inline]
    fn drop(&mut self) {
        release(self.map);
    }
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    #[inline]
    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

impl<R: RawMutex, T> LockdepMutex<R, T> {
    /// A mutex whose class is the place of this call.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::of_class(Class::of_call_site(Location::caller()), value)
    }

    /// A mutex of a class.
    pub fn of_class(class: Class, value: T) -> Self {
        Self {
            map: class.instance(),
            lock: lock_api::Mutex::new(value),
        }
    }
}

impl<R: RawMutex, T: ?Sized> LockdepMutex<R, T> {
    /// Locks.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, R, T> {
        acquire(self.map, Acquire::at(site()));
        Guard {
            map: self.map,
            guard: self.lock.lock(),
        }
    }

    /// Locks while another lock of the class is held; the order of subclasses is the order of locking.
    #[track_caller]
    pub fn lock_nested(&self, subclass: u8) -> MutexGuard<'_, R, T> {
        acquire(self.map, Acquire::at(site()).subclass(subclass));
        Guard {
            map: self.map,
            guard: self.lock.lock(),
        }
    }

    /// Locks if nobody holds it.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, R, T>> {
        let guard = self.lock.try_lock()?;
        acquire(self.map, Acquire::at(site()).trylock());
        Some(Guard {
            map: self.map,
            guard,
        })
    }
}

/// A reader-writer lock that reports to lockdep. Its readers block behind a waiting writer, as those of
/// `parking_lot` do, so reading it again while reading it is reported.
pub struct LockdepRwLock<R, T: ?Sized> {
    map: LockMap,
    lock: lock_api::RwLock<R, T>,
}

impl<R: RawRwLock, T> LockdepRwLock<R, T> {
    /// A lock whose class is the place of this call.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::of_class(Class::of_call_site(Location::caller()), value)
    }

    /// A lock of a class.
    pub fn of_class(class: Class, value: T) -> Self {
        Self {
            map: class.instance(),
            lock: lock_api::RwLock::new(value),
        }
    }
}

impl<R: RawRwLock, T: ?Sized> LockdepRwLock<R, T> {
    /// Locks for reading.
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_, R, T> {
        acquire(self.map, Acquire::at(site()).read(Read::Shared));
        Guard {
            map: self.map,
            guard: self.lock.read(),
        }
    }

    /// Locks for writing.
    #[track_caller]
    pub fn write(&self) -> WriteGuard<'_, R, T> {
        acquire(self.map, Acquire::at(site()));
        Guard {
            map: self.map,
            guard: self.lock.write(),
        }
    }
}
