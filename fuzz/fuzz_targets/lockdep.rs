//! Bytes → lock program → engine, oracle and orders of execution must agree (`ksplat_harness::lockdep::Judge`).
#![no_main]

use ksplat_harness::lockdep::{Judge, Program};
use std::cell::RefCell;

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let program = Program::generate(bytes);
    let verdict = JUDGE.with_borrow_mut(|judge| judge.judge(&program));
    if let Err(error) = verdict {
        panic!("{}\n{error}", program.row_text());
    }
});
