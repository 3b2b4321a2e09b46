//! Executes every input of a fuzz corpus, outside of a fuzzer.
//!
//! `fuzz_corpus digest DIR…` prints a digest of each input's story: equal on every build and machine. Inputs in a folder
//! `schedule` are the target `schedule`'s, for the cases of `corpus/litmus`; all others are programs.
//! `fuzz_corpus time DIR…` prints what each part of an execution costs, in microseconds an input.

use ksplat_harness::explore::Rng;
use ksplat_harness::fuzz::{
    Cases, Driven, Input, Judge, Options, STEPS, mutate, rules_under, seeds,
};
use ksplat_harness::program::{Program, RulesText};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_harness::story::recorded;
use ksplat_kernel::rt::{Deterministic, Feedback, Strategy};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (word, folders) = match arguments.split_first() {
        Some((word, folders)) if !folders.is_empty() => (word.as_str(), folders),
        _ => ("", &[][..]),
    };
    let inputs = match read(folders) {
        Ok(inputs) => inputs,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match word {
        "digest" => digests(&inputs),
        "time" => times(&inputs),
        _ => {
            eprintln!("usage: fuzz_corpus digest|time DIR…");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// The files of these folders, by name, as they are.
fn read(folders: &[String]) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let mut inputs = Vec::new();
    for folder in folders {
        let at = |e: std::io::Error| format!("{folder}: {e}; expected a folder with fuzz inputs");
        for entry in std::fs::read_dir(Path::new(folder)).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let bytes = std::fs::read(&path).map_err(at)?;
            inputs.push((path, bytes));
        }
    }
    inputs.sort();
    Ok(inputs)
}

fn litmus(input: &Input) -> Option<Litmus> {
    let rules = machine_rules(&rules_under(&input.program, &RulesText::default()));
    Litmus::with_steps(&input.program, &rules, STEPS).ok()
}

/// The cases that inputs of the target `schedule` are made for.
fn cases() -> Cases {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    let all = seeds(&corpus).expect("the litmus corpus").into_iter();
    Cases::new(all.map(|(name, input)| (name, Program::clone(&input.program))))
        .expect("names that differ")
}

fn digests(inputs: &[(PathBuf, Vec<u8>)]) {
    let mut executor = Deterministic::new();
    let cases = cases();
    for (path, bytes) in inputs {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().and_then(Path::file_name);
        let decoded = if folder.is_some_and(|f| f == "schedule") {
            cases.decode(bytes).ok()
        } else {
            Input::decode(bytes).ok()
        };
        let Some(input) = decoded else {
            println!("{name} refused");
            continue;
        };
        let Some(litmus) = litmus(&input) else {
            println!("{name} not executable");
            continue;
        };
        litmus.machine().set_recording(true);
        let mut driven = Driven::new(&input.decisions);
        let (outcome, story) = recorded(|| litmus.run(&mut executor, &mut driven));
        let text = format!("{outcome:?}{story:?}{:?}", litmus.machine().choices());
        println!("{name} {:016x} {} events", fnv(&text), story.len());
    }
}

fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Nanoseconds that this thread has had a CPU, as Linux counts them; elsewhere the time of day.
fn cpu_time(start: Instant) -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let own = stat.split(' ').next().and_then(|word| word.parse().ok());
    own.unwrap_or_else(|| start.elapsed().as_nanos() as u64)
}

/// How often each input is timed.
const ROUNDS: u32 = 30;

/// Average microseconds of `f` over the inputs.
fn timed<T>(what: &str, over: &[T], mut f: impl FnMut(&T)) {
    let start = Instant::now();
    let before = cpu_time(start);
    for _ in 0..ROUNDS {
        over.iter().for_each(&mut f);
    }
    let each = (cpu_time(start) - before) as f64 / 1e3 / f64::from(ROUNDS) / over.len() as f64;
    println!("{what:34} {each:8.1}");
}

fn times(inputs: &[(PathBuf, Vec<u8>)]) {
    timed("decode", inputs, |(_, bytes)| {
        drop(black_box(Input::decode(bytes)));
    });
    let decoded: Vec<Input> = inputs
        .iter()
        .filter_map(|(_, bytes)| Input::decode(bytes).ok())
        .collect();
    timed("encode", &decoded, |input| drop(black_box(input.encode())));
    timed("clone", &decoded, |input| drop(black_box(input.clone())));
    timed("build the machine", &decoded, |input| {
        drop(black_box(litmus(input)));
    });
    let mut built: Vec<(Litmus, &Input)> = decoded
        .iter()
        .filter_map(|input| Some((litmus(input)?, input)))
        .collect();
    let mut executor = Deterministic::new();
    let mut run = |litmus: &Litmus, input: &Input| {
        let strategy: &mut dyn Strategy = &mut Driven::new(&input.decisions);
        litmus.run(&mut executor, strategy)
    };
    timed("run", &built, |(l, i)| drop(black_box(run(l, i))));
    let steps: u64 = built.iter().map(|(l, i)| u64::from(run(l, i).steps)).sum();
    let stops = built.iter().filter(|(l, i)| run(l, i).stop.is_some());
    let (stops, count) = (stops.count(), built.len() as u64);
    for kind in Feedback::ALL {
        built
            .iter()
            .for_each(|(l, _)| l.machine().set_feedback(kind.bit()));
        let (mut seen, mut distinct) = (0, BTreeSet::new());
        timed(&format!("run with {}", kind.name()), &built, |(l, i)| {
            drop(black_box(run(l, i)));
            l.machine().take_features(|feature| {
                seen += 1;
                distinct.insert(feature);
            });
        });
        let each = seen / built.len().max(1) / ROUNDS as usize;
        println!("{:34} {each:8} features of {}", "", distinct.len());
    }
    built.clear();
    let mut judge = Judge::new(Options::default());
    timed("judge (build, run, look up)", &decoded, |input| {
        drop(black_box(judge.judge(input)));
    });
    let (mut rng, mut buffer) = (Rng::new(1), vec![0; 2048]);
    timed("mutate", inputs, |(_, bytes)| {
        let size = bytes.len().min(buffer.len());
        buffer[..size].copy_from_slice(&bytes[..size]);
        let seed = rng.next() as u32;
        black_box(mutate(&mut buffer, size, 2048, seed, &mut |_, size, _| {
            size
        }));
    });
    println!(
        "{count} inputs, {} steps each, {stops} stop",
        steps / count.max(1)
    );
}
