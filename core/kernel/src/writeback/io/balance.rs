//! `balance_dirty_pages()`: writers wait while too much is dirty.

use super::Writeback;
use super::spec::Filesystem;
use crate::mm::{Mm, PageFlags, Pf};
use crate::rt::{EventKind, Needs, OpKind, Wait, WaitHow, current, record};

/// Part of the machine's page-cache pages that may be dirty before writers wait (`vm.dirty_ratio`, in percent).
const DIRTY_RATIO: usize = 20;

impl Writeback {
    /// The writer's throttle after it dirtied pages of a mapping. Starts writeback, and waits until little enough is
    /// dirty. A task with `PF_LOCAL_THROTTLE` looks at the device it writes to only.
    ///
    /// The kernel sleeps for computed pauses and looks again; here each page that becomes clean ends the pause.
    pub fn balance_dirty_pages(&self, fs: &dyn Filesystem, mm: &Mm, mapping: usize) {
        let e = current();
        e.might_sleep();
        e.point(OpKind::Load, self.throttle);
        if self.below_limit(mm, mapping) {
            return;
        }
        record(EventKind::Block, || {
            "balance_dirty_pages: over the limit, starts writeback and waits".to_owned()
        });
        fs.wakeup_flusher(mapping);
        let wait = Wait {
            res: self.throttle,
            how: WaitHow::Sleep,
            needs: Needs::Anyone,
        };
        e.wait_until(wait, || self.below_limit(mm, mapping));
    }

    fn below_limit(&self, mm: &Mm, mapping: usize) -> bool {
        let limit = (self.pages.len() * DIRTY_RATIO).div_ceil(100).max(1);
        let pending = |page: usize| {
            mm.page_has(page, PageFlags::DIRTY) || mm.page_has(page, PageFlags::WRITEBACK)
        };
        let own = self.mappings[mapping].spec.device;
        let of_own = |page: &usize| self.device_of(*page) == own;
        let count = |own_only: bool| {
            (0..self.pages.len())
                .filter(|p| !own_only || of_own(p))
                .filter(|&p| pending(p))
                .count()
        };
        // A wb whose own share is nothing would wait for others.
        let dirty = count(Pf::current().has(Pf::LOCAL_THROTTLE));
        current().machine().near_limit(limit as i64 - dirty as i64);
        dirty <= limit || count(true) == 0
    }
}
