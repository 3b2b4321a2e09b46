//! Verdicts with what they rest on.

use ksplat_harness::check::verdict::{least, missing_edges, prerequisites, reporting_annotations};
use ksplat_harness::check::{Bounds, CaseResult, argue, cases, search};
use ksplat_harness::confirm::Decision;
use ksplat_harness::explore::StrategySpec;
use ksplat_harness::program::expect::Verdict;
use ksplat_harness::program::rules_text::Setting;
use ksplat_harness::program::{Program, parse};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;

fn judged(text: &str) -> (Program, CaseResult) {
    judged_by(text, StrategySpec::default())
}

fn judged_by(text: &str, strategy: StrategySpec) -> (Program, CaseResult) {
    let program = parse("test", text).unwrap();
    let bounds = Bounds {
        schedules: 1_000,
        strategy,
        ..Bounds::default()
    };
    let result = cases(&program, None)[0].run(&program, &bounds).unwrap();
    assert_eq!(result.search.faults, Vec::<String>::new());
    (program, result)
}

const ABBA: &str = "splat abba
mutex a, b
task t1 on cpu0 { lock a { lock b { } } }
task t2 on cpu1 { lock b { lock a { } } }
";

const GATED: &str = "splat gated
mutex a, b, gate
task t1 on cpu0 { lock gate { lock a { lock b { } } } }
task t2 on cpu1 { lock gate { lock b { lock a { } } } }
";

const COMPLETION: &str = "splat completion
mutex l
completion c
task t on cpu0 { lock l { wait_for_completion c } }
task u on cpu1 {
    lock l { }
    complete c
}
";

#[test]
fn a_real_cycle_is_caught_and_its_report_confirmed() {
    let (_, result) = judged(ABBA);
    assert_eq!(result.judgement.verdict, Verdict::Caught);
    let reports = &result.judgement.reports;
    assert!(
        matches!(reports[0].decision, Decision::Confirmed(_)),
        "{reports:?}"
    );
}

#[test]
fn a_gate_lock_makes_the_report_a_proved_false_positive() {
    let (program, result) = judged(GATED);
    let judgement = &result.judgement;
    assert_eq!(judgement.verdict, Verdict::FalsePositive);
    assert!(judgement.every_schedule.is_some(), "{}", judgement.bounds);
    assert!(
        judgement.guard.is_none(),
        "the gate lock is the program's own"
    );
    assert!(matches!(
        judgement.reports[0].decision,
        Decision::Refuted {
            stops_otherwise: false,
            ..
        }
    ));
    let text = argue(&program, &program.rules, &result, 1).to_string();
    assert!(text.contains("every schedule up to equivalence"), "{text}");
    assert!(text.contains("No single guard of the model"), "{text}");
}

#[test]
fn a_sample_is_never_called_a_proof() {
    // Too many schedules to try them all within the bounds.
    let body = "loop 6 { inc n }\n".repeat(3);
    let text = format!(
        "splat many\ncounter n\ntask t1 on cpu0 {{ {body} }}\ntask t2 on cpu1 {{ {body} }}\ntask t3 on cpu1 {{ {body} }}\n"
    );
    let (program, result) = judged(&text);
    assert_eq!(result.judgement.verdict, Verdict::Clean);
    assert_eq!(result.judgement.every_schedule, None);
    assert!(result.judgement.bounds.contains("a sample"));
    let text = argue(&program, &program.rules, &result, 1).to_string();
    assert!(text.contains("no proof"), "{text}");
}

#[test]
fn a_bound_of_preemptions_is_stated_where_it_kept_something_out() {
    let (program, result) = judged_by(GATED, StrategySpec::Bounded { preemptions: 0 });
    let judgement = &result.judgement;
    assert_eq!(judgement.verdict, Verdict::FalsePositive);
    assert_eq!(judgement.every_schedule, None);
    let said = "all schedules with at most 0 preemptions, up to equivalence, in 2 executions";
    assert_eq!(judgement.bounds, said);
    let text = argue(&program, &program.rules, &result, 1).to_string();
    assert!(text.contains("no proof about schedules with more preemptions"));
}

