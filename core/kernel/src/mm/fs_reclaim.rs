//! What lockdep is told about filesystem reclaim, in all variants F0 to F6.
//!
//! *Touch*: every allocation that might reclaim says so, over the locks it holds. *Hold*: reclaim itself says so,
//! around the locks it takes. A cycle between the two is a possible recursion. The variants differ in their filters and
//! in the order of hold and PF_MEMALLOC; see [`FsReclaim`] for the commits.

use super::Mm;
use super::gfp::Gfp;
use super::pf::Pf;
use crate::lockdep_events as lockdep;
use crate::rt::{Entity, EventKind, current, record};
use crate::rules::{FsReclaim, MmuNotifier, Rules};
use ksplat_lockdep::Read;
use std::sync::atomic::Ordering::Relaxed;

/// Where the annotation and the allocator's actual ability differ: what makes false positives and blindness.
///
/// These are facts about the variant, not broken state: no release gets all of them right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences(u32);

impl Differences {
    /// Nothing differs.
    pub const NONE: Self = Self(0);
    /// A touch although this allocation could not enter filesystem reclaim: a false positive may follow.
    pub const TOUCH_IN_VAIN: Self = Self(1);
    /// No touch although this allocation could enter filesystem reclaim: blind.
    pub const NO_TOUCH: Self = Self(1 << 1);
    /// Filesystem-capable shrink code ran without the hold: blind.
    pub const NO_HOLD: Self = Self(1 << 2);

    /// Whether all of these occurred.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What [`Mm::fs_reclaim_acquire`] did, for the matching release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the hold has to be released"]
pub(crate) struct Hold {
    taken: bool,
    pf: Pf,
}

/// Who holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Direct reclaim: through the filter.
    Direct,
    /// kswapd: unconditionally since F4.
    Kswapd,
}

/// The mask as lockdep's filter sees it.
fn scoped(given: Gfp, pf: Pf, rules: &Rules) -> Gfp {
    if rules.scope_aware_lockdep {
        given.in_context(pf, rules)
    } else {
        given
    }
}

/// Whether an allocation touches the map of the notifiers (`f920e413ff9c`): any that may reclaim, whatever its FS and IO.
fn touches_notifiers(given: Gfp, pf: Pf, rules: &Rules) -> bool {
    matches!(rules.mmu_notifier, MmuNotifier::N2 | MmuNotifier::N2b)
        && needs_reclaim(scoped(given, pf, rules), pf, rules)
}

/// The filter of the variant in force (`__need_fs_reclaim()` and its predecessors and successors).
pub(crate) fn needs_fs_reclaim(given: Gfp, pf: Pf, rules: &Rules) -> bool {
    let gfp = scoped(given, pf, rules);
    // Version 2 of the notifier patch applied the scopes to a copy and tested the caller's mask.
    let tested = if rules.mmu_notifier == MmuNotifier::N2b {
        given
    } else {
        gfp
    };
    tested.has(Gfp::FS) && needs_reclaim(gfp, pf, rules)
}

/// Whether lockdep is to hear of a mask at all, scopes applied (`__need_reclaim()`).
fn needs_reclaim(gfp: Gfp, pf: Pf, rules: &Rules) -> bool {
    if !gfp.may_block() {
        return false;
    }
    let exempt = rules.fs_reclaim <= FsReclaim::F2 && gfp.has(Gfp::NOMEMALLOC);
    if pf.has(Pf::MEMALLOC) && !exempt {
        return false;
    }
    !(rules.nolockdep && gfp.has(Gfp::NOLOCKDEP))
}

/// Whether an allocation could really enter filesystem reclaim in this task now.
fn could_enter_fs_reclaim(gfp: Gfp, pf: Pf, rules: &Rules) -> bool {
    let gfp = gfp.in_context(pf, rules);
    let guarded = rules.guard_pf_memalloc_recursion && pf.has(Pf::MEMALLOC);
    gfp.may_block() && gfp.has(Gfp::FS) && !guarded
}

