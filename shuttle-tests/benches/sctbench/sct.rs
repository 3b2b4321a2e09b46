//! What a benchmark program runs on: announced integers and mutexes, brought back to their initial values before every
//! execution; and a main task that starts the others one after the other and waits for their ends.

use super::programs::Program;
use ksplat_kernel::rt::{
    EntityId, EntitySpec, IrqFlags, Machine, MachineSpec, Needs, OpKind, ResId, ResKind, Wait,
    WaitHow, World, current,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

/// A program's world.
pub(crate) struct Sct {
    program: &'static Program,
    vars: Vec<(ResId, AtomicI64)>,
    locks: Vec<Lock>,
    /// What a join of each task waits for, and whether that task has ended.
    ends: Vec<(ResId, AtomicBool)>,
}

/// The entity of a task; entity 0 is main.
fn entity(task: usize) -> EntityId {
    EntityId::new(task + 1)
}

impl World for Sct {
    fn run(&self, entity: EntityId) {
        let Some(task) = entity.index().checked_sub(1) else {
            self.main();
            return;
        };
        (self.program.body)(self, task);
        let (res, ended) = &self.ends[task];
        ended.store(true, Relaxed);
        current().machine().wake(*res);
    }
}

impl Sct {
    pub(crate) fn new(program: &'static Program) -> (Machine, Self) {
        // Tasks of one CPU preempt each other anywhere: as good as a CPU each, of which there are fewer.
        let task = |i: usize| EntitySpec {
            started: false,
            ..EntitySpec::task(format!("T{i}"), ((i + 1) % 16) as u8)
        };
        let main = EntitySpec::task("main", 0);
        let rules = Rules {
            lockdep: false,
            ..Rules::default()
        };
        let mut m = Machine::new(&MachineSpec {
            cpus: (program.tasks + 1).min(16) as u8,
            entities: std::iter::once(main)
                .chain((0..program.tasks).map(task))
                .collect(),
            rules,
            max_steps: 5_000,
        });
        let var = |i: usize| (ResKind::Variable, format!("v{i}"));
        let vars = (0..program.vars).map(var);
        let vars = vars
            .map(|(kind, name)| (m.add_resource(kind, &name), AtomicI64::new(0)))
            .collect();
        let locks = (0..program.locks)
            .map(|i| Lock::new(&mut m, LockKind::Mutex, format!("m{i}"), None))
            .collect();
        let ends = (0..program.tasks).map(|i| {
            m.set_raisers(entity(i), EntityId::new(0).bit());
            let res = m.add_resource(ResKind::Completion, format!("end of T{i}"));
            (res, AtomicBool::new(false))
        });
        let ends = ends.collect();
        let world = Self {
            program,
            vars,
            locks,
            ends,
        };
        (m, world)
    }

    /// Initial values.
    pub(crate) fn reset(&self) {
        self.vars.iter().for_each(|v| v.1.store(0, Relaxed));
        for &(v, value) in self.program.init {
            self.vars[v].1.store(value, Relaxed);
        }
        self.ends.iter().for_each(|e| e.1.store(false, Relaxed));
    }

    /// Starts the tasks in order, does what main does itself, and joins the tasks.
    fn main(&self) {
        (0..self.program.tasks).for_each(|i| current().start(entity(i)));
        (self.program.main)(self);
        for (i, (res, ended)) in self.ends.iter().enumerate() {
            current().point(OpKind::Wait, *res);
            let wait = Wait {
                res: *res,
                how: WaitHow::Sleep,
                needs: Needs::AnyOf(entity(i).bit()),
            };
            current().wait_until(wait, || ended.load(Relaxed));
        }
    }

    pub(crate) fn lock_res(&self, lock: usize) -> ResId {
        self.locks[lock].res()
    }

    pub(crate) fn load(&self, v: usize) -> i64 {
        current().point(OpKind::Load, self.vars[v].0);
        self.peek(v)
    }

    pub(crate) fn store(&self, v: usize, value: i64) {
        current().point(OpKind::Store, self.vars[v].0);
        self.poke(v, value);
    }

    /// Reads without a step: what only changes under a lock that is held, or is not shared.
    pub(crate) fn peek(&self, v: usize) -> i64 {
        self.vars[v].1.load(Relaxed)
    }

    /// Writes without a step.
    pub(crate) fn poke(&self, v: usize, value: i64) {
        self.vars[v].1.store(value, Relaxed);
    }

    /// Atomically adds; returns what was there.
    pub(crate) fn add(&self, v: usize, n: i64) -> i64 {
        self.swap_with(v, |old| old + n)
    }

    /// Atomically exchanges; returns what was there.
    pub(crate) fn swap(&self, v: usize, value: i64) -> i64 {
        self.swap_with(v, |_| value)
    }

    /// Atomically writes if `old` is there; returns what was there.
    pub(crate) fn compare_and_swap(&self, v: usize, old: i64, new: i64) -> i64 {
        self.swap_with(v, |was| if was == old { new } else { was })
    }

    fn swap_with(&self, v: usize, f: impl FnOnce(i64) -> i64) -> i64 {
        current().point(OpKind::Store, self.vars[v].0);
        let old = self.peek(v);
        self.poke(v, f(old));
        old
    }

    pub(crate) fn lock(&self, lock: usize) {
        let _ = self.locks[lock].lock(How::default());
    }

    pub(crate) fn unlock(&self, lock: usize) {
        self.locks[lock].unlock(Irq::Plain, IrqFlags::new(true));
    }

    pub(crate) fn give_way(&self) {
        current().point(OpKind::Yield, ResId::NONE);
    }

    /// The bug, if it does not hold.
    pub(crate) fn assert(&self, holds: bool) {
        if !holds {
            current().machine().state_break("assertion", String::new);
        }
    }
}
