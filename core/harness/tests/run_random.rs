//! Random programs: no fault of the machine, and the same execution on the deterministic runtime and under shuttle.

use arbitrary::{Arbitrary, Unstructured};
use ksplat_harness::checker::{check, rejected};
use ksplat_harness::explore::Random;
use ksplat_harness::program::{Program, print, repair};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::{Litmus, executable};
use ksplat_harness::story::{Moment, recorded};
use ksplat_kernel::rt::{Deterministic, End, Outcome, StrategyScheduler};
use std::sync::{Arc, Mutex};

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
fn program(seed: u64) -> Program {
    let bytes = bytes(seed, 2048);
    let mut program = Program::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes");
    repair(&mut program);
    executable(&mut program);
    program.machine.steps = Some(2_000);
    program
}

fn litmus(program: &Program) -> Litmus {
    Litmus::new(program, &machine_rules(&program.rules))
        .unwrap_or_else(|e| panic!("{e:?} in\n{}", print(program)))
}

/// Everything that an execution shows, comparable.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    outcome: String,
    choices: Vec<u32>,
    story: Vec<Moment>,
}

fn shown(litmus: &Litmus, (outcome, story): (Outcome, Vec<Moment>)) -> Shown {
    Shown {
        outcome: format!("{outcome:?}"),
        choices: litmus.machine().choices(),
        story,
    }
}

fn deterministic(litmus: &Litmus, executor: &mut Deterministic, seed: u64) -> Shown {
    litmus.machine().set_recording(true);
    let run = recorded(|| litmus.run(executor, &mut Random::new(seed)));
    shown(litmus, run)
}

fn under_shuttle(program: &Program, seed: u64) -> Shown {
    let litmus = Arc::new(litmus(program));
    litmus.machine().set_recording(true);
    let inside = Arc::clone(&litmus);
    let out = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&out);
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    let scheduler = StrategyScheduler::new(Random::new(seed), 1);
    let ((), story) = recorded(|| {
        shuttle::Runner::new(scheduler, config).run(move || {
            *seen.lock().unwrap() = Some(inside.run_in_shuttle());
        });
    });
    let outcome = out.lock().unwrap().take().expect("it ran");
    shown(&litmus, (outcome, story))
}

fn first_difference(a: &Shown, b: &Shown) -> String {
    if let Some(i) =
        (0..a.story.len().max(b.story.len())).find(|&i| a.story.get(i) != b.story.get(i))
    {
        let from = i.saturating_sub(5);
        let near = |s: &[Moment]| -> String {
            s.iter()
                .skip(from)
                .take(8)
                .map(|m| format!("    {} {} {} {}\n", m.step, m.task, m.kind, m.text))
                .collect()
        };
        return format!(
            "story at {i}:\n{}  against\n{}",
            near(&a.story),
            near(&b.story)
        );
    }
    format!(
        "{}\n{:?}\n  against\n{}\n{:?}",
        a.outcome, a.choices, b.outcome, b.choices
    )
}

#[test]
fn the_same_choices_are_the_same_execution_on_both_simulated_runtimes() {
    let mut executor = Deterministic::new();
    let (mut stops, mut choices) = (0, 0);
    for seed in 0..2_000 {
        let program = program(seed);
        let here = deterministic(&litmus(&program), &mut executor, seed);
        let there = under_shuttle(&program, seed);
        assert!(
            here == there,
            "seed {seed}: {}\n{}",
            first_difference(&here, &there),
            print(&program)
        );
        stops += usize::from(here.outcome.contains("Stopped"));
        choices += here.choices.len();
    }
    assert!(
        stops > 100,
        "only {stops} stops: the programs do too little"
    );
    assert!(choices > 20_000, "only {choices} decisions");
}

#[test]
fn a_program_and_choices_are_one_execution() {
    let mut executor = Deterministic::new();
    // One that does a lot without being given up.
    let (seed, litmus) = (0..200)
        .map(|seed| (seed, litmus(&program(seed))))
        .max_by_key(|(seed, litmus)| {
            let outcome = litmus.run(&mut executor, &mut Random::new(*seed));
            if outcome.end == End::StepLimit {
                0
            } else {
                outcome.steps
            }
        })
        .expect("programs");
    let first = deterministic(&litmus, &mut executor, seed);
    assert!(first.story.len() > 50, "{} moments", first.story.len());
    for _ in 0..1_000 {
        assert_eq!(deterministic(&litmus, &mut executor, seed), first);
    }
}

#[test]
fn random_programs_never_fault_the_machine() {
    let mut executor = Deterministic::new();
    let (mut given_up, mut found) = (0, 0);
    for seed in 0..20_000 {
        let program = program(seed);
        let litmus = litmus(&program);
        let outcome = litmus.run(&mut executor, &mut Random::new(seed));
        assert_eq!(outcome.fault, None, "seed {seed}\n{}", print(&program));
        given_up += usize::from(outcome.end == End::StepLimit);
        found += usize::from(outcome.stop.is_some() || !outcome.breaks.is_empty());
    }
    assert!(given_up < 10_000, "{given_up} given up");
    assert!(found > 1_000, "{found} with a finding");
}

#[test]
fn the_checker_accepts_what_random_programs_show() {
    let mut executor = Deterministic::new();
    let mut accepted = 0;
    for seed in 0..3_000 {
        let program = program(seed);
        let litmus = litmus(&program);
        litmus.machine().set_recording(true);
        let (outcome, story) = recorded(|| litmus.run(&mut executor, &mut Random::new(seed)));
        let opinions = check(litmus.machine(), &story, &outcome);
        accepted += opinions.len();
        if let Some(why) = rejected(&opinions) {
            let log: String = story
                .iter()
                .map(|m| {
                    format!(
                        "{} {} {} fact {} res {} set {} how {}: {}\n",
                        m.step, m.task, m.kind, m.fact, m.res, m.set, m.how, m.text
                    )
                })
                .collect();
            panic!("seed {seed}: {why}\n{}\n{log}{outcome:#?}", print(&program));
        }
    }
    assert!(accepted > 1_000, "only {accepted} findings");
}

#[test]
fn random_programs_run_on_threads() {
    for seed in 0..40 {
        let mut program = program(seed);
        // There are no steps to count here: what does not end is abandoned.
        program.machine.steps = None;
        let litmus = Arc::new(litmus(&program));
        let done = Arc::new(Mutex::new(None));
        let (inside, out) = (Arc::clone(&litmus), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            *out.lock().unwrap() = Some(inside.run_on_threads(seed));
        });
        let start = std::time::Instant::now();
        while !thread.is_finished() {
            if start.elapsed().as_secs() > 5 {
                ksplat_kernel::rt::abandon(litmus.machine());
            }
            assert!(
                start.elapsed().as_secs() < 20,
                "seed {seed} hangs\n{}",
                print(&program)
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let outcome = done.lock().unwrap().take().expect("it ran");
        assert_eq!(outcome.fault, None, "seed {seed}\n{}", print(&program));
    }
}