impl Mm {
    /// `might_alloc()` and its predecessors: the touch of `fs_reclaim`, and sleeping must be legal if the request may
    /// block. Made by the page allocator, the slab allocator, mempools and the like before anything else.
    #[inline]
    pub fn might_alloc(&self, gfp: Gfp) {
        let e = current();
        if self.annotates {
            self.touch_fs_reclaim(&e, gfp);
        }
        self.annotate_unsubmitted(&e, gfp);
        if gfp.may_block() {
            e.might_sleep();
        }
    }

    fn touch_fs_reclaim(&self, e: &Entity, gfp: Gfp) {
        let (rules, pf) = (e.machine().rules(), Pf::from_bits(e.pf()));
        let touches = needs_fs_reclaim(gfp, pf, rules);
        let could = could_enter_fs_reclaim(gfp, pf, rules);
        match (touches, could) {
            (true, false) => self.differs(Differences::TOUCH_IN_VAIN),
            (false, true) => self.differs(Differences::NO_TOUCH),
            _ => {}
        }
        let notifiers = touches_notifiers(gfp, pf, rules);
        if touches && rules.fs_reclaim == FsReclaim::F1 {
            record(EventKind::Lock, || {
                "lockdep_trace_alloc: locks held over RECLAIM_FS".to_owned()
            });
            lockdep::mark_held_reclaim_fs(e);
        }
        let map = self.fs_reclaim.as_ref().filter(|_| touches);
        if let Some(map) = map {
            map.acquire(Read::Exclusive);
        }
        if notifiers {
            self.notifiers.touch();
        }
        if let Some(map) = map {
            map.release();
        }
    }

    /// `fs_reclaim_acquire()` around reclaim work, or what the variant has instead.
    pub(crate) fn fs_reclaim_acquire(&self, gfp: Gfp, by: Holder) -> Hold {
        let e = current();
        let (rules, pf) = (e.machine().rules(), Pf::from_bits(e.pf()));
        let effective = gfp.in_context(pf, rules);
        let taken = self.annotates && holds(gfp, effective, pf, by, rules);
        if taken && rules.fs_reclaim == FsReclaim::F1 {
            record(EventKind::Lock, || {
                "lockdep_set_current_reclaim_state".to_owned()
            });
            lockdep::set_reclaim_fs_context(&e, true);
        } else if let Some(map) = self.fs_reclaim.as_ref().filter(|_| taken) {
            map.acquire(Read::Exclusive);
        }
        if by == Holder::Direct && self.annotates && touches_notifiers(gfp, pf, rules) {
            self.notifiers.touch();
        }
        if self.annotates && !taken && effective.has(Gfp::FS) {
            self.differs(Differences::NO_HOLD);
        }
        Hold { taken, pf }
    }

    /// The matching release. The task's flags have to be what they were at the acquire, or the filter answers
    /// differently and the map is left unbalanced (invariant 40).
    pub(crate) fn fs_reclaim_release(&self, hold: Hold) {
        let e = current();
        let pf = Pf::from_bits(e.pf());
        if pf != hold.pf {
            e.machine().state_break("fs-reclaim-unbalanced", || {
                format!(
                    "{}: PF flags {pf} when fs_reclaim is released, {} when it was acquired",
                    e.name(),
                    hold.pf
                )
            });
        }
        if !hold.taken {
            return;
        }
        if e.machine().rules().fs_reclaim == FsReclaim::F1 {
            lockdep::set_reclaim_fs_context(&e, false);
        } else if let Some(map) = &self.fs_reclaim {
            map.release();
        }
    }

    /// Reclaim that the variant does not annotate at all (memcg charges).
    pub(crate) fn no_hold(&self, gfp: Gfp) {
        if self.annotates && gfp.has(Gfp::FS) {
            self.differs(Differences::NO_HOLD);
        }
    }

