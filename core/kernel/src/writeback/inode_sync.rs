//! `I_SYNC`, which lets one writer at a time at an inode, and the lists of a wb on which dirty inodes stand
//! (`writeback_single_inode()`, `writeback_sb_inodes()`).
//!
//! `I_SYNC` is set and cleared under `i_lock` and waited for sleeping; lockdep does not know it. An inode that is found
//! being written is put on `b_more_io`; who ends writing it puts it back on `b_dirty`, or takes it off if all its pages
//! are clean.

use super::accounting::{Accounting, Inode};
use crate::mm::Mm;
use crate::rt::{EventKind, current, record};
use crate::sync::{How, Irq};
use std::sync::atomic::Ordering::SeqCst;

/// A list of a wb, as a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `b_dirty`: to be written some time.
    Dirty = 1,
    /// `b_io`: to be written now.
    Io = 2,
    /// `b_more_io`: was being written by somebody else when its turn came.
    MoreIo = 4,
}

impl Accounting {
    /// Sets `I_SYNC`. While another task writes the inode: waits for it if `wait`, as `WB_SYNC_ALL` does; else puts the
    /// inode on `b_more_io` and returns false.
    ///
    /// # Panics
    /// If there is no such inode.
    pub fn start_sync(&self, inode: usize, wait: bool) -> bool {
        let i = &self.inodes[inode];
        current().might_sleep();
        loop {
            let free = self.with_lists(inode, |wb| {
                let free = i.sync.load(SeqCst) == 0;
                if free {
                    i.sync.store(current().id().bit(), SeqCst);
                }
                let to = if free { List::Io } else { List::MoreIo };
                if i.dirty.load(SeqCst) {
                    self.put_on(inode, wb, Some(to));
                }
                free
            });
            if free {
                self.enter_sync(i);
                return true;
            }
            if !wait {
                return false;
            }
            self.wait_for_sync(inode);
        }
    }

    /// Invariant 32: one writer an inode.
    fn enter_sync(&self, i: &Inode) {
        record(EventKind::Step, || format!("I_SYNC of {}", i.name));
        if i.writers.fetch_add(1, SeqCst) != 0 {
            current().machine().state_break("inode-sync", || {
                format!("two tasks write {} at the same time", i.name)
            });
        }
    }

    /// Clears `I_SYNC` (`inode_sync_complete()`): the inode stays dirty as long as a page of it is.
    ///
    /// # Panics
    /// If there is no such inode.
    pub fn end_sync(&self, mm: &Mm, inode: usize) {
        let i = &self.inodes[inode];
        i.writers.fetch_sub(1, SeqCst);
        self.with_lists(inode, |wb| {
            let mut pages = 0..self.pages.len();
            let dirty = pages.any(|p| self.pages[p].inode == Some(inode) && self.counted(mm, p).0);
            i.dirty.store(dirty, SeqCst);
            self.put_on(inode, wb, dirty.then_some(List::Dirty));
            i.sync.store(0, SeqCst);
        });
        record(EventKind::Step, || format!("I_SYNC of {} clear", i.name));
        let e = current();
        e.machine().changed(&e, true);
        e.machine().wake(i.sync_res);
    }

    /// `inode_wait_for_writeback()`: waits until nobody writes the inode.
    ///
    /// # Panics
    /// If there is no such inode.
    pub fn wait_for_sync(&self, inode: usize) {
        let (e, i) = (current(), &self.inodes[inode]);
        e.might_sleep();
        e.point(crate::rt::OpKind::Wait, i.sync_res);
        e.sleep_until_none(i.sync_res, || i.sync.load(SeqCst));
    }

    /// Runs `change` under the `list_lock` of the inode's wb, if it has one, and its `i_lock`.
    pub(super) fn with_lists<R>(
        &self,
        inode: usize,
        mut change: impl FnMut(Option<usize>) -> R,
    ) -> R {
        let i = &self.inodes[inode];
        let plain = How::default();
        loop {
            let wb = self.wb_of(inode);
            let list = wb.map(|wb| self.wbs[wb].list_lock.lock(plain));
            let flags = i.i_lock.lock(plain);
            // The list lock comes before i_lock: look again whether the inode is still attached there.
            let done = (self.wb_of(inode) == wb).then(|| change(wb));
            i.i_lock.unlock(Irq::Plain, flags);
            if let (Some(wb), Some(flags)) = (wb, list) {
                self.wbs[wb].list_lock.unlock(Irq::Plain, flags);
            }
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// Moves an inode to a list of its wb, or off all of them.
    pub(super) fn put_on(&self, inode: usize, wb: Option<usize>, list: Option<List>) {
        if let Some(wb) = wb {
            let bits = list.map_or(0, |l| l as u8);
            self.wbs[wb].lists[inode].store(bits, SeqCst);
            current().machine().touch();
        }
    }

    /// Invariant 31: an inode is on at most one list, and it is one of the wb that it is attached to.
    pub(super) fn check_lists(&self, tell: &dyn Fn(&Inode, &str)) {
        for (n, i) in self.inodes.iter().enumerate() {
            let on = |wb: usize| self.wbs[wb].lists[n].load(SeqCst).count_ones();
            let all: u32 = (0..self.wbs.len()).map(on).sum();
            let own = self.wb_of(n).map_or(0, on);
            if all > own {
                tell(i, "is on the list of a wb that it is not attached to");
            } else if own > 1 {
                tell(i, "is on two lists");
            }
        }
    }
}
