//! PG_locked: a bit with a wait queue, unknown to lockdep (`folio_lock()`, `folio_trylock()`).

use super::Mm;
use super::page::{PageFlags, Pfn};
use crate::rt::{EventKind, IrqFlags, ResId, record};
use crate::sync::{How, Irq, Lock};

impl Mm {
    /// The lock of a page of [`MmSpec::lru`](super::MmSpec::lru).
    fn page_lock(&self, pfn: Pfn) -> Option<&Lock> {
        self.page_locks.get(self.page_number(pfn)?)
    }

    /// What stands for the lock of a page; nothing for a page that is not one of [`MmSpec::lru`](super::MmSpec::lru).
    pub(crate) fn page_lock_res(&self, pfn: Pfn) -> ResId {
        self.page_lock(pfn).map_or(ResId::NONE, Lock::res)
    }

    /// `lock_page()`: sleeps until PG_locked is ours. Nothing for a page that is not one of [`MmSpec::lru`](super::MmSpec::lru).
    pub fn lock_page(&self, pfn: Pfn) {
        let Some(lock) = self.page_lock(pfn) else {
            return;
        };
        let _ = lock.lock(How::default());
        if self.is_detached(pfn) {
            // Truncated or reclaimed while we waited.
            lock.unlock(Irq::Plain, IrqFlags::new(true));
            return;
        }
        self.frames.set_flags(pfn, PageFlags::LOCKED);
    }

    /// Whether the page in a frame has left its mapping.
    fn is_detached(&self, pfn: Pfn) -> bool {
        self.page_number(pfn)
            .is_none_or(|number| self.lru_frame(number) != Some(pfn))
    }

    /// Whether the running entity has the page locked.
    #[must_use]
    pub fn page_locked_by_current(&self, pfn: Pfn) -> bool {
        self.page_lock(pfn).is_some_and(Lock::held_by_current)
    }

    /// `folio_wait_locked()`.
    pub fn wait_on_page_locked(&self, pfn: Pfn) {
        let Some(lock) = self.page_lock(pfn) else {
            return;
        };
        let _ = lock.lock(How::default());
        lock.unlock(Irq::Plain, IrqFlags::new(true));
    }

    /// `trylock_page()`.
    #[must_use]
    pub fn trylock_page(&self, pfn: Pfn) -> bool {
        let Some(lock) = self.page_lock(pfn) else {
            return false;
        };
        if self.frames.flags(pfn).has(PageFlags::LOCKED) && !lock.is_locked() {
            // Locked from the start, by somebody outside of the program.
            record(EventKind::Reclaim, || "the page is locked".to_owned());
            return false;
        }
        if lock.trylock(How::default()).is_none() {
            return false;
        }
        self.frames.set_flags(pfn, PageFlags::LOCKED);
        true
    }

    /// `unlock_page()`.
    pub fn unlock_page(&self, pfn: Pfn) {
        let Some(lock) = self.page_lock(pfn) else {
            return;
        };
        if lock.held_by_current() {
            self.frames.clear_flags(pfn, PageFlags::LOCKED);
        }
        lock.unlock(Irq::Plain, IrqFlags::new(true));
    }
}
