//! What reclaim calls in others: filesystems, shrinkers, the policy of the OOM killer.

use super::gfp::Gfp;
use super::lru::LruPage;
use crate::rt::EntityId;

/// Bodies that reclaim runs in its own context. The harness' interpreter implements it.
pub trait Callbacks: Sync {
    /// `->release_folio()`: frees a page's private data with reclaim's mask. False: refused, the page stays.
    fn release_page(&self, _page: LruPage, _gfp: Gfp) -> bool {
        true
    }

    /// `->scan_objects()` of a shrinker, by its number in [`MmSpec::shrinkers`](super::MmSpec::shrinkers): how many
    /// objects it freed.
    fn scan_objects(&self, _shrinker: usize, _gfp: Gfp) -> u32 {
        1
    }

    /// `try_to_unmap()` of a mapped page. False: it stays mapped.
    fn unmap_page(&self, _page: LruPage, _gfp: Gfp) -> bool {
        true
    }

    /// Whom the OOM killer would choose (`select_bad_process()`), of all tasks or of a memcg's. `None`: there is
    /// nobody to kill.
    fn oom_victim(&self, _memcg: Option<usize>) -> Option<EntityId> {
        None
    }
}

/// Callbacks that do nothing but agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCallbacks;

impl Callbacks for NoCallbacks {}
