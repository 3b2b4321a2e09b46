//! Tasks that do not run before another starts them, on all three runtimes.

use ksplat_kernel::rt::{
    Decision, Deterministic, End, EntityId, EntitySpec, Machine, MachineSpec, Strategy,
    StrategyScheduler, World, current, run_in_shuttle, run_on_threads,
};
use ksplat_kernel::rules::Rules;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The last entity that can run.
struct Last;

impl Strategy for Last {
    fn pick(&mut self, d: &Decision<'_>) -> EntityId {
        d.nth(d.len() - 1)
    }

    fn choose(&mut self, _: u32) -> u32 {
        0
    }
}

/// Main starts the first of two tasks, after which that one says what it saw; nobody starts the second.
#[derive(Default)]
struct Starts {
    steps: AtomicUsize,
    seen: AtomicUsize,
    second: AtomicUsize,
}

impl World for Starts {
    fn run(&self, entity: EntityId) {
        match entity.index() {
            0 => {
                self.steps.store(1, SeqCst);
                current().start(EntityId::new(1));
                // Twice is once.
                current().start(EntityId::new(1));
            }
            1 => {
                self.seen.fetch_add(self.steps.load(SeqCst), SeqCst);
            }
            _ => self.second.store(1, SeqCst),
        }
    }
}

fn machine() -> Machine {
    let rests = |name, cpu| EntitySpec {
        started: false,
        ..EntitySpec::task(name, cpu)
    };
    let machine = Machine::new(&MachineSpec {
        cpus: 2,
        entities: vec![
            EntitySpec::task("main", 0),
            rests("first", 1),
            rests("second", 0),
        ],
        rules: Rules::default(),
        max_steps: 100,
    });
    for task in 1..3 {
        machine.set_raisers(EntityId::new(task), EntityId::new(0).bit());
    }
    machine
}

fn check(w: &Starts) {
    let all = [&w.seen, &w.second].map(|n| n.load(SeqCst));
    assert_eq!(all, [1, 0], "ran once after the start; never without one");
}

#[test]
fn in_simulation() {
    let m = machine();
    let mut det = Deterministic::new();
    for _ in 0..2 {
        let w = Starts::default();
        let o = det.run(&m, &w, &mut Last);
        assert_eq!((o.end, &o.stop, &o.fault), (End::Completed, &None, &None));
        check(&w);
    }
}

#[test]
fn under_shuttle() {
    let m = machine();
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    shuttle::Runner::new(StrategyScheduler::new(Last, 3), config).run(move || {
        let w = Starts::default();
        let o = run_in_shuttle(&m, &w);
        assert_eq!((o.end, &o.stop), (End::Completed, &None));
        check(&w);
    });
}

#[test]
fn on_threads() {
    let m = machine();
    for seed in 0..20 {
        let w = Starts::default();
        let o = run_on_threads(&m, &w, seed);
        assert_eq!((&o.stop, &o.fault), (&None, &None));
        check(&w);
    }
}
