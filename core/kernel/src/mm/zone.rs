//! Zones: a range of frames with its buddy allocator, per-CPU lists and watermarks.

use super::buddy::{Buddy, NR_ORDERS};
use super::page::{FrameKind, Frames, Page};
use super::pcp::{PCP_ORDERS, Pcp, PcpSpec};
use super::watermark::{AllocFlags, Mark, Watermarks, floor};
use super::zonelist::KINDS;
use crate::rt::{Entity, Machine, current};
use crate::sync::{Guard, Irq, Locked};
use crossbeam::utils::CachePadded;
use ksplat_lockdep::Key;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// What a zone is for; ordered as the kernel's `enum zone_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ZoneKind {
    /// `ZONE_DMA`.
    Dma,
    /// `ZONE_DMA32`.
    Dma32,
    /// `ZONE_NORMAL`.
    #[default]
    Normal,
    /// `ZONE_HIGHMEM`.
    Highmem,
    /// `ZONE_MOVABLE`.
    Movable,
}

impl ZoneKind {
    /// All kinds, lowest first.
    pub const ALL: [Self; 5] = [
        Self::Dma,
        Self::Dma32,
        Self::Normal,
        Self::Highmem,
        Self::Movable,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dma => "dma",
            Self::Dma32 => "dma32",
            Self::Normal => "normal",
            Self::Highmem => "highmem",
            Self::Movable => "movable",
        }
    }
}

/// Description of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSpec {
    /// What it is for.
    pub kind: ZoneKind,
    /// The node it belongs to.
    pub node: usize,
    /// Frames it manages, at least 1.
    pub pages: u32,
    /// Watermarks; derived from `pages` when not given ([`Watermarks::of`]).
    pub watermarks: Option<Watermarks>,
    /// Frames that are free at the start; all that LRU pages and shrinkers do not take when not given. The rest is
    /// taken by someone who never gives it back.
    pub free: Option<u32>,
}

impl ZoneSpec {
    /// A zone of node 0 in which nothing else is said.
    #[must_use]
    pub const fn new(kind: ZoneKind, pages: u32) -> Self {
        Self {
            kind,
            node: 0,
            pages,
            watermarks: None,
            free: None,
        }
    }
}

/// Lock classes of zones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ZoneKeys {
    pub(crate) zone: Option<Key>,
    pub(crate) pcp: Option<Key>,
}

/// `struct zone`.
#[derive(Debug)]
pub struct Zone {
    pub(crate) id: usize,
    pub(crate) kind: ZoneKind,
    pub(crate) node: usize,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) marks: Watermarks,
    /// `lowmem_reserve`, by the highest zone that a request could have used.
    pub(crate) lowmem_reserve: [u32; KINDS],
    pub(crate) buddy: CachePadded<Locked<Buddy>>,
    /// NR_FREE_PAGES: frames in the buddy allocator. Written under the zone's lock.
    nr_free: CachePadded<AtomicU32>,
    /// Since its invariants were checked.
    pub(crate) changed: AtomicBool,
    pub(crate) pcps: Box<[CachePadded<Locked<Pcp>>]>,
    /// Memory hotplug took it out of service.
    pub(crate) offline: AtomicBool,
}

impl Zone {
    pub(crate) fn new(
        m: &mut Machine,
        frames: &Frames,
        id: usize,
        start: u32,
        spec: &ZoneSpec,
        pcp: Option<PcpSpec>,
        keys: ZoneKeys,
    ) -> Self {
        let end = start + spec.pages;
        let name = spec.kind.as_str();
        let buddy = Buddy::new(frames, id, start, end);
        let buddy = Locked::new(m, format_args!("zone->lock ({name})"), keys.zone, buddy);
        let cpus = pcp.map_or(0, |_| m.nr_cpus());
        let pcps = (0..cpus).filter_map(|cpu| {
            let name = format_args!("pcp->lock ({name}, cpu{cpu})");
            pcp.map(|spec| CachePadded::new(Locked::new(m, name, keys.pcp, Pcp::new(spec))))
        });
        Self {
            id,
            kind: spec.kind,
            node: spec.node,
            start,
            end,
            marks: spec
                .watermarks
                .unwrap_or_else(|| Watermarks::of(spec.pages)),
            lowmem_reserve: [0; KINDS],
            pcps: pcps.collect(),
            buddy: CachePadded::new(buddy),
            nr_free: CachePadded::new(AtomicU32::new(spec.pages)),
            changed: AtomicBool::new(false),
            offline: AtomicBool::new(false),
        }
    }

