//! Per-CPU page lists of one zone (`struct per_cpu_pages`).
//!
//! Locked with a trylock on the way in and out; whoever fails goes to the zone instead.

use super::buddy::Buddy;
use super::page::{FrameKind, Frames};
use std::collections::VecDeque;

/// Highest order that is cached (`PAGE_ALLOC_COSTLY_ORDER`).
pub(crate) const PCP_ORDERS: usize = 4;

/// Sizes of the per-CPU lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcpSpec {
    /// Above so many frames, frames go back to the zone.
    pub high: u32,
    /// Frames moved at a time, at least 1.
    pub batch: u32,
}

/// `struct per_cpu_pages` without its lock.
#[derive(Debug)]
pub(crate) struct Pcp {
    pub(crate) lists: [VecDeque<u32>; PCP_ORDERS],
    /// Frames on the lists.
    pub(crate) count: u32,
    pub(crate) spec: PcpSpec,
}

impl Pcp {
    pub(crate) fn new(spec: PcpSpec) -> Self {
        let most = (spec.high + spec.batch + 1) as usize;
        Self {
            lists: std::array::from_fn(|order| VecDeque::with_capacity((most >> order) + 1)),
            count: 0,
            spec,
        }
    }

    pub(crate) fn reset(&mut self) {
        if self.count != 0 {
            self.lists.iter_mut().for_each(VecDeque::clear);
            self.count = 0;
        }
    }

    /// The block that was freed last.
    #[inline]
    pub(crate) fn pop(&mut self, order: u8) -> Option<u32> {
        let pfn = self.lists[usize::from(order)].pop_front()?;
        self.count -= 1 << order;
        Some(pfn)
    }

    #[inline]
    pub(crate) fn push(&mut self, frames: &Frames, pfn: u32, order: u8) {
        frames.set(pfn, FrameKind::Pcp, order);
        self.lists[usize::from(order)].push_front(pfn);
        self.count += 1 << order;
    }

    /// `rmqueue_bulk()`: a batch of blocks from the zone. Returns the frames moved.
    pub(crate) fn refill(&mut self, frames: &Frames, buddy: &mut Buddy, order: u8) -> u32 {
        let blocks = (self.spec.batch >> order).max(1);
        let list = &mut self.lists[usize::from(order)];
        let mut moved = 0;
        for _ in 0..blocks {
            let Some(pfn) = buddy.take(frames, order) else {
                break;
            };
            frames.set(pfn, FrameKind::Pcp, order);
            list.push_back(pfn);
            moved += 1 << order;
        }
        self.count += moved;
        moved
    }

    /// `free_pcppages_bulk()`: gives `frames_wanted` frames back, those that were freed longest ago first. Returns the
    /// frames moved.
    pub(crate) fn give_back(&mut self, frames: &Frames, buddy: &mut Buddy, wanted: u32) -> u32 {
        let mut moved = 0;
        for order in 0..PCP_ORDERS {
            while moved < wanted {
                let Some(pfn) = self.lists[order].pop_back() else {
                    break;
                };
                buddy.put(frames, pfn, order as u8);
                moved += 1 << order;
            }
        }
        self.count -= moved;
        moved
    }
}
