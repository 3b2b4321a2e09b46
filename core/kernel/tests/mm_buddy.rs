//! The allocator against a naive model of memory, over random sequences of requests.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Gfp, Mm, MmSpec, NoCallbacks, Page, PcpSpec, Pressure, Watermarks, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{Deterministic, End, EntityId, EntitySpec, Machine, World};
use ksplat_kernel::rules::Rules;
use proptest::prelude::*;
use std::sync::Mutex;

#[derive(Clone, Copy, Debug)]
enum Op {
    Alloc { order: u8, dma: bool },
    Free(usize),
    Drain,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (0..6_u8, any::<bool>()).prop_map(|(order, dma)| Op::Alloc { order, dma }),
        4 => any::<usize>().prop_map(Op::Free),
        1 => Just(Op::Drain),
    ];
    prop::collection::vec(op, 1..120)
}

/// Memory as one flag a frame.
#[derive(Debug)]
struct Naive {
    taken: Vec<bool>,
    /// Frames of the low zone; the rest belongs to the normal zone, which starts at `normal`.
    dma: u32,
    normal: u32,
}

impl Naive {
    /// Whether an aligned free block exists where the request may have it.
    fn fits(&self, order: u8, dma_only: bool) -> bool {
        let zones = [(0, self.dma), (self.normal, self.taken.len() as u32)];
        let eligible = if dma_only { &zones[..1] } else { &zones[..] };
        let size = 1 << order;
        eligible.iter().any(|&(start, end)| {
            (start..end)
                .filter(|at| at % size == 0 && at + size <= end)
                .any(|at| self.block(at, size).iter().all(|taken| !taken))
        })
    }

    fn block(&self, at: u32, size: u32) -> &[bool] {
        &self.taken[at as usize..(at + size) as usize]
    }

    /// Takes a block that the allocator handed out; it must be free, aligned, and inside of one eligible zone.
    fn take(&mut self, page: Page, order: u8, dma_only: bool) {
        let (at, size) = (page.pfn().0, 1 << order);
        assert_eq!((page.order(), at % size), (order, 0), "{page}");
        assert!(at + size <= self.taken.len() as u32, "{page}");
        assert!(at + size <= self.dma || at >= self.normal, "{page}");
        assert!(!dma_only || at + size <= self.dma, "{page}");
        assert!(self.block(at, size).iter().all(|taken| !taken), "{page}");
        self.fill(at, size, true);
    }

    fn fill(&mut self, at: u32, size: u32, taken: bool) {
        self.taken[at as usize..(at + size) as usize].fill(taken);
    }
}

struct Replay {
    mm: Mm,
    ops: Vec<Op>,
    naive: Mutex<Naive>,
    /// Without per-CPU lists the allocator succeeds exactly when the model says so.
    exact: bool,
}

impl Replay {
    fn alloc(&self, naive: &mut Naive, order: u8, dma: bool) -> Option<Page> {
        let gfp = if dma { Gfp::DMA } else { Gfp::NONE };
        let fits = naive.fits(order, dma);
        let page = self
            .mm
            .alloc_pages(&NoCallbacks, gfp, order, Pressure::None);
        assert!(
            !self.exact || page.is_some() == fits,
            "order {order}: {page:?}"
        );
        assert!(fits || page.is_none(), "order {order}: {page:?}");
        naive.take(page?, order, dma);
        page
    }
}

impl World for Replay {
    fn run(&self, _: EntityId) {
        let mut naive = self.naive.lock().unwrap();
        let mut live: Vec<Page> = Vec::new();
        for &op in &self.ops {
            match op {
                Op::Alloc { order, dma } => live.extend(self.alloc(&mut naive, order, dma)),
                Op::Free(i) if !live.is_empty() => {
                    let page = live.swap_remove(i % live.len());
                    naive.fill(page.pfn().0, 1 << page.order(), false);
                    self.mm.free_pages(page);
                }
                Op::Free(_) => {}
                Op::Drain => self.mm.drain_all_pages(),
            }
        }
        for page in live {
            naive.fill(page.pfn().0, 1 << page.order(), false);
            self.mm.free_pages(page);
        }
        self.mm.drain_all_pages();
    }

    fn check(&self, m: &Machine) {
        self.mm.check(m);
    }
}

fn replay(ops: Vec<Op>, dma: u32, normal: u32, pcp: Option<PcpSpec>) {
    let mut m = machine(vec![EntitySpec::task("T", 0)], Rules::default());
    let none = Watermarks::default();
    let zone = |kind, pages| ZoneSpec {
        watermarks: Some(none),
        ..ZoneSpec::new(kind, pages)
    };
    let spec = MmSpec {
        zones: vec![zone(ZoneKind::Dma, dma), zone(ZoneKind::Normal, normal)],
        pcp,
        ..MmSpec::default()
    };
    let mm = Mm::new(&mut m, &spec);
    let start = dma.next_multiple_of(normal.next_power_of_two());
    let naive = Naive {
        taken: vec![false; (start + normal) as usize],
        dma,
        normal: start,
    };
    let world = Replay {
        mm,
        ops,
        naive: Mutex::new(naive),
        exact: pcp.is_none(),
    };
    let o = Deterministic::new().run(&m, &world, &mut Dice(1));
    assert_eq!((o.end, o.fault), (End::Completed, None));
    assert_eq!(o.breaks, vec![]);
    assert_eq!(world.mm.broken(&m), vec![]);
    // Everything has merged again: as many frames are free, in as large blocks as at the start.
    assert_eq!(world.mm.allocated_frames(), 0);
    let free: Vec<u32> = world.mm.zones().iter().map(|z| z.nr_free()).collect();
    assert_eq!(free, [dma, normal]);
    assert!(world.naive.lock().unwrap().taken.iter().all(|taken| !taken));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_model(ops in ops(), dma in 1..40_u32, normal in 1..80_u32) {
        replay(ops, dma, normal, None);
    }

    #[test]
    fn per_cpu_lists_change_nothing_but_the_order(
        ops in ops(),
        normal in 8..80_u32,
        high in 0..20_u32,
        batch in 1..8_u32,
    ) {
        replay(ops, 16, normal, Some(PcpSpec { high, batch }));
    }
}
