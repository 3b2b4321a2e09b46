//! A case of `corpus/litmus` under the decisions that the other bytes are. Environment as for `program`.
#![no_main]

use ksplat_fuzz::{Counters, check};
use ksplat_harness::fuzz::Cases;
use ksplat_harness::program::parse;
use ksplat_kernel::rt::FEATURES;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/litmus.rs"));

#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COUNTERS: Counters<FEATURES> = Counters::new();

static CASES: LazyLock<Cases> = LazyLock::new(|| {
    let case = |(name, text): &(&str, &str)| {
        let program = parse(name, text).unwrap_or_else(|e| panic!("{e}"));
        ((*name).to_owned(), program)
    };
    Cases::new(LITMUS.iter().map(case))
        .unwrap_or_else(|(one, other)| panic!("{one} and {other} are one to a hash"))
});

fuzz_target!(init: ksplat_fuzz::init(|bytes| CASES.decode(bytes).ok()), |data: &[u8]| -> Corpus {
    CASES.decode(data).map_or(Corpus::Reject, |input| check(&input, &COUNTERS))
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    CASES.mutate(data, size, max_size, seed)
});
