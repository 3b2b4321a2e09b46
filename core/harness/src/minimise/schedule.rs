//! The calmest schedule: fewest decisions away from the default order, and of those the first.

use super::trial::Wanted;
use crate::explore::Replay;
use crate::program::Program;
use crate::run::Litmus;
use ksplat_kernel::rt::{Decision, Deterministic, EntityId, Strategy};

/// Executions that the exact search for fewest deviations may take.
const EXACT: u64 = 20_000;
/// Most deviations that the exact search looks for.
const MOST: u32 = 3;

/// Replaces the decisions by the calmest ones that show the finding. Unchanged if the program does not run.
pub(super) fn calm(
    wanted: &Wanted<'_>,
    choices: &mut Vec<u32>,
    mut program: Program,
    cancelled: &dyn Fn() -> bool,
) {
    let Some(litmus) = wanted.litmus(&mut program) else {
        return;
    };
    let mut runner = Runner {
        litmus: &litmus,
        executor: Deterministic::new(),
        wanted,
        cancelled,
    };
    let mut left = EXACT;
    for deviations in 0..=MOST {
        match runner.exact(deviations, &mut left) {
            Exact::Found(found) => {
                *choices = found;
                return;
            }
            Exact::None => {}
            Exact::TooMany => break,
        }
    }
    runner.fewer(choices);
}

enum Exact {
    Found(Vec<u32>),
    None,
    TooMany,
}

struct Runner<'a> {
    litmus: &'a Litmus,
    executor: Deterministic,
    wanted: &'a Wanted<'a>,
    cancelled: &'a dyn Fn() -> bool,
}

impl Runner<'_> {
    /// Decisions of an execution that begins like this, if it shows the finding.
    fn run(&mut self, strategy: &mut dyn Strategy) -> Option<Vec<u32>> {
        let outcome = self.litmus.run(&mut self.executor, strategy);
        self.wanted.shown_by(self.litmus, &outcome).then(|| {
            let mut choices = self.litmus.machine().choices();
            trim(&mut choices);
            choices
        })
    }

    /// The first schedule in order with exactly so many deviations that shows the finding.
    fn exact(&mut self, deviations: u32, left: &mut u64) -> Exact {
        let mut strategy = Bounded::new(deviations);
        while !strategy.finished() {
            if *left == 0 || (self.cancelled)() {
                return Exact::TooMany;
            }
            *left -= 1;
            if let Some(choices) = self.run(&mut strategy) {
                return Exact::Found(choices);
            }
        }
        Exact::None
    }

    /// Takes deviations back in ever smaller groups, then makes those that stay small.
    fn fewer(&mut self, choices: &mut Vec<u32>) {
        trim(choices);
        let mut group = choices.iter().filter(|c| **c != 0).count();
        while group > 0 && !(self.cancelled)() {
            let mut at = 0;
            loop {
                let places: Vec<usize> = (0..choices.len()).filter(|&i| choices[i] != 0).collect();
                if at >= places.len() {
                    break;
                }
                let mut calmer = choices.clone();
                for &place in &places[at..places.len().min(at + group)] {
                    calmer[place] = 0;
                }
                match self.run(&mut Replay::new(calmer)) {
                    Some(found) if deviations(&found) < deviations(choices) => *choices = found,
                    _ => at += group,
                }
            }
            group /= 2;
        }
    }
}

fn deviations(choices: &[u32]) -> usize {
    choices.iter().filter(|c| **c != 0).count()
}

/// Past its end a list of decisions goes on by default anyway.
fn trim(choices: &mut Vec<u32>) {
    while choices.last() == Some(&0) {
        choices.pop();
    }
}

/// Every schedule with exactly so many decisions that are not the default one.
struct Bounded {
    deviations: u32,
    /// Choice made and number of choices at each decision of the current execution.
    path: Vec<(u32, u32)>,
    depth: usize,
    spent: u32,
    begun: bool,
    done: bool,
}

impl Bounded {
    fn new(deviations: u32) -> Self {
        Self {
            deviations,
            path: Vec::new(),
            depth: 0,
            spent: 0,
            begun: false,
            done: false,
        }
    }

    fn next(&mut self, n: u32) -> u32 {
        if let Some(&(choice, _)) = self.path.get(self.depth) {
            self.depth += 1;
            self.spent += u32::from(choice != 0);
            return choice;
        }
        self.depth += 1;
        self.path.push((0, n));
        0
    }

    /// The next path in order that has no more deviations than allowed.
    fn advance(&mut self) {
        while let Some((choice, n)) = self.path.pop() {
            let before = self.path.iter().filter(|(c, _)| *c != 0).count() as u32;
            if choice + 1 < n && before < self.deviations {
                self.path.push((choice + 1, n));
                return;
            }
        }
        self.done = true;
    }
}

impl Strategy for Bounded {
    fn begin(&mut self) {
        self.depth = 0;
        self.spent = 0;
        if std::mem::replace(&mut self.begun, true) {
            self.advance();
        }
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        decision.nth(self.next(decision.len()))
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.next(n)
    }

    fn finished(&self) -> bool {
        if !self.begun {
            return false;
        }
        // What is left is finished if no decision can be raised any more.
        let mut before = 0;
        let mut raise = |&(choice, n): &(u32, u32)| {
            let can = choice + 1 < n && before < self.deviations;
            before += u32::from(choice != 0);
            can
        };
        self.done || !self.path.iter().any(&mut raise)
    }
}
