//! Memory control groups: a limit, charges, per-CPU stocks, and reclaim that a charge enters (`try_charge_memcg()`).
//!
//! A charge takes more from the counter than it needs and leaves the rest in the stock of its CPU (`memcg_stock`), from
//! which later charges of that CPU are served. The kernel has one stock a CPU, in batches of 64 pages; here every memcg
//! has its own, and says how large a batch is.

use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::invariants::EVERY_STEP_FRAMES;
use super::page_alloc::Pressure;
use super::pf::{Pf, memalloc_noreclaim_save};
use super::vmscan::ScanControl;
use super::{Mm, fs_reclaim::Holder};
use crate::rt::{EventKind, Machine, OpKind, ResId, ResKind, current, record};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Description of a memcg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcgSpec {
    /// Its name.
    pub name: String,
    /// Pages it may charge.
    pub limit: u64,
    /// Pages charged at the start, besides those of LRU pages.
    pub usage: u64,
    /// Pages that a charge takes from the counter at once; 0 or 1: no stocks.
    pub stock: u64,
}

/// `struct mem_cgroup`: one level.
#[derive(Debug)]
pub(crate) struct Memcg {
    pub(crate) name: String,
    limit: u64,
    start: u64,
    /// Pages taken from the counter: those charged and those in stocks.
    usage: AtomicU64,
    /// Pages that somebody pays for.
    charged: AtomicU64,
    /// Pages charged although the limit was reached, since the start.
    forced: AtomicU64,
    batch: u64,
    /// By CPU.
    stocks: Box<[AtomicU64]>,
    changed: AtomicBool,
    /// What charges that cannot go on wait for.
    res: ResId,
}

impl Memcg {
    pub(crate) fn new(m: &mut Machine, spec: &MemcgSpec) -> Self {
        Self {
            name: spec.name.clone(),
            limit: spec.limit,
            start: spec.usage,
            usage: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            forced: AtomicU64::new(0),
            batch: spec.stock,
            stocks: (0..m.nr_cpus()).map(|_| AtomicU64::new(0)).collect(),
            changed: AtomicBool::new(false),
            res: m.add_resource(ResKind::Memory, format_args!("memory of {}", spec.name)),
        }
    }

    pub(crate) fn reset(&self) {
        self.usage.store(self.start, Relaxed);
        self.charged.store(self.start, Relaxed);
        self.forced.store(0, Relaxed);
        self.stocks.iter().for_each(|s| s.store(0, Relaxed));
        self.changed.store(false, Relaxed);
    }

    /// `page_counter_try_charge()`.
    fn try_count(&self, pages: u64) -> bool {
        let more = |u: u64| (u + pages <= self.limit).then_some(u + pages);
        self.usage.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Charges whatever the limit says.
    pub(crate) fn force(&self, pages: u64) {
        self.usage.fetch_add(pages, Relaxed);
        self.forced.fetch_add(pages, Relaxed);
        self.count(pages);
    }

    fn count(&self, pages: u64) {
        self.charged.fetch_add(pages, Relaxed);
        self.changed.store(true, Relaxed);
    }

    /// Pages in stocks.
    fn stocked(&self) -> u64 {
        self.stocks.iter().map(|s| s.load(Relaxed)).sum()
    }

    /// `consume_stock()`.
    fn consume(&self, cpu: usize, pages: u64) -> bool {
        let less = |s: u64| s.checked_sub(pages);
        let served = self.stocks[cpu]
            .fetch_update(Relaxed, Relaxed, less)
            .is_ok();
        if served {
            self.count(pages);
        }
        served
    }

    /// The counter first for a whole batch, then for what is needed; what is left over goes to the stock.
    fn take(&self, cpu: usize, pages: u64) -> bool {
        if self.batch > pages && self.try_count(self.batch) {
            self.stocks[cpu].fetch_add(self.batch - pages, Relaxed);
            self.count(pages);
            return true;
        }
        let taken = self.try_count(pages);
        if taken {
            self.count(pages);
        }
        taken
    }

    /// Invariant 28: the counter is what is charged and what is in stocks, and above the limit only by force.
    fn audit(&self, tell: &mut dyn FnMut(&'static str, String)) {
        let (usage, charged) = (self.usage.load(Relaxed), self.charged.load(Relaxed));
        let stocked = self.stocked();
        if usage != charged + stocked {
            tell(
                "memcg-charges",
                format!(
                    "{}: the counter says {usage}, {charged} pages are charged and {stocked} in stocks",
                    self.name
                ),
            );
        }
        let most = self.limit + self.forced.load(Relaxed);
        if usage > most {
            tell(
                "memcg-limit",
                format!("{}: the counter says {usage}, at most {most}", self.name),
            );
        }
    }
}

impl Mm {
    /// Pages charged to a memcg.
    ///
    /// # Panics
    /// If there is no such memcg.
    #[must_use]
    pub fn memcg_usage(&self, memcg: usize) -> u64 {
        self.memcgs[memcg].usage.load(Relaxed)
    }

    /// `mem_cgroup_uncharge()`.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn uncharge(&self, memcg: usize, pages: u64) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        e.point(OpKind::Store, g.res);
        let less = |u: u64| u.checked_sub(pages);
        if g.charged.fetch_update(Relaxed, Relaxed, less).is_err() {
            e.machine().state_break("memcg-underflow", || {
                format!("{pages} pages uncharged from {}, which has fewer", g.name)
            });
            return;
        }
        g.usage.fetch_sub(pages, Relaxed);
        g.changed.store(true, Relaxed);
        e.machine().wake(g.res);
        e.machine().touch();
    }

    /// `drain_all_stock()`: what the stocks of a memcg hold goes back to its counter. The kernel queues a work item on
    /// each of the other CPUs and does not wait for them; here it happens at once.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn drain_stock(&self, memcg: usize) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        e.point(OpKind::Store, g.res);
        let drained: u64 = g.stocks.iter().map(|s| s.swap(0, Relaxed)).sum();
        record(EventKind::Alloc, || {
            format!("drains the stocks of {}: {drained} pages", g.name)
        });
        g.usage.fetch_sub(drained, Relaxed);
        g.changed.store(true, Relaxed);
        e.machine().wake(g.res);
        e.machine().touch();
    }

