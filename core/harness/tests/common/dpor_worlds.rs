//! The reduction against brute force: on many small random worlds no final state, stop or state break may be lost.

use ksplat_harness::explore::{Dpor, Exhaustive, Limits, Rng, explore};
use ksplat_kernel::rt::{
    CpuId, Deterministic, End, EntityId, EntityKind, EntitySet, EntitySpec, Machine, MachineSpec,
    Needs, OpKind, Outcome, ResId, ResKind, StopKind, Strategy, Wait, WaitHow, World, current,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{Completion, How, Irq, Lock, LockKind, Rcu, WaitQueue};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const VARS: usize = 3;

#[derive(Clone, Debug)]
enum Stmt {
    Locked(usize, Irq, Vec<Stmt>),
    Shared(usize, Vec<Stmt>),
    Tried(usize, Vec<Stmt>),
    Load(usize),
    Store(usize, u64),
    Complete(usize),
    Await(usize),
    TryAwait(usize),
    Choose(u32, usize),
    Atomic(Vec<Stmt>),
    IrqOff(Vec<Stmt>),
    Rcu(Vec<Stmt>),
    Synchronize,
    Raise,
    SetAndWake(usize),
    WaitFor(usize),
    Spin(usize),
}

#[derive(Debug)]
struct Plan {
    kinds: Vec<LockKind>,
    bodies: Vec<Vec<Stmt>>,
    cpus: Vec<u8>,
    irq: Option<usize>,
    times: u16,
    /// Whether a check between steps looks at two variables at once.
    checked: bool,
}

struct Random {
    plan: Plan,
    locks: Vec<Lock>,
    completions: Vec<Completion>,
    queue: WaitQueue,
    rcu: Rcu,
    vars: Vec<(ResId, AtomicU64)>,
    /// What each entity has seen, hashed in order.
    seen: Vec<AtomicU64>,
}

impl Random {
    fn reset(&self) {
        self.completions.iter().for_each(Completion::reset);
        self.rcu.reset();
        self.vars.iter().for_each(|v| v.1.store(0, Relaxed));
        self.seen.iter().for_each(|s| s.store(0, Relaxed));
    }

    fn saw(&self, value: u64) {
        let seen = &self.seen[current().id().index()];
        let mixed = (seen.load(Relaxed) ^ (value + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        seen.store(mixed.rotate_left(23), Relaxed);
    }

    fn run_all(&self, body: &[Stmt]) {
        for stmt in body {
            self.run_one(stmt);
        }
    }

    fn run_one(&self, stmt: &Stmt) {
        let e = current();
        match stmt {
            Stmt::Locked(l, irq, body) => {
                let how = How {
                    irq: *irq,
                    ..How::default()
                };
                let flags = self.locks[*l].lock(how);
                self.run_all(body);
                self.locks[*l].unlock(*irq, flags);
            }
            Stmt::Shared(l, body) => {
                let flags = self.locks[*l].read(How::default());
                self.run_all(body);
                self.locks[*l].read_unlock(Irq::Plain, flags);
            }
            Stmt::Tried(l, body) => {
                let got = self.locks[*l].trylock(How::default());
                self.saw(u64::from(got.is_some()));
                if let Some(flags) = got {
                    self.run_all(body);
                    self.locks[*l].unlock(Irq::Plain, flags);
                }
            }
            Stmt::Load(v) => {
                e.point(OpKind::Load, self.vars[*v].0);
                self.saw(self.vars[*v].1.load(Relaxed));
            }
            Stmt::Store(v, value) => self.store(*v, *value),
            Stmt::Complete(c) => self.completions[*c].complete(),
            Stmt::Await(c) => self.completions[*c].wait(),
            Stmt::TryAwait(c) => self.saw(u64::from(self.completions[*c].try_wait())),
            Stmt::Choose(n, v) => {
                let chosen = e.machine().choose(*n);
                if chosen == 1 {
                    self.store(*v, 7);
                } else {
                    self.saw(u64::from(chosen));
                }
            }
            Stmt::Atomic(body) => {
                e.cpu_point();
                e.preempt_disable();
                self.run_all(body);
                e.preempt_enable();
            }
            Stmt::IrqOff(body) => {
                let flags = e.local_irq_save();
                self.run_all(body);
                e.local_irq_restore(flags);
            }
            Stmt::Rcu(body) => {
                self.rcu.read_lock();
                self.run_all(body);
                self.rcu.read_unlock();
            }
            Stmt::Synchronize => self.rcu.synchronize(),
            Stmt::Raise => {
                if let Some(irq) = self.plan.irq {
                    e.machine().raise_irq(EntityId::new(irq));
                }
            }
            Stmt::SetAndWake(v) => {
                self.store(*v, 9);
                self.queue.wake_up();
            }
            Stmt::WaitFor(v) => {
                let var = &self.vars[*v].1;
                let is_set = || var.load(Relaxed) == 9;
                self.queue.wait_event(WaitHow::Sleep, Needs::Enders, is_set);
            }
            Stmt::Spin(v) => {
                e.point(OpKind::Load, self.vars[*v].0);
                if self.vars[*v].1.load(Relaxed) == 0 {
                    e.block(Wait {
                        res: self.vars[*v].0,
                        how: WaitHow::Spin,
                        needs: Needs::Anyone,
                    });
                }
                self.saw(self.vars[*v].1.load(Relaxed));
            }
        }
    }

    fn store(&self, v: usize, value: u64) {
        let e = current();
        e.point(OpKind::Store, self.vars[v].0);
        self.vars[v].1.store(value, Relaxed);
        e.machine().wake(self.vars[v].0);
        if self.plan.checked {
            e.machine().touch();
        }
    }
}

impl World for Random {
    fn run(&self, entity: EntityId) {
        self.run_all(&self.plan.bodies[entity.index()]);
    }

    fn check(&self, m: &Machine) {
        let [a, b] = [0, 1].map(|v| self.vars[v].1.load(Relaxed));
        if a != 0 && b == 0 {
            m.state_break("a-without-b", String::new);
        }
        if a == 0 && b != 0 {
            m.state_break("b-without-a", String::new);
        }
    }
}

/// Random programs.
struct Gen {
    rng: Rng,
    kinds: Vec<LockKind>,
    left: u32,
}

impl Gen {
    fn below(&mut self, n: usize) -> usize {
        self.rng.below(n as u32) as usize
    }

    fn body(&mut self, depth: u32, sleep: bool, irq: bool) -> Vec<Stmt> {
        let n = 1 + self.below(3);
        let mut body = Vec::new();
        for _ in 0..n {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            body.push(self.stmt(depth, sleep, irq));
        }
        body
    }

    fn inner(&mut self, depth: u32, sleep: bool, irq: bool) -> Vec<Stmt> {
        if depth >= 2 {
            Vec::new()
        } else {
            self.body(depth + 1, sleep, irq)
        }
    }

    fn stmt(&mut self, depth: u32, sleep: bool, irq: bool) -> Stmt {
        let l = self.below(self.kinds.len());
        let kind = self.kinds[l];
        let spins = kind.spins(false);
        let v = self.below(VARS);
        let value = 1 + self.below(2) as u64;
        match self.below(22) {
            0..=4 if spins || sleep => {
                let how = if spins && self.below(3) == 0 {
                    Irq::Save
                } else {
                    Irq::Plain
                };
                Stmt::Locked(l, how, self.inner(depth, sleep && !spins, irq))
            }
            5..=7 if kind.shared() && (spins || sleep) => {
                Stmt::Shared(l, self.inner(depth, sleep && !spins, irq))
            }
            8 | 9 if spins || sleep => Stmt::Tried(l, self.inner(depth, sleep && !spins, irq)),
            10 => Stmt::Complete(self.below(2)),
            11 if sleep => Stmt::Await(self.below(2)),
            12 => Stmt::TryAwait(self.below(2)),
            13 => Stmt::Choose(2 + self.below(2) as u32, v),
            14 => Stmt::Atomic(self.inner(depth, false, irq)),
            15 if !irq => Stmt::IrqOff(self.inner(depth, false, irq)),
            16 => Stmt::Rcu(self.inner(depth, false, irq)),
            17 if sleep => Stmt::Synchronize,
            18 if !irq => Stmt::Raise,
            19 if sleep => Stmt::WaitFor(v),
            20 => Stmt::SetAndWake(v),
            21 if !irq => Stmt::Spin(v),
            n if n % 2 == 0 => Stmt::Load(v),
            _ => Stmt::Store(v, value),
        }
    }
}

fn plan(seed: u64) -> Plan {
    let mut rng = Rng::new(seed);
    let all = [
        LockKind::Mutex,
        LockKind::Spin,
        LockKind::RwSem,
        LockKind::RwLock,
    ];
    let kinds: Vec<LockKind> = (0..2).map(|_| all[rng.below(4) as usize]).collect();
    let mut bodies = Vec::new();
    let tasks = 2 + rng.below(2) as usize;
    let mut gen_ = Gen {
        rng,
        kinds: kinds.clone(),
        left: 0,
    };
    for _ in 0..tasks {
        gen_.left = if tasks == 2 { 5 } else { 3 };
        bodies.push(gen_.body(0, true, false));
    }
    let mut rng = gen_.rng;
    let irq = (rng.below(3) == 0).then_some(tasks);
    if irq.is_some() {
        let mut gen_ = Gen {
            rng,
            kinds: kinds.clone(),
            left: 2,
        };
        bodies.push(gen_.body(1, false, true));
        rng = gen_.rng;
    }
    let cpus = (0..bodies.len()).map(|_| rng.below(2) as u8).collect();
    Plan {
        kinds,
        bodies,
        cpus,
        irq,
        times: rng.below(2) as u16,
        checked: rng.below(3) == 0,
    }
}

/// Whether a body tries this lock.
fn tries(body: &[Stmt], lock: usize) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Tried(l, body) => *l == lock || tries(body, lock),
        Stmt::Locked(_, _, body)
        | Stmt::Shared(_, body)
        | Stmt::Atomic(body)
        | Stmt::IrqOff(body)
        | Stmt::Rcu(body) => tries(body, lock),
        _ => false,
    })
}

