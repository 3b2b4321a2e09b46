//! Whatever the checker finds again from a log it no longer finds when the log is mended: for every kind of finding that
//! rests on facts of the log, those facts are changed, and the checker must reject the claim.

use ksplat_harness::check::{Bounds, Found, cases, search};
use ksplat_harness::checker::{self, Basis};
use ksplat_harness::confirm::{self, Recorded};
use ksplat_harness::explore::Rng;
use ksplat_harness::finding::Signature;
use ksplat_harness::fuzz::Input;
use ksplat_harness::program::parse;
use ksplat_harness::rules::{laid_over, machine_rules};
use ksplat_harness::run::Litmus;
use ksplat_harness::story::Moment;
use ksplat_kernel::rt::{EntityKind, Fact, MapContext, Quantity};
use std::collections::BTreeMap;
use std::path::Path;

/// Kinds that the library and the random programs below must show, each mended at least once.
const NEEDED: &[&str] = &[
    "report/bad-unlock",
    "report/circular",
    "report/debug-locks-warn",
    "report/hardirq-safe-unsafe",
    "report/inconsistent-state",
    "report/irq-inversion",
    "report/locks-held-at-exit",
    "report/nest-not-held",
    "report/recursive",
    "report/wait-context",
    "state/bh-count",
    "state/bh-enable-irqs-off",
    "state/direct-reclaim-writes",
    "state/downgrade-not-held",
    "state/freeze-passed",
    "state/irq-state",
    "state/irqs-at-exit",
    "state/irqs-on-under-irq-lock",
    "state/local-lock-reentered",
    "state/lock-held-at-exit",
    "state/moving-account",
    "state/page-not-locked",
    "state/preempt-count",
    "state/printk-not-deferred",
    "state/proposal-unsubmitted-batch",
    "state/rcu-held-at-exit",
    "state/rcu-self-wait",
    "state/rcu-unbalanced",
    "state/reclaim-recursion",
    "state/seqcount-nested-writer",
    "state/seqcount-not-written",
    "state/seqcount-preemptible",
    "state/sleep-in-atomic",
    "state/srcu-unbalanced",
    "state/stack-overflow",
    "state/unlock-not-held",
    "state/writeback-left",
    "state/writeback-not-set",
    "state/writeback-set-twice",
];

/// What random programs show too seldom.
const RARE: &[&str] = &[
    "splat rcu
     task t on cpu0 { rcu_read_unlock }
     task u on cpu1 { rcu_read_lock }
    ",
    "splat srcu
     srcu domain
     task t on cpu0 { read_unlock domain }
    ",
    "splat bottom-halves-irqs-off
     task t on cpu0 {
         local_bh_disable
         local_irq_disable
         local_bh_enable
         local_irq_enable
     }
    ",
    "splat downgrade
     rwsem s
     task t on cpu0 { downgrade s }
    ",
    "splat bottom-halves
     task t on cpu0 { local_bh_enable }
     task u on cpu1 { local_bh_disable }
    ",
    "splat twice
     page object isolated
     task t on cpu0 {
         lock_page object
         set_page_writeback object
         set_page_writeback object
     }
    ",
    "splat work
     mutex m
     workqueue wq workers 1
     work w on wq { lock m }
     task t on cpu0 {
         queue_work w
         flush_work w
     }
    ",
];

fn fact(m: &Moment) -> Fact {
    Fact::from_code(m.fact)
}

/// Place of the event that a finding was made at.
fn place(recorded: &Recorded, kind: &str) -> Option<usize> {
    let word = kind.split('/').nth(1)?;
    recorded.moments.iter().position(|m| {
        fact(m) == Fact::Breaks && m.text.split(':').next() == Some(word)
            || kind.starts_with("report/") && m.kind == "report"
    })
}

