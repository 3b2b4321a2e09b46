//! Zonelists: where a request may take memory from, in order of preference.

use super::gfp::Gfp;
use super::zone::{Zone, ZoneKind};

/// The zones of every (node, highest zone) pair, local node first, in each node the highest zone first.
#[derive(Debug)]
pub(crate) struct Zonelists {
    lists: Box<[Box<[u8]>]>,
}

/// Number of zone kinds.
pub(crate) const KINDS: usize = ZoneKind::ALL.len();

impl Zonelists {
    /// `build_all_zonelists()`: from the populated zones.
    pub(crate) fn build(nodes: usize, zones: &[Zone]) -> Self {
        let lists = (0..nodes).flat_map(|node| {
            ZoneKind::ALL
                .iter()
                .map(move |&highest| Self::list(nodes, zones, node, highest))
        });
        Self {
            lists: lists.collect(),
        }
    }

    fn list(nodes: usize, zones: &[Zone], node: usize, highest: ZoneKind) -> Box<[u8]> {
        let mut list = Vec::new();
        for near in (0..nodes).map(|i| (node + i) % nodes) {
            let mut here: Vec<&Zone> = zones
                .iter()
                .filter(|z| z.node == near && z.kind <= highest && z.managed() > 0)
                .collect();
            here.sort_by_key(|z| std::cmp::Reverse(z.kind));
            list.extend(here.iter().map(|z| z.id as u8));
        }
        list.into()
    }

    /// The zones for a request at `node`, best first.
    #[inline]
    pub(crate) fn of(&self, node: usize, highest: ZoneKind) -> &[u8] {
        &self.lists[node * KINDS + highest as usize]
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
