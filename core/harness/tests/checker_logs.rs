//! The independent checker: accepts what executions show, rejects what was tampered with.

use ksplat_harness::check::{Bounds, search};
use ksplat_harness::checker;
use ksplat_harness::confirm::{self, Recorded};
use ksplat_harness::explore::{Rng, StrategySpec};
use ksplat_harness::fuzz::Input;
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_harness::story::Moment;
use ksplat_kernel::rt::{Fact, Outcome, StopKind};

fn litmus(text: &str) -> Litmus {
    let program = parse("test", text).unwrap();
    Litmus::new(&program, &machine_rules(&program.rules)).unwrap()
}

/// The first stop of a program, recorded.
fn stop_of(litmus: &Litmus) -> Recorded {
    let found = search(
        litmus,
        &Bounds::default(),
        ksplat_harness::check::Search::stops,
    );
    let stop = found.found.iter().find(|(s, _)| s.is_stop());
    confirm::record(litmus, &stop.expect("the program stops").1.choices)
}

const ABBA: &str = "splat abba
mutex a, b
task t1 on cpu0 { lock a { lock b { } } }
task t2 on cpu1 { lock b { lock a { } } }
";

const HANDLER: &str = "splat handler
spinlock l
task t on cpu0 { lock l { } }
irq dev on cpu0 times 1 { lock l { } }
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

const READERS: &str = "splat readers
rwsem s
mutex m
task r on cpu0 { read s { lock m { } } }
task w on cpu1 { lock m { write s { } } }
";

const RETRY: &str = "splat retry
spinlock l
flag f
task t on cpu0 { lock l { spin_until f } }
task u on cpu1 {
    lock l { }
    set f
}
";

fn rejects(litmus: &Litmus, moments: &[Moment], outcome: &Outcome) -> bool {
    let opinions = checker::check(litmus.machine(), moments, outcome);
    checker::rejected(&opinions).is_some()
}

#[test]
fn stops_of_every_shape_are_accepted() {
    for text in [ABBA, HANDLER, COMPLETION, READERS, RETRY] {
        let litmus = litmus(text);
        let recorded = stop_of(&litmus);
        assert!(recorded.outcome.stop.is_some());
        assert_eq!(checker::rejected(&recorded.opinions), None, "{text}");
    }
}

/// A log from which an event that matters was taken does not bear the stop out any more.
#[test]
fn a_log_without_an_acquisition_or_a_wait_is_rejected() {
    for text in [ABBA, HANDLER, COMPLETION, READERS] {
        let litmus = litmus(text);
        let recorded = stop_of(&litmus);
        let stop = recorded.outcome.stop.clone().unwrap();
        let in_cycle: Vec<u64> = stop
            .waits
            .iter()
            .filter_map(|w| w.wait)
            .map(|w| w.res.index() as u64)
            .collect();
        let mut tampered = 0;
        for at in 0..recorded.moments.len() {
            let m = &recorded.moments[at];
            let fact = Fact::from_code(m.fact);
            let held = recorded.moments[at..].iter().any(|l| {
                Fact::from_code(l.fact) == Fact::Gives && l.res == m.res && l.entity == m.entity
            });
            let matters = match fact {
                Fact::Gets => in_cycle.contains(&m.res) && !held,
                // Who asked for a held lock is in the way without having looked.
                Fact::Waits => !m.how.is_multiple_of(10),
                Fact::Begins => true,
                _ => false,
            };
            if !matters {
                continue;
            }
            let mut log = recorded.moments.clone();
            log.remove(at);
            tampered += 1;
            // An entity that never began is not stuck; one whose wait is missing goes on.
            if fact != Fact::Begins {
                assert!(rejects(&litmus, &log, &recorded.outcome), "{text}: {m:?}");
            }
        }
        assert!(tampered > 0, "{text}: nothing to tamper with");
    }
}

/// A release before the stop, by whoever holds what is waited for, undoes it.
#[test]
fn a_log_with_a_release_that_was_not_there_is_rejected() {
    for text in [ABBA, READERS] {
        let litmus = litmus(text);
        let recorded = stop_of(&litmus);
        let waits = recorded
            .moments
            .iter()
            .rposition(|m| Fact::from_code(m.fact) == Fact::Waits);
        let last = waits.unwrap();
        let gets: Vec<Moment> = recorded.moments[..last]
            .iter()
            .filter(|m| {
                Fact::from_code(m.fact) == Fact::Gets && m.entity == recorded.moments[last].entity
            })
            .cloned()
            .collect();
        assert!(!gets.is_empty());
        for get in gets {
            let mut log = recorded.moments.clone();
            log.insert(
                last,
                Moment {
                    fact: Fact::Gives as u64,
                    ..get
                },
            );
            assert!(rejects(&litmus, &log, &recorded.outcome), "{text}");
        }
    }
}

