//! What a lock validator costs: `cargo bench -p ksplat-lockdep`.
//!
//! Nanoseconds per pair of lock and unlock. Sixteen locks of sixteen classes; at depth d, groups of d are
//! held one inside the other. Samples are short, a fraction of a millisecond, and all contenders take turns. Without
//! contention the best sample counts: it is the one that nothing disturbed (two threads are timed from the first start to
//! the last end, so running one after the other does not look fast). Threads that share locks have no undisturbed state, and
//! the median counts. `quick` as an argument shortens it all.

mod contenders;

use contenders::{
    Contender, DeadlockDetection, Engine, LOCKS, NoDeadlocks, ParkingLot, Std, TracingParkingLot,
    TracingStd, Wrapped,
};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const DEPTHS: [usize; 3] = [1, 4, 8];

/// Who works on which locks.
#[derive(Clone, Copy)]
enum Threads {
    One,
    TwoDisjoint,
    TwoShared,
}

const THREADS: [Threads; 3] = [Threads::One, Threads::TwoDisjoint, Threads::TwoShared];

/// Takes `depth` locks from `first` on, one inside the other, and releases them innermost first.
#[inline(always)]
fn nest<C: Contender>(c: &C, t: &mut C::Thread, set: usize, first: usize, depth: usize) {
    match depth {
        1 => c.with(t, set, first, |_| ()),
        4 => nest4(c, t, set, first, |_| ()),
        8 => nest4(c, t, set, first, |t| nest4(c, t, set, first + 4, |_| ())),
        _ => unreachable!("no such depth is measured"),
    }
}

#[inline(always)]
fn nest4<C: Contender>(
    c: &C,
    t: &mut C::Thread,
    set: usize,
    n: usize,
    inner: impl FnOnce(&mut C::Thread),
) {
    c.with(t, set, n, |t| {
        c.with(t, set, n + 1, |t| {
            c.with(t, set, n + 2, |t| c.with(t, set, n + 3, inner))
        });
    });
}

/// `pairs` pairs of lock and unlock.
fn work<C: Contender>(c: &C, t: &mut C::Thread, set: usize, depth: usize, pairs: usize) {
    for _ in 0..pairs / LOCKS {
        for group in 0..LOCKS / depth {
            nest(c, t, set, group * depth, depth);
        }
    }
}

fn nanoseconds(elapsed: Duration, pairs: usize) -> f64 {
    elapsed.as_nanos() as f64 / pairs as f64
}

/// Samples per contender and round.
const SAMPLES: usize = 15;

fn measure<C: Contender>(threads: Threads, depth: usize, pairs: usize) -> Vec<f64> {
    let (sets, count) = match threads {
        Threads::One => (1, 1),
        Threads::TwoDisjoint => (2, 2),
        Threads::TwoShared => (1, 2),
    };
    let contender = C::new(sets);
    let barrier = Barrier::new(count);
    let pairs = pairs.max(LOCKS) / LOCKS * LOCKS;
    let run = |n: usize| {
        let mut thread = contender.thread();
        work(&contender, &mut thread, n % sets, depth, LOCKS);
        let sample = |_| {
            barrier.wait();
            let begin = Instant::now();
            work(&contender, &mut thread, n % sets, depth, pairs);
            (begin, Instant::now())
        };
        (0..SAMPLES).map(sample).collect::<Vec<_>>()
    };
    let runs: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (1..count).map(|n| scope.spawn(move || run(n))).collect();
        let mine = run(0);
        handles
            .into_iter()
            .map(|handle| handle.join().expect("no panic"))
            .chain([mine])
            .collect()
    });
    let sample = |n: usize| {
        let begin = runs.iter().map(|run| run[n].0).min();
        let end = runs.iter().map(|run| run[n].1).max();
        let elapsed = begin
            .zip(end)
            .map_or(Duration::ZERO, |(begin, end)| end - begin);
        nanoseconds(elapsed, pairs)
    };
    (0..SAMPLES).map(sample).collect()
}

fn fifo(pairs: usize) -> f64 {
    let engine = Engine::new(1);
    let mut task = engine.thread();
    engine.fifo(&mut task);
    let rounds = pairs / LOCKS;
    let begin = Instant::now();
    for _ in 0..rounds {
        engine.fifo(&mut task);
    }
    nanoseconds(begin.elapsed(), rounds * LOCKS)
}

type Measure = fn(Threads, usize, usize) -> Vec<f64>;

/// Name, measurement, and pairs per sample.
const CONTENDERS: [(&str, Measure, usize); 8] = [
    ("std::sync::Mutex", measure::<Std>, 40_000),
    ("parking_lot", measure::<ParkingLot>, 40_000),
    ("ksplat-lockdep, engine alone", measure::<Engine>, 40_000),
    ("ksplat-lockdep on parking_lot", measure::<Wrapped>, 40_000),
    ("tracing-mutex on std", measure::<TracingStd>, 10_000),
    (
        "tracing-mutex on parking_lot",
        measure::<TracingParkingLot>,
        10_000,
    ),
    (
        "parking_lot deadlock_detection",
        measure::<DeadlockDetection>,
        40_000,
    ),
    ("no_deadlocks", measure::<NoDeadlocks>, 16),
];

fn figure(threads: Threads, samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    match threads {
        Threads::One | Threads::TwoDisjoint => samples[0],
        Threads::TwoShared => samples[samples.len() / 2],
    }
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let rounds = if quick { 1 } else { 5 };
    println!(
        "ns per pair of lock and unlock; {} samples each\n",
        rounds * SAMPLES
    );
    println!("| | one thread | | | two threads, own locks | | | two threads, same locks | | |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    println!("| depth | 1 | 4 | 8 | 1 | 4 | 8 | 1 | 4 | 8 |");
    let columns: Vec<_> = THREADS
        .iter()
        .flat_map(|t| DEPTHS.map(|d| (*t, d)))
        .collect();
    let mut samples = vec![vec![Vec::new(); columns.len()]; CONTENDERS.len()];
    for _ in 0..rounds {
        for (column, (threads, depth)) in columns.iter().enumerate() {
            for ((_, measure, pairs), row) in CONTENDERS.iter().zip(&mut samples) {
                row[column].extend(measure(*threads, *depth, *pairs));
            }
        }
    }
    for ((name, ..), row) in CONTENDERS.iter().zip(&mut samples) {
        print!("| {name} |");
        for ((threads, _), samples) in columns.iter().zip(row) {
            print!(" {:.1} |", figure(*threads, samples));
        }
        println!();
    }
    let fifo = (0..rounds * SAMPLES)
        .map(|_| fifo(4000))
        .fold(f64::INFINITY, f64::min);
    println!("\nengine alone, sixteen locks released in the order taken: {fifo:.0} ns per pair");
}
