//! Dirty and writeback accounting: counters by event, and the same sums counted from the pages themselves.
//!
//! Events and counters as in `folio_account_dirtied()`, `folio_clear_dirty_for_io()`, `__folio_start_writeback()` and
//! `__folio_end_writeback()`. Counters are exact here; the kernel's are per-CPU approximations of the same numbers.

use super::{State, Writeback};
use crate::mm::{Mm, PageFlags};

/// Dirty pages and pages under writeback, counted one way or the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Of the machine: NR_FILE_DIRTY and NR_WRITEBACK.
    pub node: (i64, i64),
    /// Of the zones: WRITE_PENDING.
    pub write_pending: i64,
    /// By wb: RECLAIMABLE and WRITEBACK.
    pub wbs: Vec<(i64, i64)>,
    /// By memcg: NR_FILE_DIRTY and NR_WRITEBACK.
    pub memcgs: Vec<(i64, i64)>,
}

/// The counters.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) sums: Sums,
    /// NR_DIRTIED: pages ever dirtied.
    pub(super) dirtied: i64,
    /// NR_WRITTEN: pages ever written.
    pub(super) written: i64,
}

impl Counters {
    pub(super) fn new(wbs: usize, memcgs: usize) -> Self {
        Self {
            sums: Sums {
                wbs: vec![(0, 0); wbs],
                memcgs: vec![(0, 0); memcgs],
                ..Sums::default()
            },
            dirtied: 0,
            written: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        let s = &mut self.sums;
        (s.node, s.write_pending) = ((0, 0), 0);
        s.wbs.fill((0, 0));
        s.memcgs.fill((0, 0));
        (self.dirtied, self.written) = (0, 0);
    }

    /// A counter below zero, in words.
    pub(super) fn negative(&self) -> Option<String> {
        let s = &self.sums;
        let pairs = s.wbs.iter().chain(&s.memcgs).chain([&s.node]);
        let below = pairs.into_iter().any(|&(d, w)| d < 0 || w < 0);
        (below || s.write_pending < 0).then(|| format!("{s:?}"))
    }

    /// Where counters and pages differ, in words.
    pub(super) fn differ(&self, counted: &Sums) -> Option<String> {
        (self.sums != *counted).then(|| {
            format!(
                "counters say {:?}, the pages {counted:?} (dirty, under writeback)",
                self.sums
            )
        })
    }
}

fn add(pairs: &mut [(i64, i64)], at: Option<usize>, dirty: i64, writeback: i64) {
    if let Some(pair) = at.and_then(|at| pairs.get_mut(at)) {
        pair.0 += dirty;
        pair.1 += writeback;
    }
}

impl Writeback {
    /// The wb in whose books a page is: that of its inode now.
    fn wb_of(&self, s: &State, page: usize) -> Option<usize> {
        *s.inode_wb.get(self.mapping(page)?.spec.inode?)?
    }

    pub(super) fn count_dirty(&self, s: &mut State, page: usize, n: i64) {
        let wb = self.wb_of(s, page);
        let sums = &mut s.counters.sums;
        sums.node.0 += n;
        sums.write_pending += n;
        add(&mut sums.wbs, wb, n, 0);
        add(&mut sums.memcgs, self.pages[page].memcg, n, 0);
        s.pages[page].counted_dirty = n > 0;
    }

    pub(super) fn count_writeback(&self, s: &mut State, page: usize, n: i64) {
        let wb = self.wb_of(s, page);
        let sums = &mut s.counters.sums;
        sums.node.1 += n;
        sums.write_pending += n;
        add(&mut sums.wbs, wb, 0, n);
        add(&mut sums.memcgs, self.pages[page].memcg, 0, n);
        s.pages[page].counted_writeback = n > 0;
    }

    /// The sums as the pages themselves say.
    pub(super) fn recount(&self, s: &State, mm: &Mm) -> Sums {
        let mut sums = Counters::new(self.wbs.len(), s.counters.sums.memcgs.len()).sums;
        for page in 0..self.pages.len() {
            let dirty = i64::from(mm.page_has(page, PageFlags::DIRTY));
            let writeback = i64::from(mm.page_has(page, PageFlags::WRITEBACK));
            sums.node.0 += dirty;
            sums.node.1 += writeback;
            sums.write_pending += dirty + writeback;
            add(&mut sums.wbs, self.wb_of(s, page), dirty, writeback);
            add(&mut sums.memcgs, self.pages[page].memcg, dirty, writeback);
        }
        sums
    }

    /// The counters as they are.
    #[must_use]
    pub fn counters(&self) -> Sums {
        self.state().counters.sums.clone()
    }

    /// The wb that an inode is attached to (`i_wb`).
    #[must_use]
    pub fn inode_wb(&self, inode: usize) -> Option<usize> {
        self.state().inode_wb.get(inode).copied().flatten()
    }

    /// Attaches an inode to another wb and moves what is counted for its pages, as the end of a switch does under its
    /// locks (`inode_do_switch_wbs()`).
    pub fn switch_inode_wb(&self, inode: usize, wb: usize) {
        let mut s = self.state();
        let s = &mut *s;
        let Some(&old) = s.inode_wb.get(inode) else {
            return;
        };
        let pages = (0..self.pages.len())
            .filter(|&p| self.mapping(p).is_some_and(|m| m.spec.inode == Some(inode)));
        for page in pages {
            let io = &s.pages[page];
            let (d, w) = (i64::from(io.counted_dirty), i64::from(io.counted_writeback));
            add(&mut s.counters.sums.wbs, old, -d, -w);
            add(&mut s.counters.sums.wbs, Some(wb), d, w);
        }
        s.inode_wb[inode] = Some(wb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_below_zero_is_told() {
        let mut c = Counters::new(1, 1);
        assert_eq!(c.negative(), None);
        c.sums.wbs[0].1 = -1;
        assert!(c.negative().is_some());
        c.reset();
        assert_eq!(c.negative(), None);
        assert!(c.differ(&Sums::default()).is_some() && c.differ(&c.sums.clone()).is_none());
    }
}
