//! Deadlocks buried among other work, and how soon the directed search runs into them.

use ksplat_harness::explore::{Directed, Party, StrategySpec};
use ksplat_kernel::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, Strategy, World,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};

/// Each task takes and releases a common lock some times, then two locks nested, then the common lock again.
struct Buried {
    common: Lock,
    ring: Vec<Lock>,
    noise: Vec<usize>,
    bystander: bool,
}

impl Buried {
    fn noise(&self, entity: EntityId) {
        for _ in 0..self.noise[entity.index()] {
            let flags = self.common.lock(How::default());
            self.common.unlock(Irq::Plain, flags);
        }
    }
}

impl World for Buried {
    fn run(&self, entity: EntityId) {
        let (n, i) = (self.ring.len(), entity.index());
        if self.bystander && i == n {
            for k in 0..self.noise[i] {
                self.noise(EntityId::new(0));
                let lock = &self.ring[k % n];
                let flags = lock.lock(How::default());
                lock.unlock(Irq::Plain, flags);
            }
            return;
        }
        self.noise(entity);
        let (a, b) = (&self.ring[i], &self.ring[(i + 1) % n]);
        let outer = a.lock(How::default());
        let inner = b.lock(How::default());
        b.unlock(Irq::Plain, inner);
        a.unlock(Irq::Plain, outer);
        self.noise(entity);
    }
}

fn buried(parties: usize, noise: &[usize]) -> (Machine, Buried) {
    let task = |i: usize| EntitySpec::task(format!("T{i}"), i as u8);
    let mut m = Machine::new(&MachineSpec {
        cpus: noise.len() as u8,
        entities: (0..noise.len()).map(task).collect(),
        rules: Rules {
            lockdep: false,
            ..Rules::default()
        },
        max_steps: 10_000,
    });
    let mut lock = |name: &str| Lock::new(&mut m, LockKind::Mutex, name, None);
    let common = lock("common");
    let ring = (0..parties).map(|i| lock(&format!("L{i}"))).collect();
    let world = Buried {
        common,
        ring,
        noise: noise.to_vec(),
        bystander: noise.len() > parties,
    };
    (m, world)
}

fn first(m: &Machine, w: &Buried, s: &mut dyn Strategy, cap: u32) -> Option<u32> {
    let mut det = Deterministic::new();
    (1..=cap).find(|_| det.run(m, w, s).stop.is_some())
}

fn mean(m: &Machine, w: &Buried, named: bool) -> f64 {
    let parties = |w: &Buried| -> Vec<Party> {
        let party = |(i, lock): (usize, &Lock)| Party {
            entity: named.then(|| EntityId::new(i)),
            holds: lock.res(),
        };
        w.ring.iter().enumerate().map(party).collect()
    };
    let total: u32 = (0..50)
        .map(|seed| first(m, w, &mut Directed::new(parties(w), seed), 500).expect("the deadlock"))
        .sum();
    f64::from(total) / 50.0
}

#[test]
fn a_buried_cycle_is_met_at_once() {
    for noise in [
        &[10, 10, 20][..],
        &[2, 40, 40],
        &[0, 60],
        &[10, 10, 10, 20],
        &[1, 20, 40, 3],
    ] {
        let parties = if noise.len() == 3 {
            2
        } else {
            noise.len().min(3)
        };
        let (m, w) = buried(parties, noise);
        for named in [true, false] {
            let mean = mean(&m, &w, named);
            println!("{noise:?}, named {named}: {mean}");
            assert!(mean <= 2.0, "{noise:?}, named {named}: {mean}");
        }
    }
}

#[test]
fn undirected_search_needs_longer_there() {
    let (m, w) = buried(2, &[2, 40, 40]);
    let mut random = StrategySpec::Random.build(&m, 1);
    assert_eq!(first(&m, &w, &mut random, 2_000), None);
}

#[test]
fn a_cycle_that_does_not_exist_harms_nothing() {
    let (m, w) = buried(2, &[3, 3]);
    let common = w.common.res();
    let cycle = [w.ring[0].res(), common].map(|holds| Party {
        entity: None,
        holds,
    });
    let mut det = Deterministic::new();
    let mut s = Directed::new(cycle.to_vec(), 1);
    for _ in 0..200 {
        let o = det.run(&m, &w, &mut s);
        assert_eq!(o.fault, None);
    }
}
