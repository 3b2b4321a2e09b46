//! Reclaim: LRU pages and shrinkers, page by page (`shrink_node()`, `shrink_folio_list()`).
//!
//! What becomes of pages under writeback and dirty pages is in `reclaim_writeback`. Not modelled: anonymous memory.

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::lru::LruPage;
use super::node::Node;
use super::page::{NIL, PageFlags, Pfn};
use super::pf::Pf;
use super::zone::Zone;
use crate::rt::{
    Entity, EventKind, Needs, OpKind, Quantity, ResId, Wait, WaitHow, count, current, record,
};
use crate::sync::Irq;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Pages that one pass isolates at most (`SWAP_CLUSTER_MAX`).
pub(crate) const SWAP_CLUSTER_MAX: usize = 32;
/// Nested entries into reclaim of one task that its stack survives.
pub const MAX_RECLAIM_DEPTH: u8 = 6;

/// `struct scan_control`.
#[derive(Debug)]
pub(crate) struct ScanControl {
    /// The mask of whoever reclaims, scopes applied; callbacks receive it.
    pub(crate) gfp: Gfp,
    /// `nr_to_reclaim`.
    pub(crate) target: u32,
    /// The memcg whose limit was hit; `None`: global reclaim.
    pub(crate) memcg: Option<usize>,
    pub(crate) reclaimed: u32,
}

impl ScanControl {
    pub(crate) const fn new(gfp: Gfp, target: u32) -> Self {
        Self {
            gfp,
            target,
            memcg: None,
            reclaimed: 0,
        }
    }
}

/// What becomes of an isolated page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Clean, unmapped, released, out of its mapping.
    Free,
    /// Back to the inactive list.
    Keep,
    /// To the active list.
    Activate,
}

/// What the decisions about one page come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Decided; the page is still locked.
    Is(Fate),
    /// Decided; the page was unlocked on the way.
    Unlocked(Fate),
    /// Unlock it, wait until its writeback ends, and look at it again.
    WaitForWriteback,
}

impl Mm {
    /// Every entry into reclaim passes here: no task may be inside already (invariant 10). With the guard
    /// `pf_memalloc_recursion` off it can be, until its stack is used up.
    pub(crate) fn enter_reclaim(&self, e: &Entity) {
        let depth = &self.depth[e.task().id().index()];
        let now = depth.load(Relaxed) + 1;
        depth.store(now, Relaxed);
        count(e, Quantity::ReclaimDepth, ResId::NONE, 1);
        if Pf::from_bits(e.pf()).has(Pf::MEMALLOC) {
            e.machine().state_break("reclaim-recursion", || {
                format!(
                    "{} enters reclaim with PF_MEMALLOC set, depth {now}",
                    e.name()
                )
            });
        }
        if now > MAX_RECLAIM_DEPTH {
            self.out_of_stack(e);
        }
    }

    /// Whether an entity runs inside of reclaim: its own, not that of a task it interrupted.
    #[must_use]
    pub fn in_reclaim(&self, e: &Entity) -> bool {
        let own = e.task().id() == e.id();
        own && (self.depth[e.id().index()].load(Relaxed) != 0
            || Pf::from_bits(e.pf()).has(Pf::KSWAPD))
    }

    /// A recursion has used up the kernel stack: the task never gets further.
    pub fn out_of_stack(&self, e: &Entity) -> ! {
        e.machine().state_break("stack-overflow", || {
            format!("{} recurses until its stack is used up", e.name())
        });
        record(EventKind::Reclaim, || {
            "the stack is used up: this recursion never returns".to_owned()
        });
        loop {
            e.block(Wait {
                res: self.stack,
                how: WaitHow::Sleep,
                needs: Needs::All(0),
            });
        }
    }

    pub(crate) fn leave_reclaim(&self, e: &Entity) {
        let depth = &self.depth[e.task().id().index()];
        depth.store(depth.load(Relaxed).saturating_sub(1), Relaxed);
        count(e, Quantity::ReclaimDepth, ResId::NONE, -1);
    }

