//! Random programs, and what their schedules show by the exhaustive searches and by brute force.

use ksplat_harness::explore::{Bounded, Dpor, Exhaustive, Limits, Rng, explore};
use ksplat_harness::finding::{Signature, signatures};
use ksplat_harness::fuzz::Input;
use ksplat_harness::program::{Program, print};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_kernel::rt::{Decision, Deterministic, End, EntityId, OpKind, Strategy};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// A small random program.
fn program(seed: u64) -> Program {
    let mut rng = Rng::new(seed ^ 0xd1ff);
    let bytes: Vec<u8> = (0..260).map(|_| rng.below(256) as u8).collect();
    let mut program = Program::clone(&Input::random(&bytes).program);
    program.machine.steps = Some(300);
    program
}

/// What all executions that a strategy makes show.
#[derive(Default)]
struct Shown {
    stops: BTreeSet<Signature>,
    states: BTreeSet<Signature>,
    reports: BTreeSet<Signature>,
    executions: u64,
    /// Every execution came to an end, and there are no more.
    all: bool,
}

fn show(litmus: &Litmus, strategy: &mut dyn Strategy, limit: u64) -> Shown {
    let mut shown = Shown::default();
    let mut executor = Deterministic::new();
    let mut cut = false;
    let explored = explore(strategy, Limits::schedules(limit), |s| {
        let outcome = litmus.run(&mut executor, s);
        assert_eq!(outcome.fault, None);
        cut |= outcome.end == End::StepLimit;
        for signature in signatures(litmus.machine(), &outcome) {
            let set = match () {
                () if signature.is_stop() => &mut shown.stops,
                () if signature.is_state() => &mut shown.states,
                () => &mut shown.reports,
            };
            set.insert(signature);
        }
        if cut {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    shown.executions = explored.schedules;
    shown.all = strategy.finished() && !cut;
    shown
}

/// Brute force with at most so many preemptions.
struct Within {
    all: Exhaustive,
    bound: u32,
    used: u32,
}

impl Strategy for Within {
    fn begin(&mut self) {
        self.used = 0;
        self.all.begin();
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let runs = decision.current;
        let preempts = runs.filter(|c| decision.op(*c).kind != OpKind::Yield);
        if let Some(current) = preempts.filter(|_| self.used == self.bound) {
            return current;
        }
        let picked = self.all.pick(decision);
        self.used += u32::from(preempts.is_some_and(|c| c != picked));
        picked
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.all.choose(n)
    }

    fn finished(&self) -> bool {
        self.all.finished()
    }
}

#[derive(Default)]
struct Totals {
    programs: u64,
    brute: u64,
    reduced: u64,
    stops: usize,
    states: usize,
    reports: usize,
    lost: Vec<String>,
}

impl Totals {
    fn look(&mut self, who: &str, program: &Program, brute: &Shown, reduced: &Shown) {
        let lost: Vec<_> = brute
            .stops
            .difference(&reduced.stops)
            .chain(brute.states.difference(&reduced.states))
            .collect();
        let silent = !brute.reports.is_empty() && reduced.reports.is_empty();
        if !lost.is_empty() || silent {
            if self.lost.len() < 3 {
                println!(
                    "{who}: {} schedules, {} executions; lost {lost:?}, reports {:?}\n{}",
                    brute.executions,
                    reduced.executions,
                    brute.reports,
                    print(program)
                );
            }
            self.lost.push(who.to_owned());
        }
        let more = reduced.stops.difference(&brute.stops).count()
            + reduced.states.difference(&brute.states).count()
            + reduced.reports.difference(&brute.reports).count();
        assert_eq!(more, 0, "{who}: more than brute force\n{}", print(program));
        self.programs += 1;
        self.brute += brute.executions;
        self.reduced += reduced.executions;
        self.stops += brute.stops.len();
        self.states += brute.states.len();
        self.reports += brute.reports.len();
    }

    fn judge(&self, what: &str) {
        let Self {
            programs,
            brute,
            reduced,
            stops,
            states,
            reports,
            lost,
        } = self;
        println!(
            "{what}: {programs} programs, {brute} schedules, {reduced} executions; {stops} stops, {states} states, {reports} reports"
        );
        assert!(lost.is_empty(), "{what}: lost in {lost:?}");
        assert!(*programs > 50 && *stops > 10 && *states > 10 && *reports > 10);
    }
}

/// Compares on the programs of these seeds that brute force is through with in `limit` schedules, and that have more than
/// one.
pub fn compare(seeds: std::ops::Range<u64>, limit: u64) {
    let (mut all, mut bounded) = (Totals::default(), Totals::default());
    for seed in seeds {
        let program = program(seed);
        let Ok(litmus) = Litmus::new(&program, &machine_rules(&program.rules)) else {
            continue;
        };
        let brute = show(&litmus, &mut Exhaustive::new(), limit);
        if brute.all && brute.executions > 1 {
            let reduced = show(&litmus, &mut Dpor::new(litmus.machine()), 4 * limit);
            assert!(reduced.all, "program {seed}: the reduction is not through");
            all.look(&format!("program {seed}"), &program, &brute, &reduced);
        }
        for bound in 0..3 {
            let mut within = Within {
                all: Exhaustive::new(),
                bound,
                used: 0,
            };
            let brute = show(&litmus, &mut within, limit);
            if !brute.all || brute.executions == 1 {
                continue;
            }
            let mut strategy = Bounded::new(litmus.machine(), bound);
            let reduced = show(&litmus, &mut strategy, 4 * limit);
            let who = format!("program {seed} with {bound} preemptions");
            assert!(reduced.all, "{who}: the reduction is not through");
            bounded.look(&who, &program, &brute, &reduced);
        }
    }
    all.judge("all schedules");
    bounded.judge("within a bound");
}
