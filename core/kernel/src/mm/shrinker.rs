//! Registered shrinkers: caches that give pages back when reclaim asks (`shrink_slab()`).

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::page::NIL;
use super::vmscan::ScanControl;
use crate::rt::{EventKind, record};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Description of a shrinker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShrinkerSpec {
    /// Its name.
    pub name: String,
    /// Pages it can give back in all; fewer if its zone has no more at the start.
    pub objects: u32,
    /// Number of the zone whose frames its objects are.
    pub zone: usize,
    /// Refuses masks without `__GFP_FS`, as the superblock shrinker does.
    pub needs_fs: bool,
    /// `SHRINKER_MEMCG_AWARE`: reclaim from a memcg calls it too.
    pub memcg_aware: bool,
}

/// A registered shrinker and the frames of its objects.
#[derive(Debug)]
pub(crate) struct Shrinker {
    pub(crate) spec: ShrinkerSpec,
    pub(crate) frames: Box<[AtomicU32]>,
    /// Objects that it has left.
    pub(crate) left: AtomicU32,
}

impl Shrinker {
    pub(crate) fn new(spec: &ShrinkerSpec) -> Self {
        Self {
            spec: spec.clone(),
            frames: (0..spec.objects).map(|_| AtomicU32::new(NIL)).collect(),
            left: AtomicU32::new(0),
        }
    }

    /// The frame of the next object to go.
    fn take(&self) -> Option<u32> {
        let less = |n: u32| n.checked_sub(1);
        let left = self.left.fetch_update(Relaxed, Relaxed, less).ok()?;
        Some(self.frames[left as usize - 1].load(Relaxed))
    }
}

impl Mm {
    /// Objects that a shrinker has left.
    ///
    /// # Panics
    /// If there is no such shrinker.
    #[must_use]
    pub fn shrinker_objects(&self, shrinker: usize) -> u32 {
        self.shrinkers[shrinker].left.load(Relaxed)
    }

    /// `shrink_slab()`: asks every shrinker once, with reclaim's mask. Returns the pages freed.
    pub fn shrink_slab(&self, cb: &dyn Callbacks, gfp: Gfp) -> u32 {
        let mut sc = ScanControl::new(gfp, u32::MAX);
        self.shrink_slab_for(cb, &mut sc);
        sc.reclaimed
    }

    pub(crate) fn shrink_slab_for(&self, cb: &dyn Callbacks, sc: &mut ScanControl) {
        for (i, s) in self.shrinkers.iter().enumerate() {
            if sc.memcg.is_some() && !s.spec.memcg_aware {
                continue;
            }
            if s.spec.needs_fs && !sc.gfp.has(Gfp::FS) {
                record(EventKind::Reclaim, || {
                    format!("shrinker {} refuses {}", s.spec.name, sc.gfp)
                });
                continue;
            }
            record(EventKind::Reclaim, || {
                format!("shrinker {} scans with {}", s.spec.name, sc.gfp)
            });
            let freed = cb.scan_objects(i, sc.gfp);
            for pfn in (0..freed).map_while(|_| s.take()) {
                self.free_frame(pfn);
                sc.reclaimed += 1;
            }
        }
    }
}
