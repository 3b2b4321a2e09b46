//! Simulated executions through allocator and reclaim take nothing from the heap once the machine is warm.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Bounds, Callbacks, Gfp, LruPage, LruSpec, Mm, MmSpec, PageFlags, PcpSpec, Pressure,
    ShrinkerSpec, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{Deterministic, End, EntityId, EntitySpec, Machine, World};
use ksplat_kernel::rules::Rules;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Reclaims(Mm);

impl World for Reclaims {
    fn run(&self, _: EntityId) {
        for gfp in [Gfp::KERNEL, Gfp::NOFS, Gfp::ATOMIC] {
            let page = self.0.alloc_pages(self, gfp, 0, Pressure::Reclaim);
            page.into_iter().for_each(|p| self.0.free_pages(p));
        }
        self.0.drain_all_pages();
    }

    fn check(&self, m: &Machine) {
        self.0.check(m);
    }
}

impl Callbacks for Reclaims {
    fn release_page(&self, _: LruPage, gfp: Gfp) -> bool {
        let page = self.0.alloc_pages(self, gfp, 0, Pressure::Fast);
        page.into_iter().for_each(|p| self.0.free_pages(p));
        true
    }
}

#[test]
fn warm_executions_take_nothing_from_the_heap() {
    let mut m = machine(
        vec![EntitySpec::task("T1", 0), EntitySpec::task("T2", 1)],
        Rules::default(),
    );
    let spec = MmSpec {
        zones: vec![ZoneSpec::new(ZoneKind::Normal, 32)],
        pcp: Some(PcpSpec { high: 4, batch: 2 }),
        lru: vec![LruSpec {
            name: "A".into(),
            zone: 0,
            count: 4,
            flags: PageFlags::LRU.with(PageFlags::PRIVATE),
            memcg: None,
            tag: 0,
        }],
        shrinkers: vec![ShrinkerSpec {
            name: "cache".into(),
            objects: 2,
            zone: 0,
            needs_fs: true,
            memcg_aware: false,
        }],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let world = Reclaims(Mm::new(&mut m, &spec));
    let (mut det, mut dice) = (Deterministic::new(), Dice(3));
    let mut run = |n| {
        for _ in 0..n {
            world.0.reset();
            let o = det.run(&m, &world, &mut dice);
            assert_eq!((o.end, o.breaks.len()), (End::Completed, 0));
        }
        ALLOCATIONS.get()
    };
    let warm = run(300);
    assert!(warm > 0, "the machine itself was counted");
    assert_eq!(run(300) - warm, 0, "allocations in 300 executions");
}
