//! Searches through the schedules of a world, and what they show.

use super::{Plan, Random, build};
use ksplat_harness::explore::{Bounded, Dpor, Exhaustive, Limits, explore};
use ksplat_kernel::rt::{
    Decision, Deterministic, End, EntityId, EntitySet, Machine, OpKind, Outcome, StopKind, Strategy,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

/// What a schedule can show: the state at the end, a stop, a broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Final(Vec<u64>),
    /// Kind, the waits told, and all that is stuck.
    Stop(StopKind, Vec<(usize, Option<usize>)>, EntitySet),
    Break(&'static str),
}

fn shown(o: &Outcome, w: &Random, out: &mut BTreeSet<Shown>) {
    assert_eq!(o.fault, None);
    for b in &o.breaks {
        out.insert(Shown::Break(b.kind));
    }
    if let Some(stop) = &o.stop {
        let mut cycle: Vec<_> = stop
            .waits
            .iter()
            .map(|s| (s.waiter.index(), s.wait.map(|x| x.res.index())))
            .collect();
        cycle.sort_unstable();
        out.insert(Shown::Stop(stop.kind, cycle, stop.stuck));
        return;
    }
    let vars = w.vars.iter().map(|v| v.1.load(Relaxed));
    let seen = w.seen.iter().map(|s| s.load(Relaxed));
    out.insert(Shown::Final(vars.chain(seen).collect()));
}

/// Whether a search showed this. A stop may have been told by another of its cycles, with more stuck than there.
fn is_shown(this: &Shown, by: &BTreeSet<Shown>) -> bool {
    let Shown::Stop(_, cycle, stuck) = this else {
        return by.contains(this);
    };
    by.iter().any(|other| match other {
        Shown::Stop(_, c, s) => c == cycle || stuck & !s == 0,
        _ => false,
    })
}

/// Everything that a search shows, and whether it came to its end, as each of its executions did.
fn search<S: Strategy>(
    m: &Machine,
    w: &Random,
    det: &mut Deterministic,
    s: &mut S,
    limit: u64,
) -> (BTreeSet<Shown>, u64, bool) {
    let mut out = BTreeSet::new();
    let mut cut = false;
    let explored = explore(s, Limits::schedules(limit), |s| {
        w.reset();
        let o = det.run(m, w, s);
        shown(&o, w, &mut out);
        cut = o.end == End::StepLimit;
        if cut {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    (out, explored.schedules, s.finished() && !cut)
}

/// Every schedule with at most so many preemptions, once: the yardstick of the bounded search.
struct Brute {
    bound: u32,
    used: u32,
    path: Vec<(u32, u32)>,
    depth: usize,
    begun: bool,
}

impl Brute {
    fn new(bound: u32) -> Self {
        Self {
            bound,
            used: 0,
            path: Vec::new(),
            depth: 0,
            begun: false,
        }
    }

    fn next(&mut self, n: u32) -> u32 {
        self.depth += 1;
        if let Some(&(choice, _)) = self.path.get(self.depth - 1) {
            return choice;
        }
        self.path.push((0, n));
        0
    }
}

impl Strategy for Brute {
    fn begin(&mut self) {
        (self.depth, self.used) = (0, 0);
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        while let Some((choice, n)) = self.path.pop() {
            if choice + 1 < n {
                self.path.push((choice + 1, n));
                break;
            }
        }
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let runs = decision.current;
        let preempts = runs.filter(|c| decision.op(*c).kind != OpKind::Yield);
        if let Some(current) = preempts.filter(|_| self.used == self.bound) {
            return current;
        }
        let picked = decision.nth(self.next(decision.len()));
        self.used += u32::from(preempts.is_some_and(|c| c != picked));
        picked
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.next(n)
    }

    fn finished(&self) -> bool {
        self.begun && self.path.iter().all(|&(choice, n)| choice + 1 == n)
    }
}

/// What the worlds came to.
#[derive(Default)]
struct Totals {
    compared: u64,
    brute: u64,
    reduced: u64,
    stops: usize,
    breaks: usize,
    lost: Vec<(u64, u32)>,
}

impl Totals {
    /// Looks whether the reduced search shows all that brute force shows, and nothing else.
    fn look(&mut self, seed: u64, bound: u32, w: &Random, brute: &Shows, reduced: &Shows) {
        let lost: Vec<_> = brute
            .0
            .iter()
            .filter(|s| !is_shown(s, &reduced.0))
            .collect();
        if !lost.is_empty() {
            self.lost.push((seed, bound));
            if self.lost.len() <= 3 {
                let (n, k) = (brute.1, reduced.1);
                println!(
                    "seed {seed}, bound {bound}: {n} schedules, {k} executions\n{:?}",
                    w.plan
                );
                println!("lost {lost:?} of {}", brute.0.len());
                println!("only {:?}", reduced.0);
            }
        }
        assert!(
            reduced.0.is_subset(&brute.0),
            "seed {seed}, bound {bound}: more than brute force"
        );
        self.compared += 1;
        self.brute += brute.1;
        self.reduced += reduced.1;
        let shown = brute.0.iter();
        self.stops += shown
            .clone()
            .filter(|s| matches!(s, Shown::Stop(..)))
            .count();
        self.breaks += shown.filter(|s| matches!(s, Shown::Break(_))).count();
    }

    fn judge(&self, what: &str) {
        let Self {
            compared,
            brute,
            reduced,
            stops,
            breaks,
            lost,
        } = self;
        println!(
            "{what}: {compared} worlds, {brute} schedules, {reduced} executions, {stops} stops, {breaks} breaks"
        );
        assert!(lost.is_empty(), "lost in {lost:?} (seed, bound)");
        assert!(*compared > 50 && *stops > 10 && *breaks > 3 && reduced < brute);
    }
}

type Shows = (BTreeSet<Shown>, u64, bool);

/// The unbounded search against all schedules.
pub fn compare(plan: fn(u64) -> Plan, seeds: std::ops::Range<u64>, limit: u64) {
    let mut det = Deterministic::new();
    let mut totals = Totals::default();
    for seed in seeds {
        let (m, w) = build(plan(seed), false);
        let all = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        if !all.2 {
            continue;
        }
        let mut dpor = Dpor::new(&m);
        let reduced = search(&m, &w, &mut det, &mut dpor, 4 * limit);
        assert!(
            reduced.2 && dpor.coverage().is_all(),
            "seed {seed}: {} of {}",
            reduced.1,
            all.1
        );
        totals.look(seed, u32::MAX, &w, &all, &reduced);
    }
    totals.judge("all schedules");
}

/// The search with at most 0, 1, 2 and 3 preemptions against all schedules with as many.
pub fn compare_bounded(plan: fn(u64) -> Plan, seeds: std::ops::Range<u64>, limit: u64) {
    let mut det = Deterministic::new();
    let mut totals = Totals::default();
    let mut unbounded = 0;
    for seed in seeds {
        let (m, w) = build(plan(seed), false);
        for bound in 0..4 {
            let all = search(&m, &w, &mut det, &mut Brute::new(bound), limit);
            if !all.2 {
                break;
            }
            let mut bounded = Bounded::new(&m, bound);
            let reduced = search(&m, &w, &mut det, &mut bounded, limit.max(4 * all.1));
            let coverage = bounded.coverage();
            assert!(
                coverage.complete && coverage.cut == 0,
                "seed {seed}, bound {bound}: {coverage} of {}",
                all.1
            );
            totals.look(seed, bound, &w, &all, &reduced);
            if coverage.preemptions.is_some() {
                continue;
            }
            // The bound that kept nothing from being tried: these are all schedules.
            let every = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
            if every.2 {
                unbounded += 1;
                totals.look(seed, u32::MAX, &w, &every, &reduced);
            }
            break;
        }
    }
    println!("{unbounded} worlds within their bound");
    totals.judge("bounded");
    assert!(unbounded > 3);
}

/// Brute force that decides before every unlock against the searches that do not where nobody sees the lock held.
pub fn compare_promised(plan: fn(u64) -> Plan, seeds: std::ops::Range<u64>, limit: u64) {
    let mut det = Deterministic::new();
    let (mut totals, mut fewer) = (Totals::default(), 0);
    for seed in seeds {
        let alone = || {
            let mut plan = plan(seed);
            let tasks = plan.irq.take().unwrap_or(plan.bodies.len());
            plan.bodies.truncate(tasks);
            plan.cpus = (0..tasks as u8).collect();
            plan
        };
        let (m, w) = build(alone(), false);
        let all = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        let few = search(&m, &w, &mut det, &mut Brute::new(1), limit);
        let (m, w) = build(alone(), true);
        if few.2 {
            let mut bounded = Bounded::new(&m, 1);
            let reduced = search(&m, &w, &mut det, &mut bounded, limit.max(4 * few.1));
            assert!(bounded.coverage().complete, "seed {seed}");
            totals.look(seed, 1, &w, &few, &reduced);
        }
        if !all.2 {
            continue;
        }
        let brute = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        assert!(
            brute.2 && brute.1 <= all.1,
            "seed {seed}: {} of {}",
            brute.1,
            all.1
        );
        let mut dpor = Dpor::new(&m);
        let reduced = search(&m, &w, &mut det, &mut dpor, 4 * limit);
        assert!(reduced.2 && dpor.coverage().is_all(), "seed {seed}");
        totals.look(seed, u32::MAX, &w, &all, &brute);
        totals.look(seed, u32::MAX, &w, &all, &reduced);
        fewer += u32::from(brute.1 < all.1);
    }
    println!("{fewer} worlds with fewer schedules");
    totals.judge("unlocks that are not decided");
    assert!(fewer > 10);
}