#[test]
fn a_wake_up_before_the_stop_undoes_a_wait() {
    let litmus = litmus(COMPLETION);
    let recorded = stop_of(&litmus);
    let mut log = recorded.moments.clone();
    let wait = log
        .iter()
        .find(|m| Fact::from_code(m.fact) == Fact::Waits && m.how % 10 == 2)
        .unwrap()
        .clone();
    let other = log.iter().position(|m| m.entity != wait.entity).unwrap();
    let wake = Moment {
        fact: Fact::Wakes as u64,
        res: wait.res,
        ..log[other].clone()
    };
    let end = log
        .iter()
        .rposition(|m| Fact::from_code(m.fact) == Fact::Waits)
        .unwrap();
    log.insert(
        end + 1,
        Moment {
            entity: wait.entity,
            fact: Fact::Goes as u64,
            ..wake.clone()
        },
    );
    assert!(rejects(&litmus, &log, &recorded.outcome));
}

#[test]
fn a_claim_that_says_something_else_is_rejected() {
    for text in [ABBA, HANDLER, COMPLETION, READERS] {
        let litmus = litmus(text);
        let recorded = stop_of(&litmus);
        let with = |change: &dyn Fn(&mut ksplat_kernel::rt::Stop)| {
            let mut outcome = recorded.outcome.clone();
            change(outcome.stop.as_mut().unwrap());
            rejects(&litmus, &recorded.moments, &outcome)
        };
        assert!(!with(&|_| {}), "{text}: the claim itself");
        assert!(with(&|s| s.kind = StopKind::NoEnder), "{text}: kind");
        assert!(with(&|s| s.kind = StopKind::Livelock), "{text}: kind");
        assert!(with(&|s| s.stuck = 1 << 40), "{text}: stuck");
        assert!(with(&|s| s.stuck = 0), "{text}: nobody stuck");
        assert!(with(&|s| s.waits[0].needs = 0), "{text}: needs");
        assert!(with(&|s| s.waits.clear()), "{text}: no waits");
        if recorded.outcome.stop.as_ref().unwrap().waits.len() > 1 {
            assert!(with(&|s| s.waits.truncate(1)), "{text}: half a cycle");
            assert!(
                with(&|s| {
                    let wait = s.waits[1].wait;
                    s.waits[0].wait = wait;
                }),
                "{text}: another resource"
            );
        }
    }
}

#[test]
fn reports_must_speak_of_the_execution() {
    let litmus = litmus(ABBA);
    let found = search(&litmus, &Bounds::default(), |_| false);
    let (_, report) = found
        .signatures(|s| s.is_report())
        .next()
        .expect("lockdep reports");
    let recorded = confirm::record(&litmus, &report.choices);
    assert_eq!(checker::rejected(&recorded.opinions), None);
    for at in 0..recorded.moments.len() {
        if Fact::from_code(recorded.moments[at].fact) != Fact::MapGets {
            continue;
        }
        let mut log = recorded.moments.clone();
        log.remove(at);
        assert!(
            rejects(&litmus, &log, &recorded.outcome),
            "acquisition {at} is needed"
        );
    }
}

#[test]
fn states_must_be_in_the_log() {
    let litmus = litmus("splat leak\nspinlock l\ntask t on cpu0 { lock l irq\nlocal_irq_save }\n");
    let found = search(&litmus, &Bounds::default(), |_| false);
    assert!(found.breaks(), "a lock is held at exit");
    for (_, f) in found.signatures(|s| s.is_state()) {
        let recorded = confirm::record(&litmus, &f.choices);
        assert_eq!(checker::rejected(&recorded.opinions), None);
        let without: Vec<Moment> = recorded
            .moments
            .iter()
            .filter(|m| m.kind != "state")
            .cloned()
            .collect();
        assert!(rejects(&litmus, &without, &recorded.outcome));
        let mut given = recorded.moments.clone();
        for m in &mut given {
            (m.irqs_off, m.atomic) = (false, false);
        }
        let opinions = checker::check(litmus.machine(), &given, &recorded.outcome);
        let irq = opinions.iter().find(|o| o.signature.0 == "state/irq-state");
        assert!(irq.is_none_or(|o| o.answer.is_err()));
    }
}

/// Whatever random programs show, the checker agrees with the machine's judge.
#[test]
fn judge_and_checker_agree_on_random_programs() {
    let mut rng = Rng::new(11);
    let mut findings = 0;
    let mut disagreements = Vec::new();
    for _ in 0..400 {
        let bytes: Vec<u8> = (0..600).map(|_| rng.below(256) as u8).collect();
        let input = Input::random(&bytes);
        let Ok(litmus) = Litmus::new(&input.program, &machine_rules(&input.program.rules)) else {
            continue;
        };
        let bounds = Bounds {
            schedules: 12,
            strategy: StrategySpec::default(),
            ..Bounds::default()
        };
        let found = search(&litmus, &bounds, |_| false);
        for (signature, f) in &found.found {
            findings += 1;
            if let Err(why) = confirm::confirm(&litmus, signature, f) {
                disagreements.push(format!(
                    "{why}\n{}",
                    ksplat_harness::program::print(&input.program)
                ));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(findings > 200, "only {findings} findings were looked at");
}
