//! A program and what decides, on the deterministic runtime and under shuttle: both must be the same execution.
//! Environment as for `program`.
#![no_main]

use ksplat_fuzz::{Counters, check, judge};
use ksplat_harness::explore::Replay;
use ksplat_harness::fuzz::{Input, crossover, mutate};
use ksplat_kernel::rt::{FEATURES, StrategyScheduler};
use libfuzzer_sys::{Corpus, fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};
use shuttle::{Config, FailurePersistence, Runner};
use std::sync::{Arc, Mutex};

#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COUNTERS: Counters<FEATURES> = Counters::new();

fuzz_target!(init: ksplat_fuzz::init(|bytes| Input::decode(bytes).ok()), |input: Input| -> Corpus {
    let corpus = check(&input, &COUNTERS);
    let Some(judged) = judge(|judge| judge.judge(&input)) else {
        return corpus;
    };
    let here = format!("{:?}", judged.executed.outcome);
    let litmus = judged.executed.litmus;
    let choices = litmus.machine().choices();
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    let scheduler = StrategyScheduler::new(Replay::new(choices.clone()), 1);
    let litmus = Arc::new(litmus);
    let there = Arc::new(Mutex::new(String::new()));
    let (inside, out) = (Arc::clone(&litmus), Arc::clone(&there));
    Runner::new(scheduler, config).run(move || {
        *out.lock().unwrap() = format!("{:?}", inside.run_in_shuttle());
    });
    assert_eq!(*there.lock().unwrap(), here, "the runtimes differ");
    assert_eq!(litmus.machine().choices(), choices, "the runtimes differ");
    corpus
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed, &mut fuzzer_mutate)
});

fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
    crossover(one, other, out, seed)
});
