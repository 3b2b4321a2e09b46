//! One small world on all three runtimes.

use ksplat_kernel::rt::{
    Decision, Deterministic, End, EntityId, EntityKind, EntitySpec, Machine, MachineSpec, Outcome,
    StopKind, Strategy, StrategyScheduler, World, run_in_shuttle, run_on_threads,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};

/// Splitmix: decisions from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Strategy for Dice {
    fn pick(&mut self, d: &Decision<'_>) -> EntityId {
        let n = self.roll() as u32 % d.len();
        d.nth(n)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.roll() as u32 % n
    }
}

struct Abba {
    locks: [Lock; 2],
    order: Vec<[usize; 2]>,
}

impl World for Abba {
    fn run(&self, entity: EntityId) {
        let [a, b] = self.order[entity.index()];
        let fa = self.locks[a].lock(How::default());
        let fb = self.locks[b].lock(How::default());
        self.locks[b].unlock(Irq::Plain, fb);
        self.locks[a].unlock(Irq::Plain, fa);
    }
}

fn machine(entities: Vec<EntitySpec>) -> Machine {
    Machine::new(&MachineSpec {
        cpus: 2,
        entities,
        rules: Rules::default(),
        max_steps: 10_000,
    })
}

fn abba(kind: LockKind, order: Vec<[usize; 2]>) -> (Machine, Abba) {
    let mut m = machine(
        (0..order.len())
            .map(|i| EntitySpec::task(format!("T{i}"), i as u8 % 2))
            .collect(),
    );
    let locks = ["A", "B"].map(|n| Lock::new(&mut m, kind, n, None));
    (m, Abba { locks, order })
}

fn under_shuttle(m: Machine, w: Abba, dice: Dice, n: usize) -> Vec<(Outcome, Vec<u32>)> {
    use std::sync::{Arc, Mutex};
    let out = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&out);
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    shuttle::Runner::new(StrategyScheduler::new(dice, n), config).run(move || {
        let outcome = run_in_shuttle(&m, &w);
        seen.lock().unwrap().push((outcome, m.choices()));
    });
    let mut out = out.lock().unwrap();
    std::mem::take(&mut *out)
}

/// More entities than a machine word has bits: every one of them runs, and the last two close a cycle.
#[test]
fn a_hundred_tasks_run_on_every_runtime() {
    let order = |last| {
        let mut order = vec![[0, 1]; 99];
        order.push(last);
        order
    };
    let (m, w) = abba(LockKind::Mutex, order([0, 1]));
    let mut det = Deterministic::new();
    for seed in 0..20 {
        let o = det.run(&m, &w, &mut Dice(seed));
        assert_eq!((o.end, o.fault), (End::Completed, None));
        let o = run_on_threads(&m, &w, seed);
        assert_eq!((o.end, o.fault), (End::Completed, None));
    }
    let (m, w) = abba(LockKind::Mutex, order([1, 0]));
    let inverted = EntityId::new(99).bit();
    let (mut dice, mut stops) = (Dice(1), 0);
    for _ in 0..2000 {
        let Some(stop) = det.run(&m, &w, &mut dice).stop else {
            continue;
        };
        assert_eq!(stop.kind, StopKind::Deadlock);
        assert_ne!(stop.stuck & inverted, 0);
        stops += 1;
    }
    assert!((20..2000).contains(&stops), "{stops} of 2000");
    let shown = |o: Outcome, choices| (o.end, o.stop, o.steps, choices);
    let mut dice = Dice(7);
    let simulated: Vec<_> = (0..10)
        .map(|_| shown(det.run(&m, &w, &mut dice), m.choices()))
        .collect();
    let under = under_shuttle(m, w, Dice(7), 10);
    let under: Vec<_> = under.into_iter().map(|(o, c)| shown(o, c)).collect();
    assert_eq!(under, simulated);
}

#[test]
fn abba_deadlocks_and_ordered_locks_do_not() {
    for kind in [
        LockKind::Spin,
        LockKind::Mutex,
        LockKind::RawSpin,
        LockKind::RwSem,
    ] {
        let (m, w) = abba(kind, vec![[0, 1], [1, 0]]);
        let (mut det, mut dice) = (Deterministic::new(), Dice(1));
        let stops = (0..200)
            .filter(|_| det.run(&m, &w, &mut dice).stop.is_some())
            .count();
        assert!((20..180).contains(&stops), "{kind:?}: {stops} of 200");
        let (m, w) = abba(kind, vec![[0, 1], [0, 1]]);
        for _ in 0..200 {
            let o = det.run(&m, &w, &mut dice);
            assert_eq!((o.end, o.fault), (End::Completed, None));
        }
    }
}

#[test]
fn the_cycle_is_told() {
    let (m, w) = abba(LockKind::Mutex, vec![[0, 1], [1, 0]]);
    let (mut det, mut dice) = (Deterministic::new(), Dice(3));
    let stop = std::iter::repeat_with(|| det.run(&m, &w, &mut dice))
        .take(100)
        .find_map(|o| o.stop)
        .expect("a deadlock");
    assert_eq!(stop.kind, StopKind::Deadlock);
    assert_eq!(stop.stuck, 0b11);
    assert_eq!(stop.waits.len(), 2);
}

