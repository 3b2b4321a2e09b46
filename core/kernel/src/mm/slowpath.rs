//! The allocator's slow path (`__alloc_pages_slowpath()`), in the kernel's order.
//!
//! Not modelled yet: cpusets (their cookie never changes), compaction (it never makes progress), the highatomic reserve.

use super::Mm;
use super::callbacks::Callbacks;
use super::fs_reclaim::Holder;
use super::gfp::Gfp;
use super::oom::OomVerdict;
use super::page::Page;
use super::page_alloc::Pressure;
use super::page_alloc::Request;
use super::pf::{Pf, memalloc_noreclaim_save};
use super::vmscan::ScanControl;
use super::watermark::{AllocFlags, Mark, Reserves};
use super::zone::ZoneKind;
use super::zonelist::gfp_zone;
use super::zonelist_seq::Cookie;
use crate::rt::{Entity, EventKind, Needs, OpKind, ResId, Wait, WaitHow, current, record};
use crate::rules::FsReclaim;

/// `PAGE_ALLOC_COSTLY_ORDER`: requests above it may fail.
const COSTLY_ORDER: u8 = 3;

/// A request in the slow path.
struct Slow<'a> {
    mm: &'a Mm,
    cb: &'a dyn Callbacks,
    r: &'a mut Request,
    flags: AllocFlags,
    /// What `zonelist_update_seq` was when it started.
    cookie: Cookie,
    no_progress_loops: u32,
    /// Direct reclaim ran for this request.
    reclaimed: bool,
}

/// What a step of the slow path comes to.
enum Step {
    Got(Page),
    Retry,
    /// From the beginning: the zonelists have changed.
    Restart,
    NoPage,
    /// The next step.
    On,
}

impl From<Option<Page>> for Step {
    fn from(page: Option<Page>) -> Self {
        page.map_or(Self::On, Self::Got)
    }
}

impl Mm {
    #[cold]
    pub(crate) fn slow_path(&self, cb: &dyn Callbacks, r: &mut Request) -> Option<Page> {
        record(EventKind::Alloc, || format!("slow path, gfp {}", r.gfp));
        let flags = AllocFlags::of(r.gfp, is_rt_task(&current()));
        let slow = Slow {
            mm: self,
            cb,
            r,
            flags,
            cookie: Cookie::default(),
            no_progress_loops: 0,
            reclaimed: false,
        };
        let page = slow.run();
        if page.is_none() {
            record(EventKind::Alloc, || "page allocation failure".to_owned());
        }
        page
    }

    /// Waits until memory may have become free: a retry loop, not a wait for anybody in particular.
    pub(crate) fn wait_for_memory(&self, res: ResId) {
        current().block(Wait {
            res,
            how: WaitHow::Sleep,
            needs: Needs::Anyone,
        });
    }
}

