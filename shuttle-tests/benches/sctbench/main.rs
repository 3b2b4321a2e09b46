//! Mean schedules to the first bug on SCTBench programs: shuttle's own schedulers beside our strategies.
//!
//! Shuttle's schedulers decide on our shuttle runtime, where they choose among the same candidates at the same points.
//! A cell is the mean over the trials that found the bug, with their number if not all did. A column that misses the
//! bug in the first trials is not tried further on that program. `--trials N`, `--cap N`, `--only NAME`,
//! `--column NAME`, `--seed FIRST`, `--safestack N` (the trials of SURW on SafeStack, at most
//! [`SAFESTACK_CAP`] schedules each).

mod programs;
mod sct;

use ksplat_harness::explore::{Directed, Party, StrategySpec};
use ksplat_kernel::rt::{Deterministic, Machine, Outcome, Strategy, run_in_shuttle};
use programs::{PROGRAMS, Program, SAFESTACK};
use sct::Sct;
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId, UrwRandomScheduler,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// Trials in which a column may miss a bug before it is given up on that program.
const MISSES: usize = 3;

/// Most schedules of a trial on SafeStack.
const SAFESTACK_CAP: u64 = 20_000_000;

#[derive(Clone, Copy)]
enum Column {
    Shuttle(&'static str, fn(u64, usize) -> Box<dyn Scheduler + Send>),
    Ours(&'static str),
    Directed,
}

const COLUMNS: &[Column] = &[
    Column::Shuttle("sh:random", |seed, n| {
        Box::new(RandomScheduler::new_from_seed(seed, n))
    }),
    Column::Shuttle("sh:pct3", |seed, n| {
        Box::new(PctScheduler::new_from_seed(seed, 3, n))
    }),
    Column::Shuttle("sh:urw", |seed, n| {
        Box::new(UrwRandomScheduler::new_from_seed(seed, n))
    }),
    Column::Ours("random"),
    Column::Ours("pct:3"),
    Column::Ours("urw"),
    Column::Ours("pos"),
    Column::Ours("surw"),
    Column::Directed,
    Column::Ours("portfolio"),
];

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Shuttle(name, _) | Self::Ours(name) => name,
            Self::Directed => "directed",
        }
    }
}

fn is_bug(o: &Outcome) -> bool {
    o.stop.is_some() || !o.breaks.is_empty()
}

/// Schedules until the bug shows.
fn ours(m: &Machine, w: &Sct, s: &mut dyn Strategy, cap: u64) -> Option<u64> {
    let mut det = Deterministic::new();
    (1..=cap).find(|_| {
        w.reset();
        let o = det.run(m, w, s);
        assert_eq!(o.fault, None);
        is_bug(&o)
    })
}

/// Ends a test when the bug was seen.
struct UntilFound {
    scheduler: Box<dyn Scheduler + Send>,
    found: Arc<AtomicBool>,
}

impl Scheduler for UntilFound {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.found.load(Relaxed) {
            return None;
        }
        self.scheduler.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yielding: bool,
    ) -> Option<TaskId> {
        self.scheduler.next_task(runnable, current, yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}

fn under_shuttle(program: &'static Program, scheduler: Box<dyn Scheduler + Send>) -> Option<u64> {
    let (m, w) = Sct::new(program);
    let found = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&found);
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let scheduler = UntilFound {
        scheduler,
        found: Arc::clone(&found),
    };
    let tried = shuttle::Runner::new(scheduler, config).run(move || {
        w.reset();
        if is_bug(&run_in_shuttle(&m, &w)) {
            seen.store(true, Relaxed);
        }
    });
    found.load(Relaxed).then_some(tried as u64)
}

fn trial(program: &'static Program, column: Column, seed: u64, cap: u64) -> Option<u64> {
    let (m, w) = Sct::new(program);
    match column {
        Column::Shuttle(_, scheduler) => under_shuttle(program, scheduler(seed, cap as usize)),
        Column::Ours(name) => {
            let spec: StrategySpec = name.parse().expect("a strategy's name");
            ours(&m, &w, &mut spec.build(&m, seed), cap)
        }
        Column::Directed => {
            let party = |&lock: &usize| Party {
                entity: None,
                holds: w.lock_res(lock),
            };
            let cycle = program.cycle.iter();
            ours(
                &m,
                &w,
                &mut Directed::new(cycle.map(party).collect(), seed),
                cap,
            )
        }
    }
}

/// What the trials of one column on one program came to.
enum Cell {
    /// Nothing to try: no cycle that directed search could be given.
    Blank,
    /// The bug was found in none of so many trials.
    Missed(usize),
    /// Mean schedules, and mean time, to the first bug in the trials that found it.
    Found {
        mean: f64,
        /// Standard error of the mean: what chance makes of it with so few trials.
        error: f64,
        micros: f64,
        trials: usize,
        all: bool,
    },
}

