//! Fuzz inputs: stored form, mutation, crossover, and what a target makes of them.

use ksplat_harness::explore::{Replay, Rng};
use ksplat_harness::finding::signatures;
use ksplat_harness::fuzz::{
    Decisions, DecodeError, Driven, Input, Judge, Options, Preemption, RANDOM, VERSION, crossover,
    execute, mutate, mutate_input, rules_under, seeds, transcribed,
};
use ksplat_harness::program::rules_text::Release;
use ksplat_harness::program::{Program, RulesText, check, parse, print};
use ksplat_harness::reproducer::named_signature;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_harness::story::recorded;
use ksplat_kernel::rt::{Deterministic, FEATURES, Feedback};
use std::path::{Path, PathBuf};

fn corpus(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus")
        .join(folder)
}

fn random_bytes(rng: &mut Rng, length: u32) -> Vec<u8> {
    (0..length).map(|_| rng.below(256) as u8).collect()
}

/// A few preemptions soon after each other, and a few other choices.
fn few_decisions(rng: &mut Rng) -> Decisions {
    let few = |rng: &mut Rng| rng.below(6) as usize;
    let preemption = |rng: &mut Rng| Preemption {
        after: rng.below(12) as u16,
        to: rng.below(4) as u8,
    };
    Decisions {
        preemptions: (0..few(rng)).map(|_| preemption(rng)).collect(),
        data: (0..few(rng)).map(|_| rng.below(3) as u8).collect(),
    }
}

fn require_valid(input: &Input) {
    let problems = check(&input.program);
    assert!(problems.is_empty(), "{problems:?}\n{input:?}");
    let bytes = input.encode();
    assert_eq!(Input::decode(&bytes).as_ref(), Ok(input), "{input:?}");
    assert_eq!(bytes[0], VERSION);
}

/// The engine's share of mutation: some byte becomes another.
fn engine(rng: &mut Rng) -> impl FnMut(&mut [u8], usize, usize) -> usize + '_ {
    |data, size, max| {
        let at = rng.below(size as u32) as usize;
        data[at] = rng.below(256) as u8;
        size.min(max)
    }
}

#[test]
fn other_versions_are_refused_and_all_else_is_repaired() {
    assert_eq!(Input::decode(&[]), Err(DecodeError::Empty));
    let mut rng = Rng::new(1);
    for first in 0..=u8::MAX {
        let mut bytes = random_bytes(&mut rng, 300);
        bytes[0] = first;
        match Input::decode(&bytes) {
            Ok(input) => {
                assert!(
                    first == VERSION || first == RANDOM,
                    "version {first} is read"
                );
                require_valid(&input);
            }
            Err(error) => assert_eq!(error, DecodeError::Version(first)),
        }
    }
    let message = DecodeError::Version(1).to_string();
    assert!(
        message.contains("version 1") && message.contains("expected"),
        "{message}"
    );
}

#[test]
fn damaged_inputs_are_inputs() {
    let mut rng = Rng::new(2);
    for (_, seed) in seeds(&corpus("litmus")).unwrap() {
        let bytes = seed.encode();
        for _ in 0..20 {
            let mut damaged = bytes.clone();
            let at = 1 + rng.below(damaged.len() as u32 - 1) as usize;
            match rng.below(3) {
                0 => damaged[at] = rng.below(256) as u8,
                1 => damaged.truncate(at),
                _ => drop(damaged.remove(at)),
            }
            require_valid(&Input::decode(&damaged).unwrap());
        }
    }
}

#[test]
fn mutation_never_leaves_validity_and_is_deterministic() {
    let mut rng = Rng::new(3);
    let mut data = vec![0; 4096];
    let mut size = 0;
    for seed in 0..4_000 {
        let max_size = if seed % 5 == 0 { size / 2 } else { 4096 };
        let mut again = data.clone();
        let mut bytes = Rng::new(u64::from(seed));
        let new = mutate(&mut data, size, max_size, seed, &mut engine(&mut bytes));
        assert!(new <= max_size);
        let mut bytes = Rng::new(u64::from(seed));
        let twice = mutate(&mut again, size, max_size, seed, &mut engine(&mut bytes));
        let (one, two) = (Input::decode(&data[..new]), Input::decode(&again[..twice]));
        assert_eq!(one, two, "seed {seed}");
        assert!(data[..new] == again[..twice], "seed {seed}");
        size = new;
        // What the mutator remembers of its output is what the bytes say to those who do not remember.
        let remembered = Input::decode(&data[..size]);
        mutate(&mut [0; 512], 0, 512, seed, &mut engine(&mut Rng::new(1)));
        assert_eq!(Input::decode(&data[..size]), remembered, "seed {seed}");
        if let Ok(input) = Input::decode(&data[..size]) {
            require_valid(&input);
        } else {
            assert_eq!(size, 0, "only nothing is nothing");
        }
        if rng.below(300) == 0 {
            size = 0;
        }
    }
}

