//! All that must hold of any lock program.

use super::answer::{Answer, GraphAnswer};
use super::op::{Kind, LockOp};
use super::oracle;
use super::row::Program;
use super::run::Runner;
use ksplat_lockdep::{Config, Mode, Report, SearchMode};

/// Judges programs with the engine, the oracle, and different orders of independent operations.
pub struct Judge {
    kernel: Runner,
    complete: Runner,
    going_on: Runner,
}

impl Default for Judge {
    fn default() -> Self {
        let going_on = Config {
            search: SearchMode::Complete,
            mode: Mode::Continue,
            ..Config::default()
        };
        Self {
            kernel: Runner::new(SearchMode::Kernel),
            complete: Runner::new(SearchMode::Complete),
            going_on: Runner::with_config(going_on),
        }
    }
}

/// What of an answer the oracle has an opinion on.
type Opinion = (
    String,
    i64,
    Vec<(String, Vec<String>)>,
    Vec<(String, String, Vec<&'static str>, u16)>,
    Vec<i64>,
);

fn opinion(answer: &Answer) -> Opinion {
    let (usage, edges) = sorted(&answer.graph);
    (
        answer.verdict.to_owned(),
        answer.op,
        usage,
        edges,
        answer.queries.clone(),
    )
}

type Sorted = (
    Vec<(String, Vec<String>)>,
    Vec<(String, String, Vec<&'static str>, u16)>,
);

fn sorted(graph: &GraphAnswer) -> Sorted {
    let bits = |bits: &[&str]| {
        let mut bits: Vec<String> = bits.iter().map(ToString::to_string).collect();
        bits.sort();
        bits
    };
    let mut usage: Vec<_> = graph
        .usage
        .iter()
        .map(|(class, set)| (class.clone(), bits(set)))
        .collect();
    usage.sort();
    (usage, graph.edges.clone())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Result<(), String> {
    match left == right {
        true => Ok(()),
        false => Err(format!("{what}:\n  {left:?}\n  {right:?}")),
    }
}

impl Judge {
    /// Judges one program.
    ///
    /// # Errors
    /// Says what does not hold.
    pub fn judge(&mut self, program: &Program) -> Result<(), String> {
        let kernel = self.kernel.run(program);
        let complete = self.complete.run(program);
        for (search, answer) in [
            (SearchMode::Kernel, &kernel),
            (SearchMode::Complete, &complete),
        ] {
            let oracle = oracle::run(program, search);
            let oracle = (
                oracle.verdict.to_owned(),
                oracle.op,
                oracle.usage,
                oracle.edges,
                oracle.queries,
            );
            same(
                &format!("engine and oracle, {search:?}"),
                &opinion(answer),
                &oracle,
            )?;
        }
        let before = |a: &Answer, b: &Answer| a.op != -1 && (b.op == -1 || a.op <= b.op);
        if kernel.op != -1 && !before(&complete, &kernel) {
            return Err(format!(
                "the kernel reports op {}, the complete search op {}",
                kernel.op, complete.op
            ));
        }
        let text = complete
            .report
            .as_ref()
            .map(|report| report.render(program).to_string());
        if text.is_some_and(|text| !text.contains(complete.title.as_deref().unwrap_or_default())) {
            return Err("a report without its headline".to_owned());
        }
        self.judge_going_on(program, &complete)?;
        self.judge_orders(program)
    }

    /// The first report is the same whether or not the engine goes on after it.
    fn judge_going_on(&mut self, program: &Program, one_shot: &Answer) -> Result<(), String> {
        let (_, reports) = self.going_on.run_through(program);
        let first = reports.first().map_or(("ok", -1), |report| {
            (report.kind().name(), i64::from(report.site))
        });
        same(
            "first report with and without going on",
            &(one_shot.verdict, one_shot.op),
            &first,
        )
    }

    /// Threads that share no class can be executed in any order.
    fn judge_orders(&mut self, program: &Program) -> Result<(), String> {
        let (interleaved, one_by_one) = program.independent();
        let mut outcome = |program: &Program| {
            let (graph, reports) = self.going_on.run_through(program);
            // A full table switches lockdep off for all, and then it does matter who comes first.
            let off = reports
                .iter()
                .any(|report| report.kind() == ksplat_lockdep::Kind::LockdepOff);
            let mut reports: Vec<String> = reports.iter().map(particulars).collect();
            reports.sort();
            (!off).then(|| (sorted(&graph), reports))
        };
        same(
            "interleaved and one thread after the other",
            &outcome(&interleaved),
            &outcome(&one_by_one),
        )
    }
}

/// A report without its position and number.
fn particulars(report: &Report) -> String {
    format!(
        "{} {} {:?}",
        report.task,
        report.title(),
        super::answer::fields(&report.detail)
    )
}

impl Program {
    /// The program with classes of its own for every thread and without the operations on what threads have in
    /// common; as it is interleaved, and with one thread after the other.
    fn independent(&self) -> (Self, Self) {
        let threads = super::op::THREADS;
        let (classes, locks) = (self.classes.len(), self.locks.len());
        let mut apart = Self {
            classes: Vec::new(),
            locks: Vec::new(),
            ops: Vec::new(),
            ..self.clone()
        };
        for thread in 0..threads {
            apart.classes.extend(
                self.classes
                    .iter()
                    .map(|(name, kind)| (format!("{thread}{name}"), *kind)),
            );
            let lock = |(name, class): &(String, usize)| {
                (format!("{thread}{name}"), class + thread * classes)
            };
            apart.locks.extend(self.locks.iter().map(lock));
        }
        let mut sequential = vec![Vec::new(); threads];
        let mut current = 0;
        for op in &self.ops {
            match op.0 {
                Kind::Thread(thread) => current = thread,
                Kind::ReclaimEnter(_)
                | Kind::ReclaimExit(_)
                | Kind::Alloc(_)
                | Kind::Save(_)
                | Kind::Restore => {}
                _ => {
                    let op = op.moved(current * locks);
                    apart.ops.extend([LockOp(Kind::Thread(current)), op]);
                    sequential[current].extend([LockOp(Kind::Thread(current)), op]);
                }
            }
        }
        let one_by_one = Self {
            ops: sequential.concat(),
            ..apart.clone()
        };
        (apart, one_by_one)
    }
}

impl LockOp {
    /// The same operation on locks `by` further in the list.
    fn moved(self, by: usize) -> Self {
        let how = |how: super::op::How| super::op::How {
            nest: how.nest.map(|nest| nest + by),
            ..how
        };
        Self(match self.0 {
            Kind::Lock(lock, h) => Kind::Lock(lock + by, how(h)),
            Kind::Sync(lock, h) => Kind::Sync(lock + by, how(h)),
            Kind::Unlock(lock) => Kind::Unlock(lock + by),
            Kind::Downgrade(lock) => Kind::Downgrade(lock + by),
            Kind::SetSubclass(lock, subclass) => Kind::SetSubclass(lock + by, subclass),
            Kind::Pin(lock) => Kind::Pin(lock + by),
            Kind::Unpin(lock) => Kind::Unpin(lock + by),
            Kind::Init(lock) => Kind::Init(lock + by),
            Kind::Free(lock) => Kind::Free(lock + by),
            Kind::Query(lock, read) => Kind::Query(lock + by, read),
            Kind::Assert(lock, read) => Kind::Assert(lock + by, read),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A small deterministic generator of bytes (splitmix64).
    fn bytes(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ z >> 31).to_le_bytes()
        };
        (0..count.div_ceil(8)).flat_map(word).collect()
    }

    #[test]
    fn random_programs_hold_what_must_hold() {
        let mut judge = Judge::default();
        let mut verdicts: BTreeMap<&str, u32> = BTreeMap::new();
        let count = std::env::var("KSPLAT_LOCK_PROGRAMS")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(800);
        for seed in 0..count {
            let program = Program::generate(&bytes(seed, 512));
            if let Err(error) = judge.judge(&program) {
                panic!(
                    "seed {seed}: {error}\n{:?}\n{:?}\n{:?}",
                    program.classes, program.locks, program.op_texts
                );
            }
            *verdicts
                .entry(judge.kernel.run(&program).verdict)
                .or_default() += 1;
        }
        // The generator is no good if it does not reach most kinds of reports, and the end.
        assert!(verdicts.len() >= 15 && verdicts["ok"] > 100, "{verdicts:?}");
    }

    /// Changes a few operations of a recorded program.
    fn mutated(program: &Program, seed: u64) -> Program {
        let mut dice = bytes(seed, 256).into_iter();
        let mut roll = |sides: usize| {
            let word = u16::from_le_bytes([dice.next().unwrap_or(0), dice.next().unwrap_or(0)]);
            usize::from(word) % sides.max(1)
        };
        let mut program = program.clone();
        for _ in 0..=roll(4) {
            if program.ops.is_empty() {
                break;
            }
            let (at, other) = (roll(program.ops.len()), roll(program.ops.len()));
            match roll(4) {
                0 => {
                    program.ops.remove(at);
                }
                1 => program.ops.swap(at, other),
                2 => program.ops.insert(at, program.ops[other]),
                _ => {
                    if let Kind::Lock(_, how) = &mut program.ops[at].0 {
                        match roll(3) {
                            0 => {
                                how.read =
                                    ksplat_lockdep::Read::try_from(roll(3) as u8).expect("0 to 2")
                            }
                            1 => how.trylock = !how.trylock,
                            _ => how.subclass = roll(3) as u8,
                        }
                    }
                }
            }
        }
        program
    }

    #[test]
    fn mutated_recorded_programs_hold_what_must_hold() {
        let mut judge = Judge::default();
        for (seed, row) in super::super::corpus_tests::all_rows().enumerate() {
            if seed.is_multiple_of(12) {
                let program = mutated(&row.program, seed as u64);
                if let Err(error) = judge.judge(&program) {
                    panic!(
                        "{} mutated with {seed}: {error}\n{:?}",
                        program.id, program.ops
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_registered_once_lockdep_is_off() {
        // Looking for `a` warns at the folded `b`, finds `a` all the same, and its new class is refused.
        let row = r#"{"id":"warned-on-the-way","classes":{"A":"mutex","B":"mutex"},
            "locks":{"a":"A","b1":"B","b2":"B"},
            "ops":["L a","L b1 read=1","L b2 read=1 nest=b1","SETSUB a 1","U b1"]}"#;
        let row = crate::lockdep::Row::parse(row).expect("a row");
        let mut judge = Judge::default();
        assert_eq!(judge.judge(&row.program), Ok(()));
        let answer = judge.kernel.run(&row.program);
        assert_eq!((answer.verdict, answer.op), ("debug-locks-warn", 3));
        assert!(answer.graph.usage.iter().all(|(class, _)| class != "A/1"));
    }

    #[test]
    fn no_bytes_make_an_illegal_program() {
        for length in 0..200 {
            Program::generate(&bytes(99, length)[..length]);
            Program::generate(&vec![0; length]);
            Program::generate(&vec![255; length]);
        }
    }
}