    fn differs(&self, how: Differences) {
        self.differences.fetch_or(how.0, Relaxed);
    }

    /// Where annotation and ability differed in this execution (invariant 39, kernel.md's seed A (f)).
    #[must_use]
    pub fn differences(&self) -> Differences {
        Differences(self.differences.load(Relaxed))
    }
}

fn holds(gfp: Gfp, effective: Gfp, pf: Pf, by: Holder, rules: &Rules) -> bool {
    match (rules.fs_reclaim, by) {
        (FsReclaim::F0, _) => false,
        // A state of the task, set whatever its flags: acquisitions test the gfp's FS bit.
        (FsReclaim::F1, _) => effective.has(Gfp::FS),
        (FsReclaim::F4 | FsReclaim::F5 | FsReclaim::F6, Holder::Kswapd) => true,
        _ => needs_fs_reclaim(gfp, pf, rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(fs_reclaim: FsReclaim) -> Rules {
        Rules {
            fs_reclaim,
            ..Rules::default()
        }
    }

    #[test]
    fn only_f1_and_f2_except_nomemalloc() {
        use FsReclaim::{F1, F2, F3, F4, F5, F6};
        let nomemalloc = Gfp::KERNEL | Gfp::NOMEMALLOC;
        for (f, exempt) in [
            (F1, true),
            (F2, true),
            (F3, false),
            (F4, false),
            (F5, false),
            (F6, false),
        ] {
            let r = rules(f);
            assert!(needs_fs_reclaim(Gfp::KERNEL, Pf::NONE, &r));
            assert!(!needs_fs_reclaim(Gfp::KERNEL, Pf::MEMALLOC, &r));
            assert_eq!(
                needs_fs_reclaim(nomemalloc, Pf::MEMALLOC, &r),
                exempt,
                "{f:?}"
            );
            assert!(!needs_fs_reclaim(Gfp::NOFS, Pf::NONE, &r));
            assert!(!needs_fs_reclaim(Gfp::ATOMIC, Pf::NONE, &r));
            assert!(!needs_fs_reclaim(Gfp::KERNEL, Pf::MEMALLOC_NOFS, &r));
            assert!(!needs_fs_reclaim(
                Gfp::KERNEL | Gfp::NOLOCKDEP,
                Pf::NONE,
                &r
            ));
        }
    }

    #[test]
    fn before_4_12_the_filter_knows_no_scopes() {
        let old = Rules {
            scope_aware_lockdep: false,
            nolockdep: false,
            ..rules(FsReclaim::F1)
        };
        assert!(needs_fs_reclaim(Gfp::KERNEL, Pf::MEMALLOC_NOIO, &old));
        assert!(needs_fs_reclaim(
            Gfp::KERNEL | Gfp::NOLOCKDEP,
            Pf::NONE,
            &old
        ));
    }

    #[test]
    fn direct_reclaim_holds_only_before_it_sets_memalloc() {
        use FsReclaim::{F2, F3, F5};
        let direct = |f, gfp, pf| holds(gfp, gfp, pf, Holder::Direct, &rules(f));
        assert!(!direct(F2, Gfp::KERNEL, Pf::MEMALLOC));
        assert!(direct(F2, Gfp::KERNEL | Gfp::NOMEMALLOC, Pf::MEMALLOC));
        assert!(!direct(F3, Gfp::KERNEL | Gfp::NOMEMALLOC, Pf::MEMALLOC));
        assert!(direct(F5, Gfp::KERNEL, Pf::NONE));
        let kswapd = Pf::MEMALLOC | Pf::KSWAPD;
        let daemon = |f| holds(Gfp::KERNEL, Gfp::KERNEL, kswapd, Holder::Kswapd, &rules(f));
        assert!(!daemon(F2) && !daemon(F3) && daemon(F5));
    }
}