#[test]
fn an_innocent_task_does_not_hide_a_stuck_pair() {
    // T2 takes A and B in order after the pair is stuck or not; with its own locks it would run on for ever.
    let (m, w) = abba(LockKind::Mutex, vec![[0, 1], [1, 0], [0, 1]]);
    let (mut det, mut dice) = (Deterministic::new(), Dice(5));
    let found = (0..300)
        .filter_map(|_| det.run(&m, &w, &mut dice).stop)
        .any(|s| s.waits.len() == 2);
    assert!(found);
}

#[test]
fn same_choices_same_execution_under_shuttle() {
    for (kind, order) in [
        (LockKind::Mutex, vec![[0, 1], [1, 0], [0, 1]]),
        (LockKind::Spin, vec![[0, 1], [1, 0], [1, 0], [0, 1]]),
    ] {
        let (m, w) = abba(kind, order.clone());
        let (mut det, mut dice) = (Deterministic::new(), Dice(7));
        let here: Vec<_> = (0..500)
            .map(|_| (det.run(&m, &w, &mut dice), m.choices()))
            .collect();
        let (m, w) = abba(kind, order);
        let there = under_shuttle(m, w, Dice(7), 500);
        assert_eq!(here.len(), there.len());
        for (i, ((o1, c1), (o2, c2))) in here.iter().zip(&there).enumerate() {
            assert_eq!(c1, c2, "choices of execution {i}");
            assert_eq!(
                (o1.end, &o1.stop, o1.steps, &o1.fault),
                (o2.end, &o2.stop, o2.steps, &o2.fault),
                "execution {i}"
            );
        }
    }
}

#[test]
fn shuttles_own_schedulers_work() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    let stops = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&stops);
    let (m, w) = abba(LockKind::Mutex, vec![[0, 1], [1, 0]]);
    shuttle::check_random(
        move || {
            run_in_shuttle(&m, &w)
                .stop
                .is_some()
                .then(|| seen.fetch_add(1, Relaxed));
        },
        200,
    );
    assert!((20..180).contains(&stops.load(Relaxed)), "{stops:?} of 200");
    let (m, w) = abba(LockKind::Mutex, vec![[0, 1], [1, 0]]);
    let seen = Arc::clone(&stops);
    stops.store(0, Relaxed);
    shuttle::check_pct(
        move || {
            run_in_shuttle(&m, &w)
                .stop
                .is_some()
                .then(|| seen.fetch_add(1, Relaxed));
        },
        200,
        2,
    );
    assert!(stops.load(Relaxed) > 0);
}

#[test]
fn os_threads_complete_and_stop() {
    let (m, w) = abba(LockKind::Spin, vec![[0, 1]; 4]);
    for seed in 0..50 {
        assert_eq!(run_on_threads(&m, &w, seed).end, End::Completed);
    }
    struct SelfWait(Lock);
    impl World for SelfWait {
        fn run(&self, _: EntityId) {
            let _ = self.0.lock(How::default());
            let _ = self.0.lock(How::default());
        }
    }
    let mut m = machine(vec![EntitySpec::task("T", 0)]);
    let w = SelfWait(Lock::new(&mut m, LockKind::Mutex, "A", None));
    let stop = run_on_threads(&m, &w, 1).stop.expect("waits for itself");
    assert_eq!((stop.kind, stop.stuck), (StopKind::Deadlock, 1));
}

/// D in small: an interrupt spins on a lock that the task it interrupted holds.
struct IrqDeadlock(Lock, Irq);

impl World for IrqDeadlock {
    fn run(&self, entity: EntityId) {
        let irq = if entity.index() == 0 {
            self.1
        } else {
            Irq::Plain
        };
        let flags = self.0.lock(How {
            irq,
            ..How::default()
        });
        self.0.unlock(irq, flags);
    }
}

#[test]
fn an_interrupt_borrows_its_cpu() {
    for (irq, deadlocks) in [(Irq::Plain, true), (Irq::Irq, false), (Irq::Save, false)] {
        let handler = EntitySpec {
            kind: EntityKind::HardIrq,
            times: 1,
            ..EntitySpec::task("irq", 0)
        };
        let mut m = machine(vec![EntitySpec::task("T", 0), handler]);
        let w = IrqDeadlock(Lock::new(&mut m, LockKind::Spin, "A", None), irq);
        let (mut det, mut dice) = (Deterministic::new(), Dice(11));
        let outcomes: Vec<_> = (0..100).map(|_| det.run(&m, &w, &mut dice)).collect();
        assert_eq!(
            outcomes.iter().any(|o| o.stop.is_some()),
            deadlocks,
            "{irq:?}"
        );
        for o in &outcomes {
            assert!(o.breaks.is_empty() && o.fault.is_none(), "{o:?}");
        }
    }
}
