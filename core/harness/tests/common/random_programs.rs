//! Random programs, and everything that an execution of one shows.

use arbitrary::{Arbitrary, Unstructured};
use ksplat_harness::explore::Random;
use ksplat_harness::program::{Program, print, repair};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::{Litmus, executable};
use ksplat_harness::story::{Moment, recorded};
use ksplat_kernel::rt::{Deterministic, Outcome};

/// Bytes that look random, from a seed.
fn bytes(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    std::iter::repeat_with(|| next().to_le_bytes())
        .flatten()
        .take(n)
        .collect()
}

/// A random program that can be executed, given up early.
pub fn program(seed: u64) -> Program {
    let bytes = bytes(seed, 2048);
    let mut program = Program::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes");
    repair(&mut program);
    executable(&mut program);
    program.machine.steps = Some(2_000);
    program
}

/// The program on a machine.
pub fn litmus(program: &Program) -> Litmus {
    Litmus::new(program, &machine_rules(&program.rules))
        .unwrap_or_else(|e| panic!("{e:?} in\n{}", print(program)))
}

/// Everything that an execution shows, comparable.
#[derive(Clone, Debug)]
pub struct Shown {
    pub outcome: Outcome,
    pub choices: Vec<u32>,
    pub story: Vec<Moment>,
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.choices == other.choices
            && self.story == other.story
            && format!("{:?}", self.outcome) == format!("{:?}", other.outcome)
    }
}

/// One execution on the deterministic runtime, with its story.
pub fn deterministic(litmus: &Litmus, executor: &mut Deterministic, seed: u64) -> Shown {
    litmus.machine().set_recording(true);
    let (outcome, story) = recorded(|| litmus.run(executor, &mut Random::new(seed)));
    Shown {
        outcome,
        choices: litmus.machine().choices(),
        story,
    }
}
