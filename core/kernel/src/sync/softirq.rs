//! What softirqs have to do: raised handlers, armed timers and RCU callbacks whose grace period is over.
//!
//! One entity a CPU runs it all ([`EntityKind::SoftIrq`](crate::rt::EntityKind::SoftIrq)); bodies belong to the embedder.

use super::late::Late;
use super::map::LockMap;
use super::rcu::Rcu;
use crate::rt::{
    CpuId, EntityId, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current,
    record,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Something for softirq context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftWork {
    /// The handler with this number.
    Handler(usize),
    /// The timer with this number.
    Timer(usize),
    /// The RCU callback with this number.
    Callback(usize),
}

#[derive(Debug)]
struct PerCpu {
    entity: EntityId,
    raised: AtomicU64,
}

#[derive(Debug)]
struct Timer {
    cpu: CpuId,
    name: String,
    map: LockMap,
    armed: AtomicU64,
    running: AtomicU64,
    res: ResId,
}

/// The softirqs of a machine.
#[derive(Debug, Default)]
pub struct Softirqs {
    cpus: Vec<Option<PerCpu>>,
    timers: Vec<Timer>,
    late: Late,
}

/// Most softirq handlers.
pub const MAX_SOFTIRQS: usize = 64;

impl Softirqs {
    /// The softirqs of a machine; CPUs without an entity for them have none.
    #[must_use]
    pub fn new(m: &Machine) -> Self {
        let cpus = (0..m.nr_cpus()).map(|cpu| {
            let entity = m.softirq_of(CpuId(cpu as u8))?;
            Some(PerCpu {
                entity,
                raised: AtomicU64::new(0),
            })
        });
        Self {
            cpus: cpus.collect(),
            timers: Vec::new(),
            late: Late::default(),
        }
    }

    /// `timer_setup()`: a timer that fires on `cpu`. Its number is that of the timers made before.
    pub fn add_timer(&mut self, m: &mut Machine, name: &str, cpu: CpuId) {
        let key = LockMap::class(m, name);
        let timer = Timer {
            cpu,
            name: name.to_owned(),
            map: LockMap::new(m, name, key),
            armed: AtomicU64::new(0),
            running: AtomicU64::new(0),
            res: m.add_resource(ResKind::Work, format_args!("timer {name}")),
        };
        self.timers.push(timer);
    }

    /// Nothing raised, nothing armed.
    pub fn reset(&self) {
        self.late.reset();
        for cpu in self.cpus.iter().flatten() {
            cpu.raised.store(0, SeqCst);
        }
        for timer in &self.timers {
            timer.armed.store(0, SeqCst);
            timer.running.store(0, SeqCst);
        }
    }

    fn on(&self, cpu: CpuId) -> Option<&PerCpu> {
        self.cpus.get(cpu.index())?.as_ref()
    }

    /// Tells the machine what a CPU's softirqs have to do.
    pub fn update(&self, rcu: &Rcu, cpu: CpuId) {
        let Some(on) = self.on(cpu) else { return };
        let armed = self
            .timers
            .iter()
            .any(|t| t.cpu == cpu && t.armed.load(SeqCst) != 0);
        let others = armed || rcu.ready_callback(cpu).is_some();
        current()
            .machine()
            .set_softirq(on.entity, on.raised.load(SeqCst) != 0, others);
    }

    /// `raise_softirq()`, on the CPU that runs.
    ///
    /// # Panics
    /// If `handler` is not below [`MAX_SOFTIRQS`].
    pub fn raise(&self, rcu: &Rcu, handler: usize, name: &str) {
        assert!(handler < MAX_SOFTIRQS, "at most {MAX_SOFTIRQS} softirqs");
        let e = current();
        e.point(OpKind::Wake, ResId::cpu(e.cpu()));
        record(EventKind::Wake, || format!("raise_softirq {name}"));
        let Some(on) = self.on(e.cpu()) else { return };
        on.raised.fetch_or(1 << handler, SeqCst);
        e.machine().changed(&e, true);
        self.update(rcu, e.cpu());
    }

    /// `mod_timer()`: arms a timer; when it fires is a decision. Once all tasks have ended each is armed at most once
    /// more: a periodic timer ends with its program.
    pub fn mod_timer(&self, rcu: &Rcu, timer: usize) {
        let e = current();
        let t = &self.timers[timer];
        e.point(OpKind::Store, t.res);
        record(EventKind::Step, || format!("mod_timer {}", t.name));
        if !self.late.may_queue(timer) {
            return;
        }
        t.armed.store(1, SeqCst);
        e.machine().changed(&e, true);
        self.update(rcu, t.cpu);
    }

    /// `del_timer()`.
    pub fn del_timer(&self, rcu: &Rcu, timer: usize) {
        let e = current();
        let t = &self.timers[timer];
        e.point(OpKind::Store, t.res);
        record(EventKind::Step, || format!("del_timer {}", t.name));
        if t.armed.swap(0, SeqCst) != 0 {
            e.machine().changed(&e, true);
        }
        self.update(rcu, t.cpu);
    }

    /// `del_timer_sync()`: disarms a timer and waits until its handler has ended. Spins; sleeps on PREEMPT_RT.
    pub fn del_timer_sync(&self, rcu: &Rcu, timer: usize) {
        let e = current();
        let t = &self.timers[timer];
        // With interrupts off around it, as in the kernel: waiting is not using the timer with bottom halves enabled.
        let were_off = e.irqs_disabled();
        e.irqs_off_now();
        t.map.touch();
        if !were_off {
            e.irqs_on_now();
        }
        if e.in_hardirq() {
            e.machine().state_break("timer-sync-in-irq", || {
                format!("{}: del_timer_sync {} in an interrupt", e.name(), t.name)
            });
        }
        let rt = e.machine().rt();
        if rt {
            e.might_sleep();
        }
        loop {
            self.del_timer(rcu, timer);
            e.start_looking();
            while t.running.load(SeqCst) != 0 {
                let Some(on) = self.on(t.cpu) else { return };
                e.block(Wait {
                    res: t.res,
                    how: if rt { WaitHow::Sleep } else { WaitHow::Spin },
                    needs: Needs::All(on.entity.bit()),
                });
            }
            if t.armed.load(SeqCst) == 0 {
                return;
            }
        }
    }

    /// One activation of a CPU's softirqs: what was raised, in order; else one timer or the callbacks that are ready.
    pub fn run(&self, rcu: &Rcu, cpu: CpuId, body: impl Fn(SoftWork)) {
        let Some(on) = self.on(cpu) else { return };
        let m = current();
        let m = m.machine();
        let raised = on.raised.swap(0, SeqCst);
        if raised != 0 {
            self.update(rcu, cpu);
            for handler in (0..MAX_SOFTIRQS).filter(|h| raised & 1 << h != 0) {
                body(SoftWork::Handler(handler));
            }
            return self.update(rcu, cpu);
        }
        let armed = |t: &&Timer| t.cpu == cpu && t.armed.load(SeqCst) != 0;
        let timers = self.timers.iter().filter(armed).count() as u32;
        let callbacks = rcu.ready_callback(cpu).is_some();
        let pick = m.choose(timers + u32::from(callbacks));
        if pick < timers {
            let timer = self
                .timers
                .iter()
                .enumerate()
                .filter(|(_, t)| armed(t))
                .nth(pick as usize);
            if let Some((index, timer)) = timer {
                self.fire(rcu, index, timer, &body);
            }
        } else {
            while let Some(function) = rcu.start_callback(cpu) {
                body(SoftWork::Callback(function));
                rcu.end_callback();
            }
        }
        self.update(rcu, cpu);
    }

    fn fire(&self, rcu: &Rcu, index: usize, t: &Timer, body: &impl Fn(SoftWork)) {
        let e = current();
        if t.armed.swap(0, SeqCst) == 0 {
            return;
        }
        t.running.store(1, SeqCst);
        e.machine().changed(&e, true);
        self.update(rcu, t.cpu);
        record(EventKind::Begin, || format!("timer {} fires", t.name));
        t.map.acquire(ksplat_lockdep::Read::Exclusive);
        body(SoftWork::Timer(index));
        t.map.release();
        t.running.store(0, SeqCst);
        e.machine().changed(&e, true);
        e.machine().wake(t.res);
    }
}