impl Slow<'_> {
    fn run(mut self) -> Option<Page> {
        let mut round = None;
        loop {
            match self.attempt() {
                Step::Got(page) => return Some(page),
                Step::NoPage => {
                    self.mm.audit_given_up(self.r, "spurious-failure");
                    return None;
                }
                Step::Retry | Step::Restart | Step::On => {
                    record(EventKind::Alloc, || {
                        "the zonelists have changed: starts again".to_owned()
                    });
                    current().retry(&mut round);
                }
            }
        }
    }

    /// From the label `restart` on: to a page, to failure, or back to here.
    fn attempt(&mut self) -> Step {
        self.no_progress_loops = 0;
        self.cookie = self.mm.zonelist_iter_begin(self.r.gfp);
        self.flags = AllocFlags::of(self.r.gfp, is_rt_task(&current()));
        self.r.preferred = self.mm.preferred(self.r.node, self.r.highest);
        if self.mm.kept_zones(self.r).next().is_none() {
            return self.no_page();
        }
        self.mm.wake_all_kswapds(self.r);
        if let Some(page) = self.freelist_before_reclaim(self.flags) {
            return Step::Got(page);
        }
        loop {
            let step = match self.round() {
                Step::NoPage => self.no_page(),
                step => step,
            };
            if !matches!(step, Step::Retry | Step::On) {
                return step;
            }
        }
    }

    fn zonelists_changed(&self) -> bool {
        self.mm.check_retry_zonelist(self.r.gfp, self.cookie)
    }

    /// From the label `retry` on.
    fn round(&mut self) -> Step {
        let e = current();
        self.mm.wake_all_kswapds(self.r);
        let reserves = self.reserves(&e);
        match reserves {
            Reserves::No => {}
            Reserves::All => self.flags.mark = Mark::None,
            Reserves::Oom => self.flags.oom = true,
        }
        if reserves != Reserves::No || self.flags.min_reserve {
            // Memory policies and cpusets do not bind such requests: the position in the list is taken anew.
            self.r.preferred = self.mm.preferred(self.r.node, self.r.highest);
        }
        if let Some(page) = self.freelist_before_reclaim(self.flags) {
            return Step::Got(page);
        }
        if !self.r.gfp.may_block() {
            return Step::NoPage;
        }
        if Pf::current().has(Pf::MEMALLOC) && e.machine().rules().guard_pf_memalloc_recursion {
            record(EventKind::Alloc, || {
                "PF_MEMALLOC: does not recurse into reclaim".to_owned()
            });
            return Step::NoPage;
        }
        let (page, progress) = self.direct_reclaim(&e);
        if let Some(page) = page {
            return Step::Got(page);
        }
        let costly = self.r.order > COSTLY_ORDER;
        if self.r.gfp.has(Gfp::NORETRY) || costly && !self.r.gfp.has(Gfp::RETRY_MAYFAIL) {
            return Step::NoPage;
        }
        if self.should_reclaim_retry(&e, progress) {
            return Step::Retry;
        }
        if self.zonelists_changed() {
            return Step::Restart;
        }
        self.may_oom(&e)
    }

    fn reserves(&self, e: &Entity) -> Reserves {
        let victim = self.mm.is_oom_victim(e.task().id());
        Reserves::of(self.r.gfp, Pf::from_bits(e.pf()), e.in_hardirq(), victim)
    }

    fn freelist_before_reclaim(&self, flags: AllocFlags) -> Option<Page> {
        let m = current();
        let pressure = self.r.pressure;
        let fails = if self.reclaimed {
            pressure.freelist_after_reclaim_fails(m.machine())
        } else {
            pressure.freelist_fails(m.machine())
        };
        if fails {
            return None;
        }
        self.mm.get_page_from_freelist(self.r, flags)
    }

    /// `__alloc_pages_direct_reclaim()`: reclaim, try, drain the per-CPU lists once, try again.
    fn direct_reclaim(&mut self, e: &Entity) -> (Option<Page>, bool) {
        let m = e.machine();
        let freed = self.mm.perform_reclaim(self.cb, self.r);
        let first = !std::mem::replace(&mut self.reclaimed, true);
        let progress = self.r.pressure.progress(freed, first, m);
        record(EventKind::Alloc, || {
            format!("direct reclaim freed {freed}, progress {progress}")
        });
        if !progress {
            return (None, false);
        }
        for drained in [false, true] {
            if drained {
                self.mm.drain_all_pages();
            }
            if !self.r.pressure.freelist_after_reclaim_fails(m) {
                let page = self.mm.get_page_from_freelist(self.r, self.flags);
                if page.is_some() {
                    return (page, true);
                }
            }
        }
        (None, true)
    }

    /// `should_reclaim_retry()`: while there is progress, or free and reclaimable memory together would do.
    fn should_reclaim_retry(&mut self, e: &Entity, progress: bool) -> bool {
        if progress && self.r.order <= COSTLY_ORDER {
            self.no_progress_loops = 0;
        } else {
            self.no_progress_loops += 1;
        }
        if self.no_progress_loops > self.mm.bounds.retries {
            return false;
        }
        let min = AllocFlags {
            mark: Mark::Min,
            ..self.flags
        };
        let enough = self.mm.eligible(self.r).any(|z| {
            let available = z.nr_free() + self.mm.reclaimable(z);
            z.enough(available, self.r.order, self.r.highest, min)
        });
        if !enough {
            return false;
        }
        // A worker sleeps one tick, so that its pool notices; others offer the CPU (`cond_resched()`).
        cond_resched(e);
        true
    }

    /// `__alloc_pages_may_oom()` and what follows it.
    fn may_oom(&mut self, e: &Entity) -> Step {
        let forced = std::mem::take(&mut self.r.pressure) != super::Pressure::None;
        let (page, verdict) = self.oom(forced);
        if let Some(page) = page {
            return Step::Got(page);
        }
        let victim = self.mm.is_oom_victim(e.task().id());
        if victim && (self.flags.oom || self.r.gfp.has(Gfp::NOMEMALLOC)) {
            return Step::NoPage;
        }
        if verdict == OomVerdict::NotForThis {
            return Step::NoPage;
        }
        self.no_progress_loops = 0;
        // The first retry finds out what memory is really like once nothing is forced any more.
        let killed = victim && verdict == OomVerdict::Progress;
        if !forced && !killed {
            self.mm.wait_for_memory(self.mm.memory);
        }
        Step::Retry
    }

    fn oom(&self, forced: bool) -> (Option<Page>, OomVerdict) {
        if !self.mm.oom.trylock() {
            record(EventKind::Alloc, || {
                "oom_lock is taken: somebody else makes progress".to_owned()
            });
            return (None, OomVerdict::Progress);
        }
        // Somebody may have been killed meanwhile: one look at the high watermark.
        let page = (!forced)
            .then(|| {
                self.mm
                    .get_page_from_freelist(self.r, AllocFlags::plain(Mark::High))
            })
            .flatten();
        let verdict = if page.is_some() {
            OomVerdict::Progress
        } else if self.oom_is_not_for_this() {
            OomVerdict::NotForThis
        } else {
            self.mm.audit_oom(self.r, forced);
            self.mm.audit_given_up(self.r, "spurious-oom");
            self.mm.out_of_memory(self.cb, self.r.gfp)
        };
        self.mm.oom.unlock();
        current().machine().wake(self.mm.memory);
        (page, verdict)
    }

    fn oom_is_not_for_this(&self) -> bool {
        self.r.order > COSTLY_ORDER
            || self.r.gfp.any(Gfp::RETRY_MAYFAIL | Gfp::THISNODE)
            || self.r.highest < ZoneKind::Normal
    }

    /// The label `nopage`: only `__GFP_NOFAIL` goes on, with the min reserve.
    fn no_page(&mut self) -> Step {
        if self.zonelists_changed() {
            return Step::Restart;
        }
        if !self.r.gfp.has(Gfp::NOFAIL) || !self.r.gfp.may_block() {
            return Step::NoPage;
        }
        let forced = std::mem::take(&mut self.r.pressure) != super::Pressure::None;
        let flags = AllocFlags {
            min_reserve: true,
            ..AllocFlags::plain(Mark::Min)
        };
        let page = self.mm.get_page_from_freelist(self.r, flags);
        if page.is_none() && !forced {
            self.mm.wait_for_memory(self.mm.memory);
        }
        match page {
            Some(page) => Step::Got(page),
            None => Step::Retry,
        }
    }
}

