//! What single operations do, seen from outside: each with a twin that differs in one word.

use ksplat_harness::check::{Bounds, search};
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;

/// Signatures of everything found.
fn found(text: &str) -> Vec<String> {
    let program = parse("operation.splat", text).unwrap_or_else(|e| panic!("{e}"));
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).expect("executable");
    let bounds = Bounds {
        schedules: 300,
        ..Bounds::default()
    };
    let found = search(&litmus, &bounds, |_| false);
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    found.found.keys().map(ToString::to_string).collect()
}

fn in_task(declarations: &str, body: &str) -> Vec<String> {
    found(&format!(
        "splat op\n{declarations}\ntask T on cpu0 {{\n{body}\n}}\n"
    ))
}

#[test]
fn a_copy_holds_the_same_memory() {
    let twice = in_task("", "p = kmalloc GFP_KERNEL\nq = p\nfree q\nfree p");
    assert_eq!(twice, ["state/double-free"]);
    let once = in_task("", "p = kmalloc GFP_KERNEL\nq = p\nfree q");
    assert!(once.is_empty(), "{once:?}");
}

#[test]
fn a_copy_of_nothing_is_nothing() {
    let text = "if maybe {\np = kmalloc GFP_KERNEL\n}\nfree p\nq = p\nif q {\nlock M\n}";
    let got = in_task("mutex M", text);
    assert!(got.is_empty(), "{got:?}");
}

#[test]
fn a_slot_can_be_copied() {
    let text = "splat op\nslot box\ntask T on cpu0 {\np = kmalloc GFP_KERNEL\nbox = p\n}\n\
                task U on cpu1 {\nq = box\nfree q\nfree box\n}\n";
    assert_eq!(found(text), ["state/double-free"]);
}

#[test]
fn a_stock_serves_later_charges_without_the_limit() {
    let charges = |stock: &str| {
        let text = "try_charge G GFP_NOWAIT\ntry_charge G GFP_NOWAIT\nuncharge G pages 2";
        in_task(&format!("memcg G limit 4 usage 2{stock}"), text)
    };
    assert!(charges("").is_empty());
    assert!(charges(" stock 2").is_empty());
}

#[test]
fn what_is_stocked_is_not_charged() {
    // One page is charged, the other is in the stock: nobody pays for it.
    let two = in_task(
        "memcg G limit 4 stock 2",
        "try_charge G GFP_NOWAIT\nuncharge G pages 2",
    );
    assert_eq!(two, ["state/memcg-underflow"]);
}

#[test]
fn a_charge_at_the_limit_drains_the_stocks_of_other_cpus() {
    let text = |drain: &str| {
        format!(
            "splat op\nmemcg G limit 2 stock 2\ncompletion stocked\n\
             task T on cpu0 {{\ntry_charge G GFP_NOWAIT\ncomplete stocked\n}}\n\
             task U on cpu1 {{\nwait_for_completion stocked\n{drain}\ntry_charge G GFP_NOWAIT\n\
             uncharge G\nuncharge G\n}}\n"
        )
    };
    // A request that cannot block does not drain: its charge fails, and the second uncharge has nothing to give back.
    assert_eq!(found(&text("")), ["state/memcg-underflow"]);
    assert!(found(&text("drain_stock G")).is_empty());
    let blocking = text("").replace("GFP_NOWAIT\nuncharge", "GFP_KERNEL\nuncharge");
    assert!(found(&blocking).is_empty());
}

const PROPERTIES: &str = "mutex L, M class L\nspinlock S\nmapping file\npage A in file dirty\ncompletion C\n\
                          fn F {\np = kmalloc GFP_NOFS\nfree p\n}\n";

/// A body that violates the property, and one that does not.
#[track_caller]
fn property(rule: &str, wrong: &str, right: &str) {
    let declarations = format!("{PROPERTIES}property P at {rule}\n");
    let got = in_task(&declarations, wrong);
    let violated = got
        .iter()
        .filter(|s| s.starts_with("state/property/P/"))
        .count();
    assert_eq!(violated, 1, "{got:?}");
    let got = in_task(&declarations, right);
    assert!(!got.iter().any(|s| s.contains("property")), "{got:?}");
}

#[test]
fn properties_see_locks_and_masks() {
    let alloc = |gfp: &str| format!("lock M {{\np = kmalloc {gfp}\n}}\nfree p");
    let rule = "alloc never held L && may_reclaim";
    property(rule, &alloc("GFP_NOIO"), &alloc("GFP_NOWAIT"));
    property(rule, &alloc("GFP_KERNEL"), "p = kmalloc GFP_KERNEL\nfree p");
    let scoped = format!("noreclaim {{\n{}\n}}", alloc("GFP_KERNEL"));
    property(rule, &alloc("GFP_KERNEL"), &scoped);
}

#[test]
fn properties_see_the_effective_mask() {
    let scoped = "nofs {\nmight_alloc GFP_KERNEL\n}";
    property(
        "alloc never gfp & __GFP_FS",
        "might_alloc GFP_KERNEL",
        scoped,
    );
}

#[test]
fn properties_see_callers() {
    let rule = "alloc never in F";
    property(rule, "call F", "p = kmalloc GFP_NOFS\nfree p");
    property(
        "lock never held S",
        "lock S {\nlock L {\n}\n}",
        "lock L {\nlock S {\n}\n}",
    );
}

#[test]
fn properties_see_waits_and_interrupts() {
    let wait = "complete C\nwait_for_completion C";
    let locked = format!("lock L {{\n{wait}\n}}");
    property("wait never held L", &locked, wait);
    property(
        "return never irqs_changed",
        "local_irq_disable",
        "irqsave {\n}",
    );
    property(
        "alloc never irqs_off",
        "irqsave {\np = kmalloc GFP_NOWAIT\n}\nfree p",
        "p = kmalloc GFP_NOWAIT\nfree p",
    );
}

#[test]
fn a_violation_is_listed_once_for_each_operation() {
    let declarations = format!("{PROPERTIES}property P at alloc never may_reclaim\n");
    let got = in_task(
        &declarations,
        "loop 3 {\ncall F\n}\na = kmalloc GFP_KERNEL\nfree a\nb = kmalloc GFP_KERNEL\nfree b",
    );
    assert_eq!(
        got,
        [
            "state/property/P/F/p = kmalloc GFP_NOFS",
            "state/property/P/T/a = kmalloc GFP_KERNEL",
            "state/property/P/T/b = kmalloc GFP_KERNEL",
        ]
    );
}
