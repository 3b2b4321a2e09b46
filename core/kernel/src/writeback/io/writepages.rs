//! `writepages()` and `fsync()` over a mapping: the skeleton that filesystems share (`iomap_writepages()`,
//! `mpage_prepare_extent_to_map()` and their kin).

use super::Writeback;
use super::spec::Filesystem;
use crate::mm::{Gfp, Mm, PageFlags, Pf, Pfn, memalloc_nofs_save};
use crate::rt::{EventKind, current, record};

/// Pages of one batch at most (`BIO_MAX_VECS`).
const BIO_MAX: usize = 256;

/// How thorough a writer is (`wbc->sync_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// `WB_SYNC_NONE`: skips pages that are under writeback.
    None,
    /// `WB_SYNC_ALL`: waits for them.
    All,
}

impl Writeback {
    /// Writes the dirty pages of a mapping. Rules: `writepages_scope` opens a NOFS scope around it all;
    /// `submit_before_alloc` submits before blocks are mapped, and maps them before PG_writeback is set.
    ///
    /// Refused in direct reclaim, as filesystems do (guard `kswapd_writes_only`).
    ///
    /// # Panics
    /// If there is no such mapping.
    pub fn writepages(&self, fs: &dyn Filesystem, mm: &Mm, mapping: usize, sync: Sync) {
        let e = current();
        e.might_sleep();
        let rules = e.machine().rules();
        let pf = Pf::current();
        if rules.guard_kswapd_writes_only && pf.has(Pf::MEMALLOC) && !pf.has(Pf::KSWAPD) {
            record(EventKind::Step, || {
                "writepages: refused in direct reclaim".to_owned()
            });
            return;
        }
        record(EventKind::Step, || {
            format!("writepages {}", self.mappings[mapping].spec.name)
        });
        let scope = rules.writepages_scope.then(memalloc_nofs_save);
        let mut batch = None;
        for &page in &self.mappings[mapping].pages {
            if mm.page_has(page, PageFlags::DIRTY) {
                self.write_one(fs, mm, mapping, page, sync, &mut batch);
            }
        }
        self.submit(fs, mm, &mut batch);
        if let Some(scope) = scope {
            scope.restore();
        }
    }

    fn write_one(
        &self,
        fs: &dyn Filesystem,
        mm: &Mm,
        mapping: usize,
        page: usize,
        sync: Sync,
        batch: &mut Option<usize>,
    ) {
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        mm.lock_page(pfn);
        if mm.lru_frame(page) != Some(pfn) || !mm.page_locked_by_current(pfn) {
            return;
        }
        let first = current().machine().rules().submit_before_alloc;
        if !self.may_write(mm, page, pfn, sync) {
            mm.unlock_page(pfn);
            return;
        }
        if first {
            self.submit(fs, mm, batch);
            fs.map_blocks(mapping, Gfp::KERNEL);
        }
        if !self.clear_page_dirty_for_io(fs, mm, page) {
            mm.unlock_page(pfn);
            return;
        }
        self.set_page_writeback(fs, mm, page);
        mm.unlock_page(pfn);
        if !first {
            fs.map_blocks(mapping, Gfp::KERNEL);
        }
        let device = self.mappings[mapping].spec.device;
        let to = *batch.get_or_insert_with(|| self.new_batch(device));
        self.bio_add_page(mm, to, page);
        let full = self.state().batches[to].pages.len() >= BIO_MAX;
        if full {
            self.submit(fs, mm, batch);
        }
    }

    /// Whether a locked page is to be written now: dirty, and not under writeback any more.
    fn may_write(&self, mm: &Mm, page: usize, pfn: Pfn, sync: Sync) -> bool {
        if !mm.page_flags(pfn).has(PageFlags::DIRTY) {
            return false;
        }
        if mm.page_flags(pfn).has(PageFlags::WRITEBACK) {
            if sync == Sync::None {
                return false;
            }
            mm.wait_on_page_writeback(page);
        }
        mm.page_flags(pfn).has(PageFlags::DIRTY)
    }

    fn submit(&self, fs: &dyn Filesystem, mm: &Mm, batch: &mut Option<usize>) {
        if let Some(batch) = batch.take() {
            self.submit_bio(fs, mm, batch);
        }
    }

    /// `file_write_and_wait_range()`: writes what is dirty and waits for all that is under writeback.
    ///
    /// # Panics
    /// If there is no such mapping.
    pub fn fsync(&self, fs: &dyn Filesystem, mm: &Mm, mapping: usize) {
        self.writepages(fs, mm, mapping, Sync::All);
        for &page in &self.mappings[mapping].pages {
            mm.wait_on_page_writeback(page);
        }
    }

    /// `->writepage()` of one locked page on behalf of reclaim: unlocks it, submits it alone.
    pub fn write_page(&self, fs: &dyn Filesystem, mm: &Mm, page: usize, gfp: Gfp) -> bool {
        let (Some(pfn), Some(mapping)) = (mm.lru_frame(page), self.pages[page].mapping) else {
            return false;
        };
        if !self.clear_page_dirty_for_io(fs, mm, page) {
            return false;
        }
        mm.set_page_flags(pfn, PageFlags::RECLAIM);
        self.set_page_writeback(fs, mm, page);
        mm.unlock_page(pfn);
        fs.map_blocks(mapping, gfp);
        let batch = self.new_batch(self.mappings[mapping].spec.device);
        self.bio_add_page(mm, batch, page);
        self.submit_bio(fs, mm, batch);
        true
    }
}