    /// `do_try_to_free_pages()`: passes with rising priority until enough is freed.
    pub(crate) fn do_try_to_free_pages(
        &self,
        cb: &dyn Callbacks,
        node: usize,
        sc: &mut ScanControl,
    ) {
        let nodes = self.nodes.len();
        for _ in 0..self.bounds.passes {
            for near in 0..nodes {
                self.shrink_node(cb, &self.nodes[(node + near) % nodes], sc);
            }
            if sc.reclaimed >= sc.target {
                break;
            }
        }
        if sc.memcg.is_none() && sc.reclaimed > 0 {
            // Direct reclaim that gets somewhere gives kswapd another chance.
            self.nodes.iter().for_each(|n| n.failures.store(0, SeqCst));
        }
    }

    /// `shrink_node()`: the node's LRU pages, then all shrinkers.
    pub(crate) fn shrink_node(&self, cb: &dyn Callbacks, node: &Node, sc: &mut ScanControl) {
        // The `cond_resched()` of `shrink_node_memcgs()`.
        current().might_sleep();
        self.shrink_lruvec(cb, node, sc);
        self.shrink_slab_for(cb, sc);
    }

    /// `shrink_lruvec()` over file pages: isolates a cluster, decides page by page, puts back what stays.
    fn shrink_lruvec(&self, cb: &dyn Callbacks, node: &Node, sc: &mut ScanControl) {
        let mut isolated = [NIL; SWAP_CLUSTER_MAX];
        let n = self.isolate(node, sc, &mut isolated);
        if n == 0 {
            return;
        }
        record(EventKind::Reclaim, || {
            format!("scans {n} pages of node {}, gfp {}", node.id, sc.gfp)
        });
        let mut back = [(NIL, false); SWAP_CLUSTER_MAX];
        let mut kept = 0;
        for &pfn in &isolated[..n] {
            let fate = self.shrink_page(cb, node, Pfn(pfn), sc);
            record(EventKind::Reclaim, || format!("pfn {pfn:#x}: {fate:?}"));
            match fate {
                Fate::Free => {
                    self.free_lru_page(Pfn(pfn));
                    sc.reclaimed += 1;
                }
                Fate::Keep | Fate::Activate => {
                    back[kept] = (pfn, fate == Fate::Activate);
                    kept += 1;
                }
            }
        }
        self.put_back(node, &back[..kept]);
    }

    /// Takes up to a cluster of pages off the inactive list, oldest first; refills it from the active list when it is
    /// empty.
    fn isolate(&self, node: &Node, sc: &ScanControl, out: &mut [u32; SWAP_CLUSTER_MAX]) -> usize {
        let want = (sc.target.saturating_sub(sc.reclaimed) as usize).clamp(1, SWAP_CLUSTER_MAX);
        let mut lru = node.lru.lock(Irq::Irq);
        if lru.inactive.is_empty() {
            self.deactivate(&mut lru, want);
        }
        let mut n = 0;
        let mut at = lru.inactive.len();
        while at > 0 && n < want {
            at -= 1;
            let pfn = lru.inactive[at];
            if sc.memcg.is_some() && self.memcg_of(Pfn(pfn)) != sc.memcg {
                continue;
            }
            lru.inactive.remove(at);
            self.frames.clear_flags(Pfn(pfn), PageFlags::LRU);
            self.frames.set_flags(Pfn(pfn), PageFlags::ISOLATED);
            out[n] = pfn;
            n += 1;
        }
        if n > 0 {
            node.on_lru.store(lru.len() as u32, Relaxed);
            node.touch(current().machine());
        }
        n
    }

    /// `shrink_active_list()`: the oldest active pages become inactive; those in use go round once more.
    fn deactivate(&self, lru: &mut super::lru::Lru, want: usize) {
        for _ in 0..want.min(lru.active.len()) {
            let Some(pfn) = lru.active.pop_back() else {
                return;
            };
            let used = self.frames.clear_flags(Pfn(pfn), PageFlags::REFERENCED);
            if used.has(PageFlags::REFERENCED) {
                lru.active.push_front(pfn);
            } else {
                self.frames.clear_flags(Pfn(pfn), PageFlags::ACTIVE);
                lru.inactive.push_front(pfn);
            }
        }
    }

