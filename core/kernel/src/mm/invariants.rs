//! What must hold, checked against the state itself and not against the code that changes it.
//!
//! [`Mm::check`] runs between the steps of a simulated execution and looks at zones and nodes that changed;
//! [`Mm::broken`] and [`Mm::broken_at_rest`] look at everything when nothing runs.

use super::Mm;
use super::buddy::{Buddy, NR_ORDERS};
use super::gfp::Gfp;
use super::lru::Lru;
use super::node::Node;
use super::page::{FrameKind, Frames, NIL, PageFlags, Pfn};
use super::page_alloc::Request;
use super::pcp::{PCP_ORDERS, Pcp};
use super::pf::Pf;
use super::watermark::{AllocFlags, Mark};
use super::zone::Zone;
use crate::rt::{Entity, Machine, current};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A broken invariant, found while no execution runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Short stable name.
    pub kind: &'static str,
    /// What was found and what was expected.
    pub detail: String,
}

/// Larger machines are only looked at when they are at rest: a walk over their blocks takes too long for every step.
pub(super) const EVERY_STEP_FRAMES: usize = 512;

/// Where findings go.
type Tell<'a> = &'a mut dyn FnMut(&'static str, String);

impl Mm {
    /// Checks what changed since the last call; call it from [`World::check`](crate::rt::World::check). Breaks go to
    /// [`Machine::state_break`].
    pub fn check(&self, m: &Machine) {
        let tell: Tell<'_> = &mut |kind, detail| m.state_break(kind, || detail);
        if self.frames.len() <= EVERY_STEP_FRAMES {
            for zone in &self.zones {
                if zone.changed.swap(false, Relaxed) {
                    self.audit_zone(m, zone, tell);
                }
            }
        }
        for node in &self.nodes {
            if node.changed.swap(false, Relaxed) {
                node.lru.peek(m, |lru| self.audit_node_lru(node, lru, tell));
                audit_kswapd(m, node, tell);
            }
        }
        self.audit_memcgs(tell);
    }

    /// What [`Mm::check`] leaves to the end of a simulated execution: zones of a machine that is too large to be walked
    /// over at every step.
    ///
    /// # Panics
    /// If the last execution ran on OS threads.
    #[must_use]
    pub fn broken_in_large(&self, m: &Machine) -> Vec<Broken> {
        let mut found = Vec::new();
        let tell: Tell<'_> = &mut |kind, detail| found.push(Broken { kind, detail });
        if self.frames.len() > EVERY_STEP_FRAMES {
            for zone in &self.zones {
                self.audit_zone(m, zone, tell);
            }
        }
        found
    }

    /// Everything that is broken after a simulated execution has completed.
    ///
    /// # Panics
    /// If the last execution ran on OS threads.
    #[must_use]
    pub fn broken(&self, m: &Machine) -> Vec<Broken> {
        let mut found = Vec::new();
        let tell: Tell<'_> = &mut |kind, detail| found.push(Broken { kind, detail });
        for zone in &self.zones {
            self.audit_zone(m, zone, tell);
        }
        for node in &self.nodes {
            node.lru.peek(m, |lru| self.audit_node_lru(node, lru, tell));
        }
        found
    }

    /// Invariant 27, both ways: who is on a list says so, and who says so is on one.
    fn audit_node_lru(&self, node: &Node, lru: &Lru, tell: Tell<'_>) {
        audit_lru(&self.frames, node, lru, tell);
        if self.frames.len() > EVERY_STEP_FRAMES {
            return;
        }
        let zones = self.zones.iter().filter(|z| z.node == node.id);
        let say_so = zones
            .flat_map(|z| z.start..z.end)
            .filter(|&pfn| self.frames.flags(Pfn(pfn)).has(PageFlags::LRU))
            .count();
        if say_so != lru.len() {
            tell(
                "lru-flag",
                format!("{say_so} pages have PG_lru, {} are on the lists", lru.len()),
            );
        }
    }

    /// Everything that is broken when nothing runs, whichever runtime ran.
    #[must_use]
    pub fn broken_at_rest(&mut self) -> Vec<Broken> {
        let mut found = Vec::new();
        let tell: Tell<'_> = &mut |kind, detail| found.push(Broken { kind, detail });
        for zone in &mut self.zones {
            let free = zone.nr_free();
            let (start, end) = (zone.start, zone.end);
            let tiles = audit_tiles(&self.frames, start, end, tell);
            audit_buddy(&self.frames, zone.buddy.get_mut(), free, &tiles, tell);
            let lists = zone.pcps.iter_mut();
            let on_lists = lists.map(|p| audit_pcp(&self.frames, p.get_mut(), tell));
            let on_lists = on_lists.sum();
            compare_pcp(&tiles, on_lists, tell);
        }
        for node in &mut self.nodes {
            let lru = std::mem::take(node.lru.get_mut());
            audit_lru(&self.frames, node, &lru, tell);
            *node.lru.get_mut() = lru;
        }
        found
    }

    /// Frames that are allocated at the moment, page-cache pages and shrinker objects included.
    #[must_use]
    pub fn allocated_frames(&self) -> u32 {
        let zones = self.zones.iter();
        zones
            .map(|z| audit_tiles(&self.frames, z.start, z.end, &mut |_, _| {}).allocated)
            .sum()
    }

    fn audit_zone(&self, m: &Machine, zone: &Zone, tell: Tell<'_>) {
        let tiles = audit_tiles(&self.frames, zone.start, zone.end, tell);
        zone.buddy.peek(m, |b| {
            audit_buddy(&self.frames, b, zone.nr_free(), &tiles, tell);
        });
        let mut on_lists = 0;
        for pcp in &zone.pcps {
            on_lists += pcp.peek(m, |p| audit_pcp(&self.frames, p, tell));
        }
        compare_pcp(&tiles, on_lists, tell);
    }

    /// Invariant 8: a page below its watermark only with the matching permission, derived from mask and task alone.
    #[inline]
    pub(crate) fn audit_watermark(&self, r: &Request, zone: &Zone, free: u32, flags: AllocFlags) {
        let e = current();
        if !e.machine().simulated() {
            return;
        }
        let permitted = self.permitted_floor(&e, r, zone);
        let left = free.saturating_sub((1 << r.order) - 1);
        e.machine()
            .near_limit(i64::from(left) - i64::from(permitted));
        if permitted > 0 && (flags.mark == Mark::None || left <= permitted) {
            e.machine().state_break("watermark-breach", || {
                format!(
                    "{}: order {} with {} from zone {} with {free} free; only above {permitted} is it permitted",
                    e.name(),
                    r.order,
                    r.gfp,
                    zone.kind.as_str()
                )
            });
        }
    }

    /// The table of reserve rights, as a number of pages that must stay.
    fn permitted_floor(&self, e: &Entity, r: &Request, zone: &Zone) -> u32 {
        let (gfp, pf) = (r.gfp, Pf::from_bits(e.pf()));
        let reserves = !gfp.has(Gfp::NOMEMALLOC);
        let memalloc = gfp.has(Gfp::MEMALLOC) || pf.has(Pf::MEMALLOC) && !e.in_hardirq();
        if reserves && memalloc {
            return 0;
        }
        let mut keep = zone.marks.min;
        let high = gfp.has(Gfp::HIGH);
        let rt_task = gfp.may_block() && e.prio > 0;
        if high || rt_task || gfp.has(Gfp::NOFAIL) {
            keep -= keep / 2;
        }
        if high && !gfp.may_block() && reserves {
            keep -= keep / 4;
        }
        if reserves && self.is_oom_victim(e.task().id()) {
            keep -= keep / 2;
        }
        keep + zone.lowmem_reserve[r.highest as usize]
    }

    /// Invariant 35: nobody is killed while a page above the high watermark is there to be had.
    pub(crate) fn audit_oom(&self, r: &Request, forced: bool) {
        let m = current();
        if forced || r.order > 0 || !m.machine().simulated() {
            return;
        }
        let high = AllocFlags::plain(Mark::High);
        let mut zones = self.eligible(r);
        if zones.any(|z| z.watermark_ok(0, r.highest, high)) {
            m.machine().state_break("oom-unjustified", || {
                format!("OOM for order 0 with {} although memory is free", r.gfp)
            });
        }
    }
}

/// What a walk over a zone's blocks counts.
struct Tiles {
    /// Frames in free blocks.
    free: u32,
    /// Free blocks by order.
    blocks: [u32; NR_ORDERS],
    /// Frames in blocks that per-CPU lists should have.
    pcp: u32,
    allocated: u32,
}

/// Invariants 1, 4, 6: blocks tile the zone without gap or overlap; each is aligned; no two free buddies are unmerged.
fn audit_tiles(frames: &Frames, start: u32, end: u32, tell: Tell<'_>) -> Tiles {
    let mut tiles = Tiles {
        free: 0,
        blocks: [0; NR_ORDERS],
        pcp: 0,
        allocated: 0,
    };
    let mut at = start;
    while at < end {
        let word = frames.word(at);
        let (kind, order) = (word.kind(), word.order());
        let size = 1 << order.min(super::MAX_ORDER);
        match kind {
            FrameKind::Tail => {
                tell("frame-state", format!("pfn {at:#x} belongs to no block"));
                return tiles;
            }
            FrameKind::Buddy => {
                tiles.free += size;
                tiles.blocks[usize::from(order)] += 1;
                audit_free_block(frames, at, order, end, tell);
            }
            FrameKind::Pcp => tiles.pcp += size,
            FrameKind::Allocated | FrameKind::Freeing => tiles.allocated += size,
            FrameKind::Reserved => {}
        }
        at += size;
    }
    if at != end {
        tell(
            "frame-state",
            format!("a block reaches beyond its zone, to {at:#x}"),
        );
    }
    tiles
}

fn audit_free_block(frames: &Frames, at: u32, order: u8, end: u32, tell: Tell<'_>) {
    let size = 1 << order;
    if at & (size - 1) != 0 {
        tell(
            "buddy-unaligned",
            format!("free block {at:#x} of order {order}"),
        );
    }
    let buddy = at ^ size;
    let whole = order < super::MAX_ORDER && buddy > at && buddy + size <= end;
    if whole && frames.word(buddy).is(FrameKind::Buddy, order) {
        tell(
            "buddy-unmerged",
            format!("free blocks {at:#x} and {buddy:#x} of order {order} are buddies"),
        );
    }
}

/// Invariants 4, 5: every free block is on the list of its order, once; NR_FREE is their sum.
fn audit_buddy(frames: &Frames, b: &Buddy, nr_free: u32, tiles: &Tiles, tell: Tell<'_>) {
    if nr_free != tiles.free {
        tell(
            "nr-free",
            format!(
                "NR_FREE_PAGES is {nr_free}, free blocks sum up to {}",
                tiles.free
            ),
        );
    }
    for (order, area) in b.areas.iter().enumerate() {
        if area.nr != tiles.blocks[order] {
            tell(
                "free-area",
                format!(
                    "order {order}: nr_free {}, blocks {}",
                    area.nr, tiles.blocks[order]
                ),
            );
        }
        let (mut at, mut prev, mut n) = (area.head, NIL, 0);
        while at != NIL && n <= area.nr {
            let sound =
                frames.prev(at) == prev && frames.word(at).is(FrameKind::Buddy, order as u8);
            if !sound {
                tell(
                    "free-list",
                    format!("order {order}: {at:#x} does not belong there"),
                );
                return;
            }
            (prev, at, n) = (at, frames.next(at), n + 1);
        }
        if n != area.nr {
            tell(
                "free-list",
                format!("order {order}: {n} on the list, nr_free {}", area.nr),
            );
        }
    }
}

/// Invariant 7. Returns the frames on the lists.
fn audit_pcp(frames: &Frames, pcp: &Pcp, tell: Tell<'_>) -> u32 {
    let mut sum = 0;
    for (order, list) in pcp.lists.iter().enumerate() {
        sum += (list.len() << order) as u32;
        let stranger = list
            .iter()
            .find(|&&pfn| !frames.word(pfn).is(FrameKind::Pcp, order as u8));
        if let Some(pfn) = stranger {
            tell(
                "pcp-list",
                format!("{pfn:#x} is on a pcp list of order {order} but not so marked"),
            );
        }
    }
    if sum != pcp.count {
        tell(
            "pcp-count",
            format!("count {}, lists have {sum}", pcp.count),
        );
    }
    // A refill does not look at `high`, each order's list is refilled by itself, and what a free adds is given back a
    // moment later: a bound, not the least one.
    let batches = (0..PCP_ORDERS).map(|order| pcp.spec.batch.max(1 << order));
    let most = pcp.spec.high + 2 * batches.sum::<u32>();
    if pcp.count > most {
        tell("pcp-high", format!("count {}, at most {most}", pcp.count));
    }
    sum
}

/// Invariant 1: no page is lost between the per-CPU lists and their zone.
fn compare_pcp(tiles: &Tiles, on_lists: u32, tell: Tell<'_>) {
    if tiles.pcp != on_lists {
        tell(
            "page-leak",
            format!(
                "{} frames marked for pcp lists, {on_lists} on them",
                tiles.pcp
            ),
        );
    }
}

/// Invariant 27: a page is on an LRU list iff it says so, and the count is right.
fn audit_lru(frames: &Frames, node: &Node, lru: &Lru, tell: Tell<'_>) {
    for (list, active) in [(&lru.inactive, false), (&lru.active, true)] {
        for &pfn in list {
            let flags = frames.flags(Pfn(pfn));
            let allocated = frames.word(pfn).kind() == FrameKind::Allocated;
            if !allocated || !flags.has(PageFlags::LRU) || flags.has(PageFlags::ACTIVE) != active {
                tell(
                    "lru-page",
                    format!("{pfn:#x} is on an LRU list with flags {flags:?}"),
                );
            }
        }
    }
    let counted = node.on_lru.load(Relaxed) as usize;
    if counted != lru.len() {
        tell(
            "lru-size",
            format!("counted {counted}, on the lists {}", lru.len()),
        );
    }
}

/// Invariant 36: whoever asked for kswapd also woke it.
fn audit_kswapd(m: &Machine, node: &Node, tell: Tell<'_>) {
    let Some(kswapd) = node.kswapd else {
        return;
    };
    let asked = node.wanted.load(SeqCst) && node.asleep.load(SeqCst);
    let sleeps = m
        .entity(kswapd)
        .waits_for()
        .is_some_and(|w| w.res == node.kswapd_wait.res());
    if asked && sleeps && m.sim.ready.get() & kswapd.bit() == 0 {
        tell(
            "kswapd-lost-wakeup",
            format!("kswapd{} is wanted, but sleeps and was not woken", node.id),
        );
    }
}
