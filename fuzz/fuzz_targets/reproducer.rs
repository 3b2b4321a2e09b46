//! Any bytes as a reproducer: what is a program replays twice as the same execution, and the checker accepts it.
#![no_main]

use ksplat_harness::checker::rejected;
use ksplat_harness::fuzz::STEPS;
use ksplat_harness::program::parse_bytes;
use ksplat_harness::reproducer::replay;

/// Pages of a machine, beyond which building it is all that happens.
const PAGES: u32 = 4096;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(mut program) = parse_bytes("input.splat", data) else {
        return;
    };
    if program.machine.zones.iter().any(|z| z.pages > PAGES) {
        return;
    }
    let steps = program.machine.steps.unwrap_or(STEPS);
    program.machine.steps = Some(steps.min(STEPS));
    let (Ok(one), Ok(two)) = (replay(&program), replay(&program)) else {
        return;
    };
    assert!(
        one.recorded.moments == two.recorded.moments,
        "two replays differ"
    );
    assert_eq!(one.recorded.signatures, two.recorded.signatures);
    assert_eq!(one.recorded.outcome.fault, None);
    if let Some(why) = rejected(&one.recorded.opinions) {
        panic!("the checker rejects a finding: {why}");
    }
});
