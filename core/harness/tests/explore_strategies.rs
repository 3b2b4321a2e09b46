//! Every strategy on one small world: what it finds, that it can be replayed, that it is the same under shuttle.

use ksplat_harness::explore::{
    Ended, Exhaustive, Limits, Portfolio, Replay, StrategySpec, explore,
};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntitySet, EntitySpec, Machine, MachineSpec, OpKind, Outcome,
    ResId, ResKind, Strategy, StrategyScheduler, World, current, run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Two tasks take two locks in opposite order, a third counts with loads and stores; a choice skips its work.
struct Busy {
    locks: [Lock; 2],
    counter: ResId,
    value: AtomicU32,
}

impl World for Busy {
    fn run(&self, entity: EntityId) {
        let (first, second) = match entity.index() {
            0 => (0, 1),
            1 => (1, 0),
            _ => return self.count(),
        };
        let f = self.locks[first].lock(How::default());
        self.count();
        let g = self.locks[second].lock(How::default());
        self.locks[second].unlock(Irq::Plain, g);
        self.locks[first].unlock(Irq::Plain, f);
    }
}

impl Busy {
    fn count(&self) {
        let e = current();
        if e.machine().choose(3) == 2 {
            return;
        }
        e.point(OpKind::Load, self.counter);
        let v = self.value.load(Relaxed);
        e.point(OpKind::Store, self.counter);
        self.value.store(v + 1, Relaxed);
    }
}

fn busy() -> (Machine, Busy) {
    let task = |i: u8| EntitySpec::task(format!("T{i}"), i);
    let mut m = Machine::new(&MachineSpec {
        cpus: 3,
        entities: (0..3).map(task).collect(),
        rules: Rules::default(),
        max_steps: 10_000,
    });
    let locks = ["A", "B"].map(|n| Lock::new(&mut m, LockKind::Mutex, n, None));
    let counter = m.add_resource(ResKind::Variable, "n");
    let value = AtomicU32::new(0);
    let world = Busy {
        locks,
        counter,
        value,
    };
    (m, world)
}

/// Everything that an execution shows.
type Shown = (End, Option<EntitySet>, u32, u32);

fn shown(o: &Outcome, w: &Busy) -> Shown {
    assert_eq!(o.fault, None);
    let stuck = o.stop.as_ref().map(|s| s.stuck);
    (o.end, stuck, o.steps, w.value.load(Relaxed))
}

fn run(det: &mut Deterministic, m: &Machine, w: &Busy, s: &mut dyn Strategy) -> (Shown, Vec<u32>) {
    w.value.store(0, Relaxed);
    let o = det.run(m, w, s);
    (shown(&o, w), m.choices())
}

fn samplers() -> Vec<StrategySpec> {
    let names = "random pct:1 pct:2 pct:3 pct:10 urw pos surw portfolio portfolio:pos,random";
    names.split(' ').map(|n| n.parse().unwrap()).collect()
}

#[test]
fn samplers_find_stops_and_replay() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    for spec in samplers() {
        let mut strategy = spec.build(&m, 7);
        let (mut stops, mut values) = (0, HashSet::new());
        for _ in 0..400 {
            let (shown, choices) = run(&mut det, &m, &w, &mut strategy);
            stops += u32::from(shown.0 == End::Stopped);
            values.insert(shown.3);
            let mut replay = Replay::new(choices.clone());
            let again = run(&mut det, &m, &w, &mut replay);
            assert_eq!(again, (shown, choices), "{spec}");
            assert_eq!((replay.diverged(), replay.unused()), (None, 0));
        }
        let pct1 = spec == StrategySpec::Pct { depth: 1 };
        assert!(pct1 || (4..396).contains(&stops), "{spec}: {stops}");
        assert!(values.len() >= 3, "{spec}: {values:?}");
    }
}

#[test]
fn equal_seeds_decide_equally_and_others_do_not() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    let mut series = |spec: &StrategySpec, seed| -> Vec<_> {
        let mut s = spec.build(&m, seed);
        (0..60).map(|_| run(&mut det, &m, &w, &mut s)).collect()
    };
    for spec in samplers() {
        let one = series(&spec, 1);
        assert!(one == series(&spec, 1) && one != series(&spec, 2), "{spec}");
    }
}

#[test]
fn same_decisions_under_shuttle() {
    for spec in samplers() {
        let (m, w) = busy();
        let mut det = Deterministic::new();
        let mut s = spec.build(&m, 3);
        let here: Vec<_> = (0..200).map(|_| run(&mut det, &m, &w, &mut s)).collect();
        let strategy = spec.build(&m, 3);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&seen);
        let mut config = shuttle::Config::new();
        config.failure_persistence = shuttle::FailurePersistence::None;
        shuttle::Runner::new(StrategyScheduler::new(strategy, 200), config).run(move || {
            w.value.store(0, Relaxed);
            let o = run_in_shuttle(&m, &w);
            out.lock().unwrap().push((shown(&o, &w), m.choices()));
        });
        let there = seen.lock().unwrap();
        assert_eq!(here.len(), there.len(), "{spec}");
        for (i, (here, there)) in here.iter().zip(there.iter()).enumerate() {
            assert_eq!(here, there, "{spec}: execution {i}");
        }
    }
}

#[test]
fn enumeration_shows_every_schedule_once() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    let (mut all, mut outcomes) = (HashSet::new(), HashSet::new());
    let explored = explore(&mut Exhaustive::new(), Limits::schedules(1 << 20), |s| {
        let (shown, choices) = run(&mut det, &m, &w, s);
        outcomes.insert(shown);
        assert!(all.insert(choices), "a schedule twice");
        ControlFlow::Continue(())
    });
    assert_eq!(explored.ended, Ended::Finished);
    assert_eq!(explored.schedules, all.len() as u64);
    let mut dice = StrategySpec::Random.build(&m, 5);
    for _ in 0..20_000 {
        let (shown, choices) = run(&mut det, &m, &w, &mut dice);
        assert!(all.contains(&choices) && outcomes.contains(&shown));
    }
}

#[test]
fn replay_reports_divergence() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    let mut replay = Replay::new(vec![0, 99, 1]);
    run(&mut det, &m, &w, &mut replay);
    assert_eq!(replay.diverged(), Some(1));
    let mut replay = Replay::new(vec![0; 1_000]);
    run(&mut det, &m, &w, &mut replay);
    assert!(replay.unused() > 900);
}

#[test]
fn a_portfolio_takes_turns() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    let mut portfolio = Portfolio::new(&[StrategySpec::Pos, StrategySpec::Random], &m, 1);
    let members: Vec<String> = (0..4)
        .map(|_| {
            run(&mut det, &m, &w, &mut portfolio);
            portfolio.member().to_string()
        })
        .collect();
    assert_eq!(members, ["pos", "random", "pos", "random"]);
}

#[test]
fn limits_end_a_search() {
    let (m, w) = busy();
    let mut det = Deterministic::new();
    let mut s = StrategySpec::Random.build(&m, 1);
    let mut search = |limits, enough| {
        let mut n = 0;
        explore(&mut s, limits, |s| {
            run(&mut det, &m, &w, s);
            n += 1;
            if n == enough {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    };
    let e = search(Limits::schedules(10), 100);
    assert_eq!((e.schedules, e.ended), (10, Ended::Schedules));
    let e = search(Limits::schedules(10), 3);
    assert_eq!((e.schedules, e.ended), (3, Ended::Enough));
    let none = Limits {
        time: Some(std::time::Duration::ZERO),
        ..Limits::schedules(10)
    };
    assert_eq!(search(none, 3).ended, Ended::Time);
}