#[test]
fn mutation_reaches_every_operation_from_nothing() {
    let mut rng = Rng::new(4);
    let mut seen = std::collections::BTreeSet::new();
    let mut input = Input::default();
    for i in 0..60_000 {
        mutate_input(&mut input, &mut rng);
        for (_, _, _, body) in input.program.bodies() {
            body.block.walk(&mut |s| {
                let text = format!("{:?}", s.op);
                let word = text.split(|c: char| !c.is_alphanumeric()).next();
                seen.insert(word.unwrap_or_default().to_owned());
            });
        }
        if i % 100 == 0 {
            input = Input::default();
        }
    }
    assert!(seen.len() >= 45, "{}: {seen:?}", seen.len());
}

#[test]
fn crossover_takes_from_both_and_stays_valid() {
    let all = seeds(&corpus("litmus")).unwrap();
    let mut rng = Rng::new(5);
    let mut mixed = 0;
    for seed in 0..1_000 {
        let pick = |rng: &mut Rng| &all[rng.below(all.len() as u32) as usize].1;
        let (a, b) = (pick(&mut rng), pick(&mut rng));
        let room = if seed % 4 == 0 { 150 } else { 4096 };
        let mut out = vec![0; room];
        let size = crossover(&a.encode(), &b.encode(), &mut out, seed);
        let mut again = vec![0; room];
        assert_eq!(size, crossover(&a.encode(), &b.encode(), &mut again, seed));
        assert_eq!(out, again);
        let child = Input::decode(&out[..size]).unwrap();
        require_valid(&child);
        mixed += u32::from(child != *a && child != *b);
    }
    assert!(mixed > 500, "{mixed}");
}

/// The same input is the same execution, event for event, and its choice numbers replay it.
#[test]
fn one_input_is_one_execution() {
    let mut rng = Rng::new(6);
    let mut executor = Deterministic::new();
    let kernel = RulesText::default();
    let mut preempted = 0;
    for _ in 0..300 {
        let mut input = Input::random(&random_bytes(&mut rng, 700));
        input.decisions = few_decisions(&mut rng);
        let rules = machine_rules(&rules_under(&input.program, &kernel));
        let Ok(litmus) = Litmus::with_steps(&input.program, &rules, 2_000) else {
            continue;
        };
        litmus.machine().set_recording(true);
        let mut run = |s: &mut dyn ksplat_kernel::rt::Strategy| {
            let (outcome, story) = recorded(|| litmus.run(&mut executor, s));
            (format!("{outcome:?}"), story, litmus.machine().choices())
        };
        let one = run(&mut Driven::new(&input.decisions));
        let two = run(&mut Driven::new(&input.decisions));
        assert!(one == two);
        let replayed = run(&mut Replay::new(one.2.clone()));
        assert!(one == replayed);
        preempted += u32::from(one.2.iter().any(|&c| c != 0));
    }
    assert!(preempted > 100, "{preempted}");
}

#[test]
fn no_decisions_are_the_undisturbed_execution() {
    for (name, input) in seeds(&corpus("litmus")).unwrap() {
        let done = execute(&input, &RulesText::default(), &mut Deterministic::new());
        let done = done.unwrap_or_else(|| panic!("{name} runs"));
        let choices = done.litmus.machine().choices();
        assert!(choices.iter().all(|&c| c == 0), "{name}: {choices:?}");
    }
}

/// Reproducers become inputs that show what the reproducer shows, under the same rules.
#[test]
fn a_reproducer_as_an_input_keeps_its_finding() {
    let mut count = 0;
    for entry in std::fs::read_dir(corpus("reproducers")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = named_signature(&text).expect("a reproducer names its finding");
        let program = parse("reproducer", &text).unwrap();
        let input = transcribed(&program);
        let stored = Input::decode(&input.encode()).unwrap();
        let litmus = Litmus::new(&stored.program, &machine_rules(&program.rules)).unwrap();
        let mut driven = Driven::new(&stored.decisions);
        let outcome = litmus.run(&mut Deterministic::new(), &mut driven);
        let shown = signatures(litmus.machine(), &outcome);
        assert!(shown.contains(&wanted), "{}: {shown:?}", path.display());
        count += 1;
    }
    assert!(count > 10, "{count}");
}

