//! Page events and what they count: dirty, clean, start and end of writeback.
//!
//! | event | transactions and locks |
//! | --- | --- |
//! | set dirty | page-stat, then `i_pages` with irqsave; then `i_lock`, `list_lock` to put the inode on its wb's list |
//! | cancel dirty (truncation) | page-stat, in it inode to wb |
//! | clear for IO, redirty | inode to wb |
//! | start and end of writeback | page-stat, in it `i_pages` with irqsave; the end in interrupt context as a rule |

use super::accounting::Accounting;
use super::inode_sync::List;
use crate::mm::{Mm, PageFlags};
use crate::rt::{EventKind, Machine, OpKind, Quantity, count, current, record};
use crate::sync::Rcu;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst};

/// An exact counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicI64);

impl Counter {
    /// Its value, in pages.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(SeqCst)
    }

    /// Adds; an exact counter below zero is a broken invariant (22).
    pub(crate) fn add(&self, n: i64) {
        let now = self.0.fetch_add(n, SeqCst) + n;
        if now < 0 {
            current().machine().state_break("counter-negative", || {
                format!("a page counter is {now} after {n:+}")
            });
        }
    }

    /// Adds to a counter that is only a statistic: it may be off, and so below zero.
    pub(crate) fn count(&self, n: i64) {
        self.0.fetch_add(n, SeqCst);
    }

    fn reset(&self) {
        self.0.store(0, SeqCst);
    }
}

/// What a wb counts (`enum wb_stat_item`).
#[derive(Debug, Default)]
pub struct WbCounters {
    /// WB_RECLAIMABLE: dirty pages.
    pub reclaimable: Counter,
    /// WB_WRITEBACK: pages under writeback.
    pub writeback: Counter,
    /// WB_DIRTIED: pages that ever became dirty. A statistic: a switch does not move it, so that redirtying a page takes
    /// its event back from a wb that may not have counted it.
    pub dirtied: Counter,
    /// WB_WRITTEN: pages that were ever written.
    pub written: Counter,
}

impl WbCounters {
    pub(crate) fn reset(&self) {
        for counter in [
            &self.reclaimable,
            &self.writeback,
            &self.dirtied,
            &self.written,
        ] {
            counter.reset();
        }
    }
}

/// What a node or memcg counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// NR_FILE_DIRTY.
    pub dirty: Counter,
    /// NR_WRITEBACK.
    pub writeback: Counter,
}

/// The counters that no other object has, and whether they can be compared with the pages right now.
#[derive(Debug)]
pub(crate) struct Books {
    node: Counters,
    /// NR_ZONE_WRITE_PENDING of the zone that all these pages lie in.
    pub(super) write_pending: Counter,
    memcgs: Box<[Counters]>,
    /// Page events and switches that are in the middle of it.
    open: AtomicU32,
    /// Since they were compared.
    changed: AtomicBool,
}

impl Books {
    pub(crate) fn new(memcgs: usize) -> Self {
        Self {
            node: Counters::default(),
            write_pending: Counter::default(),
            memcgs: (0..memcgs).map(|_| Counters::default()).collect(),
            open: AtomicU32::new(0),
            changed: AtomicBool::new(false),
        }
    }

    pub(crate) fn reset(&self) {
        for counters in self.memcgs.iter().chain([&self.node]) {
            counters.dirty.reset();
            counters.writeback.reset();
        }
        self.write_pending.reset();
        self.open.store(0, SeqCst);
        self.changed.store(false, SeqCst);
    }

    pub(crate) fn begin(&self) {
        self.open.fetch_add(1, SeqCst);
    }

    pub(crate) fn end(&self) {
        self.open.fetch_sub(1, SeqCst);
        self.changed.store(true, SeqCst);
        current().machine().touch();
    }
}

/// A tag of `i_pages` (`PAGECACHE_TAG_DIRTY`, `PAGECACHE_TAG_WRITEBACK`), changed under its lock. The dirty tag may lag
/// behind: it says "possibly dirty".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Dirty = 1,
    Writeback = 2,
}