/// Which figure of a cell a table shows.
#[derive(Clone, Copy)]
enum Figure {
    Mean,
    Error,
    Micros,
}

/// Mean of some numbers, and its standard error; no error of one number alone.
fn mean_of(numbers: &[u64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<u64>() as f64 / n;
    let squares = numbers.iter().map(|&x| (x as f64 - mean).powi(2));
    let variance = squares.sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

impl Cell {
    fn text(&self, what: Figure) -> String {
        match *self {
            Self::Blank => String::new(),
            Self::Missed(made) => format!("- ({made})"),
            Self::Found {
                mean,
                error,
                micros,
                trials,
                all,
            } => {
                let n = match what {
                    Figure::Mean => mean,
                    Figure::Error => error,
                    Figure::Micros => micros,
                };
                let n = if n < 10.0 {
                    format!("{n:.1}")
                } else {
                    format!("{n:.0}")
                };
                if all { n } else { format!("{n} ({trials})") }
            }
        }
    }
}

fn cell(program: &'static Program, column: Column, trials: usize, cap: u64) -> Cell {
    if matches!(column, Column::Directed) && program.cycle.is_empty() {
        return Cell::Blank;
    }
    let (mut found, start) = (Vec::new(), Instant::now());
    let mut made = 0;
    let first = number("--seed", 1);
    for seed in first..first + trials as u64 {
        made += 1;
        if let Some(n) = trial(program, column, seed, cap) {
            found.push(n);
        } else if found.is_empty() && made == MISSES {
            break;
        }
    }
    if found.is_empty() {
        return Cell::Missed(made);
    }
    let (mean, error) = mean_of(&found);
    Cell::Found {
        mean,
        error,
        micros: start.elapsed().as_secs_f64() * 1e6 / found.len() as f64,
        trials: found.len(),
        all: found.len() == trials,
    }
}

fn table(title: &str, columns: &[Column], rows: &[(&str, Vec<String>)]) {
    println!("{title}");
    print!("{:<16}", "");
    for column in columns {
        print!("{:>12}", column.name());
    }
    println!();
    for (name, cells) in rows {
        print!("{name:<16}");
        for text in cells {
            print!("{text:>12}");
        }
        println!();
    }
}

fn option(name: &str) -> Option<String> {
    let mut args = std::env::args().skip_while(|a| a != name);
    args.next().and(args.next())
}

fn number(name: &str, otherwise: u64) -> u64 {
    option(name)
        .and_then(|n| n.parse().ok())
        .unwrap_or(otherwise)
}

fn main() {
    let trials = number("--trials", 20) as usize;
    let cap = number("--cap", 10_000);
    let only = option("--only");
    let column = option("--column");
    let columns: Vec<Column> = COLUMNS
        .iter()
        .copied()
        .filter(|c| column.as_ref().is_none_or(|name| c.name() == name))
        .collect();
    let wanted = |p: &&Program| match &only {
        Some(name) => p.name == name,
        None => p.name != SAFESTACK.name,
    };
    let cells: Vec<(&str, Vec<Cell>)> = PROGRAMS
        .iter()
        .filter(wanted)
        .map(|p| {
            let row = columns.iter().map(|&c| cell(p, c, trials, cap));
            (p.name, row.collect())
        })
        .collect();
    let show = |title: &str, what| {
        let texts = |row: &[Cell]| row.iter().map(|cell| cell.text(what)).collect();
        let rows: Vec<_> = cells
            .iter()
            .map(|(name, row)| (*name, texts(row)))
            .collect();
        table(title, &columns, &rows);
    };
    let title = format!("mean schedules to the first bug, {trials} trials, at most {cap} each");
    show(&title, Figure::Mean);
    show("standard error of these means", Figure::Error);
    show("mean time to the first bug, microseconds", Figure::Micros);
    safestack(number("--safestack", 10));
}

/// SURW on SafeStack.
fn safestack(trials: u64) {
    let (mut found, start) = (Vec::new(), Instant::now());
    for seed in 1..=trials {
        if let Some(n) = trial(&SAFESTACK, Column::Ours("surw"), seed, SAFESTACK_CAP) {
            found.push(n);
            println!("safestack, surw, trial {seed}: {n} schedules");
        }
    }
    if found.is_empty() {
        return;
    }
    let took = start.elapsed().as_secs_f64();
    let (mean, error) = mean_of(&found);
    println!(
        "safestack, surw: {} of {trials} trials, mean {mean:.0} schedules (standard error {error:.0}), {:.1} s a trial, {:.0} schedules/s",
        found.len(),
        took / trials as f64,
        found.iter().sum::<u64>() as f64 / took
    );
}
