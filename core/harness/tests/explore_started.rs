//! Tasks that another starts: the exhaustive search loses none of their orders, and SURW draws them evenly.

use ksplat_harness::explore::{Dpor, Exhaustive, Rng, Surw};
use ksplat_kernel::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, OpKind, ResId, ResKind, Strategy,
    World, current,
};
use ksplat_kernel::rules::Rules;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// A step of a body: starts the next task, or writes to a variable.
#[derive(Clone, Copy)]
enum Do {
    Start(usize),
    Write(usize),
}

/// Main, and tasks that it starts; who wrote to what in which order.
struct Starts {
    vars: Vec<ResId>,
    bodies: Vec<Vec<Do>>,
    written: Mutex<Vec<(usize, usize)>>,
}

impl World for Starts {
    fn run(&self, entity: EntityId) {
        for &step in &self.bodies[entity.index()] {
            match step {
                Do::Start(task) => current().start(EntityId::new(task)),
                Do::Write(var) => {
                    current().point(OpKind::Store, self.vars[var]);
                    self.written.lock().unwrap().push((var, entity.index()));
                }
            }
        }
    }
}

fn world(vars: usize, bodies: Vec<Vec<Do>>) -> (Machine, Starts) {
    let spec = |i: usize| EntitySpec {
        started: i == 0,
        ..EntitySpec::task(format!("T{i}"), i as u8)
    };
    let mut m = Machine::new(&MachineSpec {
        cpus: bodies.len() as u8,
        entities: (0..bodies.len()).map(spec).collect(),
        rules: Rules::default(),
        max_steps: 100,
    });
    for (parent, body) in bodies.iter().enumerate() {
        for step in body {
            if let Do::Start(task) = *step {
                m.set_raisers(EntityId::new(task), EntityId::new(parent).bit());
            }
        }
    }
    let var = |i| (ResKind::Variable, format!("v{i}"));
    let vars = (0..vars).map(var);
    let vars = vars
        .map(|(kind, name)| m.add_resource(kind, &name))
        .collect();
    let written = Mutex::default();
    (
        m,
        Starts {
            vars,
            bodies,
            written,
        },
    )
}

/// The order of the writers of each variable.
type Shown = BTreeMap<usize, Vec<usize>>;

fn run(m: &Machine, w: &Starts, strategy: &mut dyn Strategy) -> Shown {
    w.written.lock().unwrap().clear();
    let o = Deterministic::new().run(m, w, strategy);
    assert_eq!((o.stop, o.fault), (None, None));
    let mut shown = Shown::new();
    for &(var, who) in &*w.written.lock().unwrap() {
        shown.entry(var).or_default().push(who);
    }
    shown
}

fn all(m: &Machine, w: &Starts, strategy: &mut impl Strategy) -> (BTreeSet<Shown>, u64) {
    let (mut seen, mut executions) = (BTreeSet::new(), 0);
    while !strategy.finished() {
        executions += 1;
        seen.insert(run(m, w, strategy));
    }
    (seen, executions)
}

/// Up to three tasks beside main, each started once, by somebody before it in order.
fn random(seed: u64) -> (Machine, Starts) {
    let mut rng = Rng::new(seed);
    let tasks = 2 + rng.below(2) as usize;
    let mut bodies: Vec<Vec<Do>> = Vec::new();
    for _ in 0..=tasks {
        let writes = 1 + rng.below(2);
        bodies.push(
            (0..writes)
                .map(|_| Do::Write(rng.below(2) as usize))
                .collect(),
        );
    }
    for task in 1..=tasks {
        let body = &mut bodies[rng.below(task as u32) as usize];
        let at = rng.below(body.len() as u32 + 1) as usize;
        body.insert(at, Do::Start(task));
    }
    world(2, bodies)
}

#[test]
fn no_order_is_lost() {
    let (mut fewer, mut most) = (0, 0);
    for seed in 0..60 {
        let (m, w) = random(seed);
        let (every, executions) = all(&m, &w, &mut Exhaustive::new());
        let (reduced, classes) = all(&m, &w, &mut Dpor::new(&m));
        assert_eq!(reduced, every, "seed {seed}");
        assert!(classes <= executions, "seed {seed}");
        fewer += u32::from(classes < executions);
        most = most.max(every.len());
    }
    assert!(
        fewer > 50 && most > 10,
        "{fewer} {most}: too little to reduce"
    );
}

#[test]
fn surw_counts_what_is_yet_to_be_started() {
    // Main starts four tasks one after the other; each writes once. Every one is last equally often.
    let mut bodies = vec![(1..=4).map(Do::Start).collect()];
    bodies.extend((0..4).map(|_| vec![Do::Write(0)]));
    let (m, w) = world(1, bodies);
    let mut surw = Surw::new(7);
    let (mut last, runs) = ([0_u32; 5], 8_000);
    for _ in 0..runs {
        last[run(&m, &w, &mut surw)[&0][3]] += 1;
    }
    for (task, &n) in last.iter().enumerate().skip(1) {
        assert!(
            (1_800..2_200).contains(&n),
            "task {task}: {n} of {runs}: {last:?}"
        );
    }
}