    fn put_back(&self, node: &Node, pages: &[(u32, bool)]) {
        if pages.is_empty() {
            return;
        }
        let mut gone = [NIL; SWAP_CLUSTER_MAX];
        let mut freed = 0;
        let mut lru = node.lru.lock(Irq::Irq);
        for &(pfn, activate) in pages {
            let flags = self
                .frames
                .clear_flags(Pfn(pfn), PageFlags::ISOLATED.with(PageFlags::GONE));
            if flags.has(PageFlags::GONE) {
                gone[freed] = pfn;
                freed += 1;
                continue;
            }
            let mut flags = PageFlags::LRU;
            if activate {
                flags = flags.with(PageFlags::ACTIVE);
            }
            self.frames.set_flags(Pfn(pfn), flags);
            let active = self.frames.flags(Pfn(pfn)).has(PageFlags::ACTIVE);
            lru.add(pfn, active);
        }
        node.on_lru.store(lru.len() as u32, Relaxed);
        node.touch(current().machine());
        drop(lru);
        // Truncated meanwhile: ours was the last reference.
        for &pfn in &gone[..freed] {
            self.free_lru_page(Pfn(pfn));
        }
    }

    /// The decisions of `shrink_folio_list()` for one page, in their order.
    fn shrink_page(&self, cb: &dyn Callbacks, node: &Node, pfn: Pfn, sc: &ScanControl) -> Fate {
        loop {
            if !self.trylock_page(pfn) {
                return Fate::Keep;
            }
            match self.shrink_locked_page(cb, node, pfn, sc) {
                Step::Is(fate) => {
                    self.unlock_page(pfn);
                    return fate;
                }
                Step::Unlocked(fate) => return fate,
                Step::WaitForWriteback => {
                    self.unlock_page(pfn);
                    if let Some(number) = self.page_number(pfn) {
                        self.wait_on_page_writeback(number);
                    }
                }
            }
        }
    }

    fn shrink_locked_page(
        &self,
        cb: &dyn Callbacks,
        node: &Node,
        pfn: Pfn,
        sc: &ScanControl,
    ) -> Step {
        let Some(number) = self.page_number(pfn) else {
            return Step::Is(Fate::Keep);
        };
        current().point(OpKind::Load, self.writeback_res(number));
        let page = self.lru_page(pfn);
        if self.frames.flags(pfn).has(PageFlags::WRITEBACK) {
            return self.meets_writeback(cb, node, page, sc);
        }
        let used = self.frames.clear_flags(pfn, PageFlags::REFERENCED);
        if used.has(PageFlags::REFERENCED) {
            return Step::Is(Fate::Activate);
        }
        if self.frames.flags(pfn).has(PageFlags::MAPPED) {
            self.try_to_unmap(cb, pfn, sc.gfp);
        }
        if self.frames.flags(pfn).has(PageFlags::DIRTY) {
            return self.meets_dirty(cb, node, page, sc);
        }
        if self.frames.flags(pfn).has(PageFlags::PRIVATE) {
            if !self.release_private(cb, page, sc.gfp) {
                return Step::Is(Fate::Activate);
            }
            self.frames.clear_flags(pfn, PageFlags::PRIVATE);
        }
        if !cb.remove_mapping(page) {
            return Step::Is(Fate::Keep);
        }
        self.detach_page(pfn);
        Step::Is(Fate::Free)
    }

    /// Removes a page from its mapping and frees it.
    pub(super) fn free_lru_page(&self, pfn: Pfn) {
        let memcg = self.memcg_of(pfn);
        self.numbers[pfn.index()].store(NIL, Relaxed);
        self.memcg_tags[pfn.index()].store(NIL, Relaxed);
        let all = PageFlags(u32::MAX);
        self.frames.clear_flags(pfn, all);
        self.free_frame(pfn.0);
        if let Some(memcg) = memcg {
            self.uncharge(memcg, 1);
        }
    }

    /// `zone_reclaimable_pages()`: pages on LRU lists that belong to a zone. An upper bound where a node has several
    /// zones.
    pub(crate) fn reclaimable(&self, zone: &Zone) -> u32 {
        self.nodes[zone.node].on_lru.load(Relaxed)
    }

    /// A page is charged to another memcg from now on; the counters are the caller's.
    pub(crate) fn set_memcg(&self, pfn: Pfn, memcg: usize) {
        self.memcg_tags[pfn.index()].store(memcg as u32, Relaxed);
    }

    pub(crate) fn memcg_of(&self, pfn: Pfn) -> Option<usize> {
        let memcg = self.memcg_tags.get(pfn.index())?.load(Relaxed);
        (memcg != NIL).then_some(memcg as usize)
    }

    pub(crate) fn lru_page(&self, pfn: Pfn) -> LruPage {
        LruPage {
            pfn,
            tag: self.tags[pfn.index()].load(Relaxed),
        }
    }
}
