//! Executions a second of one small program: three tasks, each ten lock/unlock pairs on two mutexes in turn.
//!
//! Our deterministic and shuttle runtimes, each with lockdep off and on, beside the same program written with plain
//! `shuttle::sync::Mutex`, measured in turns within one run, so that what else the machine does hits all alike; medians
//! of the turns. A step is a visible operation of ours; stock shuttle counts differently, so its row has none.
//!
//! Then three tasks with three pairs each, all schedules: loom beside our exhaustive search.
//!
//! Nobody tries these locks, so that giving one back is no decision (`Lock::never_tried`); two rows decide there all the
//! same, as the runtimes do for locks that are tried.
//!
//! Where the time goes (callgrind, random, instructions an execution; measured with unlocks decided, 50 steps instead of
//! 30). Deterministic: 14,200; 19,500 with lockdep. Of the latter, lock operations with lockdep's cached way, and the
//! decisions and switches in them, 47 %, waits for locks with theirs 21 %, the random draw 9 %, classes and chains that
//! lockdep learns and forgets each execution 10 %, the rest begins and ends tasks. Instructions are not all: with pct:3,
//! which seldom switches, about as many take three quarters of the time. Who is drawn, and where he goes on, no processor
//! foresees, so that the way from a draw to the jump it leads to is kept short and there is one such jump a switch.
//!
//! Our shuttle runtime, measured so: 77,900, with lockdep 83,300; stock shuttle: 118,700. Of ours some 59,000 are
//! shuttle's engine.
//!
//! Ratios to stock shuttle in three runs beside other work: deterministic 14.7, 14.8 and 14.0, with lockdep 10.8, 11.1 and
//! 10.4 (goal 8), unlocks decided 7.4 and 7.1; our shuttle runtime 2.9, 2.5 and 2.4, with lockdep 2.7, 2.2 and 2.1 (goal 2).

use ksplat_harness::explore::{Dpor, Pct, Random, StrategySpec};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntitySpec, Machine, MachineSpec, Strategy, StrategyScheduler,
    World, run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const TASKS: u8 = 3;
const PAIRS: usize = 10;
/// Turns of each contender.
const TURNS: usize = 7;
const TURN: Duration = Duration::from_millis(300);

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

/// What a contender does besides exploring.
#[derive(Clone, Copy)]
struct Does {
    lockdep: bool,
    /// Decides before every unlock too, as if somebody could try the locks.
    decides_unlocks: bool,
}

const PLAIN: Does = Does {
    lockdep: false,
    decides_unlocks: false,
};
const LOCKDEP: Does = Does {
    lockdep: true,
    decides_unlocks: false,
};
const LOCKDEP_AND_UNLOCKS: Does = Does {
    lockdep: true,
    decides_unlocks: true,
};

fn pairs(does: Does) -> (Machine, Pairs) {
    let task = |i| EntitySpec::task(format!("T{i}"), i);
    let rules = Rules {
        lockdep: does.lockdep,
        ..Rules::default()
    };
    let mut m = Machine::new(&MachineSpec {
        cpus: TASKS,
        entities: (0..TASKS).map(task).collect(),
        rules,
        max_steps: 10_000,
    });
    let locks = ["A", "B"].map(|name| {
        let key = LockKind::Mutex.class(&mut m, name);
        let lock = Lock::new(&mut m, LockKind::Mutex, name, Some(key));
        if !does.decides_unlocks {
            lock.never_tried(&mut m);
        }
        lock
    });
    (m, Pairs(locks, PAIRS))
}

/// Makes executions for about `TURN`; returns how many, how long it took, and their visible operations.
type Contender = Box<dyn FnMut() -> (u64, Duration, u64)>;

