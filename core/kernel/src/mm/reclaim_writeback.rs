//! What reclaim does about pages under writeback and dirty pages: the wait rules R0 to R4, and who may write.

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::lru::LruPage;
use super::node::Node;
use super::page::{PageFlags, Pfn};
use super::pf::Pf;
use super::vmscan::{Fate, ScanControl, Step};
use crate::rt::{EventKind, current, record};
use crate::rules::{Cgroup, Rules, WritebackWait};
use std::sync::atomic::Ordering::SeqCst;

/// `may_enter_fs()`: reclaim with this mask may call into the filesystem of a page-cache page.
pub(super) fn may_enter_fs(gfp: Gfp, rules: &Rules) -> bool {
    gfp.has(Gfp::FS) || !rules.guard_may_enter_fs
}

fn may_do_io(gfp: Gfp, rules: &Rules) -> bool {
    gfp.has(Gfp::IO) || !rules.guard_may_do_io
}

/// `writeback_throttling_sane()`: writers are throttled before they fill the memcg, so reclaim need not wait
/// (`97c9341f7272`, before R3: 4.2-rc1 and 4.2-rc6).
const fn throttling_sane(memcg: bool, rules: &Rules) -> bool {
    !memcg || matches!(rules.cgroup, Cgroup::V2) && rules.cgroup_writeback
}

/// Whether reclaim waits for a page under writeback that it meets for the second time (PG_reclaim is set).
///
/// `memcg`: a memcg's limit is being enforced. `may_deadlock`: the page's mapping says that its writeback may wait for
/// reclaim.
pub(super) fn waits(rules: &Rules, memcg: bool, gfp: Gfp, may_deadlock: bool) -> bool {
    match rules.writeback_wait {
        WritebackWait::R0 => false,
        WritebackWait::R1 => memcg && may_enter_fs(gfp, rules),
        WritebackWait::R2 => memcg && may_do_io(gfp, rules),
        WritebackWait::R3 | WritebackWait::R3b => {
            !throttling_sane(memcg, rules) && may_enter_fs(gfp, rules)
        }
        WritebackWait::R4 => {
            !throttling_sane(memcg, rules) && may_enter_fs(gfp, rules) && !may_deadlock
        }
    }
}

impl Mm {
    /// The writeback cases of `shrink_folio_list()`: count and go on, mark and go on, or wait.
    pub(super) fn meets_writeback(
        &self,
        cb: &dyn Callbacks,
        node: &Node,
        page: LruPage,
        sc: &ScanControl,
    ) -> Step {
        let e = current();
        let seen = self.frames.flags(page.pfn).has(PageFlags::RECLAIM);
        let pf = Pf::current();
        if pf.has(Pf::KSWAPD) && seen {
            // Case 1: pages come round faster than the device writes; kswapd's caller will throttle.
            node.writeback.store(true, SeqCst);
            record(EventKind::Reclaim, || {
                format!("pfn {:#x}: under writeback, met again", page.pfn.0)
            });
            return Step::Is(Fate::Activate);
        }
        let rules = e.machine().rules();
        if seen && waits(rules, sc.memcg.is_some(), sc.gfp, cb.may_deadlock(page)) {
            record(EventKind::Reclaim, || {
                format!(
                    "pfn {:#x}: under writeback, PG_reclaim set, gfp {}: waits for it",
                    page.pfn.0, sc.gfp
                )
            });
            return Step::WaitForWriteback;
        }
        record(EventKind::Reclaim, || {
            let again = if seen { " again" } else { "" };
            format!(
                "pfn {:#x}: under writeback, met{again}: PG_reclaim, next page",
                page.pfn.0
            )
        });
        self.frames.set_flags(page.pfn, PageFlags::RECLAIM);
        Step::Is(Fate::Activate)
    }