/// The logs in which what the finding claims is not so; none for kinds that are taken as recorded.
fn mended(litmus: &Litmus, recorded: &Recorded, kind: &str) -> Vec<Vec<Moment>> {
    let log = &recorded.moments;
    let at = place(recorded, kind);
    let without = |drop: &dyn Fn(&Moment) -> bool| -> Vec<Moment> {
        log.iter().filter(|m| !drop(m)).cloned().collect()
    };
    let changed = |change: &dyn Fn(&mut Moment)| -> Vec<Vec<Moment>> {
        let Some(at) = at else { return Vec::new() };
        let mut log = log.clone();
        change(&mut log[at]);
        vec![log]
    };
    let counts = |what: Quantity| without(&|m| fact(m) == Fact::Counts && m.how == what as u64);
    let context = |c: MapContext| without(&|m| fact(m) == Fact::MapContext && m.set == c as u128);
    let inserted = |before: usize, new: Fact, like: &Moment, set: u128| {
        let mut log = log.clone();
        let event = Moment {
            fact: new as u64,
            set,
            kind: "fact".to_owned(),
            ..like.clone()
        };
        log.insert(before, event);
        log
    };
    let last = |f: Fact| {
        let at = at?;
        (0..at)
            .rev()
            .find(|&i| fact(&log[i]) == f && log[i].entity == log[at].entity)
    };
    let res = at.map_or(0, |at| log[at].res);
    let no_holder = || without(&|m| fact(m) == Fact::Gets && m.res == res);
    match kind {
        "report/circular" | "report/recursive" => {
            vec![without(&|m| fact(m) == Fact::MapGets)]
        }
        "report/inconsistent-state" | "report/irq-inversion" | "report/hardirq-safe-unsafe" => {
            let contexts = without(&|m| fact(m) == Fact::MapContext);
            vec![contexts, without(&|m| fact(m) == Fact::MapGets)]
        }
        "report/wait-context" => {
            let closing = last(Fact::MapGets);
            let mut log = log.clone();
            let mut nth = 0..;
            log.retain(|m| {
                let at = nth.next();
                at == closing || !matches!(fact(m), Fact::MapGets | Fact::MapContext)
            });
            vec![log]
        }
        "report/debug-locks-warn" if last(Fact::MapLowers).is_some() => {
            let lowers =
                last(Fact::MapLowers).map(|i| inserted(i, Fact::MapGets, &log[i], log[i].set));
            lowers.into_iter().collect()
        }
        "report/nest-not-held" | "report/debug-locks-warn" => {
            let mut plain = without(&|m| fact(m) == Fact::MapContext);
            plain.iter_mut().for_each(|m| {
                m.how = if fact(m) == Fact::MapGets { 0 } else { m.how };
            });
            vec![plain]
        }
        "report/bad-unlock" => {
            let gives =
                last(Fact::MapGives).map(|i| inserted(i, Fact::MapGets, &log[i], log[i].set));
            gives.into_iter().collect()
        }
        "report/locks-held-at-exit" => vec![context(MapContext::TaskExit)],
        "state/sleep-in-atomic" => changed(&|m| (m.atomic, m.irqs_off) = (false, false)),
        "state/irqs-at-exit" | "state/irq-state" => changed(&|m| m.irqs_off = !m.irqs_off),
        "state/bh-enable-irqs-off" => changed(&|m| m.irqs_off = false),
        "state/bh-count" => changed(&|m| m.bh = 1 - m.bh.min(1)),
        "state/preempt-count" => {
            let kind = |m: &Moment| litmus.machine().entities()[m.entity as usize].kind();
            let handler = |m: &Moment| !litmus.machine().rt() && kind(m) == EntityKind::HardIrq;
            changed(&|m| m.preempt = u64::from(handler(m)))
        }
        "state/lock-held-at-exit" => {
            let entity = at.map_or(0, |at| log[at].entity);
            vec![without(&|m| fact(m) == Fact::Gets && m.entity == entity)]
        }
        "state/irqs-on-under-irq-lock"
        | "state/local-lock-reentered"
        | "state/seqcount-nested-writer"
        | "state/freeze-passed" => vec![no_holder()],
        "state/seqcount-preemptible" => changed(&|m| m.atomic = true),
        "state/page-not-locked" | "state/seqcount-not-written" | "state/srcu-unbalanced" => {
            let mode = if kind == "state/page-not-locked" {
                0
            } else {
                1
            };
            let gets = at.map(|i| inserted(i, Fact::Gets, &log[i], mode));
            gets.into_iter().collect()
        }
        "state/unlock-not-held" | "state/downgrade-not-held" => {
            let lacks = last(Fact::Lacks);
            let gets = lacks.map(|i| inserted(i, Fact::Gets, &log[i], log[i].set));
            // In the other mode it is not held either; as nothing at all is the claim without ground.
            let none = without(&|m| fact(m) == Fact::Lacks);
            gets.into_iter().chain([none]).collect()
        }
        "state/printk-not-deferred" => {
            vec![without(&|m| {
                fact(m) == Fact::Gets
                    && litmus.machine().resources()[m.res as usize].kind()
                        == ksplat_kernel::rt::ResKind::Sequence
            })]
        }
        "state/rcu-self-wait" | "state/rcu-held-at-exit" => {
            vec![without(&|m| fact(m) == Fact::Reads)]
        }
        "state/rcu-unbalanced" => {
            let reads = at.map(|i| inserted(i, Fact::Reads, &log[i], 0));
            reads.into_iter().collect()
        }
        "state/work-leaked-context" => {
            let entity = at.map_or(0, |at| log[at].entity);
            vec![without(&|m| fact(m) == Fact::Gets && m.entity == entity)]
        }
        "state/reclaim-recursion" => changed(&|m| m.pf = 0),
        "state/direct-reclaim-writes" => changed(&|m| m.pf |= 0x2_0000),
        "state/stack-overflow" => {
            let mut log = counts(Quantity::ReclaimDepth);
            log.retain(|m| fact(m) != Fact::Counts || m.how != Quantity::CallDepth as u64);
            vec![log]
        }
        "state/proposal-unsubmitted-batch" => vec![counts(Quantity::Unsubmitted)],
        "state/writeback-set-twice" => vec![counts(Quantity::Writeback)],
        "state/writeback-left" => vec![nothing_under_writeback(litmus, log)],
        "state/moving-account" => {
            let more = at.map(|i| counted(&log[i], log, i, Quantity::Moving));
            more.into_iter().collect()
        }
        "state/writeback-not-set" => {
            let more = at.map(|i| counted(&log[i], log, i, Quantity::Writeback));
            more.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The log with, at its end, the end of as much writeback as there can be of each page.
fn nothing_under_writeback(litmus: &Litmus, log: &[Moment]) -> Vec<Moment> {
    let mut log = log.to_vec();
    let bits = litmus.machine().resources().iter().zip(0u64..);
    let bits = bits.filter(|(r, _)| r.kind() == ksplat_kernel::rt::ResKind::PageBit);
    for (_, res) in bits {
        let ends = Moment {
            entity: 0,
            fact: Fact::Counts as u64,
            how: Quantity::Writeback as u64,
            res,
            set: -1i128 as u128,
            kind: "fact".to_owned(),
            ..Moment::default()
        };
        // Of an entity that has ended nothing would be believed: beside an event of its own.
        let first = log
            .iter()
            .position(|m| m.entity == 0 && fact(m) == Fact::Begins);
        log.insert(first.map_or(log.len(), |at| at + 1), ends);
    }
    log
}

/// The log with one more of a quantity before an event.
fn counted(like: &Moment, log: &[Moment], at: usize, what: Quantity) -> Vec<Moment> {
    let mut log = log.to_vec();
    let event = Moment {
        fact: Fact::Counts as u64,
        how: what as u64,
        set: 1,
        kind: "fact".to_owned(),
        ..like.clone()
    };
    log.insert(at, event);
    log
}

/// How often each kind was mended, and what was wrong.
#[derive(Default)]
struct Tally {
    mended: BTreeMap<String, u32>,
    wrong: Vec<String>,
}

impl Tally {
    fn look(&mut self, litmus: &Litmus, signature: &Signature, found: &Found, who: &str) {
        let kind: Vec<&str> = signature.0.split('/').take(2).collect();
        let kind = kind.join("/");
        let recorded = confirm::record(litmus, &found.choices);
        let opinion = |log: &[Moment]| {
            let opinions = checker::check(litmus.machine(), log, &recorded.outcome);
            opinions.into_iter().find(|o| o.signature == *signature)
        };
        let basis = opinion(&recorded.moments).map(|o| o.answer);
        if !matches!(basis, Some(Ok(_))) {
            self.wrong.push(format!("{who}: {signature}: {basis:?}"));
            return;
        }
        if recorded.outcome.reports.len() > 1 && signature.is_report() {
            // Later reports may rest on the same events as the first.
            return;
        }
        for log in mended(litmus, &recorded, &kind) {
            let accepted = opinion(&log).is_some_and(|o| o.answer == Ok(Basis::Recomputed));
            // A mended handler's lock may leave the report to another mark of the same place.
            if accepted {
                self.wrong
                    .push(format!("{who}: {signature} is accepted from a mended log"));
            }
            *self.mended.entry(kind.clone()).or_default() += 1;
        }
    }

    fn explore(&mut self, litmus: &Litmus, schedules: u64, who: &str) {
        let bounds = Bounds {
            schedules,
            ..Bounds::default()
        };
        let all = search(litmus, &bounds, |_| false);
        for (signature, found) in all.found.iter().filter(|(s, _)| !s.is_stop()) {
            self.look(litmus, signature, found, who);
        }
    }
}

fn library(dir: &Path, tally: &mut Tally) {
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the corpus")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            library(&path, tally);
            continue;
        }
        let name = path.display().to_string();
        let program = parse(&name, &std::fs::read_to_string(&path).expect("a text")).expect(&name);
        for case in cases(&program, None) {
            let rules = machine_rules(&laid_over(&program.rules, &case.under));
            if let Ok(litmus) = Litmus::new(&program, &rules) {
                tally.explore(&litmus, 30, &name);
            }
        }
    }
}

#[test]
fn a_mended_log_is_rejected() {
    let mut tally = Tally::default();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    library(&corpus, &mut tally);
    for text in RARE {
        let program = parse("rare", text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        let litmus = Litmus::new(&program, &machine_rules(&program.rules)).expect("it runs");
        tally.explore(&litmus, 60, text);
    }
    let mut rng = Rng::new(11);
    for n in 0..600 {
        let bytes: Vec<u8> = (0..600).map(|_| rng.below(256) as u8).collect();
        let program = Input::random(&bytes).program;
        if let Ok(litmus) = Litmus::new(&program, &machine_rules(&program.rules)) {
            tally.explore(&litmus, 12, &format!("random program {n}"));
        }
    }
    println!("{:#?}", tally.mended);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    let missing = |kind: &&&str| !tally.mended.contains_key(**kind);
    let missing: Vec<_> = NEEDED.iter().filter(missing).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}
