//! Planted bugs that exploration must find, each beside its repaired twin that must stay silent: so that silence
//! means something.

use ksplat_harness::check::{Bounds, Search, search};
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;

fn explored(text: &str) -> Search {
    let program = parse("planted.splat", text).unwrap_or_else(|e| panic!("{e}"));
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).expect("executable");
    let found = search(
        &litmus,
        &Bounds {
            schedules: 1_000,
            ..Bounds::default()
        },
        |_| false,
    );
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found
}

fn found(text: &str) -> Vec<String> {
    explored(text)
        .found
        .keys()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn planted(broken: &str, signature: &str, repaired: &str) {
    let got = found(broken);
    assert!(
        got.iter().any(|s| s.starts_with(signature)),
        "{signature} expected, found {got:?}"
    );
    assert_eq!(
        found(repaired),
        Vec::<String>::new(),
        "the repaired program is silent"
    );
}

fn two_tasks(second: &str) -> String {
    format!(
        "splat order\nmutex A, B\ntask T1 on cpu0 {{\n    lock A {{\n        lock B {{\n        }}\n    }}\n}}\ntask T2 on cpu1 {{\n{second}\n}}\n"
    )
}

#[test]
fn a_lock_order_swapped() {
    let swapped = two_tasks("    lock B {\n        lock A {\n        }\n    }");
    let ordered = two_tasks("    lock A {\n        lock B {\n        }\n    }");
    planted(&swapped, "stop/deadlock/A>B", &ordered);
    assert!(
        found(&swapped)
            .iter()
            .any(|s| s.starts_with("report/circular"))
    );
}

fn sleeper(waker: &str) -> String {
    format!(
        "splat wakeup\nflag ready\nwait_queue Q\ntask sleeper on cpu0 {{\n    wait_event Q until ready\n}}\ntask waker on cpu1 {{\n{waker}\n}}\n"
    )
}

#[test]
fn a_lost_wake_up() {
    planted(
        &sleeper("    wake_up Q\n    set ready"),
        "stop/",
        &sleeper("    set ready\n    wake_up Q"),
    );
}

#[test]
fn an_irq_flag_not_restored() {
    let task = |unlock: &str| {
        format!(
            "splat flags\nspinlock L\ntask T on cpu0 {{\n    lock L irqsave\n    {unlock}\n}}\n"
        )
    };
    planted(
        &task("unlock L"),
        "state/irqs-at-exit",
        &task("unlock L irqrestore"),
    );
}

#[test]
fn a_handler_that_shares_a_lock_without_disabling_interrupts() {
    let program = |flavour: &str| {
        format!(
            "splat handler\nspinlock L\nirq tick on cpu0 times 1 {{\n    lock L {{\n    }}\n}}\ntask T on cpu0 {{\n    lock L{flavour} {{\n    }}\n}}\n"
        )
    };
    planted(&program(""), "stop/deadlock", &program(" irqsave"));
    assert!(
        found(&program(""))
            .iter()
            .any(|s| s.starts_with("report/inconsistent-state"))
    );
}

#[test]
fn a_lock_that_is_not_released() {
    let task =
        |tail: &str| format!("splat forgotten\nmutex L\ntask T on cpu0 {{\n    lock L\n{tail}}}\n");
    planted(
        &task(""),
        "state/lock-held-at-exit",
        &task("    unlock L\n"),
    );
}

#[test]
fn an_innocent_runner_hides_nothing() {
    let text = "splat hidden\nmutex A, B, C\ntask T1 on cpu0 {\n    lock A {\n        lock B {\n        }\n    }\n}\ntask T2 on cpu1 {\n    lock B {\n        lock A {\n        }\n    }\n}\ntask busy on cpu1 {\n    loop 50 {\n        lock C {\n        }\n    }\n}\n";
    assert!(found(text).iter().any(|s| s == "stop/deadlock/A>B"));
}