fn deterministic(mut strategy: Box<dyn Strategy>, does: Does) -> Contender {
    let (m, w) = pairs(does);
    let mut det = Deterministic::new();
    Box::new(move || {
        let (start, mut n, mut steps) = (Instant::now(), 0, 0);
        while start.elapsed() < TURN {
            for _ in 0..256 {
                let o = det.run(&m, &w, &mut *strategy);
                assert_eq!(o.end, End::Completed);
                steps += u64::from(o.steps);
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

fn timed_batch(run: impl FnOnce()) -> (u64, Duration, u64) {
    let start = Instant::now();
    run();
    (SHUTTLE_BATCH as u64, start.elapsed(), 0)
}

fn our_shuttle(ours: bool, does: Does) -> Contender {
    Box::new(move || {
        let (m, w) = pairs(does);
        let all = Arc::new(AtomicU64::new(0));
        let steps = Arc::clone(&all);
        let test = move || {
            let o = run_in_shuttle(&m, &w);
            assert_eq!(o.end, End::Completed);
            steps.fetch_add(o.steps.into(), Relaxed);
        };
        let (n, took, _) = timed_batch(|| {
            if ours {
                let s = StrategyScheduler::new(Random::new(1), SHUTTLE_BATCH);
                shuttle::Runner::new(s, quiet()).run(test);
            } else {
                let s = shuttle::scheduler::RandomScheduler::new_from_seed(1, SHUTTLE_BATCH);
                shuttle::Runner::new(s, quiet()).run(test);
            }
        });
        (n, took, all.load(Relaxed))
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

/// Pairs of each task in the exhaustive search.
const ALL_PAIRS: usize = 3;

fn loom_search() -> (u64, Duration) {
    let executions = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&executions);
    let start = Instant::now();
    loom::model(move || {
        seen.fetch_add(1, Relaxed);
        // `std::sync::Arc`: loom's own would add its counters to the search.
        let locks = [0, 1].map(|_| Arc::new(loom::sync::Mutex::new(())));
        let tasks: Vec<_> = (0..usize::from(TASKS))
            .map(|t| {
                let locks = locks.clone();
                loom::thread::spawn(move || {
                    for i in 0..ALL_PAIRS {
                        drop(locks[(i + t) % 2].lock().unwrap());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.join().unwrap();
        }
    });
    let n = executions.load(Relaxed);
    (n, start.elapsed())
}

fn our_search() -> (u64, Duration) {
    let (m, mut w) = pairs(PLAIN);
    w.1 = ALL_PAIRS;
    let mut det = Deterministic::new();
    det.run(&m, &w, &mut Random::new(1));
    let start = Instant::now();
    let mut dpor = Dpor::new(&m);
    while !dpor.finished() {
        det.run(&m, &w, &mut dpor);
    }
    assert!(dpor.coverage().is_all());
    (dpor.coverage().executions, start.elapsed())
}

fn searches() {
    let mut turns: Vec<_> = (0..3).map(|_| (loom_search(), our_search())).collect();
    turns.sort_by_key(|(loom, ours)| loom.1.as_nanos() / ours.1.as_nanos().max(1));
    let (loom, ours) = turns[1];
    let ratio = loom.1.as_secs_f64() / ours.1.as_secs_f64();
    println!("{TASKS} tasks x {ALL_PAIRS} pairs, all schedules; median of 3 turns");
    println!("loom: {} iterations, {:?}", loom.0, loom.1);
    println!(
        "dpor: {} executions, {:?}: {ratio:.0}x faster",
        ours.0, ours.1
    );
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
            deterministic(Box::new(Random::new(1)), PLAIN),
        ),
        (
            "deterministic, random, lockdep on".into(),
            deterministic(Box::new(Random::new(1)), LOCKDEP),
        ),
        (
            "the same, unlocks decided".into(),
            deterministic(Box::new(Random::new(1)), LOCKDEP_AND_UNLOCKS),
        ),
        (
            "deterministic, pct:3".into(),
            deterministic(Box::new(Pct::new(3, 1)), PLAIN),
        ),
        (
            "our shuttle runtime, random".into(),
            our_shuttle(true, PLAIN),
        ),
        (
            "our shuttle runtime, random, lockdep on".into(),
            our_shuttle(true, LOCKDEP),
        ),
        (
            "the same, unlocks decided".into(),
            our_shuttle(true, LOCKDEP_AND_UNLOCKS),
        ),
        (
            "our shuttle runtime, RandomScheduler".into(),
            our_shuttle(false, PLAIN),
        ),
    ];
    for name in names {
        let spec: StrategySpec = name.parse().expect("a strategy's name");
        let strategy = spec.build(&pairs(PLAIN).0, 1);
        contenders.push((
            format!("deterministic, {name}"),
            deterministic(strategy, PLAIN),
        ));
    }
    let mut rates = vec![Vec::new(); contenders.len()];
    let mut steps = vec![0.0; contenders.len()];
    for _ in 0..TURNS {
        for (i, (_, contender)) in contenders.iter_mut().enumerate() {
            let (n, took, s) = contender();
            rates[i].push(n as f64 / took.as_secs_f64());
            steps[i] = s as f64 / n as f64;
        }
    }
    println!(
        "{TASKS} tasks x {PAIRS} lock/unlock pairs on 2 mutexes; median of {TURNS} turns, taken in turn"
    );
    println!(
        "{:<40} {:>12} {:>7} {:>12} {:>8}",
        "", "executions/s", "ratio", "steps/s", "ns/step"
    );
    let stock = median(&mut rates[0]);
    for (i, (name, _)) in contenders.iter().enumerate() {
        let rate = median(&mut rates[i]);
        let (per_second, took) = if steps[i] == 0.0 {
            ("-".to_owned(), "-".to_owned())
        } else {
            let per_second = rate * steps[i];
            (
                format!("{per_second:.0}"),
                format!("{:.1}", 1e9 / per_second),
            )
        };
        println!(
            "{name:<40} {rate:>12.0} {:>6.1}x {per_second:>12} {took:>8}",
            rate / stock
        );
    }
    searches();
}