/// `promised`: the machine is told which locks nobody tries.
fn build(plan: Plan, promised: bool) -> (Machine, Random) {
    let spec = |i: usize| EntitySpec {
        name: format!("E{i}"),
        cpu: CpuId(plan.cpus[i]),
        kind: if plan.irq == Some(i) {
            EntityKind::HardIrq
        } else {
            EntityKind::Task
        },
        prio: 0,
        pf: 0,
        times: if plan.irq == Some(i) { plan.times } else { 0 },
        started: true,
    };
    let n = plan.bodies.len();
    let mut m = Machine::new(&MachineSpec {
        cpus: 3,
        entities: (0..n).map(spec).collect(),
        rules: Rules {
            lockdep: false,
            ..Rules::default()
        },
        max_steps: 500,
    });
    let everybody = (1 << n) - 1;
    let lock = |(i, &kind)| {
        let lock = Lock::new(&mut m, kind, format!("L{i}"), None);
        if promised && !plan.bodies.iter().any(|body| tries(body, i)) {
            lock.never_tried(&mut m);
        }
        lock
    };
    let locks = plan.kinds.iter().enumerate().map(lock).collect();
    let completions = (0..2)
        .map(|i| Completion::new(&mut m, &format!("C{i}"), everybody))
        .collect();
    let queue = WaitQueue::new(&mut m, ResKind::WaitQueue, "Q", everybody);
    let rcu = Rcu::new(&mut m);
    let vars = (0..VARS)
        .map(|i| {
            let res = m.add_resource(ResKind::Variable, format!("v{i}"));
            (res, AtomicU64::new(0))
        })
        .collect();
    let seen = (0..n).map(|_| AtomicU64::new(0)).collect();
    let world = Random {
        plan,
        locks,
        completions,
        queue,
        rcu,
        vars,
        seen,
    };
    (m, world)
}

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
    assert_ne!(o.end, End::StepLimit);
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

