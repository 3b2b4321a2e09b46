//! Reclaim end to end: kswapd and those it throttles, delegated release, OOM, guards that can be removed.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Bounds, Callbacks, Gfp, LruPage, LruSpec, Mm, MmSpec, NoCallbacks, PageFlags, Pf, Pressure,
    ShrinkerSpec, Watermarks, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntityKind, EntitySpec, Machine, Outcome, StopKind, World,
    current,
};
use ksplat_kernel::rules::{DelegateRelease, FsReclaim, Rules};
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A world whose bodies are closures.
struct Bodies<F, C> {
    mm: Mm,
    body: F,
    callbacks: C,
}

impl<F, C> World for Bodies<F, C>
where
    F: Fn(&Mm, &dyn Callbacks, usize) + Sync,
    C: Fn(&Mm, Call, Gfp) -> u32 + Sync,
{
    fn run(&self, entity: EntityId) {
        (self.body)(&self.mm, self, entity.index());
    }

    fn check(&self, m: &Machine) {
        self.mm.check(m);
    }
}

enum Call {
    Release,
    Scan,
}

impl<F: Sync, C: Fn(&Mm, Call, Gfp) -> u32 + Sync> Callbacks for Bodies<F, C> {
    fn release_page(&self, _: LruPage, gfp: Gfp) -> bool {
        (self.callbacks)(&self.mm, Call::Release, gfp) != 0
    }

    fn scan_objects(&self, _: usize, gfp: Gfp) -> u32 {
        (self.callbacks)(&self.mm, Call::Scan, gfp)
    }
}

fn daemon(name: &str) -> EntitySpec {
    EntitySpec::new(name, EntityKind::Daemon, 1)
}

fn zone(pages: u32, free: u32, min: u32) -> ZoneSpec {
    ZoneSpec {
        watermarks: Some(Watermarks {
            min,
            low: min + 1,
            high: min + 2,
        }),
        free: Some(free),
        ..ZoneSpec::new(ZoneKind::Normal, pages)
    }
}

fn lru(count: u32, flags: PageFlags) -> LruSpec {
    LruSpec {
        name: "A".into(),
        zone: 0,
        count,
        flags: flags.with(PageFlags::LRU),
        memcg: None,
        tag: 0,
    }
}

fn cache(objects: u32) -> ShrinkerSpec {
    ShrinkerSpec {
        name: "cache".into(),
        objects,
        zone: 0,
        needs_fs: true,
        memcg_aware: false,
    }
}

fn explore<W: World>(m: &Machine, w: &W, mm: impl Fn(&W) -> &Mm, n: usize) -> Vec<Outcome> {
    let (mut det, mut dice) = (Deterministic::new(), Dice(0x5eed));
    let run = |_| {
        mm(w).reset();
        let o = det.run(m, w, &mut dice);
        assert_eq!(o.fault, None);
        if o.end == End::Completed {
            assert_eq!(mm(w).broken(m), vec![]);
        }
        o
    };
    (0..n).map(run).collect()
}

fn alloc_and_free(mm: &Mm, cb: &dyn Callbacks, gfp: Gfp) {
    if let Some(page) = mm.alloc_pages(cb, gfp, 0, Pressure::None) {
        mm.free_pages(page);
    }
}

#[test]
fn kswapd_reclaims_for_those_it_throttles() {
    let mut m = machine(
        vec![
            EntitySpec::task("T1", 0),
            EntitySpec::task("T2", 0),
            daemon("kswapd0"),
        ],
        Rules::default(),
    );
    let spec = MmSpec {
        zones: vec![zone(32, 1, 8)],
        lru: vec![lru(16, PageFlags::NONE)],
        kswapds: vec![Some(EntityId::new(2))],
        bounds: Bounds {
            passes: 12,
            ..Bounds::MODEL
        },
        ..MmSpec::default()
    };
    let w = Bodies {
        mm: Mm::new(&mut m, &spec),
        body: |mm: &Mm, cb: &dyn Callbacks, i: usize| match i {
            2 => mm.kswapd(cb, 0),
            _ => alloc_and_free(mm, cb, Gfp::KERNEL),
        },
        callbacks: |_: &Mm, _: Call, _: Gfp| 0,
    };
    for o in explore(&m, &w, |w| &w.mm, 300) {
        assert_eq!(
            (o.end, &o.breaks, &o.stop),
            (End::Completed, &vec![], &None)
        );
        assert!(o.reports.is_empty(), "{:?}", o.reports[0].title());
    }
}

