//! A pointer that readers follow without a lock while it is replaced.

use crate::sync::{AtomicPtr, Ordering};
use alloc::boxed::Box;
use core::ptr;

struct Version<T> {
    value: T,
    previous: *mut Version<T>,
}

/// The latest of a growing series of values. Earlier ones stay alive until the whole is dropped, so a
/// reader needs neither a count nor an epoch; whoever publishes doubles the size each time, so all
/// earlier versions together are no bigger than the current one.
pub(crate) struct Published<T>(AtomicPtr<Version<T>>);

// SAFETY: the raw pointers own `T`s that are shared as `&T` and dropped by whoever drops the whole.
unsafe impl<T: Send + Sync> Send for Published<T> {}
// SAFETY: as above; `publish` moves a `T` in from any thread, hence `Send`.
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    pub(crate) fn empty() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn new(value: T) -> Self {
        let published = Self::empty();
        published.publish(value);
        published
    }

    /// The latest version.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        let current = self.0.load(Ordering::Acquire);
        // SAFETY: a published version is neither changed nor freed before `self` is dropped.
        unsafe { current.as_ref() }.map(|version| &version.value)
    }

    /// Makes `value` the latest version.
    pub(crate) fn publish(&self, value: T) {
        let version = Box::into_raw(Box::new(Version {
            value,
            previous: ptr::null_mut(),
        }));
        let mut previous = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: nobody else knows `version` before the exchange succeeds.
            unsafe { (*version).previous = previous };
            match self
                .0
                .compare_exchange(previous, version, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => previous = now,
            }
        }
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        let mut next = self.0.load(Ordering::Acquire);
        while !next.is_null() {
            // SAFETY: every version came from `Box::into_raw` and is reached once; `&mut self` says
            // that no reader is left.
            let version = unsafe { Box::from_raw(next) };
            next = version.previous;
        }
    }
}
