//! Truncation: pages leave their mapping whatever their state (`truncate_inode_pages_range()`).

use super::Writeback;
use super::spec::Filesystem;
use crate::mm::{Gfp, LruPage, Mm, PageFlags};
use crate::rt::current;

impl Writeback {
    /// `truncate_inode_folio()` of one page: waits for its lock and its writeback, throws its data away, frees it.
    pub fn truncate_page(&self, fs: &dyn Filesystem, mm: &Mm, page: usize) {
        current().might_sleep();
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        mm.lock_page(pfn);
        if mm.lru_frame(page) != Some(pfn) || !mm.page_locked_by_current(pfn) {
            return;
        }
        mm.wait_on_page_writeback(page);
        if mm.page_flags(pfn).has(PageFlags::MAPPED) {
            mm.try_to_unmap(fs, pfn, Gfp::KERNEL);
        }
        if mm.page_flags(pfn).has(PageFlags::PRIVATE) {
            let tag = page as u32;
            fs.release_page(LruPage { pfn, tag }, Gfp::KERNEL);
            mm.clear_page_flags(pfn, PageFlags::PRIVATE);
        }
        self.cancel_dirty_page(fs, page);
        let gone = self.remove_mapping(mm, page);
        mm.unlock_page(pfn);
        if gone {
            mm.free_detached_page(pfn);
        }
    }

    /// `truncate_inode_pages()`: all pages of a mapping.
    ///
    /// # Panics
    /// If there is no such mapping.
    pub fn truncate(&self, fs: &dyn Filesystem, mm: &Mm, mapping: usize) {
        for &page in &self.mappings[mapping].pages {
            self.truncate_page(fs, mm, page);
        }
    }
}