/// T1 holds L and is throttled; kswapd's shrinker needs L. The wait on `pfmemalloc_wait` is in no lockdep graph.
fn throttled_under_a_lock(fs_reclaim: FsReclaim) -> (usize, Vec<String>) {
    let rules = Rules {
        fs_reclaim,
        ..Rules::default()
    };
    let mut m = machine(vec![EntitySpec::task("T1", 0), daemon("kswapd0")], rules);
    let spec = MmSpec {
        zones: vec![zone(16, 1, 4)],
        lru: vec![lru(1, PageFlags::DIRTY)],
        shrinkers: vec![cache(8)],
        kswapds: vec![Some(EntityId::new(1))],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let mm = Mm::new(&mut m, &spec);
    let key = LockKind::Mutex.class(&mut m, "L");
    let l = Lock::new(&mut m, LockKind::Mutex, "L", Some(key));
    let w = Bodies {
        mm,
        body: |mm: &Mm, cb: &dyn Callbacks, i: usize| {
            if i == 1 {
                mm.kswapd(cb, 0);
            }
            let flags = l.lock(How::default());
            alloc_and_free(mm, cb, Gfp::KERNEL);
            l.unlock(Irq::Plain, flags);
        },
        // As XFS: only kswapd waits for the lock.
        callbacks: |_: &Mm, _: Call, _: Gfp| {
            if Pf::current().has(Pf::KSWAPD) {
                let flags = l.lock(How::default());
                l.unlock(Irq::Plain, flags);
            }
            1
        },
    };
    let outcomes = explore(&m, &w, |w| &w.mm, 300);
    let stops: Vec<_> = outcomes.iter().filter_map(|o| o.stop.as_ref()).collect();
    assert!(
        stops.iter().all(|s| s.kind == StopKind::Deadlock),
        "{stops:?}"
    );
    let mut titles: Vec<String> = outcomes
        .iter()
        .flat_map(|o| o.reports.iter().map(|r| r.title()))
        .collect();
    titles.dedup();
    (stops.len(), titles)
}

#[test]
fn a_throttled_holder_deadlocks_with_kswapd_and_f3_is_blind() {
    let (stops, titles) = throttled_under_a_lock(FsReclaim::F3);
    assert!(stops > 0 && titles.is_empty(), "{stops} stops, {titles:?}");
    let (stops, titles) = throttled_under_a_lock(FsReclaim::F6);
    assert!(stops > 0);
    assert_eq!(titles, ["possible circular locking dependency detected"]);
}

#[test]
fn a_worker_releases_with_flags_of_its_own() {
    let rules = Rules {
        delegate_release: DelegateRelease::Worker,
        ..Rules::default()
    };
    let mut m = machine(vec![EntitySpec::task("T1", 0), daemon("W")], rules);
    let spec = MmSpec {
        zones: vec![zone(16, 4, 4)],
        lru: vec![lru(2, PageFlags::PRIVATE)],
        release_worker: Some(EntityId::new(1)),
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let released = AtomicU32::new(0);
    let w = Bodies {
        mm: Mm::new(&mut m, &spec),
        body: |mm: &Mm, cb: &dyn Callbacks, i: usize| match i {
            1 => mm.release_worker(cb),
            _ => alloc_and_free(mm, cb, Gfp::KERNEL),
        },
        callbacks: |_: &Mm, _: Call, gfp: Gfp| {
            assert_eq!(current().name(), "W");
            assert_eq!((Pf::current(), gfp), (Pf::NONE, Gfp::KERNEL));
            released.fetch_add(1, Relaxed);
            1
        },
    };
    for o in explore(&m, &w, |w| &w.mm, 100) {
        assert_eq!(
            (o.end, &o.breaks),
            (End::Completed, &vec![]),
            "{:?}",
            o.stop
        );
    }
    assert_eq!(released.load(Relaxed), 100);
}

/// A filesystem whose release callback allocates with the mask it is called with.
struct Nested(Mm);

impl World for Nested {
    fn run(&self, _: EntityId) {
        alloc_and_free(&self.0, self, Gfp::KERNEL | Gfp::NOMEMALLOC);
    }

    fn check(&self, m: &Machine) {
        self.0.check(m);
    }
}

impl Callbacks for Nested {
    fn release_page(&self, _: LruPage, gfp: Gfp) -> bool {
        alloc_and_free(&self.0, self, gfp);
        true
    }
}

/// Eight pages with private data, and nothing free.
fn nested(guard: bool) -> Outcome {
    let rules = Rules {
        guard_pf_memalloc_recursion: guard,
        ..Rules::default()
    };
    let mut m = machine(vec![EntitySpec::task("T1", 0)], rules);
    let spec = MmSpec {
        zones: vec![zone(16, 0, 4)],
        lru: vec![lru(8, PageFlags::PRIVATE)],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let world = Nested(Mm::new(&mut m, &spec));
    Deterministic::new().run(&m, &world, &mut Dice(1))
}

#[test]
fn without_the_memalloc_guard_reclaim_recurses_and_never_returns() {
    let o = nested(true);
    assert_eq!(
        (o.end, &o.breaks, &o.stop),
        (End::Completed, &vec![], &None)
    );
    let o = nested(false);
    let kinds: Vec<_> = o.breaks.iter().map(|b| b.kind).collect();
    assert_eq!(kinds, ["reclaim-recursion", "stack-overflow"]);
    assert!(o.stop.is_some(), "{o:?}");
}

#[test]
fn small_nofs_requests_try_for_ever() {
    let mut m = machine(
        vec![EntitySpec::task("T1", 0), EntitySpec::task("T2", 1)],
        Rules::default(),
    );
    let spec = MmSpec {
        zones: vec![zone(16, 6, 4)],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    // T1 takes what is there and waits for more; whether T2 gives anything back decides.
    for (gives_back, stuck) in [(true, false), (false, true)] {
        let w = Bodies {
            mm: Mm::new(&mut m, &spec),
            body: |mm: &Mm, _: &dyn Callbacks, i: usize| {
                let get = |gfp| mm.alloc_pages(&NoCallbacks, gfp, 0, Pressure::None);
                if i == 0 {
                    alloc_and_free(mm, &NoCallbacks, Gfp::NOFS);
                    return;
                }
                let pages: Vec<_> = (0..8).map_while(|_| get(Gfp::ATOMIC)).collect();
                for page in pages.into_iter().filter(|_| gives_back) {
                    mm.free_pages(page);
                }
            },
            callbacks: |_: &Mm, _: Call, _: Gfp| 0,
        };
        let outcomes = explore(&m, &w, |w| &w.mm, 200);
        let stops: Vec<_> = outcomes.iter().filter_map(|o| o.stop.as_ref()).collect();
        assert_eq!(!stops.is_empty(), stuck, "{stops:?}");
        assert!(stops.iter().all(|s| s.kind == StopKind::Livelock));
        assert!(outcomes.iter().all(|o| o.breaks.is_empty()));
    }
}

#[test]
fn forced_pressure_leads_through_every_path_and_back() {
    for pressure in [
        Pressure::Fast,
        Pressure::Reclaim,
        Pressure::Progress,
        Pressure::NoProgress,
        Pressure::Maybe,
    ] {
        let mut m = machine(
            vec![EntitySpec::task("T1", 0), EntitySpec::task("T2", 1)],
            Rules::default(),
        );
        let spec = MmSpec {
            zones: vec![zone(32, 16, 2)],
            lru: vec![lru(4, PageFlags::NONE)],
            shrinkers: vec![cache(2)],
            bounds: Bounds::MODEL,
            ..MmSpec::default()
        };
        let w = Bodies {
            mm: Mm::new(&mut m, &spec),
            body: move |mm: &Mm, cb: &dyn Callbacks, _: usize| {
                for gfp in [Gfp::KERNEL, Gfp::NOFS, Gfp::ATOMIC] {
                    let page = mm.alloc_pages(cb, gfp, 0, pressure);
                    assert!(
                        page.is_some() || !gfp.may_block(),
                        "{gfp} under {pressure:?}"
                    );
                    page.into_iter().for_each(|p| mm.free_pages(p));
                }
            },
            callbacks: |_: &Mm, _: Call, _: Gfp| 1,
        };
        for o in explore(&m, &w, |w| &w.mm, 100) {
            assert_eq!(
                (o.end, &o.breaks),
                (End::Completed, &vec![]),
                "{:?}",
                o.stop
            );
        }
    }
}