/// Everything that a search shows, and whether it came to its end.
fn search<S: Strategy>(
    m: &Machine,
    w: &Random,
    det: &mut Deterministic,
    s: &mut S,
    limit: u64,
) -> (BTreeSet<Shown>, u64, bool) {
    let mut out = BTreeSet::new();
    let explored = explore(s, Limits::schedules(limit), |s| {
        w.reset();
        let o = det.run(m, w, s);
        shown(&o, w, &mut out);
        ControlFlow::Continue(())
    });
    (out, explored.schedules, s.finished())
}

/// Brute force that decides before every unlock against the reduction that does not where nobody sees the lock held.
pub fn compare_promised(seeds: std::ops::Range<u64>, limit: u64) {
    let mut det = Deterministic::new();
    let (mut compared, mut fewer, mut stops, mut breaks) = (0, 0, 0, 0);
    for seed in seeds {
        let alone = || {
            let mut plan = plan(seed);
            let tasks = plan.irq.take().unwrap_or(plan.bodies.len());
            plan.bodies.truncate(tasks);
            plan.cpus = (0..tasks as u8).collect();
            plan
        };
        let (m, w) = build(alone(), false);
        let (all, n, finished) = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        if !finished {
            continue;
        }
        let (m, w) = build(alone(), true);
        let (brute, k, finished) = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        assert!(finished && k <= n, "seed {seed}: {k} of {n}");
        let mut dpor = Dpor::new(&m);
        let (reduced, _, finished) = search(&m, &w, &mut det, &mut dpor, 4 * limit);
        assert!(finished && dpor.coverage().is_all(), "seed {seed}");
        for (by, found) in [("brute force", &brute), ("reduction", &reduced)] {
            let lost: Vec<_> = all.iter().filter(|s| !is_shown(s, found)).collect();
            assert!(
                lost.is_empty(),
                "seed {seed}, {by}: lost {lost:?}\n{:?}",
                w.plan
            );
            assert!(
                found.is_subset(&all),
                "seed {seed}, {by}: more than there is"
            );
        }
        compared += 1;
        fewer += u32::from(k < n);
        stops += all.iter().filter(|s| matches!(s, Shown::Stop(..))).count();
        breaks += all.iter().filter(|s| matches!(s, Shown::Break(_))).count();
    }
    println!("{compared} worlds, {fewer} with fewer schedules, {stops} stops, {breaks} breaks");
    assert!(fewer > 20 && stops > 10 && breaks > 3);
}

