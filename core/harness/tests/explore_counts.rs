//! How many executions the exhaustive search needs where the number of classes is known.

use ksplat_harness::explore::{Dpor, Exhaustive, Limits, explore};
use ksplat_kernel::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, OpKind, ResId, ResKind, Strategy,
    StrategyScheduler, World, current, run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::ops::ControlFlow;

/// Each task takes and releases two mutexes in turn, tasks begin with different ones.
struct Pairs([Lock; 2], usize);

impl World for Pairs {
    fn run(&self, entity: EntityId) {
        for i in 0..self.1 {
            let lock = &self.0[(i + entity.index()) % 2];
            let flags = lock.lock(How::default());
            lock.unlock(Irq::Plain, flags);
        }
    }
}

/// Each task loads one variable and stores another.
struct Loads([ResId; 2]);

impl World for Loads {
    fn run(&self, entity: EntityId) {
        let me = entity.index() % 2;
        current().point(OpKind::Load, self.0[me]);
        current().point(OpKind::Store, self.0[1 - me]);
    }
}

fn machine(tasks: u8) -> Machine {
    let task = |i: u8| EntitySpec::task(format!("T{i}"), i);
    Machine::new(&MachineSpec {
        cpus: tasks,
        entities: (0..tasks).map(task).collect(),
        rules: Rules {
            lockdep: false,
            ..Rules::default()
        },
        max_steps: 1_000,
    })
}

fn pairs(tasks: u8, pairs: usize) -> (Machine, Pairs) {
    let mut m = machine(tasks);
    let locks = ["A", "B"].map(|n| Lock::new(&mut m, LockKind::Mutex, n, None));
    (m, Pairs(locks, pairs))
}

fn count(m: &Machine, w: &dyn World, s: &mut impl Strategy) -> u64 {
    let mut det = Deterministic::new();
    let explored = explore(s, Limits::schedules(1 << 20), |s| {
        det.run(m, w, s);
        ControlFlow::Continue(())
    });
    assert!(s.finished());
    explored.schedules
}

#[test]
fn one_execution_a_class_or_little_more() {
    // Tasks, pairs, classes (for the last two: with the redundant executions of a prototype without a better order).
    for (tasks, n, most) in [
        (2, 1, 1),
        (2, 2, 3),
        (2, 3, 7),
        (3, 1, 2),
        (3, 2, 24),
        (3, 3, 206),
    ] {
        let (m, w) = pairs(tasks, n);
        let mut dpor = Dpor::new(&m);
        let executions = count(&m, &w, &mut dpor);
        let coverage = dpor.coverage();
        println!(
            "{tasks} x {n}: {coverage}, {} redundant",
            coverage.redundant
        );
        assert_eq!(coverage.executions, executions);
        assert!(executions <= most, "{tasks} x {n}: {executions}");
        assert!(coverage.is_all() && coverage.share == 1.0);
    }
    let (m, w) = pairs(2, 2);
    assert!(count(&m, &w, &mut Exhaustive::new()) > 20);
}

#[test]
fn loads_commute_with_loads_only() {
    let mut m = machine(2);
    let w = Loads(["x", "y"].map(|n| m.add_resource(ResKind::Variable, n)));
    let executions = count(&m, &w, &mut Dpor::new(&m));
    // Both loads first, or either task altogether first; a load is not seen by anybody.
    assert!((3..=4).contains(&executions), "{executions}");
}

#[test]
fn a_bound_is_said_to_be_one() {
    let (m, w) = pairs(3, 3);
    let mut dpor = Dpor::new(&m);
    let mut det = Deterministic::new();
    for _ in 0..50 {
        det.run(&m, &w, &mut dpor);
    }
    let coverage = dpor.coverage();
    assert!(!coverage.is_all() && coverage.share > 0.0 && coverage.share < 1.0);
    assert!(
        coverage
            .to_string()
            .starts_with("stopped after 50 executions"),
        "{coverage}"
    );
}

#[test]
fn the_search_is_the_same_under_shuttle() {
    let (m, w) = pairs(3, 2);
    let here = count(&m, &w, &mut Dpor::new(&m));
    let (m, w) = pairs(3, 2);
    let dpor = Dpor::new(&m);
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let there = shuttle::Runner::new(StrategyScheduler::new(dpor, 10_000), config).run(move || {
        run_in_shuttle(&m, &w);
    });
    assert_eq!(here, there as u64);
}
