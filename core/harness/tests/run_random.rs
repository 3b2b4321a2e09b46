//! Random programs: no fault of the machine, and the same execution on the deterministic runtime and under shuttle.

#[path = "common/random_programs.rs"]
mod random_programs;

use ksplat_harness::checker::{check, rejected};
use ksplat_harness::explore::Random;
use ksplat_harness::program::{Program, print};
use ksplat_harness::story::{Moment, recorded};
use ksplat_kernel::rt::{Deterministic, End, StrategyScheduler};
use random_programs::{Shown, deterministic, litmus, program};
use std::ops::Range;
use std::sync::{Arc, Mutex};

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
    Shown {
        outcome,
        choices: litmus.machine().choices(),
        story,
    }
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
        "{:?}\n{:?}\n  against\n{:?}\n{:?}",
        a.outcome, a.choices, b.outcome, b.choices
    )
}

/// Runs every program of `seeds` on both simulated runtimes; returns how many stops and decisions there were.
fn compare_runtimes(seeds: Range<u64>) -> (usize, usize) {
    let mut executor = Deterministic::new();
    let (mut stops, mut choices) = (0, 0);
    for seed in seeds {
        let program = program(seed);
        let here = deterministic(&litmus(&program), &mut executor, seed);
        let there = under_shuttle(&program, seed);
        assert!(
            here == there,
            "seed {seed}: {}\n{}",
            first_difference(&here, &there),
            print(&program)
        );
        stops += usize::from(here.outcome.stop.is_some());
        choices += here.choices.len();
    }
    (stops, choices)
}

#[test]
fn the_same_choices_are_the_same_execution_on_both_simulated_runtimes() {
    let halves = [0..5_000, 5_000..10_000];
    let halves = halves.map(|seeds| std::thread::spawn(move || compare_runtimes(seeds)));
    for half in halves {
        let (stops, choices) = half.join().expect("no difference");
        assert!(
            stops > 250,
            "only {stops} stops: the programs do too little"
        );
        assert!(choices > 50_000, "only {choices} decisions");
    }
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