    /// A dirty page-cache page: only kswapd writes it, and only if it comes round for the second time on a node where
    /// dirty pages pile up. Everybody else marks it and goes on.
    pub(super) fn meets_dirty(
        &self,
        cb: &dyn Callbacks,
        node: &Node,
        page: LruPage,
        sc: &ScanControl,
    ) -> Step {
        let e = current();
        let rules = e.machine().rules();
        let seen = self.frames.flags(page.pfn).has(PageFlags::RECLAIM);
        let writes = Pf::current().has(Pf::KSWAPD) || !rules.guard_kswapd_writes_only;
        let piling_up = node.dirty.swap(true, SeqCst);
        if !(writes && seen && piling_up) {
            self.frames.set_flags(page.pfn, PageFlags::RECLAIM);
            return Step::Is(Fate::Activate);
        }
        if !may_enter_fs(sc.gfp, rules) || !may_do_io(sc.gfp, rules) {
            return Step::Is(Fate::Keep);
        }
        self.audit_pageout(sc.gfp);
        record(EventKind::Reclaim, || {
            format!("pfn {:#x}: dirty, pageout", page.pfn.0)
        });
        if cb.write_page(page, sc.gfp) {
            // The filesystem unlocked the page.
            Step::Unlocked(Fate::Keep)
        } else {
            Step::Is(Fate::Keep)
        }
    }

    /// Invariants 11 and 12: what reclaim may not write it does not.
    fn audit_pageout(&self, gfp: Gfp) {
        let e = current();
        if !Pf::current().has(Pf::KSWAPD) {
            e.machine().state_break("direct-reclaim-writes", || {
                format!("{} writes a file page from direct reclaim", e.name())
            });
        }
        if !gfp.has(Gfp::FS) || !gfp.has(Gfp::IO) {
            e.machine().state_break("pageout-without-permission", || {
                format!("{} writes a page with {gfp}", e.name())
            });
        }
    }

    /// Invariant 26: a page that leaves its mapping is neither dirty nor under writeback.
    pub(super) fn audit_removal(&self, pfn: Pfn) {
        let flags = self.frames.flags(pfn);
        if flags.has(PageFlags::DIRTY) || flags.has(PageFlags::WRITEBACK) {
            current().machine().state_break("removed-in-use", || {
                format!(
                    "pfn {:#x} leaves its mapping dirty or under writeback",
                    pfn.0
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(writeback_wait: WritebackWait, cgroup: Cgroup) -> Rules {
        Rules {
            writeback_wait,
            cgroup,
            cgroup_writeback: cgroup == Cgroup::V2,
            ..Rules::default()
        }
    }

    #[test]
    fn only_memcg_reclaim_waits() {
        use WritebackWait::{R0, R1, R2, R3, R3b, R4};
        for r in [R0, R1, R2, R3, R3b, R4] {
            assert!(
                !waits(&rules(r, Cgroup::V1), false, Gfp::KERNEL, false),
                "{r:?}"
            );
        }
    }

    #[test]
    fn r2_is_content_with_io() {
        use WritebackWait::{R1, R2, R3};
        let legacy = |r, gfp| waits(&rules(r, Cgroup::V1), true, gfp, false);
        assert!(legacy(R1, Gfp::KERNEL) && !legacy(R1, Gfp::NOFS));
        assert!(legacy(R2, Gfp::NOFS) && !legacy(R2, Gfp::NOIO));
        assert!(legacy(R3, Gfp::KERNEL) && !legacy(R3, Gfp::NOFS));
    }

    #[test]
    fn r4_looks_at_the_mapping() {
        use WritebackWait::{R3b, R4};
        let flagged = |r| waits(&rules(r, Cgroup::V1), true, Gfp::KERNEL, true);
        assert!(flagged(R3b) && !flagged(R4));
        assert!(!waits(&rules(R3b, Cgroup::V2), true, Gfp::KERNEL, false));
    }

    #[test]
    fn without_the_guard_nofs_waits() {
        let mut r = rules(WritebackWait::R3, Cgroup::V1);
        r.guard_may_enter_fs = false;
        assert!(waits(&r, true, Gfp::NOFS, false));
    }
}
