//! The buddy allocator of one zone: free blocks of 2^order frames, split on demand, merged when freed.
//!
//! Works on its frames alone; whoever calls it holds `zone->lock`.

use super::page::{FrameKind, Frames, MAX_BLOCK, MAX_ORDER, NIL};

/// Number of orders.
pub(crate) const NR_ORDERS: usize = MAX_ORDER as usize + 1;

/// Free blocks of one order: a list through the frames' links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeArea {
    pub(crate) head: u32,
    pub(crate) nr: u32,
}

impl FreeArea {
    const EMPTY: Self = Self { head: NIL, nr: 0 };
}

/// `zone->free_area` and the frames it covers.
#[derive(Debug)]
pub(crate) struct Buddy {
    pub(crate) areas: [FreeArea; NR_ORDERS],
    pub(crate) start: u32,
    pub(crate) end: u32,
    zone: usize,
    /// Which blocks of the largest order were split since the last reset, one bit each.
    split: Box<[u64]>,
}

impl Buddy {
    /// All frames from `start` to `end` free, in blocks as large as alignment permits.
    pub(crate) fn new(frames: &Frames, zone: usize, start: u32, end: u32) -> Self {
        let blocks = (end.div_ceil(MAX_BLOCK) - start / MAX_BLOCK) as usize;
        let mut buddy = Self {
            areas: [FreeArea::EMPTY; NR_ORDERS],
            start,
            end,
            zone,
            split: vec![u64::MAX; blocks.div_ceil(64)].into(),
        };
        buddy.reset(frames);
        buddy
    }

    /// Everything free again. Costs as much as was split, plus one step a block of the largest order.
    pub(crate) fn reset(&mut self, frames: &Frames) {
        self.areas = [FreeArea::EMPTY; NR_ORDERS];
        // From the top, so that the lowest block is the first on its list.
        let mut at = self.end;
        while at > self.start {
            let first = (at - 1) / MAX_BLOCK * MAX_BLOCK;
            let first = first.max(self.start);
            if self.split_bit(first) {
                frames.clear(first, at, self.zone);
            }
            self.cover(frames, first, at);
            at = first;
        }
        self.split.fill(0);
    }

    /// Free blocks for the frames from `first` to `end`, the highest first.
    fn cover(&mut self, frames: &Frames, first: u32, mut end: u32) {
        while end > first {
            // The largest block that ends here, is aligned and does not reach below `first`.
            let fits = (end - first).ilog2().min(u32::from(MAX_ORDER));
            let order = end.trailing_zeros().min(fits) as u8;
            end -= 1 << order;
            self.push(frames, end, order);
        }
    }

    fn split_bit(&self, pfn: u32) -> bool {
        let block = (pfn / MAX_BLOCK - self.start / MAX_BLOCK) as usize;
        self.split[block / 64] & 1 << (block % 64) != 0
    }

    fn mark_split(&mut self, pfn: u32) {
        let block = (pfn / MAX_BLOCK - self.start / MAX_BLOCK) as usize;
        self.split[block / 64] |= 1 << (block % 64);
    }

    /// Takes the first free block of the smallest order that will do, and gives back what is too much.
    ///
    /// The frames' word is the caller's to set.
    pub(crate) fn take(&mut self, frames: &Frames, order: u8) -> Option<u32> {
        let from = (order..=MAX_ORDER).find(|&o| self.areas[usize::from(o)].nr != 0)?;
        let pfn = self.areas[usize::from(from)].head;
        self.unlink(frames, pfn, from);
        self.mark_split(pfn);
        for o in (order..from).rev() {
            self.push(frames, pfn + (1 << o), o);
        }
        Some(pfn)
    }

    /// Gives a block back and merges it with its free buddies, as far as they go.
    pub(crate) fn put(&mut self, frames: &Frames, mut pfn: u32, mut order: u8) {
        while order < MAX_ORDER {
            let buddy = pfn ^ 1 << order;
            if !self.is_free_buddy(frames, buddy, order) {
                break;
            }
            self.unlink(frames, buddy, order);
            frames.set(pfn.max(buddy), FrameKind::Tail, 0);
            pfn = pfn.min(buddy);
            order += 1;
        }
        self.push(frames, pfn, order);
    }

    /// `page_is_buddy()`: a free block of this order in this zone.
    #[inline]
    fn is_free_buddy(&self, frames: &Frames, pfn: u32, order: u8) -> bool {
        // A block that reaches beyond the zone starts inside it and is not free: no further test is needed.
        pfn >= self.start && pfn < self.end && frames.word(pfn).is(FrameKind::Buddy, order)
    }

    fn push(&mut self, frames: &Frames, pfn: u32, order: u8) {
        let area = &mut self.areas[usize::from(order)];
        frames.set(pfn, FrameKind::Buddy, order);
        frames.set_prev(pfn, NIL);
        frames.set_next(pfn, area.head);
        if area.head != NIL {
            frames.set_prev(area.head, pfn);
        }
        area.head = pfn;
        area.nr += 1;
    }

    fn unlink(&mut self, frames: &Frames, pfn: u32, order: u8) {
        let area = &mut self.areas[usize::from(order)];
        let (prev, next) = (frames.prev(pfn), frames.next(pfn));
        if prev == NIL {
            area.head = next;
        } else {
            frames.set_next(prev, next);
        }
        if next != NIL {
            frames.set_prev(next, prev);
        }
        area.nr -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_frames(b: &Buddy) -> u32 {
        let sizes = b.areas.iter().enumerate();
        sizes.map(|(order, a)| a.nr << order).sum()
    }

    #[test]
    fn blocks_cover_any_range() {
        for (start, end) in [(0, 1), (0, 16), (16, 29), (1, 64), (1000, 5000)] {
            let frames = Frames::new(end as usize);
            let b = Buddy::new(&frames, 0, start, end);
            assert_eq!(free_frames(&b), end - start, "{start}..{end}");
        }
    }

    #[test]
    fn what_is_split_merges_again() {
        let frames = Frames::new(64);
        let mut b = Buddy::new(&frames, 0, 0, 64);
        let mut take = || {
            let pfn = b.take(&frames, 0)?;
            frames.set(pfn, FrameKind::Allocated, 0);
            Some(pfn)
        };
        let taken: Vec<u32> = (0..64).map_while(|_| take()).collect();
        assert_eq!((taken.len(), free_frames(&b)), (64, 0));
        for pfn in taken {
            b.put(&frames, pfn, 0);
        }
        assert_eq!((b.areas[6].nr, free_frames(&b)), (1, 64));
    }

    #[test]
    fn reset_undoes_everything() {
        let frames = Frames::new(3000);
        let mut b = Buddy::new(&frames, 0, 0, 3000);
        let before = b.areas.map(|a| (a.head, a.nr));
        let first: Vec<_> = (0..50).map(|i| b.take(&frames, i % 4)).collect();
        b.reset(&frames);
        assert_eq!(b.areas.map(|a| (a.head, a.nr)), before);
        let second: Vec<_> = (0..50).map(|i| b.take(&frames, i % 4)).collect();
        assert_eq!(first, second);
    }
}
