//! Data that only the holder of a lock can reach: `spinlock_t` and what it protects, as one value.

use super::lock::{How, Irq, Lock, LockKind};
use crate::rt::{IrqFlags, Machine, current};
use ksplat_lockdep::Key;
use std::cell::UnsafeCell;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A lock and the data that it protects.
#[derive(Debug)]
pub struct Locked<T> {
    lock: Lock,
    data: UnsafeCell<T>,
}

// SAFETY: the data is reached through a guard, and guards exist one at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

/// Holds a [`Locked`]'s lock. Dropping it releases, except when the execution is being torn down.
#[derive(Debug)]
pub struct Guard<'a, T> {
    of: &'a Locked<T>,
    irq: Irq,
    flags: IrqFlags,
    not_send: PhantomData<*const ()>,
}

impl<T> Locked<T> {
    /// A spinlock of a class around `data`.
    #[track_caller]
    pub fn new(m: &mut Machine, name: impl Display, key: Option<Key>, data: T) -> Self {
        Self {
            lock: Lock::new(m, LockKind::Spin, name, key),
            data: UnsafeCell::new(data),
        }
    }

    /// The lock.
    pub const fn as_lock(&self) -> &Lock {
        &self.lock
    }

    /// `spin_lock`, `spin_lock_irq`, `spin_lock_irqsave` or `spin_lock_bh`.
    #[inline]
    pub fn lock(&self, irq: Irq) -> Guard<'_, T> {
        let flags = self.lock.lock(How {
            irq,
            ..How::default()
        });
        Guard {
            of: self,
            irq,
            flags,
            not_send: PhantomData,
        }
    }

    /// The lock, if it is free.
    #[inline]
    pub fn trylock(&self, irq: Irq) -> Option<Guard<'_, T>> {
        let flags = self.lock.trylock(How {
            irq,
            ..How::default()
        })?;
        Some(Guard {
            of: self,
            irq,
            flags,
            not_send: PhantomData,
        })
    }

    /// The data, while no execution runs.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// Looks at the data without the lock, between the steps of a simulated execution: invariant checks.
    ///
    /// # Panics
    /// On OS threads, where others may be changing it.
    pub fn peek<R>(&self, m: &Machine, look: impl FnOnce(&T) -> R) -> R {
        assert!(
            m.simulated(),
            "only a simulated execution stands still between steps"
        );
        // SAFETY: one OS thread simulates, and holders of the lock are suspended at a point outside data accesses.
        look(unsafe { &*self.data.get() })
    }

    /// Changes the data while no execution runs, as a reset does.
    ///
    /// # Panics
    /// Inside a running execution.
    pub fn set(&self, data: impl FnOnce(&mut T)) {
        assert!(!crate::rt::in_machine(), "a running machine takes the lock");
        // SAFETY: no entity runs on this thread, and a machine is only reset by who runs it.
        data(unsafe { &mut *self.data.get() });
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.of.data.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock.
        unsafe { &mut *self.of.data.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if current().machine().tearing_down() || std::thread::panicking() {
            return;
        }
        self.of.lock.unlock(self.irq, self.flags);
    }
}
