//! The hunt: generated programs, explored on all cores; what is new is confirmed, saved, minimised and saved again.
//!
//! Program number `n` of a seed is always the same program, so a hunt is a walk through the numbers; shard `i` of `n`
//! takes every `n`-th. What is found is on the disk before anything else is done with it, and the number up to which
//! everything is done is only raised afterwards: whoever kills a hunt loses time, never a finding.

mod generate;
mod shape;
mod store;

pub use generate::generate;
pub use shape::{found_shape, shape};
pub use store::{Store, write_whole};

use crate::check::{Bounds, Search, search};
use crate::confirm;
use crate::explore::StrategySpec;
use crate::finding::Signature;
use crate::minimise::{Options, minimise};
use crate::program::op::{Flavour, Op};
use crate::program::verb::{Do, Scope};
use crate::program::{Program, RulesText, parse, print};
use crate::reproducer::{named_signature, reproducer, to_text};
use crate::rules::machine_rules;
use crate::run::Litmus;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What to hunt, where and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where findings and progress are kept.
    pub dir: PathBuf,
    /// Seed of the programs.
    pub seed: u64,
    /// This shard, from 0, of so many.
    pub shard: (u64, u64),
    /// The rules that all programs run under; their own, without what no kernel has, if not given.
    pub rules: Option<RulesText>,
    /// How long; for ever if not given.
    pub time: Option<Duration>,
    /// How many programs, counted since the first start of this hunt; no end if not given.
    pub programs: Option<u64>,
    /// Programs explored at the same time.
    pub jobs: usize,
    /// Programs to mutate.
    pub corpus: Vec<Program>,
    /// Schedules a program.
    pub schedules: u64,
}

/// What a hunt tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Programs explored so far.
    Programs(u64),
    /// A new finding was saved, not minimised yet.
    New(Signature),
    /// A finding was minimised and saved.
    Minimised(Signature, PathBuf),
    /// The tool contradicts itself: a finding that does not replay, or that the checker rejects. Saved too.
    Fault(String),
}

/// What a hunt did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Programs explored, this time.
    pub programs: u64,
    /// Programs explored since the first start.
    pub total: u64,
    /// New findings, this time.
    pub new: u64,
    /// Findings saved that wait to be minimised.
    pub pending: u64,
    /// Faults of this tool, this time.
    pub faults: u64,
}

/// Broken invariants that only say that a random program breaks the rules of locking by itself.
const ILL_FORMED: [&str; 10] = [
    "unlock-not-held",
    "downgrade-not-held",
    "lock-held-at-exit",
    "irqs-at-exit",
    "rcu-unbalanced",
    "rcu-held-at-exit",
    "rcu-self-wait",
    "bh-count",
    "preempt-count",
    "sleep-in-atomic",
];

/// Whether a program turns interrupts on whatever they were before: it breaks its own sections.
fn enables_interrupts(program: &Program) -> bool {
    let mut found = false;
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |stmt| {
            found |= match &stmt.op {
                Op::Scope(scope, _) => *scope == Scope::IrqDisable,
                Op::Do(what) => *what == Do::LocalIrqEnable,
                Op::Lock(a, _) | Op::Trylock { acquire: a, .. } => a.flavour == Flavour::Irq,
                Op::Unlock { flavour, .. } => *flavour == Flavour::Irq,
                _ => false,
            };
        });
    }
    found
}

/// Hunts until the time is over, the programs are done or `stop` is set.
///
/// # Errors
/// If the directory cannot be read or written; what was saved before stays.
pub fn hunt(
    config: &Config,
    stop: &AtomicBool,
    tell: &(dyn Fn(News) + Sync),
) -> io::Result<Summary> {
    let store = Store::open(&config.dir, config.seed, config.shard)?;
    let first = store.next();
    let hunt = Hunt {
        config,
        stop,
        tell,
        end: config.time.map(|t| Instant::now() + t),
        next: AtomicU64::new(first),
        done: Mutex::new((first, BTreeSet::new())),
        known: Mutex::new(store.known()?),
        error: Mutex::new(None),
        counts: Mutex::new(Summary::default()),
        store,
    };
    hunt.minimise_pending();
    std::thread::scope(|scope| {
        for _ in 0..config.jobs.max(1) {
            scope.spawn(|| hunt.work());
        }
    });
    let (mark, _) = &*lock(&hunt.done);
    hunt.note(hunt.store.save(*mark));
    if let Some(error) = lock(&hunt.error).take() {
        return Err(error);
    }
    let mut summary = *lock(&hunt.counts);
    summary.total = *mark;
    summary.pending = hunt.store.pending()?.len() as u64;
    Ok(summary)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Hunt<'a> {
    config: &'a Config,
    stop: &'a AtomicBool,
    tell: &'a (dyn Fn(News) + Sync),
    end: Option<Instant>,
    next: AtomicU64,
    /// All programs below the mark are done, and these above it.
    done: Mutex<(u64, BTreeSet<u64>)>,
    /// Shapes of what was found.
    known: Mutex<BTreeSet<String>>,
    error: Mutex<Option<io::Error>>,
    counts: Mutex<Summary>,
    store: Store,
}

