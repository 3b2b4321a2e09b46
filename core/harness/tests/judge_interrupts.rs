//! Waits that only an interrupt ends: stuck only if nobody who could still raise it gets further.

use ksplat_harness::check::{Bounds, Search, search};
use ksplat_harness::confirm::confirm_all;
use ksplat_harness::explore::StrategySpec;
use ksplat_harness::program::{RulesText, parse, rules_text::Setting};
use ksplat_harness::rules::{laid_over, machine_rules};
use ksplat_harness::run::Litmus;

/// Every schedule of a program, its findings confirmed by the checker.
fn explored(text: &str, rt: bool) -> (Litmus, Search) {
    let program = parse("judge", text).unwrap_or_else(|e| panic!("{e}"));
    let over = RulesText {
        settings: rt
            .then(|| Setting::switch("preempt_rt", "on"))
            .into_iter()
            .flatten()
            .collect(),
        ..RulesText::default()
    };
    let rules = machine_rules(&laid_over(&program.rules, &over));
    let litmus = Litmus::new(&program, &rules).expect("executable");
    let bounds = Bounds {
        strategy: StrategySpec::Dpor,
        ..Bounds::default()
    };
    let mut found = search(&litmus, &bounds, |_| false);
    assert!(found.is_all(), "every schedule was tried");
    confirm_all(&litmus, &mut found);
    assert_eq!(found.faults, Vec::<String>::new());
    (litmus, found)
}

const WAITER: &str = "task waiter on cpu0 {\n    wait_for_completion c\n}\n";

#[test]
fn who_raises_the_interrupt_later_keeps_the_waiter_alive() {
    let irq = "irq dev on cpu0 times 0 {\n    complete c\n}\n";
    let chained =
        "irq dev on cpu0 times 0 {\n    raise_softirq rx\n}\nsoftirq rx {\n    complete c\n}\n";
    let raiser = "task raiser on cpu1 {\n    set f\n    raise_irq dev\n}\n";
    let timer = "timer tick on cpu1 {\n    complete c\n}\ntask arms on cpu1 {\n    set f\n    mod_timer tick\n}\n";
    for (name, body) in [
        ("irq", format!("{irq}{raiser}")),
        ("softirq", format!("{chained}{raiser}")),
        ("timer", timer.to_owned()),
    ] {
        let text = format!("splat later\ncompletion c\nflag f\n{body}{WAITER}");
        for rt in [false, true] {
            let (_, found) = explored(&text, rt);
            assert!(!found.stops(), "{name}, rt {rt}: {:?}", found.found.keys());
        }
    }
}

#[test]
fn nobody_left_to_raise_it_is_a_stop_without_an_ender() {
    let text = format!(
        "splat never\ncompletion c\nflag f\nirq dev on cpu0 times 0 {{\n    complete c\n}}\n{WAITER}task raiser on cpu1 {{\n    if f {{\n        raise_irq dev\n    }}\n}}\n"
    );
    for rt in [false, true] {
        let (litmus, found) = explored(&text, rt);
        let stops: Vec<_> = found.found.iter().filter(|(s, _)| s.is_stop()).collect();
        assert_eq!(stops.len(), 1, "rt {rt}");
        assert_eq!(stops[0].0.to_string(), "stop/no-ender/c");
        let stop = stops[0].1.outcome.stop.as_ref().expect("a stop");
        let told = stop
            .waits
            .iter()
            .map(|w| litmus.machine().entity(w.waiter).name());
        assert_eq!(
            told.collect::<Vec<_>>(),
            ["waiter"],
            "the interrupt never fired"
        );
    }
}

/// The interrupt at rest is no link of the cycle; the task that would raise it is.
#[test]
fn a_cycle_through_an_interrupt_names_who_raises_it() {
    let text = "splat cycle\ncompletion c\nmutex L\nirq dev on cpu0 times 0 {\n    complete c\n}\ntask waiter on cpu0 {\n    lock L {\n        wait_for_completion c\n    }\n}\ntask raiser on cpu1 {\n    lock L {\n    }\n    raise_irq dev\n}\n";
    let (litmus, found) = explored(text, false);
    let stops: Vec<_> = found.found.iter().filter(|(s, _)| s.is_stop()).collect();
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0].0.to_string(), "stop/deadlock/L>c");
    let stop = stops[0].1.outcome.stop.as_ref().expect("a stop");
    let names: Vec<_> = stop
        .waits
        .iter()
        .map(|w| litmus.machine().entity(w.waiter).name())
        .collect();
    assert!(!names.contains(&"dev"), "{names:?}");
}

#[test]
fn a_reader_behind_a_queued_writer_that_gets_further_is_not_stuck() {
    let text = "splat readers\nrwsem S\ntask holder on cpu0 {\n    lock S {\n    }\n}\ntask writer on cpu1 {\n    lock S {\n    }\n}\ntask reader on cpu0 {\n    read S {\n    }\n}\n";
    let (_, found) = explored(text, false);
    assert!(!found.stops(), "{:?}", found.found.keys());
}