/// A page event, by what it does to the counters.
#[derive(Clone, Copy)]
enum Event {
    /// The dirty bit was set.
    Dirtied,
    /// The dirty bit was cleared, for IO or by truncation.
    Cleaned,
    /// The writeback bit was set.
    Started,
    /// The writeback bit was cleared.
    Ended,
}

impl Accounting {
    /// The counters of the node.
    #[must_use]
    pub const fn node_counters(&self) -> &Counters {
        &self.books.node
    }

    /// The counters of a memcg.
    ///
    /// # Panics
    /// If there is no such memcg.
    #[must_use]
    pub fn memcg_counters(&self, memcg: usize) -> &Counters {
        &self.books.memcgs[memcg]
    }

    /// Counts a page that is dirty or under writeback when the tasks start.
    pub fn boot_page(&self, mm: &Mm, page: usize) {
        let (dirty, writeback) = self.counted(mm, page);
        let wb = self.inode_of(page).and_then(|i| self.wb_of(i));
        if dirty {
            self.tag(page, Tag::Dirty, true);
            self.count(page, wb, Event::Dirtied);
        }
        if writeback {
            self.tag(page, Tag::Writeback, true);
            self.count(page, wb, Event::Started);
        }
        if let Some(inode) = self.inode_of(page).filter(|_| dirty) {
            let i = &self.inodes[inode];
            i.dirty.store(true, SeqCst);
            if let Some(wb) = self.wb_of(inode) {
                self.wbs[wb].lists[inode].store(List::Dirty as u8, SeqCst);
            }
        }
    }

    /// Whether a page counts as dirty, and as under writeback: pages of the page cache do.
    pub(crate) fn counted(&self, mm: &Mm, page: usize) -> (bool, bool) {
        let flags = self
            .inode_of(page)
            .and_then(|_| mm.lru_frame(page))
            .map_or(PageFlags::NONE, |pfn| mm.page_flags(pfn));
        (flags.has(PageFlags::DIRTY), flags.has(PageFlags::WRITEBACK))
    }

    /// `set_page_dirty()`. False: it was dirty already.
    pub fn set_page_dirty(&self, mm: &Mm, rcu: &Rcu, page: usize) -> bool {
        let Some(inode) = self.inode_of(page) else {
            return self.set_bit(mm, page, PageFlags::DIRTY);
        };
        self.books.begin();
        let stat = self.page_stat_begin(rcu, page);
        let flags = self.lock_pages(inode);
        let new = self.set_bit(mm, page, PageFlags::DIRTY);
        if new {
            self.tag(page, Tag::Dirty, true);
            self.count(page, self.wb_of(inode), Event::Dirtied);
        }
        self.unlock_pages(inode, flags);
        self.page_stat_end(rcu, stat);
        self.books.end();
        if new {
            self.mark_inode_dirty(inode);
        }
        new
    }

    /// `cancel_dirty_page()`: truncation takes the dirty bit away. False: it was clean.
    pub fn cancel_dirty_page(&self, mm: &Mm, rcu: &Rcu, page: usize) -> bool {
        let Some(inode) = self.inode_of(page) else {
            return self.clear_bit(mm, page, PageFlags::DIRTY);
        };
        self.books.begin();
        let stat = self.page_stat_begin(rcu, page);
        let was = self.clean(mm, rcu, page, inode);
        self.page_stat_end(rcu, stat);
        self.books.end();
        was
    }

    /// `clear_page_dirty_for_io()`: the caller holds the page lock and is going to write the page. False: it was clean.
    pub fn clear_page_dirty_for_io(&self, mm: &Mm, rcu: &Rcu, page: usize) -> bool {
        let Some(inode) = self.inode_of(page) else {
            return self.clear_bit(mm, page, PageFlags::DIRTY);
        };
        self.books.begin();
        let was = self.clean(mm, rcu, page, inode);
        self.books.end();
        was
    }

    /// Test and clear of the dirty bit inside the inode to wb transaction.
    fn clean(&self, mm: &Mm, rcu: &Rcu, page: usize, inode: usize) -> bool {
        let wb = self.wb_stat_begin(rcu, inode);
        let was = self.clear_bit(mm, page, PageFlags::DIRTY);
        if was {
            self.count(page, wb.wb(), Event::Cleaned);
        }
        self.wb_stat_end(rcu, wb);
        was
    }

