//! Random lock programs: every lockdep report is decided, and what is decided is right.

use ksplat_harness::check::{Bounds, Search, search};
use ksplat_harness::confirm::{Decision, decide, names_cycle};
use ksplat_harness::explore::{Rng, StrategySpec};
use ksplat_harness::finding::Signature;
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use std::fmt::Write as _;

/// Three tasks that nest four mutexes, sometimes under a gate lock, behind a flag, or one after the other.
fn program(rng: &mut Rng) -> String {
    let mut text = String::from("splat random\nmutex a, b, c, d, gate\nflag f\ncompletion first\n");
    let ordered = rng.below(5) == 0;
    for t in 0..3 {
        let _ = writeln!(text, "task t{t} on cpu{} {{", t % 2);
        if ordered && t == 1 {
            text.push_str("wait_for_completion first\n");
        }
        let gated = rng.below(3) == 0;
        if gated {
            text.push_str("lock gate {\n");
        }
        for _ in 0..=rng.below(2) {
            let depth = 1 + rng.below(2);
            nest(rng, &mut text, 0b1111, depth);
        }
        if gated {
            text.push_str("}\n");
        }
        if rng.below(4) == 0 {
            text.push_str("set f\n");
        }
        if ordered && t == 0 {
            text.push_str("complete first\n");
        }
        text.push_str("}\n");
    }
    text
}

/// A lock, and perhaps another inside; never one that is held.
fn nest(rng: &mut Rng, text: &mut String, free: u64, depth: u32) {
    let lock = rng.member(free.into()).index();
    let name = ["a", "b", "c", "d"][lock];
    let conditional = rng.below(8) == 0;
    if conditional {
        text.push_str("if f {\n");
    }
    let _ = writeln!(text, "lock {name} {{");
    if depth > 0 {
        nest(rng, text, free & !(1 << lock), depth - 1);
    }
    text.push_str("}\n");
    if conditional {
        text.push_str("}\n");
    }
}

#[derive(Debug, Default)]
struct Tally {
    programs: u32,
    reports: u32,
    confirmed: u32,
    refuted: u32,
    undecided: u32,
    schedules: u64,
}

/// Decides the reports that a few random schedules give, as a run on a machine would.
fn tally(programs: u32, seed: u64) -> Tally {
    let mut rng = Rng::new(seed);
    let mut out = Tally::default();
    for _ in 0..programs {
        let text = program(&mut rng);
        let program = parse("random", &text).unwrap();
        let litmus = Litmus::new(&program, &machine_rules(&program.rules)).unwrap();
        out.programs += 1;
        let few = Bounds {
            schedules: 3,
            strategy: StrategySpec::Random,
            ..Bounds::default()
        };
        let found = search(&litmus, &few, |_| false);
        for decided in decide(&litmus, &found, 1, None) {
            out.reports += 1;
            out.schedules += decided.schedules;
            match decided.decision {
                Decision::Confirmed(hit) => {
                    out.confirmed += 1;
                    let report = report_of(&found, &decided.signature);
                    let stop = hit.outcome.stop.as_ref().expect("a stop confirms");
                    assert!(names_cycle(&litmus, report, stop), "another cycle:\n{text}");
                }
                Decision::Refuted { .. } => {
                    out.refuted += 1;
                    refutation_holds(&litmus, &found, &decided.signature, &text);
                }
                Decision::NoCycle => {}
                Decision::Undecided { executions } => {
                    out.undecided += 1;
                    eprintln!(
                        "undecided after {executions}: {}\n{text}",
                        decided.signature
                    );
                }
            }
        }
    }
    out
}

fn report_of<'a>(found: &'a Search, signature: &Signature) -> &'a ksplat_lockdep::Report {
    let mut reports = found.found[signature].outcome.reports.iter();
    let is =
        |r: &&ksplat_lockdep::Report| ksplat_harness::finding::report_signature(r) == *signature;
    reports.find(is).unwrap()
}

/// A long sample must not find what was refuted.
fn refutation_holds(litmus: &Litmus, found: &Search, signature: &Signature, text: &str) {
    let report = report_of(found, signature);
    let long = Bounds {
        schedules: 3_000,
        seed: 99,
        ..Bounds::default()
    };
    let sample = search(litmus, &long, |_| false);
    for f in sample.found.values() {
        if let Some(stop) = &f.outcome.stop {
            assert!(
                !names_cycle(litmus, report, stop),
                "{signature} is real:\n{text}"
            );
        }
    }
}

/// Decides every report of so many programs; at least `least` have to be confirmed, and some refuted.
pub fn all_decided(programs: u32, least: u32) {
    let tally = tally(programs, 17);
    println!("{tally:?}");
    assert_eq!(tally.undecided, 0, "{tally:?}");
    assert!(tally.confirmed >= least && tally.refuted > 0, "{tally:?}");
}
