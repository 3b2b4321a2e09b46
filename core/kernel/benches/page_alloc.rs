//! The page allocator as a real page-frame allocator: order-0 allocation and free on OS threads, 262,144 frames.
//!
//! `repeat` allocates and frees one frame; `bulk` allocates 4096 frames, then frees them, last in first out. Elements
//! are alloc+free pairs of all threads together. `lockdep` has the validator on.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ksplat_kernel::mm::{
    Gfp, Mm, MmSpec, NoCallbacks, Page, PcpSpec, Pressure, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    CpuId, EntityId, EntityKind, EntitySpec, Machine, MachineSpec, World, run_on_threads,
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
    let entities = (0..threads).map(|cpu| EntitySpec {
        name: format!("T{cpu}"),
        cpu: CpuId(cpu),
        kind: EntityKind::Task,
        prio: 0,
        pf: 0,
        times: 0,
    });
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

criterion_group!(benches, page_alloc);
criterion_main!(benches);