    /// `account_page_redirty()` and setting the bit again: the extra dirty event is not counted twice.
    pub fn redirty_page(&self, mm: &Mm, rcu: &Rcu, page: usize) {
        let new = self.set_page_dirty(mm, rcu, page);
        let Some(inode) = self.inode_of(page).filter(|_| new) else {
            return;
        };
        let wb = self.wb_stat_begin(rcu, inode);
        if let Some(wb) = wb.wb() {
            self.wbs[wb].counters.dirtied.count(-1);
        }
        self.wb_stat_end(rcu, wb);
    }

    /// `set_page_writeback()`. False: it was set already.
    pub fn set_page_writeback(&self, mm: &Mm, rcu: &Rcu, page: usize) -> bool {
        self.change_writeback(mm, rcu, page, true)
    }

    /// `end_page_writeback()` without waking those who wait. In interrupt context as a rule. False: it was clear.
    pub fn end_page_writeback(&self, mm: &Mm, rcu: &Rcu, page: usize) -> bool {
        self.change_writeback(mm, rcu, page, false)
    }

    fn change_writeback(&self, mm: &Mm, rcu: &Rcu, page: usize, on: bool) -> bool {
        let change = |bits| {
            let (changed, by) = match on {
                true => (self.set_bit(mm, page, bits), 1),
                false => (self.clear_bit(mm, page, bits), -1),
            };
            if changed {
                count(&current(), Quantity::Writeback, mm.writeback_res(page), by);
            }
            changed
        };
        let Some(inode) = self.inode_of(page) else {
            return change(PageFlags::WRITEBACK);
        };
        self.books.begin();
        let stat = self.page_stat_begin(rcu, page);
        let flags = self.lock_pages(inode);
        let changed = change(PageFlags::WRITEBACK);
        if changed {
            self.tag(page, Tag::Writeback, on);
            if on && !self.counted(mm, page).0 {
                self.tag(page, Tag::Dirty, false);
            }
            let event = if on { Event::Started } else { Event::Ended };
            self.count(page, self.wb_of(inode), event);
        }
        self.unlock_pages(inode, flags);
        self.page_stat_end(rcu, stat);
        self.books.end();
        changed
    }

    pub(super) fn tag(&self, page: usize, tag: Tag, on: bool) {
        let (tags, bit) = (&self.tags[page], tag as u8);
        if on {
            tags.fetch_or(bit, SeqCst);
        } else {
            tags.fetch_and(!bit, SeqCst);
        }
    }

    /// Invariant 23: the writeback tag is the bit, and who is dirty is tagged.
    fn check_tags(&self, m: &Machine, mm: &Mm) {
        for page in 0..self.tags.len() {
            let (dirty, writeback) = self.counted(mm, page);
            let tags = self.tags[page].load(SeqCst);
            let tagged = |tag: Tag| tags & tag as u8 != 0;
            if tagged(Tag::Writeback) != writeback || dirty && !tagged(Tag::Dirty) {
                m.state_break("page-tags", || {
                    format!(
                        "page {page} is dirty: {dirty}, under writeback: {writeback}; tagged {} and {}",
                        tagged(Tag::Dirty),
                        tagged(Tag::Writeback)
                    )
                });
            }
        }
    }

    /// Sets a bit of a page; false if it was set, or the page does not exist.
    fn set_bit(&self, mm: &Mm, page: usize, bit: PageFlags) -> bool {
        let Some(pfn) = mm.lru_frame(page) else {
            return false;
        };
        current().point(OpKind::Store, mm.writeback_res(page));
        // Who holds neither the page lock nor a reference may find it gone: under `i_pages` the kernel looks at
        // `page->mapping` again.
        if mm.lru_frame(page) != Some(pfn) {
            return false;
        }
        let new = !mm.page_flags(pfn).has(bit);
        mm.set_page_flags(pfn, bit);
        new
    }

    /// Clears a bit of a page; false if it was clear, or the page does not exist.
    fn clear_bit(&self, mm: &Mm, page: usize, bit: PageFlags) -> bool {
        let Some(pfn) = mm.lru_frame(page) else {
            return false;
        };
        current().point(OpKind::Store, mm.writeback_res(page));
        mm.lru_frame(page) == Some(pfn) && mm.clear_page_flags(pfn, bit) != PageFlags::NONE
    }

