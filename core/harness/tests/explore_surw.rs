//! What SURW promises: the order of the accesses to what it selects does not depend on how much else each task has to do.

use ksplat_harness::explore::{Random, Surw};
use ksplat_kernel::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, OpKind, ResId, ResKind, Strategy,
    World, current,
};
use ksplat_kernel::rules::Rules;
use std::collections::HashMap;
use std::sync::Mutex;

/// Tasks that write one variable, each so many times, after and before so many reads of another one of their own.
struct Writers {
    shared: ResId,
    own: Vec<ResId>,
    /// Reads before each write, and writes, of each task.
    work: Vec<(usize, usize)>,
    order: Mutex<Vec<usize>>,
}

impl World for Writers {
    fn run(&self, entity: EntityId) {
        let task = entity.index();
        let (reads, writes) = self.work[task];
        let noise = || (0..reads).for_each(|_| current().point(OpKind::Load, self.own[task]));
        for _ in 0..writes {
            noise();
            current().point(OpKind::Store, self.shared);
            self.order.lock().unwrap().push(task);
        }
        noise();
    }
}

fn writers(work: &[(usize, usize)]) -> (Machine, Writers) {
    let task = |i: usize| EntitySpec::task(format!("T{i}"), i as u8);
    let mut m = Machine::new(&MachineSpec {
        cpus: work.len() as u8,
        entities: (0..work.len()).map(task).collect(),
        rules: Rules::default(),
        max_steps: 10_000,
    });
    let shared = m.add_resource(ResKind::Variable, "shared");
    let own = (0..work.len()).map(|i| m.add_resource(ResKind::Variable, format!("own {i}")));
    let world = Writers {
        shared,
        own: own.collect(),
        work: work.to_vec(),
        order: Mutex::default(),
    };
    (m, world)
}

/// How often the writes came in which order.
fn orders(
    work: &[(usize, usize)],
    s: &mut dyn Strategy,
    executions: u32,
) -> HashMap<Vec<usize>, u32> {
    let (m, w) = writers(work);
    let mut det = Deterministic::new();
    let mut seen = HashMap::new();
    for _ in 0..executions {
        assert_eq!(det.run(&m, &w, s).fault, None);
        let order = std::mem::take(&mut *w.order.lock().unwrap());
        *seen.entry(order).or_default() += 1;
    }
    seen
}

/// How far from even the numbers are; about one less than the number of orders, if chance alone makes them differ.
fn chi_square(seen: &HashMap<Vec<usize>, u32>, orders: u32) -> f64 {
    let expected = f64::from(seen.values().sum::<u32>()) / f64::from(orders);
    let missing = f64::from(orders - seen.len() as u32) * expected;
    let off = |&n: &u32| (f64::from(n) - expected).powi(2) / expected;
    missing + seen.values().map(off).sum::<f64>()
}

/// Four tasks write once each, among 0, 3, 7 and 12 reads: 24 orders.
const UNEQUAL: [(usize, usize); 4] = [(0, 1), (3, 1), (7, 1), (12, 1)];

#[test]
fn orders_of_single_accesses_are_uniform() {
    for seed in 1..4 {
        let seen = orders(&UNEQUAL, &mut Surw::new(seed), 12_000);
        // 23 degrees of freedom: above 55 with a probability of 0.0002, if it were not for the few profiles.
        let off = chi_square(&seen, 24);
        assert!(off < 55.0, "{seed}: {off}");
    }
    let walk = orders(&UNEQUAL, &mut Random::new(1), 12_000);
    assert!(chi_square(&walk, 24) > 10_000.0, "the test can tell");
}

#[test]
fn no_order_is_less_than_half_as_likely_as_if_all_were_equal() {
    // 6! / (2! 2! 2!) orders.
    let seen = orders(&[(0, 2), (2, 2), (6, 2)], &mut Surw::new(1), 45_000);
    assert_eq!(seen.len(), 90);
    for (order, n) in seen {
        assert!(n > 200, "{order:?}: {n} of 500");
    }
}

#[test]
fn an_order_is_not_sampled_again_before_the_others_had_their_turn() {
    // Of 24 orders so many executions leave 24 * (23/24)^72 = 1.1 out, if they are independent.
    let missing = |seed| 24 - orders(&UNEQUAL, &mut Surw::new(seed), 72).len();
    let missed: usize = (1..21).map(missing).sum();
    assert!(missed <= 5, "{missed}");
}