    pub(super) fn audit_memcgs(&self, tell: &mut dyn FnMut(&'static str, String)) {
        for (n, g) in self.memcgs.iter().enumerate() {
            if g.changed.swap(false, Relaxed) {
                g.audit(tell);
                self.audit_page_charges(n, tell);
            }
        }
    }

    /// Invariant 28: every page of the page cache that says it is charged to a memcg is among what is charged.
    fn audit_page_charges(&self, memcg: usize, tell: &mut dyn FnMut(&'static str, String)) {
        if self.memcg_tags.len() > EVERY_STEP_FRAMES {
            return;
        }
        let here = |tag: &&AtomicU32| tag.load(Relaxed) == memcg as u32;
        let pages = self.memcg_tags.iter().filter(here).count() as u64;
        let charged = self.memcgs[memcg].charged.load(Relaxed);
        if pages > charged {
            let name = &self.memcgs[memcg].name;
            tell(
                "memcg-charges",
                format!("{name}: {pages} pages say that they are charged, {charged} are"),
            );
        }
    }

    /// `try_charge_memcg()`: charges pages, reclaiming from the memcg when its limit is reached. False: no memory
    /// (`-ENOMEM`). Any pressure but `None` makes the limit appear reached at first.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn try_charge(
        &self,
        cb: &dyn Callbacks,
        memcg: usize,
        gfp: Gfp,
        pages: u64,
        pressure: Pressure,
    ) -> bool {
        let (e, g) = (current(), &self.memcgs[memcg]);
        let effective = gfp.in_context(Pf::current(), e.machine().rules());
        let mut forced = pressure.fast_path_fails(e.machine());
        let mut retries = self.bounds.retries;
        let mut drained = g.batch <= 1;
        let cpu = usize::from(e.cpu().0);
        loop {
            e.point(OpKind::Store, g.res);
            if !std::mem::take(&mut forced) && (g.consume(cpu, pages) || g.take(cpu, pages)) {
                e.machine().touch();
                return true;
            }
            record(EventKind::Alloc, || {
                format!(
                    "charge of {pages} pages to {} hits the limit, gfp {gfp}",
                    g.name
                )
            });
            if Pf::current().has(Pf::MEMALLOC) {
                g.force(pages);
                return true;
            }
            if !effective.may_block() {
                return self.charge_fails(memcg, gfp, pages);
            }
            let reclaimed = self.try_to_free_mem_cgroup_pages(cb, memcg, gfp);
            if reclaimed == 0 && !std::mem::replace(&mut drained, true) {
                self.drain_stock(memcg);
                continue;
            }
            if reclaimed == 0 && retries > 0 && !effective.has(Gfp::NORETRY) {
                retries -= 1;
                continue;
            }
            if reclaimed != 0 {
                continue;
            }
            if effective.any(Gfp::NORETRY | Gfp::RETRY_MAYFAIL) || !self.mem_cgroup_oom(cb, memcg) {
                return self.charge_fails(memcg, gfp, pages);
            }
            // The victim's exit uncharges; until then this charge tries again and again.
            self.wait_for_memory(g.res);
            retries = self.bounds.retries;
        }
    }

    fn charge_fails(&self, memcg: usize, gfp: Gfp, pages: u64) -> bool {
        let g = &self.memcgs[memcg];
        if gfp.any(Gfp::NOFAIL | Gfp::HIGH) {
            g.force(pages);
            return true;
        }
        record(EventKind::Alloc, || format!("charge to {} fails", g.name));
        false
    }

    /// `try_to_free_mem_cgroup_pages()`: PF_MEMALLOC, but no version takes the `fs_reclaim` hold here. Returns the
    /// pages freed.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn try_to_free_mem_cgroup_pages(&self, cb: &dyn Callbacks, memcg: usize, gfp: Gfp) -> u32 {
        let e = current();
        let rules = e.machine().rules();
        let scoped = gfp.in_context(Pf::current(), rules) & Gfp::RECLAIM_MASK;
        let gfp = scoped | Gfp::HIGHUSER_MOVABLE.without(Gfp::RECLAIM_MASK);
        record(EventKind::Reclaim, || {
            format!("reclaim from {}, gfp {gfp}", self.memcgs[memcg].name)
        });
        let hold = if rules.memcg_reclaim_holds_fs_reclaim {
            Some(self.fs_reclaim_acquire(gfp, Holder::Direct))
        } else {
            self.no_hold(gfp);
            None
        };
        self.enter_reclaim(&e);
        let scope = memalloc_noreclaim_save();
        let mut sc = ScanControl::new(gfp, self.bounds.cluster);
        sc.memcg = Some(memcg);
        self.do_try_to_free_pages(cb, self.this_node(&e), &mut sc);
        scope.restore();
        self.leave_reclaim(&e);
        if let Some(hold) = hold {
            self.fs_reclaim_release(hold);
        }
        sc.reclaimed
    }
}
