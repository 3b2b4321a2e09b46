//! Minimisation: keeps the finding, ends in a fixpoint, does not depend on how many candidates are tried at once.

use ksplat_harness::check::{Bounds, search};
use ksplat_harness::explore::Rng;
use ksplat_harness::finding::Signature;
use ksplat_harness::fuzz::Input;
use ksplat_harness::minimise::{Minimised, Options, minimise};
use ksplat_harness::program::{Program, parse, print};
use ksplat_harness::reproducer::replay;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;

fn first(program: &Program, which: fn(&Signature) -> bool) -> Option<(Signature, Vec<u32>)> {
    let litmus = Litmus::new(program, &machine_rules(&program.rules)).ok()?;
    let bounds = Bounds {
        schedules: 60,
        ..Bounds::default()
    };
    let found = search(&litmus, &bounds, |_| false);
    let (signature, f) = found.signatures(which).next()?;
    Some((signature.clone(), f.choices.clone()))
}

fn smallest(program: &Program, signature: &Signature, choices: &[u32], jobs: usize) -> Minimised {
    let options = Options {
        jobs,
        ..Options::default()
    };
    minimise(program, signature, choices, &options).unwrap()
}

fn again(m: &Minimised) -> Minimised {
    let decisions = m.program.schedule.iter().flat_map(|s| &s.decisions);
    let choices: Vec<u32> = decisions.map(|&d| u32::from(d)).collect();
    smallest(&m.program, &m.signature, &choices, 1)
}

const NOISY: &str = "splat noisy
rules v5.10 { fs_reclaim = F3 }
mutex a, b, noise
spinlock s
flag f
counter n
task t1 on cpu0 prio 1 {
    loop 3 { lock noise { inc n } }
    lock a { nofs { lock b nested 1 { inc n } } }
}
task t2 on cpu1 {
    lock s irqsave { set f }
    p = alloc_pages GFP_NOFS|__GFP_NOWARN order 2
    free p
    lock b { if f { lock a { } } else { inc n } }
}
task t3 on cpu1 { lock noise { set f } }
irq dev on cpu0 times 1 { inc n }
";

#[test]
fn noise_goes_and_the_cycle_stays() {
    let program = parse("noisy", NOISY).unwrap();
    let (signature, choices) = first(&program, Signature::is_stop).unwrap();
    assert_eq!(signature.0, "stop/deadlock/a>b");
    let m = smallest(&program, &signature, &choices, 1);
    let text = print(&m.program);
    for gone in [
        "noise",
        "inc",
        "nofs",
        "prio",
        "irq",
        "alloc",
        "flag",
        "nested",
        "fs_reclaim",
    ] {
        assert!(!text.contains(gone), "{gone} is left:\n{text}");
    }
    assert_eq!(m.program.tasks.len(), 2);
    let schedule = m.program.schedule.as_ref().unwrap();
    let away = schedule.decisions.iter().filter(|d| **d != 0).count();
    assert_eq!(away, 1, "one preemption is enough");
    let replayed = replay(&m.program).unwrap().recorded;
    assert_eq!(replayed.signatures.first(), Some(&signature));
    assert_eq!(replayed.diverged, None);
}

/// Without `nested` lockdep reports the cycle of [`NOISY`].
#[test]
fn a_blind_stop_stays_blind_on_demand() {
    let program = parse("noisy", NOISY).unwrap();
    let (signature, choices) = first(&program, Signature::is_stop).unwrap();
    for nothing_more in [true, false] {
        let options = Options {
            nothing_more,
            ..Options::default()
        };
        let m = minimise(&program, &signature, &choices, &options).unwrap();
        let outcome = replay(&m.program).unwrap().recorded.outcome;
        assert_eq!(outcome.reports.is_empty(), nothing_more);
        let text = print(&m.program);
        assert_eq!(text.contains("nested"), nothing_more, "{text}");
        assert!(!text.contains("noise"), "{text}");
    }
}

#[test]
fn a_report_and_a_state_are_kept_too() {
    for (which, text) in [
        (
            Signature::is_report as fn(&Signature) -> bool,
            "splat r\nmutex a, b, noise\nflag f\ntask t1 on cpu0 { lock noise { set f }\nlock a { lock b { } } }\ntask t2 on cpu1 { lock b { lock a { clear f } }\nlock noise { } }\n",
        ),
        (
            Signature::is_state,
            "splat s\nmutex a\ntask t on cpu0 { local_irq_save\nlock a { }\nlocal_irq_restore }\ntask u on cpu1 { lock a { } }\n",
        ),
    ] {
        let program = parse("text", text).unwrap();
        let (signature, choices) = first(&program, which).unwrap();
        let m = smallest(&program, &signature, &choices, 1);
        let replayed = replay(&m.program).unwrap().recorded;
        assert!(replayed.signatures.contains(&signature), "{signature}");
        // The expectation and the printed layout come on top; the schedule is not part of the program.
        let mut unscheduled = m.program.clone();
        unscheduled.schedule = None;
        assert!(print(&unscheduled).len() < text.len() + 200);
    }
}

/// On random programs: the finding is kept, minimising again changes nothing, parallelism changes nothing.
#[test]
fn minimising_is_a_fixpoint_whatever_the_parallelism() {
    let mut rng = Rng::new(5);
    let mut done = 0;
    while done < 24 {
        let bytes: Vec<u8> = (0..500).map(|_| rng.below(256) as u8).collect();
        let input = Input::random(&bytes);
        let Some((signature, choices)) = first(&input.program, |_| true) else {
            continue;
        };
        let one = smallest(&input.program, &signature, &choices, 1);
        let three = smallest(&input.program, &signature, &choices, 3);
        assert_eq!(
            one.program, three.program,
            "{signature}: parallelism matters"
        );
        let twice = again(&one);
        assert_eq!(
            print(&one.program),
            print(&twice.program),
            "{signature}: not a fixpoint"
        );
        let replayed = replay(&one.program).unwrap().recorded;
        assert!(replayed.signatures.contains(&signature), "{signature}");
        done += 1;
    }
}