#[test]
fn the_cycle_of_two_locks_takes_one_preemption() {
    let program = parse("test", ABBA).unwrap();
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).unwrap();
    for preemptions in [0, 1] {
        let bounds = Bounds {
            strategy: StrategySpec::Bounded { preemptions },
            ..Bounds::default()
        };
        let found = search(&litmus, &bounds, |_| false);
        assert_eq!(found.stops(), preemptions == 1);
        assert!(found.reports() && !found.is_all() && found.within.is_some());
    }
}

#[test]
fn a_bound_that_kept_nothing_out_is_none() {
    let (_, result) = judged_by(GATED, StrategySpec::Bounded { preemptions: 50 });
    let judgement = &result.judgement;
    assert_eq!(judgement.every_schedule, Some(result.search.schedules));
    assert!(
        judgement
            .bounds
            .starts_with("every schedule up to equivalence")
    );
}

/// Three tasks that write to what all three read: more schedules than are tried.
const MANY: &str = "splat many
machine { cpus = 3 }
flag a, b, c
task t on cpu0 { set a\nset b\nset c\nclear a\nclear b\nclear c }
task u on cpu1 { set b\nset c\nset a\nclear b\nclear c\nclear a }
task v on cpu2 { set c\nset a\nset b\nclear c\nclear a\nclear b }
";

#[test]
fn with_too_many_schedules_those_with_few_preemptions_are_all_tried() {
    let (_, result) = judged(MANY);
    let judgement = &result.judgement;
    assert_eq!(judgement.verdict, Verdict::Clean);
    assert_eq!(judgement.every_schedule, None);
    let within = result.search.within.expect("few preemptions can be tried");
    assert!(within.is_within() && within.preemptions >= Some(1));
    let words = &judgement.bounds;
    assert!(words.starts_with("1000 schedules, a sample; the exhaustive search: stopped after"));
    assert!(words.contains("; all schedules with at most"), "{words}");
}

#[test]
fn blind_says_which_edge_is_missing() {
    let (program, result) = judged(COMPLETION);
    assert_eq!(result.judgement.verdict, Verdict::Blind);
    let (_, stop) = result.search.signatures(|s| s.is_stop()).next().unwrap();
    let missing = missing_edges(&result.litmus, stop);
    assert_eq!(missing.len(), 2);
    assert!(
        missing.iter().all(|m| m
            .why
            .as_ref()
            .is_some_and(|w| w.contains("c is a completion"))),
        "{missing:?}"
    );
    assert!(reporting_annotations(&program, &program.rules).is_empty());
}

#[test]
fn blind_names_the_annotation_that_would_report() {
    let text = include_str!("../../../corpus/litmus/a/a3-lock-over-reclaim.splat");
    let (program, result) = judged(text);
    assert_eq!(result.judgement.verdict, Verdict::Blind);
    let annotations = reporting_annotations(&program, &program.rules);
    let f4 = annotations
        .iter()
        .find(|(s, _, _)| s.value() == "F4")
        .unwrap();
    assert_eq!(f4.1, Some("93781325da6e"));
    assert!(f4.2.contains("fs_reclaim"), "{f4:?}");
    let text = argue(&program, &program.rules, &result, 1).to_string();
    assert!(
        text.lines().all(|l| l.len() <= 80 && l.is_ascii()),
        "{text}"
    );
    assert!(text.contains("which only"), "{text}");
}

#[test]
fn a_guard_is_named_and_its_removal_shows_the_stop() {
    let text = "splat nested\nrules v4.15\nmachine { cpus = 1 }\npage buffer isolated\nmapping fs release releasepage\n\
        page A, B in fs private\n\
        release_page releasepage { lock_page buffer\ns = kmalloc gfp pressure reclaim\nfree s\nunlock_page buffer }\n\
        task sshd on cpu0 { skb = kmalloc GFP_KERNEL|__GFP_NOMEMALLOC pressure reclaim\nfree skb }\n";
    let (program, result) = judged(text);
    assert_eq!(result.judgement.verdict, Verdict::FalsePositive);
    let guard = result.judgement.guard.as_ref().unwrap();
    assert_eq!(guard.setting.name(), "pf_memalloc_recursion");
    assert!(guard.stop.is_stop());
    let (signature, report) = result.search.signatures(|s| s.is_report()).next().unwrap();
    let needs = prerequisites(&program, &program.rules, signature, &report.choices);
    let fs_reclaim = needs.iter().find(|p| p.name == "fs_reclaim").unwrap();
    assert_eq!(fs_reclaim.now, "F2");
    assert!(fs_reclaim.also.is_empty(), "{fs_reclaim:?}");
    assert!(
        needs.iter().any(|p| p.name == "propagate_nomemalloc"),
        "{needs:?}"
    );
}

