//! The OS-thread runtime: real spinning and parking, no decisions. For stress tests, sanitizers and throughput.
//!
//! What it does not model: tasks of one CPU run in parallel, and an interrupt handler is a thread that excludes only
//! the interrupts-off sections of its CPU. Verdicts come from the simulated runtimes.

use super::entity::{Entity, EntityKind, Needs, Wait, WaitHow, set_current};
use super::finding::{End, Outcome};
use super::ids::{EntityId, ResId};
use super::judge::Waits;
use super::machine::{Machine, Runtime, World};
use super::sched::{TornDown, unwind};
use super::set::{AtomicSet, MAX_ENTITIES, members};
use crossbeam::utils::{Backoff, CachePadded};
// Not std's, which come precompiled: sanitizers would not see what they order.
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// Parking places; resources share them by number.
const BUCKETS: usize = 64;
/// A waiter looks again after this long, woken or not: a wake-up between its look and its sleep is not lost.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// Looks after which a waiter suspects a stop.
const SUSPECT_AFTER: u32 = 64;

/// A stop that one snapshot showed.
#[derive(Clone)]
struct Suspicion {
    stop: super::Stop,
    /// The looks of all entities at that time.
    looks: [u32; MAX_ENTITIES],
}

/// What OS-thread executions need beside the machine.
pub(crate) struct Parking {
    buckets: [CachePadded<Bucket>; BUCKETS],
    waits: Mutex<[Option<Wait>; MAX_ENTITIES]>,
    live: AtomicSet,
    /// The stop that each entity saw when it last judged its wait.
    suspicions: Mutex<Vec<Option<Suspicion>>>,
    /// How often each entity has looked in the wait that it is in.
    looks: [AtomicU32; MAX_ENTITIES],
    tasks_left: AtomicUsize,
    /// Interrupts-off sections and handlers of a CPU exclude each other.
    irq_gates: Vec<CachePadded<AtomicU32>>,
    irq_pending: Vec<CachePadded<AtomicU32>>,
}

#[derive(Default)]
struct Bucket {
    sleepers: AtomicU32,
    lock: Mutex<()>,
    wakeup: Condvar,
}

impl std::fmt::Debug for Parking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parking")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

impl Parking {
    pub(crate) fn new(cpus: usize, entities: usize) -> Self {
        Self {
            buckets: std::array::from_fn(|_| CachePadded::default()),
            waits: Mutex::new([None; MAX_ENTITIES]),
            live: AtomicSet::default(),
            suspicions: Mutex::new(vec![None; entities]),
            looks: [const { AtomicU32::new(0) }; MAX_ENTITIES],
            tasks_left: AtomicUsize::new(0),
            irq_gates: (0..cpus).map(|_| CachePadded::default()).collect(),
            irq_pending: (0..entities).map(|_| CachePadded::default()).collect(),
        }
    }

    fn waits(&self) -> MutexGuard<'_, [Option<Wait>; MAX_ENTITIES]> {
        self.waits.lock()
    }
}

thread_local! {
    /// A private generator a thread: OS-thread executions are not reproducible anyway.
    static DICE: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) };
}

/// A choice among `n` on OS threads: pseudo-random, differently seeded an entity.
pub(crate) fn choose(n: u32) -> u32 {
    let mut x = DICE.get();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    DICE.set(x);
    ((x >> 32) % u64::from(n)) as u32
}

/// Runs one execution on OS threads, one an entity, to its end.
pub fn run_on_threads(machine: &Machine, world: &dyn World, seed: u64) -> Outcome {
    machine.reset(Runtime::Threads);
    let parking = machine.parking();
    parking.waits().fill(None);
    let tasks = machine
        .entities
        .iter()
        .filter(|e| e.kind == EntityKind::Task && e.starts_by_itself)
        .count();
    parking.tasks_left.store(tasks, Ordering::Relaxed);
    let all = machine.entities.iter().fold(0, |s, e| s | e.bit);
    parking.live.store(all, Ordering::Relaxed);
    for (e, pending) in machine.entities.iter().zip(&parking.irq_pending) {
        pending.store(u32::from(e.pending.get()), Ordering::Relaxed);
    }
    for gate in &parking.irq_gates {
        gate.store(0, Ordering::Relaxed);
    }
    let attached = machine.attach(world, None);
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for e in &machine.entities {
            let dispatch = dispatch.clone();
            let seed = seed ^ (u64::from(e.id.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            threads.push(scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    DICE.set(seed | 1);
                    machine.thread_main(e);
                });
            }));
        }
        for thread in threads {
            // Panics of bodies were caught inside; an explicit join is what sanitizers understand.
            let _ = thread.join();
        }
    });
    drop(attached);
    machine.outcome()
}

