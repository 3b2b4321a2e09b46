//! The few synchronisation types the engine stands on: std's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

/// Possession of the graph lock.
pub(crate) type GraphGuard<'a, T> = MutexGuard<'a, T>;

/// The kernel's `graph_lock`: everything that changes classes, edges or chains holds it.
pub(crate) struct GraphLock<T>(Mutex<T>);

impl<T> GraphLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// A panic while the lock was held can only leave a half-written report or edge behind, which
    /// is no reason to take a second thread down as well, so poisoning is ignored.
    pub(crate) fn lock(&self) -> GraphGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
