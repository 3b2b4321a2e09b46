//! PG_writeback: a bit with a wait queue, unknown to lockdep (`folio_wait_writeback()`, `folio_end_writeback()`).
//!
//! Who can clear the bit of a page changes with the IO it is part of: whoever owns the unsubmitted batch, then who
//! completes for the device. The writeback code says so at every change ([`Mm::set_writeback_enders`]), and waits are
//! judged by it. Nobody but this oracle knows: that is why lockdep is blind here.

use super::Mm;
use super::lru::LruSpec;
use super::page::{PageFlags, Pfn};
use crate::rt::{
    EntitySet, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::sync::atomic::Ordering::Relaxed;

/// One resource a page of [`MmSpec::lru`](super::MmSpec::lru): what waits for its PG_writeback go through.
pub(super) fn resources(m: &mut Machine, names: &[String], lru: &[LruSpec]) -> Box<[ResId]> {
    let each = lru
        .iter()
        .flat_map(|spec| std::iter::repeat_n(spec.flags, spec.count as usize));
    names
        .iter()
        .zip(each)
        .map(|(name, flags)| {
            let res = m.add_resource(ResKind::PageBit, format_args!("PG_writeback of {name}"));
            m.set_at_start(res, flags.has(PageFlags::WRITEBACK));
            res
        })
        .collect()
}

impl Mm {
    /// What waits for PG_writeback of the nth page of [`MmSpec::lru`](super::MmSpec::lru) go through.
    ///
    /// # Panics
    /// If there is no such page.
    #[must_use]
    pub fn writeback_res(&self, page: usize) -> ResId {
        self.page_writeback[page]
    }

    /// Says who can clear PG_writeback of a page from now on, one bit an entity.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn set_writeback_enders(&self, m: &Machine, page: usize, enders: EntitySet) {
        m.set_enders(self.page_writeback[page], enders);
    }

    /// Whether a page is under writeback.
    #[must_use]
    pub fn page_has(&self, page: usize, bits: PageFlags) -> bool {
        self.lru_frame(page)
            .is_some_and(|pfn| self.frames.flags(pfn).has(bits))
    }

    /// `folio_wait_writeback()` on the nth page of [`MmSpec::lru`](super::MmSpec::lru). At once if it is not under
    /// writeback, or no longer in the page cache.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn wait_on_page_writeback(&self, page: usize) {
        let (e, res) = (current(), self.page_writeback[page]);
        e.might_sleep();
        e.point(OpKind::Wait, res);
        let wait = Wait {
            res,
            how: WaitHow::Sleep,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || !self.page_has(page, PageFlags::WRITEBACK));
        record(EventKind::Wake, || {
            format!("{} is clear", e.machine().resource(res).name())
        });
    }

    /// Number in [`MmSpec::lru`](super::MmSpec::lru) of the page in a frame; `None` for frames that hold no such page.
    pub(crate) fn page_number(&self, pfn: Pfn) -> Option<usize> {
        let number = self.numbers.get(pfn.index())?.load(Relaxed);
        (number != super::page::NIL).then_some(number as usize)
    }
}
