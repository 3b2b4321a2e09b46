//! Zonelists: where a request may take memory from, in order of preference.
//!
//! One list a node, all zones on it, local node first and in each node the highest zone first. A request skips the
//! zones above its own highest. Memory hotplug rewrites a list in place, entry by entry: whoever kept a position in it
//! (`ac->preferred_zoneref`) may then look at other zones, or at the terminator.

use super::Mm;
use super::gfp::Gfp;
use super::page_alloc::Request;
use super::zone::{Zone, ZoneKind};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Terminator of a list.
const END: u8 = u8::MAX;

/// The zones of every node's requests.
#[derive(Debug)]
pub(crate) struct Zonelists {
    lists: Box<[Box<[AtomicU8]>]>,
}

/// Number of zone kinds.
pub(crate) const KINDS: usize = ZoneKind::ALL.len();

impl Zonelists {
    /// Lists for `zones`, all of them populated.
    pub(crate) fn build(nodes: usize, zones: &[Zone]) -> Self {
        let empty = || (0..=zones.len()).map(|_| AtomicU8::new(END)).collect();
        let lists = Self {
            lists: (0..nodes).map(|_| empty()).collect(),
        };
        lists.rewrite(zones, || {});
        lists
    }

    /// `build_zonelists()` of every node: from the populated zones, in place. `between` is called before each entry.
    pub(crate) fn rewrite(&self, zones: &[Zone], mut between: impl FnMut()) {
        for (node, list) in self.lists.iter().enumerate() {
            let wanted = wanted(self.lists.len(), zones, node);
            for (entry, zone) in list.iter().zip(wanted.chain([END])) {
                between();
                entry.store(zone, Relaxed);
            }
        }
    }

    /// Whether a node's list is what it would be if it were built now.
    pub(crate) fn is_current(&self, zones: &[Zone], node: usize) -> bool {
        let wanted = wanted(self.lists.len(), zones, node).chain([END]);
        self.lists[node]
            .iter()
            .zip(wanted)
            .all(|(entry, zone)| entry.load(Relaxed) == zone)
    }

    /// Number of nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.lists.len()
    }

    /// The entries of a node's list from a position on: position and zone.
    #[inline]
    fn entries(&self, node: usize, position: u8) -> impl Iterator<Item = (u8, usize)> {
        let list = &self.lists[node];
        (position..list.len() as u8).map_while(|at| {
            let zone = list[usize::from(at)].load(Relaxed);
            (zone != END).then_some((at, usize::from(zone)))
        })
    }
}

/// The zones that a node's list should have, in order.
fn wanted(nodes: usize, zones: &[Zone], node: usize) -> impl Iterator<Item = u8> {
    (0..nodes)
        .map(move |i| (node + i) % nodes)
        .flat_map(move |near| {
            ZoneKind::ALL.iter().rev().flat_map(move |&kind| {
                zones
                    .iter()
                    .filter(move |z| z.node == near && z.kind == kind && z.is_populated())
                    .map(|z| z.id as u8)
            })
        })
}

impl Mm {
    /// The position of the first zone that a request may use (`first_zones_zonelist()`); that of the terminator if there
    /// is none.
    #[inline]
    pub(crate) fn preferred(&self, node: usize, highest: ZoneKind) -> u8 {
        let mut after = 0;
        for (at, zone) in self.zonelists.entries(node, 0) {
            if self.zones[zone].kind <= highest {
                return at;
            }
            after = at + 1;
        }
        after
    }

    /// The zones that a request may take from, best first, as the list is now.
    #[inline]
    pub(crate) fn eligible(&self, r: &Request) -> impl Iterator<Item = &Zone> {
        self.eligible_from(r, 0)
    }

    /// The zones that a freelist attempt looks at: from the position on that the request has kept.
    #[inline]
    pub(crate) fn kept_zones(&self, r: &Request) -> impl Iterator<Item = &Zone> {
        self.eligible_from(r, r.preferred)
    }

    #[inline]
    fn eligible_from(&self, r: &Request, position: u8) -> impl Iterator<Item = &Zone> {
        let this_node = r.gfp.has(Gfp::THISNODE).then_some(r.node);
        let highest = r.highest;
        self.zonelists
            .entries(r.node, position)
            .map(|(_, z)| &self.zones[z])
            .filter(move |z| z.kind <= highest && this_node.is_none_or(|n| z.node == n))
    }
}

/// `gfp_zone()`: the highest zone that the mask allows.
pub(crate) fn gfp_zone(gfp: Gfp) -> ZoneKind {
    if gfp.has(Gfp::DMA) {
        ZoneKind::Dma
    } else if gfp.has(Gfp::DMA32) {
        ZoneKind::Dma32
    } else if gfp.has(Gfp::HIGHMEM | Gfp::MOVABLE) {
        ZoneKind::Movable
    } else if gfp.has(Gfp::HIGHMEM) {
        ZoneKind::Highmem
    } else {
        ZoneKind::Normal
    }
}
