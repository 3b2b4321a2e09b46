//! MMU notifiers: drivers are told before page tables change, also when reclaim unmaps a page.
//!
//! What lockdep hears is the variant: nothing (N0), the map around each invalidation (N1), and besides the edge from
//! `fs_reclaim` primed at registration (N1p), or a touch by every allocation that may reclaim (N2; N2b is version 2 of
//! that patch, whose filesystem test ignores the scopes of the task).

use super::Mm;
use super::callbacks::Callbacks;
use super::fs_reclaim::Holder;
use super::gfp::Gfp;
use super::page::{NIL, PageFlags, Pfn};
use crate::rt::{
    Entity, EntityId, EntitySet, EventKind, MAX_ENTITIES, Machine, Needs, OpKind, ResId, ResKind,
    Wait, WaitHow, current, record,
};
use crate::rules::MmuNotifier;
use crate::sync::LockMap;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

/// Name of the class (`__mmu_notifier_invalidate_range_start_map`).
const CLASS: &str = "mmu_notifier_invalidate_range_start";

/// Description of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpaceSpec {
    /// Its name.
    pub name: String,
    /// Numbers in [`MmSpec::lru`](super::MmSpec::lru) of the pages mapped when the tasks start.
    pub pages: Vec<u32>,
}

/// `struct mm_struct` as far as notifiers go.
#[derive(Debug)]
struct AddressSpace {
    name: String,
    pages: Vec<u32>,
    /// What waits for the end of invalidations go through.
    invalidating: ResId,
    /// How deep each entity is inside of one.
    depth: [AtomicU8; MAX_ENTITIES],
}

impl AddressSpace {
    /// Those inside of an invalidation, one bit each.
    fn inside(&self) -> EntitySet {
        let ids = (0..MAX_ENTITIES).filter(|&i| self.depth[i].load(Relaxed) != 0);
        ids.fold(0, |s, i| s | EntityId::new(i).bit())
    }
}

/// The address spaces of a machine.
#[derive(Debug)]
pub(crate) struct Notifiers {
    spaces: Box<[AddressSpace]>,
    /// One map for all address spaces, or one each (`map_scope`); none in N0.
    maps: Box<[LockMap]>,
    /// The address space that maps a page, by page number.
    mapped_in: Box<[AtomicU32]>,
}

impl Notifiers {
    pub(crate) fn new(m: &mut Machine, spaces: &[AddressSpaceSpec], pages: usize) -> Self {
        let known = m.rules().lockdep && m.rules().mmu_notifier != MmuNotifier::N0;
        // A machine without address spaces still has the class: allocations touch it.
        let maps = match (known, m.rules().map_per_mm) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => spaces.len(),
        };
        let maps = (0..maps).map(|i| {
            let name = match spaces.get(i) {
                Some(space) if m.rules().map_per_mm => format!("{CLASS} of {}", space.name),
                _ => CLASS.to_owned(),
            };
            let key = LockMap::class(m, &name);
            LockMap::new(m, &name, key)
        });
        let maps = maps.collect();
        let spaces = spaces.iter().map(|spec| AddressSpace {
            name: spec.name.clone(),
            pages: spec.pages.clone(),
            invalidating: m.add_resource(
                ResKind::WaitQueue,
                format_args!("invalidation of {} to end", spec.name),
            ),
            depth: [const { AtomicU8::new(0) }; MAX_ENTITIES],
        });
        let notifiers = Self {
            spaces: spaces.collect(),
            maps,
            mapped_in: (0..pages).map(|_| AtomicU32::new(NIL)).collect(),
        };
        notifiers.reset();
        notifiers
    }

    pub(crate) fn reset(&self) {
        self.mapped_in.iter().for_each(|m| m.store(NIL, Relaxed));
        for (i, space) in self.spaces.iter().enumerate() {
            space.depth.iter().for_each(|d| d.store(0, Relaxed));
            for &page in &space.pages {
                if let Some(slot) = self.mapped_in.get(page as usize) {
                    slot.store(i as u32, Relaxed);
                }
            }
        }
    }

    fn map_of(&self, space: usize) -> Option<&LockMap> {
        match &*self.maps {
            [one] => Some(one),
            maps => maps.get(space),
        }
    }

    /// The touch of N2: whatever reclaim unmaps may invalidate any address space.
    pub(crate) fn touch(&self) {
        self.maps.iter().for_each(LockMap::touch);
    }
}

impl Mm {
    /// Runs `inside` between `mmu_notifier_invalidate_range_start()` and `_end()`. The callbacks of the address space's
    /// notifiers run first, with reclaim's mask.
    ///
    /// # Panics
    /// If there is no such address space.
    pub fn invalidate(&self, cb: &dyn Callbacks, space: usize, gfp: Gfp, inside: impl FnOnce()) {
        let e = current();
        self.invalidate_range_start(&e, cb, space, gfp);
        inside();
        self.invalidate_range_end(&e, space);
    }

