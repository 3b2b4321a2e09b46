//! Crashes on purpose: a pipeline that reports nothing for this target reports nothing for any.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(
        data.len() < 4 || data[0] != data[1],
        "the canary sings: the fuzzing pipeline works"
    );
});