    /// Frames it manages.
    #[must_use]
    pub const fn managed(&self) -> u32 {
        self.end - self.start
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> ZoneKind {
        self.kind
    }

    /// Its watermarks.
    #[must_use]
    pub const fn watermarks(&self) -> Watermarks {
        self.marks
    }

    /// Frames in the buddy allocator (NR_FREE_PAGES); those on per-CPU lists do not count.
    #[inline]
    #[must_use]
    pub fn nr_free(&self) -> u32 {
        self.nr_free.load(Relaxed)
    }

    /// Free blocks of each order (`free_area[order].nr_free`, as in /proc/buddyinfo), when nobody is changing them.
    #[must_use]
    pub fn nr_free_blocks(&self, m: &Machine) -> [u32; NR_ORDERS] {
        self.buddy.peek(m, |buddy| buddy.areas.map(|area| area.nr))
    }

    /// Under the zone's lock.
    #[inline]
    pub(crate) fn count_free(&self, change: i32) {
        let n = self.nr_free().wrapping_add_signed(change);
        self.nr_free.store(n, Relaxed);
    }

    /// The invariants of this zone are to be checked at the next step.
    #[inline]
    pub(crate) fn touch(&self, e: &Entity) {
        let m = e.machine();
        if m.simulated() {
            self.changed.store(true, Relaxed);
            m.touch();
        }
    }

    /// Everything free, before an execution.
    pub(crate) fn reset(&self, frames: &Frames) {
        self.buddy.set(|b| b.reset(frames));
        self.nr_free.store(self.managed(), Relaxed);
        self.offline.store(false, Relaxed);
        for pcp in &self.pcps {
            pcp.set(Pcp::reset);
        }
    }

    /// Counts pages that do not exist: a bug for the canaries.
    #[cfg(test)]
    pub(crate) fn boot_count(&self, change: i32) {
        self.count_free(change);
        self.touch(&current());
    }

    /// Takes one frame for good, before an execution.
    pub(crate) fn boot_take(&self, frames: &Frames, kind: FrameKind) -> Option<u32> {
        let mut taken = None;
        self.buddy.set(|b| taken = b.take(frames, 0));
        let pfn = taken?;
        frames.set(pfn, kind, 0);
        self.count_free(-1);
        Some(pfn)
    }

    /// `__zone_watermark_ok()` with the order-0 shortcut of the fast path. Without the lock, as in the kernel.
    #[inline]
    pub(crate) fn watermark_ok(&self, order: u8, highest: ZoneKind, flags: AllocFlags) -> bool {
        flags.mark == Mark::None || self.enough(self.nr_free(), order, highest, flags)
    }

    /// Whether `free` frames would satisfy the watermark.
    #[inline]
    pub(crate) fn enough(
        &self,
        free: u32,
        order: u8,
        highest: ZoneKind,
        flags: AllocFlags,
    ) -> bool {
        let unusable = (1 << order) - 1;
        let need = floor(self.marks, flags) + self.lowmem_reserve[highest as usize];
        free.saturating_sub(unusable) > need
    }

    /// `rmqueue()`: a block from this CPU's list, or from the buddy allocator.
    #[inline]
    pub(crate) fn rmqueue(&self, frames: &Frames, order: u8) -> Option<Page> {
        if usize::from(order) < PCP_ORDERS
            && !self.pcps.is_empty()
            && let Some(page) = self.rmqueue_pcplist(frames, order)
        {
            return Some(page);
        }
        self.rmqueue_buddy(frames, order)
    }

    /// This CPU's list. Its lock is only tried: who is interrupted may hold it. Without the guard `pcp_trylock` it is
    /// waited for.
    #[inline]
    fn pcp(&self, e: &Entity) -> Option<Guard<'_, Pcp>> {
        let pcp = &self.pcps[e.cpu().index()];
        if e.machine().rules().guard_pcp_trylock {
            pcp.trylock(Irq::Plain)
        } else {
            Some(pcp.lock(Irq::Plain))
        }
    }

    #[inline]
    fn rmqueue_pcplist(&self, frames: &Frames, order: u8) -> Option<Page> {
        let e = current();
        let mut pcp = self.pcp(&e)?;
        if let Some(pfn) = pcp.pop(order) {
            let page = frames.hand_out(pfn, order);
            self.touch(&e);
            return Some(page);
        }
        self.refill(frames, &mut pcp, order);
        let pfn = pcp.pop(order)?;
        self.touch(&e);
        Some(frames.hand_out(pfn, order))
    }

    #[cold]
    fn refill(&self, frames: &Frames, pcp: &mut Pcp, order: u8) {
        let mut buddy = self.buddy.lock(Irq::Save);
        let moved = pcp.refill(frames, &mut buddy, order);
        self.count_free(-(moved as i32));
        self.touch(&current());
    }

    fn rmqueue_buddy(&self, frames: &Frames, order: u8) -> Option<Page> {
        let mut buddy = self.buddy.lock(Irq::Save);
        let pfn = buddy.take(frames, order)?;
        self.count_free(-(1 << order));
        self.touch(&current());
        Some(frames.hand_out(pfn, order))
    }

    /// `free_unref_page()`: a block that was taken back from its owner goes to this CPU's list, or to the zone.
    #[inline]
    pub(crate) fn free(&self, frames: &Frames, page: Page) {
        let order = page.order();
        if usize::from(order) >= PCP_ORDERS || self.pcps.is_empty() {
            return self.free_to_buddy(frames, page);
        }
        let e = current();
        let Some(mut pcp) = self.pcp(&e) else {
            return self.free_to_buddy(frames, page);
        };
        pcp.push(frames, page.pfn().0, order);
        self.touch(&e);
        if pcp.count > pcp.spec.high {
            // No less than was added, or a small batch would let the lists grow for ever.
            let batch = pcp.spec.batch.max(1 << order);
            self.give_back(frames, &mut pcp, batch);
        }
    }

    #[cold]
    fn give_back(&self, frames: &Frames, pcp: &mut Pcp, wanted: u32) {
        let mut buddy = self.buddy.lock(Irq::Save);
        let moved = pcp.give_back(frames, &mut buddy, wanted);
        self.count_free(moved as i32);
        self.touch(&current());
    }

    fn free_to_buddy(&self, frames: &Frames, page: Page) {
        let mut buddy = self.buddy.lock(Irq::Save);
        buddy.put(frames, page.pfn().0, page.order());
        self.count_free(1 << page.order());
        self.touch(&current());
    }

    /// `drain_pages_zone()`: everything on one CPU's list goes back to the zone, a batch a critical section.
    pub(crate) fn drain(&self, frames: &Frames, cpu: usize) {
        let Some(pcp) = self.pcps.get(cpu) else {
            return;
        };
        loop {
            let mut pcp = pcp.lock(Irq::Plain);
            if pcp.count == 0 {
                return;
            }
            let batch = pcp.spec.batch.min(pcp.count);
            self.give_back(frames, &mut pcp, batch);
        }
    }
}