#[test]
fn a_closed_gate_makes_it_latent() {
    // On PREEMPT_RT the first lock sleeps, so the other task of this CPU comes in between.
    let text = "splat rt\nspinlock a, b\n\
        task t1 on cpu0 { lock a { lock b { } } }\ntask t2 on cpu0 { lock b { lock a { } } }\n";
    let program = parse("rt", text).unwrap();
    let mut quiet = program.clone();
    quiet
        .rules
        .settings
        .push(ksplat_harness::program::rules_text::Setting::switch("lockdep", "off").unwrap());
    let result = cases(&quiet, None)[0]
        .run(&quiet, &Bounds::default())
        .unwrap();
    assert_eq!(result.judgement.verdict, Verdict::Latent);
    let gate = result.judgement.gate.as_ref().unwrap();
    assert_eq!(
        (gate.setting.name(), gate.setting.value()),
        ("preempt_rt", "on")
    );
}

#[test]
fn endless_programs_are_undecided_and_say_what_would_decide() {
    let text = "splat endless\nmachine { cpus = 1\nsteps = 200 }\ncounter n\ntask t on cpu0 { loop 300 { inc n } }\n";
    let program = parse("endless", text).unwrap();
    let bounds = Bounds {
        schedules: 20,
        ..Bounds::default()
    };
    let result = cases(&program, None)[0].run(&program, &bounds).unwrap();
    assert_eq!(result.judgement.verdict, Verdict::Undecided);
    assert!(result.judgement.wanted.is_some_and(|w| w.contains("steps")));
}

/// What a finding of the first case of a corpus file needs at once.
fn needs(file: &str, rules: &str, stop: &str) -> (Vec<String>, Vec<String>) {
    let path = format!("{}/../../corpus/litmus/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut program = parse(file, &text).unwrap();
    for word in rules.split(' ') {
        let (name, value) = word.split_once('=').unwrap();
        program.rules.settings.retain(|s| s.name() != name);
        program.rules.settings.extend(Setting::switch(name, value));
    }
    program.expects.clear();
    let bounds = Bounds {
        schedules: 1_000,
        ..Bounds::default()
    };
    let result = cases(&program, None)[0].run(&program, &bounds).unwrap();
    let found = &result.search.found;
    let (signature, hit) = found.iter().find(|(s, _)| s.0.starts_with(stop)).unwrap();
    let least = least(&program, &program.rules, signature, &hit.choices).unwrap();
    (least.needs, least.absent)
}

#[test]
fn the_least_that_is_needed_is_told_together() {
    let (needs, absent) = needs(
        "e/e1-irq-livelock.splat",
        "zonelist_seq=Z1",
        "stop/livelock",
    );
    assert_eq!(needs[0], "zonelist_seq = Z1", "{needs:?}");
    assert!(needs.contains(&"the interrupt nic".to_owned()), "{needs:?}");
    assert!(
        needs
            .iter()
            .any(|n| n.starts_with("memory pressure in line"))
    );
    // Without hot-removal nothing rebuilds the zonelists.
    assert!(
        needs.contains(&"memory_hotremove = on".to_owned()),
        "{needs:?}"
    );
    assert_eq!(needs.len(), 4, "{needs:?}");
    assert!(
        absent.iter().any(|a| a.starts_with("fs_reclaim")),
        "{absent:?}"
    );
}

#[test]
fn two_gates_that_only_together_matter_are_both_needed() {
    let (needs, _) = needs(
        "d/d-both.splat",
        "wb_nesting=W1 allow_both=on",
        "stop/deadlock",
    );
    for need in [
        "wb_nesting = W1",
        "allow_both = on",
        "the interrupt completion",
    ] {
        assert!(needs.contains(&need.to_owned()), "{need}: {needs:?}");
    }
}
