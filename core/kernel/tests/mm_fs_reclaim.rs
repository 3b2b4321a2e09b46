//! Seed A: seven programs under four variants of the fs_reclaim annotation. Every cell comes from executions.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Bounds, Callbacks, Differences, Gfp, LruPage, LruSpec, MemcgSpec, Mm, MmSpec, PageFlags,
    Pressure, ShrinkerSpec, Watermarks, ZoneKind, ZoneSpec, memalloc_noio_save,
};
use ksplat_kernel::rt::{Deterministic, End, EntityId, EntitySpec, Outcome, World};
use ksplat_kernel::rules::{FsReclaim, Rules};
use ksplat_kernel::sync::{Completion, How, Irq, Lock, LockKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
}
use Program::{A1, A2, A3, A4, A5, A6, A7};

struct Seed {
    mm: Mm,
    program: Program,
    lock: Lock,
    start: Completion,
    done: Completion,
}

const T1: usize = 0;
const T2: usize = 1;

impl Seed {
    fn new(program: Program, rules: Rules) -> (ksplat_kernel::rt::Machine, Self) {
        let tasks = if matches!(program, A1 | A2) {
            vec![EntitySpec::task("T1", 0)]
        } else {
            vec![EntitySpec::task("T1", 0), EntitySpec::task("T2", 1)]
        };
        let mut m = machine(tasks, rules);
        let mm = Mm::new(&mut m, &memory(program));
        let key = LockKind::Mutex.class(&mut m, "L");
        let lock = Lock::new(&mut m, LockKind::Mutex, "L", Some(key));
        let start = Completion::new(&mut m, "start", 0b01);
        let done = Completion::new(&mut m, "done", 0b10);
        let seed = Self {
            mm,
            program,
            lock,
            start,
            done,
        };
        (m, seed)
    }

    fn reset(&self) {
        self.mm.reset();
        self.start.reset();
        self.done.reset();
    }

    fn alloc_and_free(&self, gfp: Gfp, pressure: Pressure) {
        if let Some(page) = self.mm.alloc_pages(self, gfp, 0, pressure) {
            self.mm.free_pages(page);
        }
    }

    fn with_lock(&self, body: impl FnOnce()) {
        let flags = self.lock.lock(How::default());
        body();
        self.lock.unlock(Irq::Plain, flags);
    }

    fn t1(&self) {
        let forced = Pressure::Reclaim;
        match self.program {
            A1 => self.alloc_and_free(Gfp::KERNEL | Gfp::NOMEMALLOC, forced),
            A2 | A4 => self.alloc_and_free(Gfp::KERNEL, forced),
            A3 => self.with_lock(|| self.alloc_and_free(Gfp::KERNEL, Pressure::None)),
            A5 => self.with_lock(|| {
                self.mm.might_alloc(Gfp::KERNEL_ACCOUNT);
                if self.charge() {
                    self.mm.uncharge(0, 1);
                }
            }),
            A6 => self.with_lock(|| {
                self.alloc_and_free(Gfp::KERNEL | Gfp::NOLOCKDEP, Pressure::None);
            }),
            A7 => self.with_lock(|| {
                let scope = memalloc_noio_save();
                self.alloc_and_free(Gfp::KERNEL, forced);
                scope.restore();
            }),
        }
    }

    fn t2(&self) {
        match self.program {
            A1 | A2 => {}
            A4 => {
                self.start.wait();
                self.alloc_and_free(Gfp::KERNEL, Pressure::Reclaim);
                self.done.complete();
            }
            A5 => {
                if self.charge() {
                    self.mm.uncharge(0, 1);
                }
            }
            A3 | A6 => self.alloc_and_free(Gfp::KERNEL, Pressure::None),
            A7 => self.alloc_and_free(Gfp::KERNEL, Pressure::Reclaim),
        }
    }

    fn charge(&self) -> bool {
        self.mm
            .try_charge(self, 0, Gfp::KERNEL_ACCOUNT, 1, Pressure::None)
    }
}

/// A1, A2: a page with private data. A3, A6: below the min watermark, only the shrinker can help. A5: a memcg at its
/// limit. A4, A7: enough memory; pressure is forced.
fn memory(program: Program) -> MmSpec {
    let scarce = matches!(program, A3 | A6);
    let zone = ZoneSpec {
        watermarks: Some(Watermarks {
            min: 2,
            low: 4,
            high: 6,
        }),
        free: Some(if scarce { 2 } else { 9 }),
        ..ZoneSpec::new(ZoneKind::Normal, 16)
    };
    let private = LruSpec {
        name: "page".into(),
        zone: 0,
        count: 1,
        flags: PageFlags::LRU.with(PageFlags::PRIVATE),
        memcg: None,
        tag: 0,
    };
    let cache = ShrinkerSpec {
        name: "cache".into(),
        objects: 2,
        zone: 0,
        needs_fs: true,
        memcg_aware: true,
    };
    let group = MemcgSpec {
        name: "G".into(),
        limit: 4,
        usage: 4,
        stock: 0,
    };
    let paged = matches!(program, A1 | A2);
    MmSpec {
        zones: vec![zone],
        lru: if paged { vec![private] } else { vec![] },
        shrinkers: if paged { vec![] } else { vec![cache] },
        memcgs: vec![group],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    }
}

impl World for Seed {
    fn run(&self, entity: EntityId) {
        match entity.index() {
            T1 => self.t1(),
            _ => self.t2(),
        }
    }

    fn check(&self, m: &ksplat_kernel::rt::Machine) {
        self.mm.check(m);
    }
}

