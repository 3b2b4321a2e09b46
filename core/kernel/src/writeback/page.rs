//! Events of one page: dirty, clean, under writeback, written. The bits, their tags and their counters change together.

use super::Writeback;
use crate::mm::{Mm, PageFlags, Pfn};
use crate::rt::{Current, EventKind, IrqFlags, OpKind, current, record};
use crate::sync::{How, Irq};

impl Writeback {
    /// Runs `f` under `i_pages` of a page's mapping with interrupts off, announced as a change of its PG_writeback. Not
    /// at all if the page has left the page cache.
    fn under_i_pages<R>(
        &self,
        mm: &Mm,
        page: usize,
        kind: OpKind,
        f: impl FnOnce(&Current, Pfn) -> R,
    ) -> Option<R> {
        let e = current();
        let lock = self.mapping(page).map(|m| &m.i_pages);
        let how = How {
            irq: Irq::Save,
            ..How::default()
        };
        let flags = lock.map_or(IrqFlags::new(true), |l| l.lock(how));
        e.point(kind, mm.writeback_res(page));
        let result = mm.lru_frame(page).map(|pfn| f(&e, pfn));
        e.machine().touch();
        if let Some(lock) = lock {
            lock.unlock(Irq::Save, flags);
        }
        result
    }

    /// `folio_mark_dirty()`.
    pub fn set_page_dirty(&self, mm: &Mm, page: usize) {
        self.under_i_pages(mm, page, OpKind::Store, |_, pfn| {
            if mm.page_flags(pfn).has(PageFlags::DIRTY) {
                return;
            }
            mm.set_page_flags(pfn, PageFlags::DIRTY);
            // Written to again: reclaim's mark is out of date.
            if !mm.page_flags(pfn).has(PageFlags::WRITEBACK) {
                mm.clear_page_flags(pfn, PageFlags::RECLAIM);
            }
            let mut s = self.state();
            s.pages[page].tag_dirty = true;
            s.counters.dirtied += 1;
            self.count_dirty(&mut s, page, 1);
            record(EventKind::Step, || format!("{pfn:?} is dirty"));
        });
    }

    /// `folio_clear_dirty_for_io()`: the caller has the page locked and is about to write it. False: it was clean.
    pub fn clear_page_dirty_for_io(&self, mm: &Mm, page: usize) -> bool {
        self.needs_page_lock(mm, page, "clear_page_dirty_for_io");
        self.clean(mm, page)
    }

    /// `folio_cancel_dirty()`: the data is not wanted any more.
    pub fn cancel_dirty_page(&self, mm: &Mm, page: usize) -> bool {
        let was = self.clean(mm, page);
        self.state().pages[page].tag_dirty &= !was;
        was
    }

    fn clean(&self, mm: &Mm, page: usize) -> bool {
        let e = current();
        e.point(OpKind::Store, mm.writeback_res(page));
        let Some(pfn) = mm.lru_frame(page) else {
            return false;
        };
        let was = mm.clear_page_flags(pfn, PageFlags::DIRTY);
        if !was.has(PageFlags::DIRTY) {
            return false;
        }
        e.machine().touch();
        self.count_dirty(&mut self.state(), page, -1);
        record(EventKind::Step, || format!("{pfn:?} is clean"));
        e.machine().wake(self.throttle);
        true
    }

    /// `folio_redirty_for_writepage()`: dirty again, and not counted as dirtied a second time.
    pub fn redirty_page(&self, mm: &Mm, page: usize) {
        self.set_page_dirty(mm, page);
        self.state().counters.dirtied -= 1;
    }

    /// `folio_start_writeback()`: the running task now owns a page under writeback that it has to submit.
    pub fn set_page_writeback(&self, mm: &Mm, page: usize) {
        self.needs_page_lock(mm, page, "set_page_writeback");
        self.under_i_pages(mm, page, OpKind::Store, |e, pfn| {
            if mm.page_flags(pfn).has(PageFlags::WRITEBACK) {
                e.machine().state_break("writeback-set-twice", || {
                    format!("{} sets PG_writeback of page {page} again", e.name())
                });
                return;
            }
            mm.set_page_flags(pfn, PageFlags::WRITEBACK);
            let mut s = self.state();
            let io = &mut s.pages[page];
            io.tag_writeback = true;
            io.tag_dirty = mm.page_flags(pfn).has(PageFlags::DIRTY);
            io.owner = Some(e.id());
            mm.owns_unsubmitted(e.id());
            self.count_writeback(&mut s, page, 1);
            mm.set_writeback_enders(e.machine(), page, self.enders(&s, page));
            record(EventKind::Step, || format!("{pfn:?}: PG_writeback"));
        });
    }

    /// `folio_end_writeback()`: in task or interrupt context.
    pub fn end_page_writeback(&self, mm: &Mm, page: usize) {
        if let Some(pfn) = mm.lru_frame(page)
            && mm.clear_page_flags(pfn, PageFlags::RECLAIM) != PageFlags::NONE
        {
            mm.rotate_reclaimable(pfn);
        }
        let throttle = self.throttle;
        self.under_i_pages(mm, page, OpKind::Wake, |e, pfn| {
            let was = mm.clear_page_flags(pfn, PageFlags::WRITEBACK);
            if was == PageFlags::NONE {
                e.machine().state_break("writeback-not-set", || {
                    format!(
                        "{} ends the writeback of page {page}, which is not under any",
                        e.name()
                    )
                });
                return;
            }
            let mut s = self.state();
            s.pages[page].tag_writeback = false;
            if let Some(owner) = s.pages[page].owner.take() {
                mm.disowns_unsubmitted(owner);
            }
            s.counters.written += 1;
            self.count_writeback(&mut s, page, -1);
            record(EventKind::Wake, || format!("{pfn:?}: end of writeback"));
            e.machine().wake(mm.writeback_res(page));
            e.machine().wake(throttle);
        });
    }

    /// `__remove_mapping()`: a clean page leaves its mapping. False: it is in use again.
    pub fn remove_mapping(&self, mm: &Mm, page: usize) -> bool {
        let removed = self.under_i_pages(mm, page, OpKind::Store, |_, pfn| {
            let flags = mm.page_flags(pfn);
            if flags.has(PageFlags::DIRTY) || flags.has(PageFlags::WRITEBACK) {
                return false;
            }
            mm.detach_page(pfn);
            let mut s = self.state();
            (s.pages[page].tag_dirty, s.pages[page].tag_writeback) = (false, false);
            true
        });
        // Gone already: truncated while reclaim held its reference.
        removed.unwrap_or(true)
    }

    /// Invariant 24 and its like: what needs the page lock has it.
    fn needs_page_lock(&self, mm: &Mm, page: usize, what: &'static str) {
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        if mm.page_locked_by_current(pfn) {
            return;
        }
        let e = current();
        e.machine().state_break("page-not-locked", || {
            format!("{}: {what} of page {page} without its lock", e.name())
        });
    }
}