/// Programs between two notes of how far the hunt is.
const SAVE_EVERY: u64 = 32;

impl Hunt<'_> {
    fn over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
            || self.end.is_some_and(|end| Instant::now() >= end)
            || lock(&self.error).is_some()
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            lock(&self.error).get_or_insert(error);
        }
    }

    fn work(&self) {
        while !self.over() {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            if self.config.programs.is_some_and(|most| n >= most) {
                return;
            }
            if !self.one(n) {
                return;
            }
            self.finished(n);
        }
    }

    /// Raises the mark as far as everything below is done.
    fn finished(&self, n: u64) {
        let mut counts = lock(&self.counts);
        counts.programs += 1;
        (self.tell)(News::Programs(counts.programs));
        drop(counts);
        let mut done = lock(&self.done);
        done.1.insert(n);
        let before = done.0;
        loop {
            let mark = done.0;
            if !done.1.remove(&mark) {
                break;
            }
            done.0 = mark + 1;
        }
        if done.0 / SAVE_EVERY != before / SAVE_EVERY {
            self.note(self.store.save(done.0));
        }
    }

    /// Explores program number `n` of this shard. False: something could not be saved, the program is not done.
    fn one(&self, n: u64) -> bool {
        let (shard, shards) = self.config.shard;
        let number = n * shards + shard;
        let rules = self.config.rules.as_ref();
        let Some(program) = generate(self.config.seed, number, &self.config.corpus, rules) else {
            return true;
        };
        let Ok(litmus) = Litmus::new(&program, &machine_rules(&program.rules)) else {
            return true;
        };
        let bounds = Bounds {
            schedules: self.config.schedules,
            strategy: StrategySpec::default(),
            seed: number,
            ..Bounds::default()
        };
        let found = search(&litmus, &bounds, |_| false);
        if let Some(fault) = found.faults.first() {
            return self.fault(&program, number, fault);
        }
        self.keep(&program, &litmus, &found, number)
    }

    /// Saves what is new, then makes it small.
    fn keep(&self, program: &Program, litmus: &Litmus, found: &Search, number: u64) -> bool {
        let enables = enables_interrupts(program);
        for (signature, f) in &found.found {
            let breaks = &f.outcome.breaks;
            let ill = |kind: &str| ILL_FORMED.contains(&kind) || kind == "irq-state" && enables;
            if breaks.iter().any(|b| ill(b.kind)) {
                continue;
            }
            let shape = found_shape(program, signature, &f.outcome);
            if lock(&self.known).contains(&shape) {
                continue;
            }
            if let Err(why) = confirm::confirm(litmus, signature, f) {
                if !self.fault(program, number, &why) {
                    return false;
                }
                continue;
            }
            let raw = reproducer(program, &RulesText::default(), signature, f);
            let text = to_text(&raw, signature);
            if let Err(error) = self.store.save_pending(&shape, &text) {
                self.note(Err(error));
                return false;
            }
            if !lock(&self.known).insert(shape.clone()) {
                continue;
            }
            lock(&self.counts).new += 1;
            (self.tell)(News::New(signature.clone()));
            self.minimise_one(&shape, &raw, signature);
        }
        true
    }

    fn fault(&self, program: &Program, number: u64, why: &str) -> bool {
        lock(&self.counts).faults += 1;
        (self.tell)(News::Fault(why.to_owned()));
        let text = format!("# {}\n{}", why.replace('\n', " "), print(program));
        match self.store.save_fault(number, &text) {
            Ok(()) => true,
            Err(error) => {
                self.note(Err(error));
                false
            }
        }
    }

    /// What an earlier hunt found and had no time to make small.
    fn minimise_pending(&self) {
        let pending = match self.store.pending() {
            Ok(pending) => pending,
            Err(error) => return self.note(Err(error)),
        };
        for (shape, text) in pending {
            if self.over() {
                return;
            }
            let Some(signature) = named_signature(&text) else {
                continue;
            };
            if let Ok(program) = parse(&shape, &text) {
                self.minimise_one(&shape, &program, &signature);
            }
        }
    }

    /// Minimises a saved finding; if that is cut short it stays as it was saved.
    fn minimise_one(&self, shape: &str, raw: &Program, signature: &Signature) {
        let options = Options {
            cancelled: &|| self.over(),
            meant: &|program, outcome| found_shape(program, signature, outcome) == shape,
            ..Options::default()
        };
        let decisions = raw.schedule.iter().flat_map(|s| &s.decisions);
        let choices: Vec<u32> = decisions.map(|&d| u32::from(d)).collect();
        let minimised = minimise(raw, signature, &choices, &options);
        if self.over() {
            return;
        }
        let text = match minimised {
            Ok(minimised) => to_text(&minimised.program, signature),
            // As it was found, then: a finding is never lost for being stubborn.
            Err(_) => to_text(raw, signature),
        };
        match self.store.save_found(shape, &text) {
            Ok(path) => (self.tell)(News::Minimised(signature.clone(), path)),
            Err(error) => self.note(Err(error)),
        }
    }
}