pub fn compare(seeds: std::ops::Range<u64>, limit: u64) {
    let mut det = Deterministic::new();
    let (mut compared, mut brute_total, mut dpor_total, mut stops, mut breaks) = (0, 0, 0, 0, 0);
    let mut lost_worlds = Vec::new();
    for seed in seeds {
        let (m, w) = build(plan(seed), false);
        let (all, n, finished) = search(&m, &w, &mut det, &mut Exhaustive::new(), limit);
        if !finished {
            continue;
        }
        let mut dpor = Dpor::new(&m);
        let (reduced, k, finished) = search(&m, &w, &mut det, &mut dpor, 4 * limit);
        assert!(
            finished && dpor.coverage().is_all(),
            "seed {seed}: {k} of {n}"
        );
        let lost: Vec<_> = all.iter().filter(|s| !is_shown(s, &reduced)).collect();
        if !lost.is_empty() {
            lost_worlds.push(seed);
            if lost_worlds.len() <= 3 {
                println!("seed {seed}: {n} schedules, {k} executions\n{:?}", w.plan);
                println!("lost {lost:?} of {}", all.len());
                println!("only {reduced:?}");
            }
        }
        assert!(
            reduced.is_subset(&all),
            "seed {seed}: more than brute force"
        );
        compared += 1;
        brute_total += n;
        dpor_total += k;
        stops += all.iter().filter(|s| matches!(s, Shown::Stop(..))).count();
        breaks += all.iter().filter(|s| matches!(s, Shown::Break(_))).count();
    }
    println!(
        "{compared} worlds, {brute_total} schedules, {dpor_total} executions, {stops} stops, {breaks} breaks"
    );
    assert!(lost_worlds.is_empty(), "lost in {lost_worlds:?}");
    assert!(compared > 50 && stops > 10 && breaks > 3 && dpor_total * 2 < brute_total);
}
