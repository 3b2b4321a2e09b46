//! Small random worlds, and the comparison of searches through their schedules: no final state, stop or state break may be
//! lost.

#[path = "dpor_compare.rs"]
mod compare;
#[path = "dpor_plans.rs"]
mod plans;

pub use compare::{compare, compare_bounded, compare_promised};
pub use plans::{plain, wide};

use ksplat_kernel::rt::{
    CpuId, EntityId, EntityKind, EntitySpec, Machine, MachineSpec, Needs, OpKind, ResId, ResKind,
    Wait, WaitHow, World, current,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{Completion, How, Irq, Lock, LockKind, Rcu, Seqlock, Srcu, WaitQueue};
use ksplat_lockdep::KeyInfo;
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
    TriedShared(usize, Vec<Stmt>),
    /// Held to write, then to read.
    Lowered(usize, Vec<Stmt>, Vec<Stmt>),
    CompleteAll(usize),
    Nap,
    Relax,
    BhOff(Vec<Stmt>),
    SeqWrite(Vec<Stmt>),
    SeqRead(usize),
    Srcu(Vec<Stmt>),
    SynchronizeSrcu,
}

#[derive(Debug)]
pub struct Plan {
    kinds: Vec<LockKind>,
    bodies: Vec<Vec<Stmt>>,
    cpus: Vec<u8>,
    irq: Option<usize>,
    times: u16,
    /// Whether a check between steps looks at two variables at once.
    checked: bool,
    /// PREEMPT_RT.
    rt: bool,
    /// Real-time priorities.
    prios: Vec<u8>,
}

struct Random {
    plan: Plan,
    locks: Vec<Lock>,
    completions: Vec<Completion>,
    queue: WaitQueue,
    rcu: Rcu,
    srcu: Srcu,
    sequence: Seqlock,
    vars: Vec<(ResId, AtomicU64)>,
    /// What each entity has seen, hashed in order.
    seen: Vec<AtomicU64>,
}

impl Random {
    fn reset(&self) {
        self.completions.iter().for_each(Completion::reset);
        self.rcu.reset();
        self.srcu.reset();
        self.sequence.reset();
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
            Stmt::TriedShared(l, body) => {
                let got = self.locks[*l].try_read(How::default());
                self.saw(u64::from(got.is_some()));
                if let Some(flags) = got {
                    self.run_all(body);
                    self.locks[*l].read_unlock(Irq::Plain, flags);
                }
            }
            Stmt::Lowered(l, writes, reads) => {
                let flags = self.locks[*l].lock(How::default());
                self.run_all(writes);
                self.locks[*l].downgrade();
                self.run_all(reads);
                self.locks[*l].read_unlock(Irq::Plain, flags);
            }
            Stmt::CompleteAll(c) => self.completions[*c].complete_all(),
            Stmt::Nap => e.nap(),
            Stmt::Relax => e.point(OpKind::Yield, ResId::NONE),
            Stmt::BhOff(body) => {
                e.local_bh_disable();
                self.run_all(body);
                e.local_bh_enable();
            }
            Stmt::SeqWrite(body) => {
                let flags = self.sequence.write_begin(Irq::Save);
                self.run_all(body);
                self.sequence.write_end(Irq::Save, flags);
            }
            Stmt::SeqRead(v) => {
                for _ in 0..2 {
                    let begun = self.sequence.read_begin();
                    e.point(OpKind::Load, self.vars[*v].0);
                    self.saw(self.vars[*v].1.load(Relaxed));
                    if !self.sequence.read_retry(begun) {
                        break;
                    }
                }
            }
            Stmt::Srcu(body) => {
                self.srcu.read_lock();
                self.run_all(body);
                self.srcu.read_unlock();
            }
            Stmt::SynchronizeSrcu => self.srcu.synchronize(),
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

/// Whether a body tries this lock.
fn tries(body: &[Stmt], lock: usize) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::Tried(l, body) | Stmt::TriedShared(l, body) => *l == lock || tries(body, lock),
        Stmt::Lowered(_, writes, reads) => tries(writes, lock) || tries(reads, lock),
        Stmt::Locked(_, _, body)
        | Stmt::Shared(_, body)
        | Stmt::Atomic(body)
        | Stmt::IrqOff(body)
        | Stmt::BhOff(body)
        | Stmt::SeqWrite(body)
        | Stmt::Srcu(body)
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
        prio: plan.prios[i],
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
            preempt_rt: plan.rt,
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
    let key = |m: &mut Machine, name: &str| m.lockdep_mut().register_key(KeyInfo::new(name));
    let domain = key(&mut m, "domain");
    let srcu = Srcu::new(&mut m, "domain", domain);
    let (lock, count) = (key(&mut m, "seq"), key(&mut m, "seq.count"));
    let sequence = Seqlock::seqlock(&mut m, "seq", lock, count);
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
        srcu,
        sequence,
        vars,
        seen,
    };
    (m, world)
}
