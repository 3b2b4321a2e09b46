//! Locks that the allocator only tries: with the guard off, the stop that trying prevents is there.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{
    Callbacks, Gfp, Mm, MmSpec, NoCallbacks, PcpSpec, Pressure, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntityKind, EntitySpec, Machine, StopKind, World,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};

fn memory(pcp: Option<PcpSpec>) -> MmSpec {
    MmSpec {
        zones: vec![ZoneSpec::new(ZoneKind::Normal, 64)],
        pcp,
        ..MmSpec::default()
    }
}

/// Runs 500 schedules; every stop there is has to be a deadlock. Returns how many there were.
fn stops<W: World>(m: &Machine, w: &W, mm: impl Fn(&W) -> &Mm) -> usize {
    let (mut det, mut dice) = (Deterministic::new(), Dice(0x5eed));
    let stopped = (0..500).filter(|_| {
        mm(w).reset();
        let o = det.run(m, w, &mut dice);
        assert_eq!((&o.fault, &o.breaks), (&None, &vec![]));
        assert_ne!(o.end, End::StepLimit);
        o.stop.is_some_and(|stop| stop.kind == StopKind::Deadlock)
    });
    stopped.count()
}

/// A task and an interrupt of its CPU allocate and free.
struct Interrupted(Mm);

impl World for Interrupted {
    fn run(&self, entity: EntityId) {
        let gfp = if entity == EntityId::new(0) {
            Gfp::KERNEL
        } else {
            Gfp::ATOMIC
        };
        let page = self.0.alloc_pages(&NoCallbacks, gfp, 0, Pressure::None);
        self.0.free_pages(page.expect("free memory"));
    }
}

#[test]
fn the_lock_of_the_page_lists_is_only_tried() {
    for guard_pcp_trylock in [true, false] {
        let rules = Rules {
            guard_pcp_trylock,
            ..Rules::default()
        };
        let irq = EntitySpec {
            times: 1,
            ..EntitySpec::new("nic", EntityKind::HardIrq, 0)
        };
        let mut m = machine(vec![EntitySpec::task("T", 0), irq], rules);
        let pcp = PcpSpec { high: 4, batch: 2 };
        let w = Interrupted(Mm::new(&mut m, &memory(Some(pcp))));
        let stops = stops(&m, &w, |w| &w.0);
        assert_eq!(stops == 0, guard_pcp_trylock, "{stops} stops");
    }
}

/// T0 runs out of memory, and who is asked whom to kill needs L; T1 runs out of memory while it holds L.
struct OutOfMemory(Mm, Lock);

impl World for OutOfMemory {
    fn run(&self, entity: EntityId) {
        let locked = (entity == EntityId::new(1)).then(|| self.1.lock(How::default()));
        let page = self
            .0
            .alloc_pages(self, Gfp::KERNEL, 0, Pressure::NoProgress);
        // Who was chosen to be killed may get none.
        if let Some(page) = page {
            self.0.free_pages(page);
        }
        if let Some(flags) = locked {
            self.1.unlock(Irq::Plain, flags);
        }
    }
}

impl Callbacks for OutOfMemory {
    fn oom_victim(&self, _memcg: Option<usize>) -> Option<EntityId> {
        if !self.1.held_by_current() {
            let flags = self.1.lock(How::default());
            self.1.unlock(Irq::Plain, flags);
        }
        Some(EntityId::new(0))
    }
}

#[test]
fn the_lock_of_the_oom_killer_is_only_tried() {
    for guard_oom_trylock in [true, false] {
        let rules = Rules {
            guard_oom_trylock,
            ..Rules::default()
        };
        let mut m = machine(
            vec![EntitySpec::task("T0", 0), EntitySpec::task("T1", 1)],
            rules,
        );
        let mm = Mm::new(&mut m, &memory(None));
        let lock = Lock::new(&mut m, LockKind::Mutex, "L", None);
        let w = OutOfMemory(mm, lock);
        let stops = stops(&m, &w, |w| &w.0);
        assert_eq!(stops == 0, guard_oom_trylock, "{stops} stops");
    }
}
