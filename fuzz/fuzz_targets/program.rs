//! A program and what decides, run once: a fault of the machine is a crash, and a finding that nothing explains.
//!
//! `KSPLAT_RULES`: fuzz this release instead of the newest. `KSPLAT_FINDINGS`: a folder where unexplained findings are
//! put, one input a class, instead of crashing. `KSPLAT_CLASS`: only this class of finding is a crash.
#![no_main]

use ksplat_fuzz::{Counters, check};
use ksplat_harness::fuzz::{Input, crossover, mutate};
use ksplat_kernel::rt::FEATURES;
use libfuzzer_sys::{Corpus, fuzz_crossover, fuzz_mutator, fuzz_target, fuzzer_mutate};

#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COUNTERS: Counters<FEATURES> = Counters::new();

fuzz_target!(init: ksplat_fuzz::init(|bytes| Input::decode(bytes).ok()), |input: Input| -> Corpus { check(&input, &COUNTERS) });

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed, &mut fuzzer_mutate)
});

fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
    crossover(one, other, out, seed)
});
