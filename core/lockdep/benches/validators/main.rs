//! What a lock validator costs: `cargo bench -p ksplat-lockdep`.
//!
//! Nanoseconds per pair of lock and unlock. Sixteen locks of sixteen classes; at depth d, groups of d are
//! held one inside the other. Every figure is the median of several rounds, and all contenders take their turn in
//! each round, so that a disturbance of the machine hits them alike. `quick` as an argument shortens it.

mod contenders;
#[path = "../../examples/parking_lot/wrapper.rs"]
#[allow(dead_code, reason = "the example uses more of it")]
mod wrapper;

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

fn measure<C: Contender>(threads: Threads, depth: usize, pairs: usize) -> f64 {
    let (sets, count) = match threads {
        Threads::One => (1, 1),
        Threads::TwoDisjoint => (2, 2),
        Threads::TwoShared => (1, 2),
    };
    let contender = C::new(sets);
    let start = Barrier::new(count);
    let run = |n: usize| {
        let mut thread = contender.thread();
        let set = n % sets;
        work(&contender, &mut thread, set, depth, pairs / 10 + LOCKS);
        start.wait();
        let begin = Instant::now();
        work(&contender, &mut thread, set, depth, pairs);
        nanoseconds(begin.elapsed(), pairs / LOCKS * LOCKS)
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (1..count).map(|n| scope.spawn(move || run(n))).collect();
        let mine = run(0);
        handles
            .into_iter()
            .map(|handle| handle.join().expect("no panic"))
            .fold(mine, f64::max)
    })
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

type Measure = fn(Threads, usize, usize) -> f64;

/// Name, measurement, and how many pairs it can be asked for in a reasonable time.
const CONTENDERS: [(&str, Measure, usize); 8] = [
    ("std::sync::Mutex", measure::<Std>, 1_000_000),
    ("parking_lot", measure::<ParkingLot>, 1_000_000),
    ("ksplat-lockdep, engine alone", measure::<Engine>, 1_000_000),
    (
        "ksplat-lockdep on parking_lot",
        measure::<Wrapped>,
        1_000_000,
    ),
    ("tracing-mutex on std", measure::<TracingStd>, 200_000),
    (
        "tracing-mutex on parking_lot",
        measure::<TracingParkingLot>,
        200_000,
    ),
    (
        "parking_lot deadlock_detection",
        measure::<DeadlockDetection>,
        1_000_000,
    ),
    ("no_deadlocks", measure::<NoDeadlocks>, 800),
];

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "quick");
    let (rounds, divisor) = if quick { (3, 10) } else { (9, 1) };
    println!("ns per pair of lock and unlock, median of {rounds}; depth {DEPTHS:?}\n");
    println!("| | one thread | | | two threads, own locks | | | two threads, same locks | | |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    println!("| depth | 1 | 4 | 8 | 1 | 4 | 8 | 1 | 4 | 8 |");
    let mut samples = vec![vec![Vec::new(); THREADS.len() * DEPTHS.len()]; CONTENDERS.len()];
    for _ in 0..rounds {
        for (column, (threads, depth)) in THREADS
            .iter()
            .flat_map(|t| DEPTHS.map(|d| (*t, d)))
            .enumerate()
        {
            for ((_, measure, pairs), row) in CONTENDERS.iter().zip(&mut samples) {
                row[column].push(measure(threads, depth, pairs / divisor));
            }
        }
    }
    for ((name, ..), row) in CONTENDERS.iter().zip(&mut samples) {
        print!("| {name} |");
        row.iter_mut()
            .for_each(|column| print!(" {:.1} |", median(column)));
        println!();
    }
    let mut fifos: Vec<f64> = (0..rounds).map(|_| fifo(200_000 / divisor)).collect();
    println!(
        "\nengine alone, sixteen locks released in the order taken: {:.0} ns per pair",
        median(&mut fifos)
    );
}
