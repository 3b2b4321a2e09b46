//! The few synchronisation types the engine stands on: core's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

#[cfg(loom)]
use loom::cell::UnsafeCell;

use core::ops::{Deref, DerefMut};

/// The kernel's `graph_lock`: everything that changes classes, edges or chains holds it. A spinlock as in the kernel, held
/// for microseconds and only when something is new. It is our own so that loom and ThreadSanitizer, to which std's
/// precompiled mutex is opaque, can see it.
pub(crate) struct GraphLock<T> {
    locked: AtomicBool,
    #[cfg(not(loom))]
    value: core::cell::UnsafeCell<T>,
    #[cfg(loom)]
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which may send it along.
unsafe impl<T: Send> Send for GraphLock<T> {}
// SAFETY: as above: sharing the lock gives each thread the value in turn, never `&T` to two at once.
unsafe impl<T: Send> Sync for GraphLock<T> {}

/// Possession of the graph lock.
pub(crate) struct GraphGuard<'a, T> {
    lock: &'a GraphLock<T>,
    #[cfg(loom)]
    value: loom::cell::MutPtr<T>,
}

/// Attempts before the thread lets others run.
const SPINS: u32 = 100;

impl<T> GraphLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCellOf::new(value),
        }
    }

    pub(crate) fn lock(&self) -> GraphGuard<'_, T> {
        let mut spins = 0;
        while self
            .locked
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            spins += 1;
            wait(spins);
        }
        GraphGuard {
            lock: self,
            #[cfg(loom)]
            value: self.value.get_mut(),
        }
    }
}

#[cfg(not(loom))]
type UnsafeCellOf<T> = core::cell::UnsafeCell<T>;
#[cfg(loom)]
type UnsafeCellOf<T> = UnsafeCell<T>;

#[cfg(not(loom))]
fn wait(spins: u32) {
    if spins.is_multiple_of(SPINS) {
        give_way();
    }
    core::hint::spin_loop();
}

/// The holder may have lost its CPU.
#[cfg(all(not(loom), feature = "std"))]
fn give_way() {
    std::thread::yield_now();
}

/// Nobody to ask.
#[cfg(not(any(loom, feature = "std")))]
fn give_way() {}

#[cfg(loom)]
fn wait(_: u32) {
    let _ = SPINS;
    loom::thread::yield_now();
}

impl<T> GraphGuard<'_, T> {
    #[cfg(not(loom))]
    fn pointer(&self) -> *mut T {
        self.lock.value.get()
    }

    #[cfg(loom)]
    fn pointer(&self) -> *mut T {
        // SAFETY: only the address is taken; whoever follows it holds the guard.
        self.value.with(|value| value)
    }
}

impl<T> Deref for GraphGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, and lends the value no longer than it lives.
        unsafe { &*self.pointer() }
    }
}

impl<T> DerefMut for GraphGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` is the only loan.
        unsafe { &mut *self.pointer() }
    }
}

impl<T> Drop for GraphGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.locked.store(false, Ordering::Release);
    }
}
