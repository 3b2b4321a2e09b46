//! Bytes → program + schedule → run → oracles. The same input always gives the same execution.
//!
//! `KSPLAT_RULES`: rules of this release instead of the newest. `KSPLAT_CRASH_ON`: also treat these findings as
//! crashes: words of `stop`, `report`, `state`, `blind` (a stop that lockdep does not report), separated by commas.
#![no_main]

use ksplat_harness::fuzz::{Input, execute, oracle};
use ksplat_harness::program::RulesText;
use ksplat_harness::program::rules_text::Release;
use ksplat_kernel::rt::Deterministic;
use std::cell::RefCell;
use std::sync::LazyLock;

struct Options {
    rules: RulesText,
    crash_on: String,
}

static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let release = std::env::var("KSPLAT_RULES").ok();
    let release = release.map(|r| {
        Release::parse(&r)
            .unwrap_or_else(|| panic!("KSPLAT_RULES={r}: expected a release such as v4.15"))
    });
    let rules = RulesText {
        release,
        ..RulesText::default()
    };
    Options {
        rules,
        crash_on: std::env::var("KSPLAT_CRASH_ON").unwrap_or_default(),
    }
});

thread_local! {
    static EXECUTOR: RefCell<Deterministic> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let options = &*OPTIONS;
    let Some(input) = Input::decode(data) else {
        return;
    };
    let run = || EXECUTOR.with_borrow_mut(|executor| execute(&input, &options.rules, executor));
    let Some(executed) = run() else { return };
    if let Err(broken) = oracle(&executed) {
        panic!("{broken}");
    }
    let stops = executed.outcome.stop.is_some();
    let blind = stops && executed.outcome.reports.is_empty();
    for word in options.crash_on.split(',').filter(|w| !w.is_empty()) {
        let hit = match word {
            "stop" => stops,
            "report" => !executed.outcome.reports.is_empty(),
            "state" => !executed.outcome.breaks.is_empty(),
            "blind" => blind,
            other => panic!("KSPLAT_CRASH_ON={other}: expected stop, report, state or blind"),
        };
        assert!(
            !hit,
            "{}",
            executed
                .signatures
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
});
