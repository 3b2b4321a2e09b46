//! The complete search against brute force: every strong path of a small graph is enumerated.

use ksplat_lockdep::{
    Acquire, Config, Key, KeyInfo, Kind, LockMap, Lockdep, Mode, Read, SearchMode, TaskState,
};
use proptest::prelude::*;

const CLASSES: usize = 4;

/// Lock `next` taken while `prev` is held: classes and read modes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Nesting {
    prev: (usize, u8),
    next: (usize, u8),
}

/// An edge of exactly one kind: the holder shares, the taker is a recursive reader.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    from: usize,
    to: usize,
    shared: bool,
    recursive: bool,
}

impl From<Nesting> for Edge {
    fn from(n: Nesting) -> Self {
        Self {
            from: n.prev.0,
            to: n.next.0,
            shared: n.prev.1 != 0,
            recursive: n.next.1 == 2,
        }
    }
}

/// A recursive reader does not wait for a lock that is held shared.
fn blocks(arriving: Edge, leaving: Edge) -> bool {
    !(arriving.recursive && leaving.shared)
}

/// Is there a strong closed path through `last`? Walks every path that passes no edge twice.
fn closes_strong_cycle(edges: &[Edge], last: Edge) -> bool {
    fn walk(edges: &[Edge], used: &mut Vec<usize>, at: Edge, goal: Edge) -> bool {
        if at.to == goal.from && blocks(at, goal) {
            return true;
        }
        for (n, edge) in edges.iter().enumerate() {
            if edge.from != at.to || !blocks(at, *edge) || used.contains(&n) {
                continue;
            }
            used.push(n);
            let found = walk(edges, used, *edge, goal);
            used.pop();
            if found {
                return true;
            }
        }
        false
    }
    walk(edges, &mut Vec::new(), last, last)
}

struct Machine {
    lockdep: Lockdep,
    task: TaskState,
    keys: Vec<Key>,
}

impl Machine {
    fn new(search: SearchMode, mode: Mode) -> Self {
        let lockdep = Lockdep::new(Config {
            search,
            mode,
            ..Config::default()
        });
        let keys = (0..CLASSES)
            .map(|n| lockdep.register_key(KeyInfo::new(format!("{n}"))))
            .collect();
        let mut task = TaskState::new(0);
        // With interrupts off and none taken there is no interrupt usage to report.
        task.hardirqs_off();
        Self {
            lockdep,
            task,
            keys,
        }
    }

    /// The kinds of report that the nesting raised.
    fn nest(&mut self, nesting: Nesting) -> Vec<Kind> {
        let before = self.lockdep.reports().len();
        let lock = |n: usize, instance| LockMap::new(self.keys[n], instance);
        let how = |read| Acquire::at(0).read(Read::try_from(read).expect("0 to 2"));
        let locks = [
            (lock(nesting.prev.0, 1), nesting.prev.1),
            (lock(nesting.next.0, 2), nesting.next.1),
        ];
        for (map, read) in locks {
            let _ = self.lockdep.acquire(&mut self.task, map, how(read));
        }
        for (map, _) in locks.iter().rev() {
            let _ = self.lockdep.release(&mut self.task, *map, 0);
        }
        self.lockdep.reports()[before..]
            .iter()
            .map(|report| report.kind())
            .collect()
    }
}

fn nesting() -> impl Strategy<Value = Nesting> {
    let end = || (0..CLASSES, 0..3u8);
    (end(), end()).prop_map(|(prev, next)| Nesting { prev, next })
}

fn readers() -> impl Strategy<Value = Nesting> {
    let end = || {
        (
            0..CLASSES,
            prop_oneof![3 => Just(2u8), 1 => Just(1u8), 1 => Just(0u8)],
        )
    };
    (end(), end()).prop_map(|(prev, next)| Nesting { prev, next })
}

fn programs() -> impl Strategy<Value = Vec<Nesting>> {
    prop_oneof![
        prop::collection::vec(nesting(), 1..14),
        prop::collection::vec(readers(), 1..14)
    ]
}

/// How an offending edge is recognised: a cycle's last edge, or the same class twice.
fn expected(edges: &[Edge], edge: Edge) -> Vec<Kind> {
    match closes_strong_cycle(edges, edge) {
        false => vec![],
        true if edge.from == edge.to => vec![Kind::Recursive],
        true => vec![Kind::Circular],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn complete_search_reports_exactly_the_strong_cycles(program in programs()) {
        let mut machine = Machine::new(SearchMode::Complete, Mode::Continue);
        let mut edges: Vec<Edge> = Vec::new();
        let mut seen: Vec<Nesting> = Vec::new();
        for nesting in program {
            // The same sequence is validated once.
            if seen.contains(&nesting) {
                prop_assert_eq!(machine.nest(nesting), vec![]);
                continue;
            }
            seen.push(nesting);
            let edge = Edge::from(nesting);
            let reports = machine.nest(nesting);
            let verdict = expected(&edges, edge);
            if verdict.is_empty() {
                edges.push(edge);
                prop_assert_eq!(reports, verdict);
            } else if !reports.is_empty() {
                prop_assert_eq!(reports, verdict);
            } else {
                // Silent only because the same two classes were reported before.
                let classes = |n: &Nesting| (n.prev.0, n.next.0);
                let earlier = seen[..seen.len() - 1].iter().any(|n| classes(n) == classes(&nesting) && !edges.contains(&(*n).into()));
                prop_assert!(earlier, "{nesting:?} closes a cycle unnoticed");
            }
        }
    }

    #[test]
    fn the_kernel_reports_nothing_that_complete_does_not(program in programs()) {
        let mut kernel = Machine::new(SearchMode::Kernel, Mode::OneShot);
        let mut complete = Machine::new(SearchMode::Complete, Mode::OneShot);
        for nesting in program {
            let (kernel, complete) = (kernel.nest(nesting), complete.nest(nesting));
            if !complete.is_empty() {
                break;
            }
            prop_assert_eq!(kernel, complete);
        }
    }
}

/// The property above has something to find: the two searches do differ.
#[test]
fn the_kernel_overlooks_a_cycle() {
    // 0 -(R)-> 1 is met first and makes 1 "visited", although only 0 -(N)-> 2 -(N)-> 1 leads on to 3.
    let nest = |prev, next| Nesting { prev, next };
    let program = [
        nest((0, 0), (1, 2)),
        nest((0, 0), (2, 0)),
        nest((2, 0), (1, 0)),
        nest((1, 1), (3, 0)),
        nest((3, 0), (0, 0)),
    ];
    let run = |search| {
        let mut machine = Machine::new(search, Mode::OneShot);
        program
            .iter()
            .flat_map(|n| machine.nest(*n))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(SearchMode::Complete), [Kind::Circular]);
    assert_eq!(run(SearchMode::Kernel), []);
}
