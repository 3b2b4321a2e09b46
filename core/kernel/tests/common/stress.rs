//! Random allocation and free on OS threads, with an account of its own of who has which frame.

use ksplat_kernel::mm::{
    Broken, Gfp, Mm, MmSpec, NoCallbacks, Page, PcpSpec, Pressure, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    End, EntityId, EntitySpec, Machine, MachineSpec, World, current, run_on_threads,
};
use ksplat_kernel::rules::Rules;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Frames of the two zones together: one gibibyte of 4 KiB pages.
pub const FRAMES: u32 = 262_144;

struct Stress {
    mm: Mm,
    until: Instant,
    /// Who has each frame: 0 nobody, otherwise the task's number plus 1. Kept apart from the allocator.
    owners: Box<[AtomicU8]>,
    /// Blocks that one task allocated and another frees.
    exchange: Mutex<Vec<Page>>,
    doubly_owned: AtomicBool,
    operations: AtomicU64,
    seed: u64,
}

/// What a run shows.
#[derive(Debug)]
pub struct Report {
    /// Allocations and frees.
    pub operations: u64,
    /// What is broken at the end; empty if all is well.
    pub broken: Vec<Broken>,
    /// A frame was handed out while somebody had it.
    pub doubly_owned: bool,
    /// Frames that nobody gave back.
    pub leaked: u32,
    /// How it ended, and what the machine found.
    pub end: End,
    pub breaks: usize,
    pub reports: usize,
}

impl Report {
    /// Whether everything held.
    pub fn clean(&self) -> bool {
        self.broken.is_empty()
            && !self.doubly_owned
            && self.end == End::Completed
            && (self.leaked, self.breaks, self.reports) == (0, 0, 0)
    }
}

/// Runs `threads` tasks, each on its own CPU, for that long.
pub fn run(threads: u8, time: Duration, lockdep: bool, seed: u64) -> Report {
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
    let low = FRAMES / 4;
    let mm = Mm::new(
        &mut m,
        &MmSpec {
            zones: vec![
                ZoneSpec::new(ZoneKind::Dma32, low),
                ZoneSpec::new(ZoneKind::Normal, FRAMES - low),
            ],
            pcp: Some(PcpSpec {
                high: 378,
                batch: 63,
            }),
            ..MmSpec::default()
        },
    );
    let mut stress = Stress {
        mm,
        until: Instant::now() + time,
        owners: (0..FRAMES).map(|_| AtomicU8::new(0)).collect(),
        exchange: Mutex::default(),
        doubly_owned: AtomicBool::new(false),
        operations: AtomicU64::new(0),
        seed,
    };
    let outcome = run_on_threads(&m, &stress, seed);
    Report {
        operations: stress.operations.load(Relaxed),
        doubly_owned: stress.doubly_owned.load(Relaxed),
        leaked: stress.mm.allocated_frames(),
        broken: stress.mm.broken_at_rest(),
        end: outcome.end,
        breaks: outcome.breaks.len(),
        reports: outcome.reports.len(),
    }
}

fn xorshift(x: &mut u64) -> u64 {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    *x
}

/// Mostly single frames, some small blocks, few large ones.
fn order(dice: u64) -> u8 {
    match dice % 100 {
        0..70 => 0,
        70..90 => 1 + (dice >> 8) as u8 % 3,
        _ => 4 + (dice >> 8) as u8 % 7,
    }
}

fn mask(dice: u64) -> Gfp {
    match dice % 4 {
        0 => Gfp::ATOMIC,
        1 => Gfp::KERNEL | Gfp::NORETRY,
        2 => Gfp::NOWAIT,
        _ => Gfp::NOWAIT | Gfp::DMA32,
    }
}

impl Stress {
    fn own(&self, page: Page, before: u8, now: u8) {
        let first = page.pfn().index();
        for owner in &self.owners[first..first + (1 << page.order())] {
            if owner.swap(now, Relaxed) != before {
                self.doubly_owned.store(true, Relaxed);
            }
        }
    }

    fn give_up(&self, page: Page, me: u8) {
        self.own(page, me, 0);
        self.mm.free_pages(page);
    }

    fn swap(&self, mine: Page, me: u8) -> Option<Page> {
        const THEIRS: u8 = u8::MAX;
        self.own(mine, me, THEIRS);
        let mut pool = self.exchange.lock();
        pool.push(mine);
        let other = (pool.len() > 64).then(|| pool.swap_remove(7))?;
        drop(pool);
        self.own(other, THEIRS, me);
        Some(other)
    }
}

impl World for Stress {
    fn run(&self, entity: EntityId) {
        let me = entity.index() as u8 + 1;
        let mut dice = self.seed ^ (u64::from(me) << 40) | 1;
        let mut mine: Vec<Page> = Vec::new();
        let most = (FRAMES as usize / 2) / current().machine().nr_cpus() / 16;
        let mut operations = 0_u64;
        while !operations.is_multiple_of(64) || Instant::now() < self.until {
            operations += 1;
            let roll = xorshift(&mut dice);
            let full = mine.len() >= most;
            if !full && roll % 16 < 9 {
                let got = self.mm.alloc_pages(
                    &NoCallbacks,
                    mask(roll >> 16),
                    order(roll >> 24),
                    Pressure::None,
                );
                if let Some(page) = got {
                    self.own(page, 0, me);
                    mine.push(page);
                }
            } else if roll % 4096 == 4095 {
                self.mm.drain_all_pages();
            } else if !mine.is_empty() {
                let page = mine.swap_remove((roll >> 32) as usize % mine.len());
                if roll % 16 == 15 {
                    mine.extend(self.swap(page, me));
                } else {
                    self.give_up(page, me);
                }
            }
        }
        for page in mine {
            self.give_up(page, me);
        }
        for page in std::mem::take(&mut *self.exchange.lock()) {
            self.give_up(page, u8::MAX);
        }
        self.operations.fetch_add(operations, Relaxed);
    }
}
