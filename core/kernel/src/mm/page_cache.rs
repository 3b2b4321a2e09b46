//! Pages of the page cache as filesystems see them: bits, aging, removal from their mapping.

use super::Mm;
use super::page::{NIL, PageFlags, Pfn};
use crate::rt::current;
use crate::sync::Irq;
use std::sync::atomic::Ordering::Relaxed;

impl Mm {
    /// Sets bits of a page in use.
    pub fn set_page_flags(&self, pfn: Pfn, bits: PageFlags) {
        self.frames.set_flags(pfn, bits);
    }

    /// Clears bits of a page in use; says which of them were set.
    pub fn clear_page_flags(&self, pfn: Pfn, bits: PageFlags) -> PageFlags {
        self.frames.clear_flags(pfn, bits)
    }

    /// `mark_page_accessed()`: referenced at first, active the second time.
    pub fn mark_page_accessed(&self, pfn: Pfn) {
        let flags = self.frames.flags(pfn);
        if !flags.has(PageFlags::REFERENCED) || flags.has(PageFlags::ACTIVE) {
            self.frames.set_flags(pfn, PageFlags::REFERENCED);
            return;
        }
        let node = &self.nodes[self.zones[self.frames.word(pfn.0).zone()].node];
        let mut lru = node.lru.lock(Irq::Irq);
        let Some(at) = lru.inactive.iter().position(|&p| p == pfn.0) else {
            return;
        };
        lru.inactive.remove(at);
        self.frames.clear_flags(pfn, PageFlags::REFERENCED);
        self.frames.set_flags(pfn, PageFlags::ACTIVE);
        lru.add(pfn.0, true);
        node.touch(current().machine());
    }

    /// `folio_rotate_reclaimable()`: a page that reclaim met under writeback goes to the tail of the inactive list when
    /// its IO ends, so that the next scan meets it first. Called in interrupt context too.
    pub fn rotate_reclaimable(&self, pfn: Pfn) {
        let node = &self.nodes[self.zones[self.frames.word(pfn.0).zone()].node];
        let mut lru = node.lru.lock(Irq::Save);
        let Some(at) = lru.inactive.iter().position(|&p| p == pfn.0) else {
            return;
        };
        lru.inactive.remove(at);
        lru.inactive.push_back(pfn.0);
        node.touch(current().machine());
    }

    /// The page leaves its mapping: nobody finds it there any more. Its owner still has to free it.
    pub fn detach_page(&self, pfn: Pfn) {
        if let Some(number) = self.page_number(pfn) {
            self.audit_removal(pfn);
            self.lru_frames[number].store(NIL, Relaxed);
        }
    }

    /// `filemap_remove_folio()` and the last `folio_put()`: a detached page goes off the LRU and is freed. If reclaim
    /// has isolated it, reclaim frees it when it puts it back.
    pub fn free_detached_page(&self, pfn: Pfn) {
        let node = &self.nodes[self.zones[self.frames.word(pfn.0).zone()].node];
        {
            let mut lru = node.lru.lock(Irq::Irq);
            if self.frames.flags(pfn).has(PageFlags::ISOLATED) {
                self.frames.set_flags(pfn, PageFlags::GONE);
                return;
            }
            lru.inactive.retain(|&p| p != pfn.0);
            lru.active.retain(|&p| p != pfn.0);
            self.frames.clear_flags(pfn, PageFlags::LRU);
            node.on_lru.store(lru.len() as u32, Relaxed);
            node.touch(current().machine());
        }
        self.free_lru_page(pfn);
    }
}
