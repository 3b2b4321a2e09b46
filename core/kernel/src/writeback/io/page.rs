//! Events of one page: dirty, clean, under writeback, written; and who has to submit it.

use super::Writeback;
use super::spec::{Filesystem, PageChange};
use crate::mm::{Mm, PageFlags};
use crate::rt::{EntityId, EventKind, OpKind, current, record};

impl Writeback {
    /// `folio_mark_dirty()`. False: it was dirty already.
    pub fn set_page_dirty(&self, fs: &dyn Filesystem, mm: &Mm, page: usize) -> bool {
        let set = fs.change_page(page, PageChange::SetDirty);
        if set && let Some(pfn) = mm.lru_frame(page) {
            record(EventKind::Step, || self.tell(page, "PG_dirty"));
            if !mm.page_flags(pfn).has(PageFlags::WRITEBACK) {
                // Written to again: reclaim's mark is out of date.
                mm.clear_page_flags(pfn, PageFlags::RECLAIM);
            }
        }
        set
    }

    /// `folio_clear_dirty_for_io()`: the caller has the page locked and is about to write it. False: it was clean.
    pub fn clear_page_dirty_for_io(&self, fs: &dyn Filesystem, mm: &Mm, page: usize) -> bool {
        self.needs_page_lock(mm, page, "clear_page_dirty_for_io");
        self.cleaned(fs.change_page(page, PageChange::ClearDirtyForIo), page)
    }

    /// `folio_cancel_dirty()`: the data is not wanted any more. False: it was clean.
    pub fn cancel_dirty_page(&self, fs: &dyn Filesystem, page: usize) -> bool {
        self.cleaned(fs.change_page(page, PageChange::CancelDirty), page)
    }

    fn cleaned(&self, was: bool, page: usize) -> bool {
        if was {
            record(EventKind::Step, || self.tell(page, "no longer PG_dirty"));
            current().machine().wake(self.throttle);
        }
        was
    }

    /// `folio_redirty_for_writepage()`.
    pub fn redirty_page(&self, fs: &dyn Filesystem, page: usize) {
        fs.change_page(page, PageChange::Redirty);
    }

    /// `folio_start_writeback()`: the running entity now owns a page under writeback that it has to submit.
    pub fn set_page_writeback(&self, fs: &dyn Filesystem, mm: &Mm, page: usize) {
        self.needs_page_lock(mm, page, "set_page_writeback");
        if mm.lru_frame(page).is_none() {
            return;
        }
        let e = current();
        // Who can end it is known before anybody can wait for it.
        let before = self.own(mm, page, Some(e.id()));
        if !fs.change_page(page, PageChange::SetWriteback) {
            self.own(mm, page, before);
            let res = mm.writeback_res(page);
            e.machine().state_break_of("writeback-set-twice", res, || {
                format!(
                    "{} sets PG_writeback of {} again",
                    e.name(),
                    self.pages[page].name
                )
            });
            return;
        }
        mm.owns_unsubmitted(e.id());
        record(EventKind::Step, || self.tell(page, "PG_writeback"));
    }

    /// Makes an entity, or nobody, the one that has to submit a page. Returns who it was.
    fn own(&self, mm: &Mm, page: usize, owner: Option<EntityId>) -> Option<EntityId> {
        let mut s = self.state();
        let before = std::mem::replace(&mut s.pages[page].owner, owner);
        mm.set_writeback_enders(current().machine(), page, self.enders(&s, page));
        before
    }

    /// `folio_end_writeback()`: in task or interrupt context.
    pub fn end_page_writeback(&self, fs: &dyn Filesystem, mm: &Mm, page: usize) {
        let (e, res) = (current(), mm.writeback_res(page));
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        if mm.clear_page_flags(pfn, PageFlags::RECLAIM) != PageFlags::NONE {
            mm.rotate_reclaimable(pfn);
        }
        if !fs.change_page(page, PageChange::EndWriteback) {
            e.machine().state_break_of("writeback-not-set", res, || {
                let name = &self.pages[page].name;
                format!(
                    "{} ends the writeback of {name}, which is not under any",
                    e.name()
                )
            });
            return;
        }
        e.point(OpKind::Wake, res);
        let mut s = self.state();
        if let Some(owner) = s.pages[page].owner.take() {
            mm.disowns_unsubmitted(owner);
        }
        record(EventKind::Wake, || self.tell(page, "end of writeback"));
        e.machine().wake(res);
        e.machine().wake(self.throttle);
    }

    /// `__remove_mapping()`: a clean page leaves its mapping. False: it is in use again.
    pub fn remove_mapping(&self, mm: &Mm, page: usize) -> bool {
        current().point(OpKind::Store, mm.writeback_res(page));
        let Some(pfn) = mm.lru_frame(page) else {
            // Gone already: truncated while reclaim held its reference.
            return true;
        };
        let flags = mm.page_flags(pfn);
        if flags.has(PageFlags::DIRTY) || flags.has(PageFlags::WRITEBACK) {
            return false;
        }
        mm.detach_page(pfn);
        true
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
        let lock = mm.page_lock_res(pfn);
        e.machine().state_break_of("page-not-locked", lock, || {
            format!(
                "{}: {what} of {} without its lock",
                e.name(),
                self.pages[page].name
            )
        });
    }

    #[cold]
    fn tell(&self, page: usize, what: &str) -> String {
        format!("{}: {what}", self.pages[page].name)
    }
}
