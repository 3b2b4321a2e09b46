//! What reclaim calls can reclaim again: the machine's stack ends before the host's does, as a finding.

use ksplat_harness::explore::Random;
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_kernel::rt::Deterministic;

#[test]
fn a_shrinker_that_shrinks_is_a_finding_not_a_crash() {
    let text = "splat recursion\n\nshrinker cache objects 4 {\n    shrink_slab GFP_KERNEL\n}\n\ntask T on cpu0 {\n    shrink_slab GFP_KERNEL\n}\n";
    let program = parse("recursion.splat", text).expect("legal");
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).expect("executable");
    let outcome = litmus.run(&mut Deterministic::new(), &mut Random::new(1));
    assert_eq!(outcome.fault, None);
    assert!(outcome.stop.is_some());
    assert!(outcome.breaks.iter().any(|b| b.kind == "stack-overflow"));
}