    /// The bit is changed already: where charges move, the page can go to another memcg before it is counted, unless the
    /// page-stat transaction prevents it.
    fn count(&self, page: usize, wb: Option<usize>, event: Event) {
        if let Some(memcg) = self.memcg_of(page).filter(|_| self.moves_charges)
            && crate::rt::in_machine()
        {
            current().point(OpKind::Load, self.memcgs[memcg].moving_res);
        }
        let of_memcg = self.memcg_of(page).map(|g| &self.books.memcgs[g]);
        for counters in of_memcg.into_iter().chain([&self.books.node]) {
            match event {
                Event::Dirtied => counters.dirty.add(1),
                Event::Cleaned => counters.dirty.add(-1),
                Event::Started => counters.writeback.add(1),
                Event::Ended => counters.writeback.add(-1),
            }
        }
        self.books.write_pending.add(match event {
            Event::Dirtied | Event::Started => 1,
            Event::Cleaned | Event::Ended => -1,
        });
        let Some(wb) = wb else {
            return;
        };
        let c = &self.wbs[wb].counters;
        match event {
            Event::Dirtied => {
                c.reclaimable.add(1);
                c.dirtied.count(1);
            }
            Event::Cleaned => c.reclaimable.add(-1),
            Event::Started => c.writeback.add(1),
            Event::Ended => {
                c.writeback.add(-1);
                c.written.count(1);
            }
        }
        if crate::rt::in_machine() {
            record(EventKind::Step, || {
                let name = &self.wbs[wb].name;
                let (dirty, writeback) = (c.reclaimable.get(), c.writeback.get());
                format!("{name}: {dirty} reclaimable, {writeback} under writeback")
            });
        }
    }

    /// Invariants 19, 20, 21, 23, 30, 31: counters and tags equal what the pages say, whenever no page event and no
    /// switch is in the middle of it.
    pub fn check(&self, m: &Machine, mm: &Mm) {
        if self.books.open.load(SeqCst) != 0 || !self.books.changed.swap(false, SeqCst) {
            return;
        }
        let sum = |pages: &dyn Fn(usize) -> bool| {
            (0..self.pages.len())
                .filter(|&p| pages(p))
                .map(|p| self.counted(mm, p))
                .fold((0, 0), |(d, w), (dirty, writeback)| {
                    (d + i64::from(dirty), w + i64::from(writeback))
                })
        };
        let tell = |kind, of: &str, counted: (i64, i64), found: (i64, i64)| {
            if counted != found {
                m.state_break(kind, || {
                    format!(
                        "{of} counts {} dirty and {} under writeback, the pages say {} and {}",
                        counted.0, counted.1, found.0, found.1
                    )
                });
            }
        };
        let values = |c: &Counters| (c.dirty.get(), c.writeback.get());
        tell(
            "node-counters",
            "the node",
            values(&self.books.node),
            sum(&|_| true),
        );
        for (n, g) in self.memcgs.iter().enumerate() {
            let found = sum(&|p| self.memcg_of(p) == Some(n));
            tell(
                "memcg-counters",
                &g.name,
                values(&self.books.memcgs[n]),
                found,
            );
        }
        for (n, wb) in self.wbs.iter().enumerate() {
            let counted = (wb.counters.reclaimable.get(), wb.counters.writeback.get());
            let here = |p| self.inode_of(p).and_then(|i| self.wb_of(i)) == Some(n);
            tell("wb-counters", &wb.name, counted, sum(&here));
        }
        let (dirty, writeback) = sum(&|_| true);
        let pending = self.books.write_pending.get();
        if pending != dirty + writeback {
            m.state_break("zone-counters", || {
                format!(
                    "NR_ZONE_WRITE_PENDING is {pending}, {dirty} pages are dirty and {writeback} under writeback"
                )
            });
        }
        self.check_tags(m, mm);
        self.check_switches(m);
        self.check_lists(&|i, what| {
            m.state_break("inode-list", || format!("{} {what}", i.name));
        });
    }
}
