//! Executions a second of one small program: three tasks, each ten lock/unlock pairs on two mutexes in turn.
//!
//! Our deterministic and shuttle runtimes beside the same program written with plain `shuttle::sync::Mutex`, measured
//! in turns within one run, so that what else the machine does hits all alike; medians of the turns.

use ksplat_harness::explore::{Pct, Random, StrategySpec};
use ksplat_kernel::rt::{
    CpuId, Deterministic, End, EntityId, EntityKind, EntitySpec, Machine, MachineSpec, Strategy,
    StrategyScheduler, World, run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TASKS: u8 = 3;
const PAIRS: usize = 10;
/// Turns of each contender.
const TURNS: usize = 7;
const TURN: Duration = Duration::from_millis(300);

struct Pairs([Lock; 2]);

impl World for Pairs {
    fn run(&self, entity: EntityId) {
        for i in 0..PAIRS {
            let lock = &self.0[(i + entity.index()) % 2];
            let flags = lock.lock(How::default());
            lock.unlock(Irq::Plain, flags);
        }
    }
}

fn pairs(lockdep: bool) -> (Machine, Pairs) {
    let task = |i| EntitySpec {
        name: format!("T{i}"),
        cpu: CpuId(i),
        kind: EntityKind::Task,
        prio: 0,
        pf: 0,
        times: 0,
    };
    let rules = Rules {
        lockdep,
        ..Rules::default()
    };
    let mut m = Machine::new(&MachineSpec {
        cpus: TASKS,
        entities: (0..TASKS).map(task).collect(),
        rules,
        max_steps: 10_000,
    });
    let locks = ["A", "B"].map(|name| Lock::new(&mut m, LockKind::Mutex, name, None));
    (m, Pairs(locks))
}

/// Makes executions for about `TURN`; returns how many, how long it took, and the visible operations of one.
type Contender = Box<dyn FnMut() -> (u64, Duration, u32)>;

fn deterministic(mut strategy: Box<dyn Strategy>, lockdep: bool) -> Contender {
    let (m, w) = pairs(lockdep);
    let mut det = Deterministic::new();
    Box::new(move || {
        let (start, mut n, mut steps) = (Instant::now(), 0, 0);
        while start.elapsed() < TURN {
            for _ in 0..256 {
                let o = det.run(&m, &w, &mut strategy);
                assert_eq!(o.end, End::Completed);
                steps = o.steps;
            }
            n += 256;
        }
        (n, start.elapsed(), steps)
    })
}

fn quiet() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config
}

/// Executions of a shuttle turn: it cannot be told to stop by the clock without looking at it every execution.
const SHUTTLE_BATCH: usize = 8_192;

fn timed_batch(run: impl FnOnce()) -> (u64, Duration, u32) {
    let start = Instant::now();
    run();
    (SHUTTLE_BATCH as u64, start.elapsed(), 0)
}

fn our_shuttle(ours: bool) -> Contender {
    Box::new(move || {
        let (m, w) = pairs(false);
        let test = move || assert_eq!(run_in_shuttle(&m, &w).end, End::Completed);
        timed_batch(|| {
            if ours {
                let s = StrategyScheduler::new(Random::new(1), SHUTTLE_BATCH);
                shuttle::Runner::new(s, quiet()).run(test);
            } else {
                let s = shuttle::scheduler::RandomScheduler::new_from_seed(1, SHUTTLE_BATCH);
                shuttle::Runner::new(s, quiet()).run(test);
            }
        })
    })
}

fn stock_program() {
    use shuttle::sync::Mutex;
    let locks = [Arc::new(Mutex::new(())), Arc::new(Mutex::new(()))];
    let tasks: Vec<_> = (0..usize::from(TASKS))
        .map(|t| {
            let locks = locks.clone();
            shuttle::thread::spawn(move || {
                for i in 0..PAIRS {
                    drop(locks[(i + t) % 2].lock().unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().unwrap();
    }
}

fn stock_shuttle() -> Contender {
    Box::new(|| {
        timed_batch(|| {
            let s = shuttle::scheduler::RandomScheduler::new_from_seed(1, SHUTTLE_BATCH);
            shuttle::Runner::new(s, quiet()).run(stock_program);
        })
    })
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    let names = ["pos", "surw", "urw", "portfolio"];
    let mut contenders: Vec<(String, Contender)> = vec![
        ("stock shuttle, RandomScheduler".into(), stock_shuttle()),
        (
            "deterministic, random".into(),
            deterministic(Box::new(Random::new(1)), false),
        ),
        (
            "deterministic, random, lockdep on".into(),
            deterministic(Box::new(Random::new(1)), true),
        ),
        (
            "deterministic, pct:3".into(),
            deterministic(Box::new(Pct::new(3, 1)), false),
        ),
        ("our shuttle runtime, random".into(), our_shuttle(true)),
        (
            "our shuttle runtime, RandomScheduler".into(),
            our_shuttle(false),
        ),
    ];
    for name in names {
        let spec: StrategySpec = name.parse().expect("a strategy's name");
        let strategy = spec.build(&pairs(false).0, 1);
        contenders.push((
            format!("deterministic, {name}"),
            deterministic(strategy, false),
        ));
    }
    let mut rates = vec![Vec::new(); contenders.len()];
    let mut steps = vec![0; contenders.len()];
    for _ in 0..TURNS {
        for (i, (_, contender)) in contenders.iter_mut().enumerate() {
            let (n, took, s) = contender();
            rates[i].push(n as f64 / took.as_secs_f64());
            steps[i] = s;
        }
    }
    println!(
        "{TASKS} tasks x {PAIRS} lock/unlock pairs on 2 mutexes; median of {TURNS} turns, taken in turn"
    );
    println!(
        "{:<38} {:>12} {:>7} {:>10}",
        "", "executions/s", "ratio", "ns/step"
    );
    let stock = median(&mut rates[0]);
    for (i, (name, _)) in contenders.iter().enumerate() {
        let rate = median(&mut rates[i]);
        let per_step = match steps[i] {
            0 => "-".to_owned(),
            n => format!("{:.1}", 1e9 / rate / f64::from(n)),
        };
        println!(
            "{name:<38} {rate:>12.0} {:>6.1}x {per_step:>10}",
            rate / stock
        );
    }
}