/// `rt_or_dl_task(current) && in_task()`.
fn is_rt_task(e: &Entity) -> bool {
    e.prio > 0 && !e.in_hardirq()
}

/// `cond_resched()`: where sleeping is illegal it complains, whether or not it would sleep (`might_resched()`).
fn cond_resched(e: &Entity) {
    e.might_sleep();
    e.point(OpKind::Yield, ResId::NONE);
}

impl Mm {
    /// Direct reclaim as a request of this mask would do it, with all that goes around it. Returns the pages freed.
    pub fn reclaim(&self, cb: &dyn Callbacks, given: Gfp) -> u32 {
        let e = current();
        let gfp = given.in_context(Pf::from_bits(e.pf()), e.machine().rules());
        let (node, highest) = (self.this_node(&e), gfp_zone(gfp));
        let r = Request {
            given,
            gfp,
            order: 0,
            node,
            highest,
            preferred: self.preferred(node, highest),
            pressure: Pressure::None,
        };
        self.perform_reclaim(cb, &r)
    }

    /// `__perform_reclaim()`: hold and PF_MEMALLOC around `try_to_free_pages()`, in the variant's order. Returns the
    /// pages freed.
    pub(crate) fn perform_reclaim(&self, cb: &dyn Callbacks, r: &Request) -> u32 {
        let e = current();
        cond_resched(&e);
        self.enter_reclaim(&e);
        // 93781325da6e (F4): the hold comes first, so that its filter does not see our own PF_MEMALLOC.
        let hold_first = e.machine().rules().fs_reclaim >= FsReclaim::F4;
        let early = hold_first.then(|| self.fs_reclaim_acquire(r.gfp, Holder::Direct));
        let scope = memalloc_noreclaim_save();
        let late = (!hold_first).then(|| self.fs_reclaim_acquire(r.gfp, Holder::Direct));
        let freed = self.try_to_free_pages(cb, r);
        if let Some(hold) = late {
            self.fs_reclaim_release(hold);
        }
        scope.restore();
        if let Some(hold) = early {
            self.fs_reclaim_release(hold);
        }
        self.leave_reclaim(&e);
        cond_resched(&e);
        freed
    }

    /// `try_to_free_pages()`: throttled, then through the node's lists and all shrinkers.
    fn try_to_free_pages(&self, cb: &dyn Callbacks, r: &Request) -> u32 {
        let e = current();
        let gfp = r.gfp.in_context(Pf::from_bits(e.pf()), e.machine().rules());
        if self.throttle_direct_reclaim(r, gfp) {
            return 1;
        }
        let mut sc = ScanControl::new(gfp, self.bounds.cluster.max(1 << r.order));
        self.do_try_to_free_pages(cb, r.node, &mut sc);
        sc.reclaimed
    }
}
