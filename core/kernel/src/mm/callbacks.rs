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

    /// Callbacks of the notifiers of an address space, by its number in
    /// [`MmSpec::address_spaces`](super::MmSpec::address_spaces).
    fn invalidate_range_start(&self, _space: usize, _gfp: Gfp) {}

    /// Whether the page's mapping is flagged "writeback may deadlock on reclaim" (`0c4f8ed498ce`, FUSE).
    fn may_deadlock(&self, _page: LruPage) -> bool {
        false
    }

    /// `->writepage()` of a dirty page that is locked: writes it and unlocks it. False: refused, it stays locked.
    fn write_page(&self, _page: LruPage, _gfp: Gfp) -> bool {
        false
    }

    /// `__remove_mapping()`: takes a clean page out of its mapping. False: somebody uses it again.
    fn remove_mapping(&self, _page: LruPage) -> bool {
        true
    }

    /// `printk()` of one line, in the middle of a rebuild of the zonelists.
    fn printk(&self) {}

    /// `printk_deferred_enter()` (true) and `printk_deferred_exit()`.
    fn printk_deferred(&self, _enter: bool) {}

    /// Whether what is printed on this CPU now is written by somebody else, later.
    fn printk_is_deferred(&self) -> bool {
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