impl Machine {
    /// Made when OS threads first need it: most machines never run on them.
    fn parking(&self) -> &Parking {
        self.parking
            .get_or_init(|| Box::new(Parking::new(self.cpus.len(), self.entities.len())))
    }

    fn thread_main(&self, e: &Entity) {
        set_current(Some(e));
        if e.kind.is_raised() {
            self.serve_irq(e);
        } else if self.threads_started(e) {
            self.thread_body(e);
        }
        set_current(None);
        let parking = self.parking();
        parking.live.fetch_and(!e.bit, Ordering::SeqCst);
        if e.kind == EntityKind::Task && parking.tasks_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // All tasks have ended: daemons and interrupts have nobody left to serve.
            self.stopped.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until the task is started; false if it never is.
    fn threads_started(&self, e: &Entity) -> bool {
        let started = &self.parking().irq_pending[e.id.index()];
        while !e.starts_by_itself && started.load(Ordering::Acquire) == 0 {
            if self.tearing_down() {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }

    /// A task may run from now on. It counts before the one that starts it ends.
    pub(crate) fn threads_start(&self, e: &Entity) {
        let pending = &self.parking().irq_pending[e.id.index()];
        if !e.starts_by_itself && pending.swap(1, Ordering::AcqRel) == 0 {
            self.parking().tasks_left.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn thread_body(&self, e: &Entity) {
        let body = std::panic::AssertUnwindSafe(|| {
            e.begin_context();
            self.world().run(e.id);
            e.end_context();
        });
        if let Err(payload) = std::panic::catch_unwind(body)
            && !payload.is::<TornDown>()
        {
            self.fault(super::finding::panic_message(payload.as_ref()));
        }
    }

    fn serve_irq(&self, e: &Entity) {
        let pending = &self.parking().irq_pending[e.id.index()];
        let gate = &self.parking().irq_gates[e.cpu.index()];
        while !self.tearing_down() {
            if pending.load(Ordering::Acquire) == 0 {
                std::thread::sleep(LOOK_AGAIN);
                continue;
            }
            if e.kind == EntityKind::SoftIrq {
                pending.store(0, Ordering::SeqCst);
            } else {
                pending.fetch_sub(1, Ordering::AcqRel);
            }
            let gated = !self.rt();
            if gated && !self.close_gate(e, gate) {
                return;
            }
            self.thread_body(e);
            if gated {
                open_gate(e, gate);
            }
        }
    }

    /// Softirqs of a CPU have something to do.
    pub(crate) fn threads_softirq(&self, e: &Entity, any: bool) {
        if any {
            self.parking().irq_pending[e.id.index()].store(1, Ordering::SeqCst);
        }
    }

    /// Keeps others that want the gate out; false if the execution is over.
    fn close_gate(&self, e: &Entity, gate: &AtomicU32) -> bool {
        let backoff = Backoff::new();
        let me = u32::from(e.id.0) + 1;
        let mut looks = 0u32;
        loop {
            let owner = match gate.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(owner) => owner,
            };
            if self.tearing_down() {
                self.parking().waits()[e.id.index()] = None;
                return false;
            }
            let wait = Wait {
                res: self.anything,
                how: WaitHow::Spin,
                needs: Needs::All(1 << (owner.max(1) - 1)),
            };
            self.parking().waits()[e.id.index()] = Some(wait);
            looks += 1;
            self.parking().looks[e.id.index()].store(looks, Ordering::Release);
            if looks.is_multiple_of(SUSPECT_AFTER) {
                self.suspect(e);
            }
            backoff.snooze();
        }
        if looks != 0 {
            self.parking().waits()[e.id.index()] = None;
        }
        true
    }

    pub(crate) fn threads_raise(&self, e: &Entity) {
        self.parking().irq_pending[e.id.index()].fetch_add(1, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn threads_point(&self, _e: &Entity) {
        if self.tearing_down() {
            unwind();
        }
    }

    /// A task turns the interrupts of its CPU off or on.
    pub(crate) fn threads_irqs(&self, e: &Entity, off: bool) {
        if e.kind.is_raised() || self.rt() {
            return;
        }
        let gate = &self.parking().irq_gates[e.cpu.index()];
        if !off {
            open_gate(e, gate);
        } else if !self.close_gate(e, gate) {
            unwind();
        }
    }

    pub(crate) fn threads_block(&self, e: &Entity, wait: Wait) {
        let looks = e.looks.get();
        e.looks.set(looks + 1);
        self.parking().looks[e.id.index()].store(looks, Ordering::Release);
        self.parking().waits()[e.id.index()] = Some(wait);
        match wait.how {
            WaitHow::Spin => spin(looks),
            WaitHow::Sleep | WaitHow::Idle => self.park(wait.res),
        }
        if looks > SUSPECT_AFTER && looks.is_multiple_of(SUSPECT_AFTER) {
            self.suspect(e);
        }
        self.parking().waits()[e.id.index()] = None;
        if self.tearing_down() {
            unwind();
        }
    }

    fn park(&self, res: ResId) {
        let bucket = &self.parking().buckets[res.index() % BUCKETS];
        bucket.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut guard = bucket.lock.lock();
        bucket.wakeup.wait_for(&mut guard, LOOK_AGAIN);
        drop(guard);
        bucket.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn threads_wake(&self, res: ResId) {
        let bucket = &self.parking().buckets[res.index() % BUCKETS];
        if bucket.sleepers.load(Ordering::SeqCst) != 0 {
            drop(bucket.lock.lock());
            bucket.wakeup.notify_all();
        }
    }

    /// Judges a snapshot of all waits. A stop counts if it shows again after everybody who is stuck has looked again, in
    /// vain, at what he waits for: it may have come true for one whom the processor has not reached since.
    fn suspect(&self, e: &Entity) {
        let looks = std::array::from_fn(|id| self.parking().looks[id].load(Ordering::Acquire));
        let Some(stop) = self.judge_snapshot(e) else {
            self.parking().suspicions.lock()[e.id.index()] = None;
            return;
        };
        let mut suspicions = self.parking().suspicions.lock();
        let slot = &mut suspicions[e.id.index()];
        let before = match slot {
            Some(before) if before.stop == stop => before.looks,
            _ => {
                *slot = Some(Suspicion { stop, looks });
                return;
            }
        };
        drop(suspicions);
        let again = |id: EntityId| {
            let waits = self.parking().waits()[id.index()].is_some();
            // Two more: the first may have begun before the snapshot.
            !waits || looks[id.index()] >= before[id.index()].saturating_add(2)
        };
        if members(stop.stuck).all(again) {
            self.stop(stop);
        }
    }

    fn judge_snapshot(&self, e: &Entity) -> Option<super::Stop> {
        let waits = self.parking().waits();
        let live = self.parking().live.load(Ordering::SeqCst);
        let running = members(live)
            .filter(|id: &EntityId| waits[id.index()].is_none())
            .fold(0, |s, id| s | id.bit());
        Waits {
            machine: self,
            live,
            ready: running,
            running,
            snapshot: Some(&waits),
        }
        .judge(e.id)
    }
}

fn open_gate(e: &Entity, gate: &AtomicU32) {
    let me = u32::from(e.id.0) + 1;
    let _ = gate.compare_exchange(me, 0, Ordering::Release, Ordering::Relaxed);
}

/// One look of a spinner costs little at first; later it lets others have the processor.
fn spin(looks: u32) {
    if looks < 32 {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// Ends an execution on OS threads from outside, as a time limit does.
pub fn abandon(machine: &Machine) {
    machine.end(End::StepLimit);
}
