//! What is measured: sixteen locks behind one interface.

use ksplat_lockdep::wrapper::LockdepMutex;
use ksplat_lockdep::{Acquire, Config, KeyInfo, LockMap, Lockdep, Outcome, TaskState, WaitType};
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

/// Locks, and so classes, of a contender.
pub const LOCKS: usize = 16;

/// A set of locks that can be held one inside the other.
pub trait Contender: Sync {
    /// What a thread carries along.
    type Thread;

    /// Locks of the same classes for each of the threads, or the same locks for all.
    fn new(sets: usize) -> Self;

    fn thread(&self) -> Self::Thread;

    /// Does `inner` while holding lock `n` of set `set`.
    fn with(
        &self,
        thread: &mut Self::Thread,
        set: usize,
        n: usize,
        inner: impl FnOnce(&mut Self::Thread),
    );
}

/// The engine alone: lock events without locks.
pub struct Engine {
    lockdep: Lockdep,
    sets: Vec<Vec<LockMap>>,
    tasks: AtomicU32,
}

impl Engine {
    fn ok(&self, outcome: Outcome) {
        if let Err(report) = outcome {
            panic!(
                "{}",
                self.lockdep
                    .report(report)
                    .expect("just raised")
                    .render(&())
            );
        }
    }

    /// Takes sixteen locks and releases them in the order in which they were taken.
    pub fn fifo(&self, task: &mut TaskState) {
        let set = &self.sets[0];
        for map in set {
            self.ok(self.lockdep.acquire(task, *map, Acquire::at(0)));
        }
        for map in set {
            self.ok(self.lockdep.release(task, *map, 0));
        }
    }
}

impl Contender for Engine {
    type Thread = TaskState;

    fn new(sets: usize) -> Self {
        let lockdep = Lockdep::new(Config::default());
        let key = |n| lockdep.register_key(KeyInfo::waiting(format!("lock {n}"), WaitType::Sleep));
        let keys: Vec<_> = (0..LOCKS).map(key).collect();
        let set = |set: usize| {
            keys.iter()
                .map(|key| LockMap::new(*key, set as u32))
                .collect()
        };
        Self {
            sets: (0..sets).map(set).collect(),
            lockdep,
            tasks: AtomicU32::new(0),
        }
    }

    fn thread(&self) -> TaskState {
        TaskState::new(self.tasks.fetch_add(1, Ordering::Relaxed))
    }

    #[inline]
    fn with(&self, task: &mut TaskState, set: usize, n: usize, inner: impl FnOnce(&mut TaskState)) {
        let map = self.sets[set][n];
        self.ok(self.lockdep.acquire(task, map, Acquire::at(1)));
        inner(task);
        self.ok(self.lockdep.release(task, map, 2));
    }
}

/// The example's wrapper around parking_lot.
pub struct Wrapped(Vec<Vec<LockdepMutex<parking_lot::RawMutex, u64>>>);

impl Contender for Wrapped {
    type Thread = ();

    fn new(sets: usize) -> Self {
        let classes: Vec<_> = (0..LOCKS)
            .map(|n| ksplat_lockdep::wrapper::Class::new(&format!("lock {n}"), WaitType::Sleep))
            .collect();
        let set = |_| {
            classes
                .iter()
                .map(|class| LockdepMutex::of_class(*class, 0))
                .collect()
        };
        Self((0..sets).map(set).collect())
    }

    fn thread(&self) {}

    #[inline]
    fn with(&self, (): &mut (), set: usize, n: usize, inner: impl FnOnce(&mut ())) {
        let mut guard = self.0[set][n].lock();
        *guard += 1;
        inner(&mut ());
        drop(black_box(guard));
    }
}

/// Implements [`Contender`] for sets of a mutex type. A macro because the guards' types differ in their lifetimes.
macro_rules! mutexes {
    ($($(#[$doc:meta])* $name:ident($mutex:ty) $(. $unwrap:ident ($why:literal))?;)*) => {$(
        $(#[$doc])*
        pub struct $name(Vec<Vec<$mutex>>);

        impl Contender for $name {
            type Thread = ();

            fn new(sets: usize) -> Self {
                Self((0..sets).map(|_| (0..LOCKS).map(|_| <$mutex>::new(0)).collect()).collect())
            }

            fn thread(&self) {}

            #[inline]
            fn with(&self, (): &mut (), set: usize, n: usize, inner: impl FnOnce(&mut ())) {
                let mut guard = self.0[set][n].lock()$(.$unwrap($why))?;
                *guard += 1;
                inner(&mut ());
                drop(black_box(guard));
            }
        }
    )*};
}

mutexes! {
    /// std's mutex, unwatched.
    Std(std::sync::Mutex<u64>).expect("no thread panicked");
    /// parking_lot's mutex, unwatched.
    ParkingLot(parking_lot::Mutex<u64>);
    /// parking_lot's mutex with its own deadlock detection compiled in (nobody asks it here).
    DeadlockDetection(parking_lot_dd::Mutex<u64>);
    /// tracing-mutex around std's mutex, checks on.
    TracingStd(tracing_mutex::stdsync::tracing::Mutex<u64>).expect("no thread panicked");
    /// tracing-mutex around parking_lot's mutex, checks on.
    TracingParkingLot(tracing_mutex::parkinglot::tracing::Mutex<u64>);
    /// no_deadlocks's mutex.
    NoDeadlocks(no_deadlocks::Mutex<u64>).expect("no thread panicked");
}
