//! A case of `corpus/litmus`, chosen by the first byte, under the decisions that the other bytes are. Environment as for
//! `program`.
#![no_main]

use ksplat_fuzz::check;
use ksplat_harness::fuzz::{Decisions, Input};
use ksplat_harness::program::parse;
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/litmus.rs"));

static CASES: LazyLock<Vec<Input>> = LazyLock::new(|| {
    let case = |(name, text): &(&str, &str)| {
        let program = parse(name, text).unwrap_or_else(|e| panic!("{e}"));
        Input::of(program, Decisions::default())
    };
    LITMUS.iter().map(case).collect()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&case, decisions)) = data.split_first() else {
        return;
    };
    let mut input = CASES[usize::from(case) % CASES.len()].clone();
    input.decisions = Decisions::from_bytes(decisions);
    check(&input);
});
