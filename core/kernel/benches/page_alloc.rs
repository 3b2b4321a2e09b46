//! The page allocator as a real page-frame allocator: order-0 allocation and free on OS threads, 262,144 frames.
//!
//! `repeat` allocates and frees one frame; `bulk` allocates 4096 frames, then frees them, last in first out. Elements
//! are alloc+free pairs of all threads together. `lockdep` has the validator on. `simulated` counts executions of a
//! small model on the deterministic runtime.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ksplat_kernel::mm::{
    Bounds, Gfp, Mm, MmSpec, NoCallbacks, Page, PcpSpec, Pressure, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    Decision, Deterministic, EntityId, EntitySpec, Machine, MachineSpec, Strategy, World,
    run_on_threads,
};
use ksplat_kernel::rules::Rules;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
enum Pattern {
    Repeat,
    Bulk,
}

struct Bench {
    mm: Mm,
    pattern: Pattern,
    pairs: u64,
    start: Barrier,
    /// The longest time a thread took, in nanoseconds.
    took: AtomicU64,
}

impl Bench {
    fn repeat(&self) {
        for _ in 0..self.pairs {
            let page = self.alloc();
            self.mm.free_pages(black_box(page));
        }
    }

    fn bulk(&self) {
        let mut left = self.pairs;
        let mut pages = Vec::with_capacity(4096);
        while left > 0 {
            let n = left.min(4096);
            pages.extend((0..n).map(|_| self.alloc()));
            for page in pages.drain(..).rev() {
                self.mm.free_pages(page);
            }
            left -= n;
        }
    }

    fn alloc(&self) -> Page {
        self.mm
            .alloc_pages(&NoCallbacks, Gfp::KERNEL, 0, Pressure::None)
            .expect("most frames are free")
    }
}

impl World for Bench {
    fn run(&self, _: EntityId) {
        self.start.wait();
        let start = Instant::now();
        match self.pattern {
            Pattern::Repeat => self.repeat(),
            Pattern::Bulk => self.bulk(),
        }
        self.took
            .fetch_max(start.elapsed().as_nanos() as u64, Relaxed);
    }
}

fn machine(threads: u8, lockdep: bool) -> (Machine, Mm) {
    let entities = (0..threads).map(|cpu| EntitySpec::task(format!("T{cpu}"), cpu));
    let mut m = Machine::new(&MachineSpec {
        cpus: threads,
        entities: entities.collect(),
        rules: Rules {
            lockdep,
            ..Rules::default()
        },
        max_steps: u32::MAX,
    });
    let spec = MmSpec {
        zones: vec![ZoneSpec::new(ZoneKind::Normal, 262_144)],
        pcp: Some(PcpSpec {
            high: 378,
            batch: 63,
        }),
        ..MmSpec::default()
    };
    let mm = Mm::new(&mut m, &spec);
    (m, mm)
}

fn run(threads: u8, lockdep: bool, pattern: Pattern, pairs: u64) -> Duration {
    let (m, mm) = machine(threads, lockdep);
    let bench = Bench {
        mm,
        pattern,
        pairs: pairs / u64::from(threads) + 1,
        start: Barrier::new(usize::from(threads)),
        took: AtomicU64::new(0),
    };
    let _ = run_on_threads(&m, &bench, 1);
    Duration::from_nanos(bench.took.load(Relaxed))
}

/// Two tasks on 16 pages, invariants checked after every step.
struct Model {
    mm: Mm,
    checked: bool,
}

impl World for Model {
    fn run(&self, _: EntityId) {
        for pressure in [Pressure::None, Pressure::Reclaim] {
            let page = self.mm.alloc_pages(&NoCallbacks, Gfp::KERNEL, 0, pressure);
            page.into_iter().for_each(|p| self.mm.free_pages(p));
        }
    }

    fn check(&self, m: &Machine) {
        if self.checked {
            self.mm.check(m);
        }
    }
}

/// A schedule that changes task at every third decision.
struct Turns(u32);

impl Strategy for Turns {
    fn pick(&mut self, d: &Decision<'_>) -> EntityId {
        self.0 = self.0.wrapping_add(1);
        d.nth(u32::from(self.0.is_multiple_of(3)))
    }

    fn choose(&mut self, _: u32) -> u32 {
        0
    }
}

fn simulated(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulated: 4 requests, 2 of them through direct reclaim");
    for (name, lockdep, checked) in [
        ("lockdep, invariants", true, true),
        ("lockdep", true, false),
        ("bare", false, false),
    ] {
        let (mut m, _) = machine(2, lockdep);
        let spec = MmSpec {
            zones: vec![ZoneSpec::new(ZoneKind::Normal, 16)],
            bounds: Bounds::MODEL,
            ..MmSpec::default()
        };
        let mm = Mm::new(&mut m, &spec);
        let model = Model { mm, checked };
        let (mut det, mut turns) = (Deterministic::new(), Turns(0));
        let mut execute = || {
            model.mm.reset();
            det.run(&m, &model, &mut turns)
        };
        let o = execute();
        assert!(o.stop.is_none() && o.breaks.is_empty() && o.fault.is_none());
        println!("{name}: {} steps an execution", o.steps);
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |b| b.iter(&mut execute));
    }
    group.finish();
}

fn page_alloc(c: &mut Criterion) {
    let mut group = c.benchmark_group("order-0 alloc+free, OS threads");
    group.throughput(Throughput::Elements(1000));
    for (name, pattern, lockdep) in [
        ("repeat", Pattern::Repeat, false),
        ("bulk", Pattern::Bulk, false),
        ("repeat lockdep", Pattern::Repeat, true),
    ] {
        for threads in [1_u8, 2] {
            let id = BenchmarkId::new(name, threads);
            group.bench_function(id, |b| {
                b.iter_custom(|n| run(threads, lockdep, pattern, n * 1000));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, page_alloc, simulated);
criterion_main!(benches);