    fn invalidate_range_start(&self, e: &Entity, cb: &dyn Callbacks, space: usize, gfp: Gfp) {
        let s = &self.notifiers.spaces[space];
        e.might_sleep();
        e.point(OpKind::Store, s.invalidating);
        record(EventKind::Step, || {
            format!("mmu_notifier_invalidate_range_start {}", s.name)
        });
        let depth = &s.depth[e.id().index()];
        depth.store(depth.load(Relaxed).saturating_add(1), Relaxed);
        self.publish_invalidators(e, s);
        let map = self.notifiers.map_of(space);
        if let Some(map) = map {
            map.acquire(ksplat_lockdep::Read::Exclusive);
        }
        // Non-blocking callbacks (the OOM reaper's): anything that may sleep in them is a mistake (`non_block_start()`).
        let blockable = e.machine().rules().callback_blockable;
        if !blockable {
            e.preempt_disable();
        }
        cb.invalidate_range_start(space, gfp);
        if !blockable {
            e.preempt_enable();
        }
        if let Some(map) = map {
            map.release();
        }
    }

    fn invalidate_range_end(&self, e: &Entity, space: usize) {
        let s = &self.notifiers.spaces[space];
        e.point(OpKind::Wake, s.invalidating);
        if let Some(map) = self.notifiers.map_of(space) {
            map.touch();
        }
        record(EventKind::Step, || {
            format!("mmu_notifier_invalidate_range_end {}", s.name)
        });
        let depth = &s.depth[e.id().index()];
        let left = depth.load(Relaxed).saturating_sub(1);
        depth.store(left, Relaxed);
        if left == 0 {
            self.publish_invalidators(e, s);
            e.machine().changed(e, true);
            e.machine().wake(s.invalidating);
        }
    }

    /// Those inside of an invalidation are who can end a wait for its end.
    fn publish_invalidators(&self, e: &Entity, s: &AddressSpace) {
        e.machine().set_enders(s.invalidating, s.inside());
    }

    /// `try_to_unmap()`: takes a page out of the address space that maps it, with its notifiers.
    pub fn try_to_unmap(&self, cb: &dyn Callbacks, pfn: Pfn, gfp: Gfp) {
        let Some(page) = self.page_number(pfn) else {
            return;
        };
        let space = self.notifiers.mapped_in[page].load(Relaxed) as usize;
        let unmap = || {
            self.frames.clear_flags(pfn, PageFlags::MAPPED);
            self.notifiers.mapped_in[page].store(NIL, Relaxed);
        };
        if space >= self.notifiers.spaces.len() {
            return unmap();
        }
        self.invalidate(cb, space, gfp, unmap);
    }

    /// `munmap()` of everything: no page of the address space is mapped afterwards.
    ///
    /// # Panics
    /// If there is no such address space.
    pub fn munmap(&self, cb: &dyn Callbacks, space: usize) {
        self.invalidate(cb, space, Gfp::KERNEL, || {
            for (page, mapped_in) in self.notifiers.mapped_in.iter().enumerate() {
                if mapped_in.load(Relaxed) != space as u32 {
                    continue;
                }
                mapped_in.store(NIL, Relaxed);
                if let Some(pfn) = self.lru_frame(page) {
                    self.frames.clear_flags(pfn, PageFlags::MAPPED);
                }
            }
        });
    }

    /// Maps a page into an address space. A page is mapped once at most.
    pub fn map_page(&self, page: usize, space: usize) {
        let Some(pfn) = self.lru_frame(page) else {
            return;
        };
        current().point(OpKind::Store, self.notifiers.spaces[space].invalidating);
        self.notifiers.mapped_in[page].store(space as u32, Relaxed);
        self.frames.set_flags(pfn, PageFlags::MAPPED);
    }

    /// What `mmu_notifier_register()` tells lockdep: N1p primes `fs_reclaim` -> range start (`66204f1d2d1b`).
    pub fn mmu_notifier_register(&self, space: usize) {
        let e = current();
        record(EventKind::Step, || {
            format!(
                "mmu_notifier_register {}",
                self.notifiers.spaces[space].name
            )
        });
        if e.machine().rules().mmu_notifier != MmuNotifier::N1p {
            return;
        }
        let hold = self.fs_reclaim_acquire(Gfp::KERNEL, Holder::Direct);
        if let Some(map) = self.notifiers.map_of(space) {
            map.touch();
        }
        self.fs_reclaim_release(hold);
    }

    /// `mmu_interval_read_begin()`: waits until nobody is inside of an invalidation. Touches the map.
    ///
    /// # Panics
    /// If there is no such address space.
    pub fn mmu_interval_read_begin(&self, space: usize) {
        let (e, s) = (current(), &self.notifiers.spaces[space]);
        e.might_sleep();
        if let Some(map) = self.notifiers.map_of(space) {
            map.touch();
        }
        e.point(OpKind::Wait, s.invalidating);
        let wait = Wait {
            res: s.invalidating,
            how: WaitHow::Sleep,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || s.inside() == 0);
    }
}
