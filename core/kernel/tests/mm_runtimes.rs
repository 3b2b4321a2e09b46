//! The same choices give the same execution on the deterministic runtime and under shuttle, through allocator and
//! reclaim; and a machine that was used is as good as a new one.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Bounds, Callbacks, Gfp, LruPage, LruSpec, Mm, MmSpec, PageFlags, PcpSpec, Pressure,
    ShrinkerSpec, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    Deterministic, EntityId, EntityKind, EntitySpec, Machine, Outcome, StrategyScheduler, World,
    run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use std::sync::{Arc, Mutex};

struct Mixed(Mm);

const KSWAPD: usize = 3;

impl World for Mixed {
    fn run(&self, entity: EntityId) {
        if entity.index() == KSWAPD {
            self.0.kswapd(self, 0);
        }
        let masks = [Gfp::KERNEL, Gfp::NOFS | Gfp::NORETRY, Gfp::ATOMIC];
        let mut live = Vec::new();
        for (order, gfp) in (0..2).cycle().zip(masks) {
            live.extend(self.0.alloc_pages(self, gfp, order, Pressure::Maybe));
        }
        self.0.drain_all_pages();
        for page in live {
            self.0.free_pages(page);
        }
    }

    fn check(&self, m: &Machine) {
        self.0.check(m);
    }
}

impl Callbacks for Mixed {
    fn release_page(&self, _: LruPage, gfp: Gfp) -> bool {
        let page = self.0.alloc_pages(self, gfp, 0, Pressure::Maybe);
        page.inspect(|&p| self.0.free_pages(p)).is_some()
    }
}

fn world() -> (Machine, Mixed) {
    let mut m = machine(
        vec![
            EntitySpec::task("T1", 0),
            EntitySpec::task("T2", 1),
            EntitySpec::task("T3", 0),
            EntitySpec::new("kswapd0", EntityKind::Daemon, 1),
        ],
        Rules::default(),
    );
    let lru = |name: &str, flags: PageFlags, tag| LruSpec {
        name: name.into(),
        zone: 0,
        count: 2,
        flags: flags.with(PageFlags::LRU),
        memcg: None,
        tag,
    };
    let spec = MmSpec {
        zones: vec![
            ZoneSpec {
                free: Some(6),
                ..ZoneSpec::new(ZoneKind::Normal, 16)
            },
            ZoneSpec {
                free: Some(3),
                ..ZoneSpec::new(ZoneKind::Dma32, 8)
            },
        ],
        pcp: Some(PcpSpec { high: 4, batch: 2 }),
        lru: vec![
            lru("private", PageFlags::PRIVATE, 0),
            lru("active", PageFlags::ACTIVE, 2),
        ],
        shrinkers: vec![ShrinkerSpec {
            name: "cache".into(),
            objects: 2,
            zone: 1,
            needs_fs: true,
            memcg_aware: false,
        }],
        kswapds: vec![Some(EntityId::new(KSWAPD))],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let mm = Mm::new(&mut m, &spec);
    (m, Mixed(mm))
}

/// What is compared of an execution.
fn essence(o: &Outcome, m: &Machine) -> String {
    let reports: Vec<String> = o.reports.iter().map(|r| r.title()).collect();
    format!(
        "{:?} {:?} {:?} {reports:?} {} {:?} {:?}",
        o.end,
        o.stop,
        o.breaks,
        o.steps,
        o.fault,
        m.choices()
    )
}

#[test]
fn deterministic_and_shuttle_agree() {
    const N: usize = 200;
    let (m, w) = world();
    let (mut det, mut dice) = (Deterministic::new(), Dice(11));
    let here: Vec<String> = (0..N)
        .map(|_| {
            w.0.reset();
            let o = det.run(&m, &w, &mut dice);
            assert_eq!((&o.fault, &o.breaks), (&None, &vec![]));
            essence(&o, &m)
        })
        .collect();
    let there = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&there);
    let (m, w) = world();
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    shuttle::Runner::new(StrategyScheduler::new(Dice(11), N), config).run(move || {
        w.0.reset();
        let o = run_in_shuttle(&m, &w);
        seen.lock().unwrap().push(essence(&o, &m));
    });
    let there = there.lock().unwrap();
    assert_eq!(here.len(), there.len());
    for (i, (a, b)) in here.iter().zip(there.iter()).enumerate() {
        assert_eq!(a, b, "execution {i}");
    }
}

#[test]
fn a_used_machine_is_as_good_as_new() {
    let (used, w) = world();
    let mut det = Deterministic::new();
    for seed in 0..100 {
        w.0.reset();
        let again = essence(&det.run(&used, &w, &mut Dice(seed)), &used);
        let (m, new) = world();
        let fresh = essence(&Deterministic::new().run(&m, &new, &mut Dice(seed)), &m);
        assert_eq!(again, fresh, "seed {seed}");
    }
}
