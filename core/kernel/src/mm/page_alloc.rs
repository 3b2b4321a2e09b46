//! The page allocator: entry, fast path, free (`__alloc_pages()`, `free_unref_page()`).

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::page::{MAX_ORDER, Page, Pfn};
use super::pf::Pf;
use super::watermark::{AllocFlags, Mark};
use super::zone::{Zone, ZoneKind};
use super::zonelist::gfp_zone;
use crate::rt::{Entity, EventKind, Machine, OpKind, current, record};

/// How far memory pressure is forced on one request. Each level includes those before it, except `Maybe`.
///
/// What is forced is what others who take the memory first can do to a request at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// Nothing is forced: memory is as it is.
    #[default]
    None,
    /// The fast path fails, so that the slow path runs.
    Fast,
    /// And each freelist attempt of the slow path before direct reclaim fails.
    Reclaim,
    /// And the first round of direct reclaim reports progress, whatever it freed.
    Progress,
    /// As `Reclaim`, and every round of direct reclaim reports none, nor does a freelist attempt after it succeed,
    /// until the allocator gives up retrying.
    NoProgress,
    /// Each of these points is a choice of the exploration.
    Maybe,
}

impl Pressure {
    pub(crate) fn fast_path_fails(self, m: &Machine) -> bool {
        match self {
            Self::None => false,
            Self::Maybe => m.choose(2) == 1,
            _ => true,
        }
    }

    pub(crate) fn freelist_fails(self, m: &Machine) -> bool {
        match self {
            Self::None | Self::Fast => false,
            Self::Maybe => m.choose(2) == 1,
            _ => true,
        }
    }

    pub(crate) fn freelist_after_reclaim_fails(self, m: &Machine) -> bool {
        match self {
            Self::NoProgress => true,
            Self::Maybe => m.choose(2) == 1,
            _ => false,
        }
    }

    /// What a round of direct reclaim that freed `reclaimed` pages reports.
    pub(crate) fn progress(self, reclaimed: u32, first: bool, m: &Machine) -> bool {
        match self {
            Self::Progress => first || reclaimed != 0,
            Self::NoProgress => false,
            Self::Maybe => (reclaimed != 0) ^ (m.choose(2) == 1),
            _ => reclaimed != 0,
        }
    }
}

/// One request on its way through the allocator (`struct alloc_context`).
#[derive(Debug)]
pub(crate) struct Request {
    /// The mask as the caller gave it.
    pub(crate) given: Gfp,
    /// The mask in force.
    pub(crate) gfp: Gfp,
    pub(crate) order: u8,
    pub(crate) node: usize,
    pub(crate) highest: ZoneKind,
    /// Where in its zonelist it begins to look (`ac->preferred_zoneref`): a position that was right when it was taken.
    pub(crate) preferred: u8,
    pub(crate) pressure: Pressure,
}

impl Mm {
    /// `alloc_pages()`: 2^order frames, or `None`.
    ///
    /// May sleep, reclaim and run callbacks if the mask has `__GFP_DIRECT_RECLAIM`.
    #[inline]
    pub fn alloc_pages(
        &self,
        cb: &dyn Callbacks,
        gfp: Gfp,
        order: u8,
        pressure: Pressure,
    ) -> Option<Page> {
        let e = current();
        if order > MAX_ORDER {
            return None;
        }
        let m = e.machine();
        let effective = gfp.in_context(Pf::from_bits(e.pf()), m.rules());
        self.might_alloc(gfp);
        let (node, highest) = (self.this_node(&e), gfp_zone(effective));
        let mut r = Request {
            given: gfp,
            gfp: effective,
            order,
            node,
            highest,
            preferred: self.preferred(node, highest),
            pressure,
        };
        record(EventKind::Alloc, || {
            let scope = if r.given == r.gfp {
                String::new()
            } else {
                format!(", in force {}", r.gfp)
            };
            format!("alloc_pages order {order} gfp {}{scope}", r.given)
        });
        if !pressure.fast_path_fails(m)
            && let Some(page) = self.get_page_from_freelist(&r, AllocFlags::plain(Mark::Low))
        {
            return Some(page);
        }
        self.slow_path(cb, &mut r)
    }

    /// `__free_pages()`. A block that its caller does not own (any more) is a broken invariant, and nothing happens.
    #[inline]
    pub fn free_pages(&self, page: Page) {
        let e = current();
        if !self.frames.take_back(page) {
            self.bad_free(&e, page);
            return;
        }
        record(EventKind::Alloc, || format!("frees {page}"));
        let zone = &self.zones[self.frames.word(page.pfn().0).zone()];
        zone.free(&self.frames, page);
        e.machine().wake(self.memory);
    }

    #[cold]
    fn bad_free(&self, e: &Entity, page: Page) {
        e.machine().state_break("double-free", || {
            let now = self.frames.word(page.pfn().0);
            format!(
                "{} frees {page}, which it does not own: the frame is {:?} of order {}",
                e.name(),
                now.kind(),
                now.order()
            )
        });
    }

    /// Frees an allocated frame by its number: pages that belong to lists instead of to a caller.
    pub(crate) fn free_frame(&self, pfn: u32) {
        if let Some(page) = self.frames.page_at(pfn) {
            self.free_pages(page);
        }
    }

    /// The handle of the allocated block that starts at a frame: LRU pages and shrinker objects have no other owner.
    #[must_use]
    pub fn page_at(&self, pfn: Pfn) -> Option<Page> {
        self.frames.page_at(pfn.0)
    }

    /// `get_page_from_freelist()`: the zones of the zonelist in order.
    #[inline]
    pub(crate) fn get_page_from_freelist(&self, r: &Request, flags: AllocFlags) -> Option<Page> {
        if self.hotplugs {
            current().point(OpKind::Load, self.zonelist_res);
        }
        for zone in self.kept_zones(r) {
            let free = zone.nr_free();
            if flags.mark != Mark::None && !zone.enough(free, r.order, r.highest, flags) {
                record(EventKind::Alloc, || tell_below(zone, flags));
                continue;
            }
            if let Some(page) = zone.rmqueue(&self.frames, r.order) {
                record(EventKind::Alloc, || {
                    format!("gets {page} from zone {}", zone.kind.as_str())
                });
                self.audit_watermark(r, zone, free, flags);
                return Some(page);
            }
        }
        None
    }

    /// `drain_all_pages()`: every CPU's lists go back to their zones, unless somebody else is draining.
    pub fn drain_all_pages(&self) {
        use crate::sync::{How, Irq};
        let Some(flags) = self.pcpu_drain_mutex.trylock(How::default()) else {
            return;
        };
        record(EventKind::Alloc, || "drain_all_pages".to_owned());
        for cpu in 0..current().machine().nr_cpus() {
            for zone in &self.zones {
                zone.drain(&self.frames, cpu);
            }
        }
        self.pcpu_drain_mutex.unlock(Irq::Plain, flags);
    }
}

#[cold]
fn tell_below(zone: &Zone, flags: AllocFlags) -> String {
    format!(
        "zone {}: {} free, not above {}",
        zone.kind.as_str(),
        zone.nr_free(),
        super::watermark::floor(zone.marks, flags)
    )
}