impl Callbacks for Seed {
    /// As a filesystem that allocates an object for the extent, with the mask it was called with.
    fn release_page(&self, _: LruPage, gfp: Gfp) -> bool {
        self.alloc_and_free(gfp, Pressure::Fast);
        true
    }

    fn scan_objects(&self, _: usize, _: Gfp) -> u32 {
        let me = ksplat_kernel::rt::current().id().index();
        match self.program {
            // Delegates to T2 under the lock, and waits.
            A4 if me == T1 => self.with_lock(|| {
                self.start.complete();
                self.done.wait();
            }),
            // A shrinker that knows that its own task may hold the lock, as i915's and XFS' do.
            _ if self.lock.held_by_current() => return 0,
            _ => self.with_lock(|| {}),
        }
        if self.program == A5 && self.mm.memcg_usage(0) > 0 {
            self.mm.uncharge(0, 1);
        }
        1
    }

    fn oom_victim(&self, memcg: Option<usize>) -> Option<EntityId> {
        memcg.map(|_| EntityId::new(T2))
    }
}

fn rules(fs_reclaim: FsReclaim) -> Rules {
    Rules {
        fs_reclaim,
        ..Rules::default()
    }
}

/// What `n` random schedules of a program show.
struct Shown {
    stops: usize,
    reports: Vec<String>,
    differences: Vec<Differences>,
}

fn explore(program: Program, rules: Rules, n: u64) -> Shown {
    let (m, seed) = Seed::new(program, rules.clone());
    let mut det = Deterministic::new();
    let mut dice = Dice(0x5eed);
    let mut shown = Shown {
        stops: 0,
        reports: Vec::new(),
        differences: Vec::new(),
    };
    for _ in 0..n {
        seed.reset();
        let o: Outcome = det.run(&m, &seed, &mut dice);
        assert_eq!(o.fault, None, "{program:?} {:?}", rules.fs_reclaim);
        assert!(
            matches!(o.end, End::Completed | End::Stopped),
            "{:?}",
            o.end
        );
        assert!(o.breaks.is_empty(), "{program:?}: {:?}", o.breaks);
        if o.end == End::Completed {
            assert_eq!(seed.mm.broken(&m), vec![], "{program:?}");
        }
        shown.stops += usize::from(o.stop.is_some());
        shown.differences.push(seed.mm.differences());
        for r in o.reports {
            let title = r.title();
            if !shown.reports.contains(&title) {
                shown.reports.push(title);
            }
        }
    }
    shown
}

/// The matrix of seed A: (program, really stops, reports under F1, F2, F3, F5).
const MATRIX: [(Program, bool, [bool; 4]); 7] = [
    (A1, false, [false, true, false, false]),
    (A2, false, [false, false, false, false]),
    (A3, true, [true, false, false, true]),
    (A4, true, [false, false, false, false]),
    (A5, true, [false, false, false, false]),
    (A6, true, [false, false, false, false]),
    (A7, false, [false, false, false, false]),
];

#[test]
fn every_cell_of_the_matrix() {
    use FsReclaim::{F1, F2, F3, F5};
    let mut differing = Vec::new();
    for (program, stops, reports) in MATRIX {
        for (variant, report) in [F1, F2, F3, F5].into_iter().zip(reports) {
            let shown = explore(program, rules(variant), 400);
            if (shown.stops > 0, !shown.reports.is_empty()) != (stops, report) {
                differing.push(format!(
                    "{program:?} {variant:?}: {} stops, reports {:?}; expected {stops}, {report}",
                    shown.stops, shown.reports
                ));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_reports_are_the_kernels() {
    let titles = |p, f| explore(p, rules(f), 400).reports;
    assert_eq!(
        titles(A1, FsReclaim::F2),
        ["possible recursive locking detected"]
    );
    assert_eq!(
        titles(A3, FsReclaim::F5),
        ["possible circular locking dependency detected"]
    );
    assert_eq!(titles(A3, FsReclaim::F1), ["inconsistent lock state"]);
    for f in [FsReclaim::F4, FsReclaim::F6] {
        assert_eq!(
            titles(A3, f),
            ["possible circular locking dependency detected"]
        );
    }
    assert_eq!(titles(A3, FsReclaim::F0), [""; 0]);
}

#[test]
fn scopes_were_unknown_to_lockdep_before_4_12() {
    let old = Rules {
        scope_aware_lockdep: false,
        ..rules(FsReclaim::F1)
    };
    let shown = explore(A7, old, 400);
    assert_eq!((shown.stops, shown.reports.len()), (0, 1));
}

#[test]
fn memcg_reclaim_with_the_hold_would_be_seen() {
    let hypothetical = Rules {
        memcg_reclaim_holds_fs_reclaim: true,
        ..rules(FsReclaim::F6)
    };
    assert!(!explore(A5, hypothetical, 400).reports.is_empty());
}

#[test]
fn annotation_and_ability_differ_where_the_variants_are_wrong() {
    let seen = |p, f, d| {
        explore(p, rules(f), 200)
            .differences
            .iter()
            .any(|s| s.has(d))
    };
    assert!(seen(A1, FsReclaim::F2, Differences::TOUCH_IN_VAIN));
    assert!(seen(A2, FsReclaim::F2, Differences::NO_HOLD), "blind");
    assert!(seen(A3, FsReclaim::F3, Differences::NO_HOLD), "blind");
    assert!(seen(A5, FsReclaim::F6, Differences::NO_HOLD), "memcg");
    for p in [A1, A2, A3, A4, A7] {
        let shown = explore(p, rules(FsReclaim::F6), 200);
        assert!(
            shown.differences.iter().all(|&d| d == Differences::NONE),
            "{p:?}: {:?}",
            shown.differences
        );
    }
}