fn judge(release: &str) -> Judge {
    Judge::new(Options {
        kernel: RulesText {
            release: Release::parse(release),
            ..RulesText::default()
        },
        ..Options::default()
    })
}

/// Looks for a crash of a program in some schedules, as a fuzzer would.
fn crash(program: &Program, release: &str) -> Option<String> {
    let mut judge = judge(release);
    let mut rng = Rng::new(7);
    (0..400).find_map(|n| {
        let mut input = Input::of(program.clone(), Default::default());
        if n > 0 {
            input.decisions = few_decisions(&mut rng);
        }
        judge.check(&input).err()
    })
}

#[test]
fn what_was_fixed_since_is_a_crash_under_the_old_release_only() {
    for (file, words) in [
        (
            "litmus/a/a1-nomemalloc-nested.splat",
            "report/recursive/fs_reclaim",
        ),
        ("litmus/a/a3-lock-over-reclaim.splat", "blind"),
        ("litmus/b/b4-loop.splat", "PG_writeback"),
    ] {
        let text = std::fs::read_to_string(corpus(file)).unwrap();
        let program = parse(file, &text).unwrap();
        let old = crash(&program, "v4.15").unwrap_or_else(|| panic!("{file}: no crash"));
        assert!(old.contains(words), "{file}: {old}");
        assert_eq!(
            crash(&program, "v6.12"),
            None,
            "{file}\n{}",
            print(&program)
        );
    }
}

/// What a judge that collects this feedback says and sees of each case of the corpus, twice over.
fn judged_with(feedback: u8) -> Vec<(String, Vec<u16>)> {
    let mut judge = Judge::new(Options {
        feedback,
        ..Options::default()
    });
    let mut all = Vec::new();
    for (_, input) in seeds(&corpus("litmus")).unwrap() {
        let mut rng = Rng::new(8);
        for n in 0..6 {
            let mut input = input.clone();
            if n > 1 {
                input.decisions = few_decisions(&mut rng);
            }
            let verdict = judge.check(&input);
            let mut features = judge.features().to_vec();
            features.sort_unstable();
            all.push((format!("{verdict:?}"), features));
        }
    }
    all
}

#[test]
fn feedback_is_deterministic_and_changes_nothing() {
    let none = judged_with(0);
    assert!(none.iter().all(|(_, features)| features.is_empty()));
    for kind in Feedback::ALL {
        let one = judged_with(kind.bit());
        let two = judged_with(kind.bit());
        assert_eq!(one, two, "{}", kind.name());
        assert!(one.iter().map(|o| &o.0).eq(none.iter().map(|o| &o.0)));
        let all: std::collections::BTreeSet<u16> =
            one.iter().flat_map(|o| o.1.iter().copied()).collect();
        // Few cases come near a limit.
        let least = if kind == Feedback::Limits { 1 } else { 6 };
        assert!(all.len() >= least, "{}: {all:?}", kind.name());
        assert!(all.iter().all(|&f| usize::from(f) < FEATURES));
        // The undisturbed execution comes twice, the second time on the machine of the first.
        for pair in one.chunks(6) {
            assert_eq!(pair[0], pair[1], "{}", kind.name());
        }
    }
}

/// A machine that ran other schedules before runs as a new one does.
#[test]
fn a_machine_serves_again() {
    let mut rng = Rng::new(9);
    let mut again = Judge::new(Options::default());
    for (name, seed) in seeds(&corpus("litmus")).unwrap() {
        for _ in 0..4 {
            let mut input = seed.clone();
            input.decisions = few_decisions(&mut rng);
            let mut other = seed.clone();
            other.decisions = few_decisions(&mut rng);
            assert_eq!(again.check(&other), Ok(()), "{name}");
            let judged = again.judge(&input).unwrap();
            let new = execute(&input, &RulesText::default(), &mut Deterministic::new()).unwrap();
            assert_eq!(
                format!("{:?}", judged.executed.outcome),
                format!("{:?}", new.outcome),
                "{name}"
            );
        }
    }
}
