//! A second, slow lockdep, written from the description of the algorithm and sharing nothing with the engine but
//! the form of programs. Tests and the fuzzer hold the two against each other.
//!
//! It favours the obvious over the fast: sets of named bits, lists that are searched from the start, a closure where the
//! engine has a queue.

mod acquire;
mod graph;
mod steps;

use super::op::{How, THREADS};
use super::row::{LockKind, Program};
use graph::{Class, Graph};
use ksplat_lockdep::{LockType, SearchMode, WaitType};

/// What the oracle says to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleAnswer {
    /// `ok` or the kind of the first report.
    pub verdict: &'static str,
    /// Index of the operation reported, −1 if none.
    pub op: i64,
    /// Classes and their usage bits, sorted.
    pub usage: Vec<(String, Vec<String>)>,
    /// Edges, sorted: from, to, kinds, distance.
    pub edges: Vec<(String, String, Vec<&'static str>, u16)>,
    /// The results of the `Q` operations.
    pub queries: Vec<i64>,
}

/// A report, by kind. Nothing after it matters.
type Verdict<T = ()> = Result<T, &'static str>;

/// A lock instance: a program's lock, an RCU map (by flavour), or `fs_reclaim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instance {
    Lock(usize),
    Rcu(u8),
    FsReclaim,
}

/// A class key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Class(usize),
    Rcu(u8),
    FsReclaim,
}

#[derive(Clone, Debug)]
struct Held {
    instance: Instance,
    class: usize,
    read: u8,
    trylock: bool,
    check: bool,
    hardirqs_off: bool,
    context: u8,
    references: u32,
    pins: u32,
    nest: Option<Instance>,
}

#[derive(Clone, Debug, Default)]
struct Task {
    held: Vec<Held>,
    irqs_off: bool,
    bh: u32,
    hardirq: u32,
    threaded: bool,
    softirq: u32,
    preempt: i64,
    pf: u8,
}

struct Oracle<'a> {
    program: &'a Program,
    graph: Graph,
    /// Validated sequences of (class, read).
    chains: Vec<Vec<(usize, u8)>>,
    tasks: Vec<Task>,
    current: usize,
    saved: Vec<u8>,
    cookies: Vec<u32>,
    queries: Vec<i64>,
}

/// Executes a program up to its first report.
pub fn run(program: &Program, search: SearchMode) -> OracleAnswer {
    let mut oracle = Oracle {
        program,
        graph: Graph::new(search),
        chains: Vec::new(),
        tasks: vec![Task::default(); THREADS],
        current: 0,
        saved: Vec::new(),
        cookies: vec![0; program.locks.len()],
        queries: Vec::new(),
    };
    for flavour in 0..3 {
        oracle.register(Key::Rcu(flavour), 0);
    }
    let stopped = program
        .ops
        .iter()
        .enumerate()
        .find_map(|(n, op)| oracle.step(op.0).err().map(|kind| (n, kind)));
    oracle.answer(stopped)
}

impl Oracle<'_> {
    fn answer(self, stopped: Option<(usize, &'static str)>) -> OracleAnswer {
        let classes = self
            .graph
            .classes
            .iter()
            .filter(|class| !matches!(class.key, Key::Rcu(_)));
        let bits = |class: &Class| {
            let mut bits: Vec<String> = class.usage.iter().map(ToString::to_string).collect();
            bits.sort();
            bits
        };
        let mut usage: Vec<_> = classes
            .map(|class| (self.name(class), bits(class)))
            .collect();
        usage.sort();
        let name = |class: usize| self.name(&self.graph.classes[class]);
        let edge =
            |edge: &graph::Edge| (name(edge.from), name(edge.to), edge.kinds(), edge.distance);
        let mut edges: Vec<_> = self.graph.edges.iter().map(edge).collect();
        edges.sort();
        OracleAnswer {
            verdict: stopped.map_or("ok", |(_, kind)| kind),
            op: stopped.map_or(-1, |(op, _)| op as i64),
            usage,
            edges,
            queries: self.queries,
        }
    }

    fn name(&self, class: &Class) -> String {
        let key = match class.key {
            Key::Class(n) => self.program.classes[n].0.clone(),
            Key::Rcu(n) => format!("rcu {n}"),
            Key::FsReclaim => "fs_reclaim".to_owned(),
        };
        match class.subclass {
            0 => key,
            subclass => format!("{key}/{subclass}"),
        }
    }

    fn task(&mut self) -> &mut Task {
        &mut self.tasks[self.current]
    }

    fn key(&self, instance: Instance) -> Key {
        match instance {
            Instance::Lock(lock) => Key::Class(self.program.locks[lock].1),
            Instance::Rcu(flavour) => Key::Rcu(flavour),
            Instance::FsReclaim => Key::FsReclaim,
        }
    }

    fn kind(&self, lock: usize) -> LockKind {
        self.program.classes[self.program.locks[lock].1].1
    }

    /// Inner and outer wait type and lock type of a key.
    fn wait_types(&self, key: Key) -> (u8, u8, LockType) {
        let (inner, outer, kind) = match key {
            Key::Class(n) => {
                let info = self.program.classes[n].1.key_info("");
                (info.wait_type_inner, info.wait_type_outer, info.lock_type)
            }
            Key::Rcu(2) => (WaitType::Spin, WaitType::Free, LockType::Normal),
            Key::Rcu(_) => (WaitType::Config, WaitType::Free, LockType::Normal),
            Key::FsReclaim => (WaitType::Inv, WaitType::Inv, LockType::Normal),
        };
        let outer = if outer == WaitType::Inv { inner } else { outer };
        (inner as u8, outer as u8, kind)
    }

    fn register(&mut self, key: Key, subclass: u8) -> usize {
        if let Some(class) = self.find_class(key, subclass) {
            return class;
        }
        let is_lock = self.wait_types(key).2 == LockType::Normal;
        self.graph.classes.push(Class {
            key,
            subclass,
            usage: Vec::new(),
            is_lock,
        });
        self.graph.classes.len() - 1
    }

    fn find_class(&self, key: Key, subclass: u8) -> Option<usize> {
        self.graph
            .classes
            .iter()
            .position(|class| class.key == key && class.subclass == subclass)
    }
}

/// An acquisition in progress.
#[derive(Clone, Debug)]
struct Attempt {
    held: Held,
    sync: bool,
}

impl How {
    fn attempt(self, instance: Instance, class: usize, irqs_off: bool, sync: bool) -> Attempt {
        let held = Held {
            instance,
            class,
            read: self.read as u8,
            trylock: self.trylock && !sync,
            check: self.check,
            hardirqs_off: irqs_off,
            context: 0,
            references: 0,
            pins: 0,
            nest: self.nest.map(Instance::Lock),
        };
        Attempt { held, sync }
    }
}
