//! What the machine tells lockdep: every acquisition, release and context change, in the kernel's order.
//!
//! An interrupt handler's events go to the held stack of the task that it interrupted, as in the kernel.

use crate::rt::event::{About, fact, fact_about};
use crate::rt::{
    Entity, EventKind, Fact, MAP_SYNC, MAP_UNCHECKED, Machine, MapContext, ResId, map_code,
    nest_code, record,
};
use crate::rules::{FsReclaim, Rules};
use ksplat_lockdep::{
    self as lockdep, Config, HeldState, Key, LockMap, Mode, Outcome, Rcu, Read, ReportId, TaskState,
};

/// A lock's identity for lockdep: its class key and which instance it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    map: LockMap,
}

impl Map {
    pub(crate) fn new(key: Key, res: ResId) -> Self {
        Self {
            map: LockMap::new(key, res.index() as u32),
        }
    }

    /// What the lock's waits go through.
    #[must_use]
    pub fn res(self) -> ResId {
        ResId(self.map.instance)
    }
}

/// How a lock is acquired, as lockdep wants to know it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acquire {
    pub(crate) subclass: u8,
    pub(crate) trylock: bool,
    pub(crate) read: Read,
    pub(crate) nest: Option<Map>,
}

/// The validator's configuration under these rules.
pub(crate) fn config(rules: &Rules) -> Config {
    Config {
        mode: if rules.lockdep_continue {
            Mode::Continue
        } else {
            Mode::OneShot
        },
        reclaim_fs: rules.fs_reclaim == FsReclaim::F1,
        ..Config::default()
    }
}

#[inline]
fn on(e: &Entity) -> bool {
    e.machine().rules().lockdep
}

/// The `task_struct` share of lockdep that is in force.
#[inline]
#[allow(
    clippy::mut_from_ref,
    reason = "the cell belongs to the running entity alone"
)]
fn state(e: &Entity) -> &mut TaskState {
    // SAFETY: only the running entity touches it, and no reference outlives a call into this file.
    unsafe { &mut *e.task().lockdep.get() }
}

#[inline]
fn told<T>(e: &Entity, outcome: Outcome<T>) {
    if let Err(id) = outcome {
        reported(e, id);
    }
}

#[cold]
fn reported(e: &Entity, id: ReportId) {
    tell(e, id);
    if e.machine().rules().report_prints && e.machine().simulated() {
        e.machine().world().report_prints();
    }
}

fn tell(e: &Entity, id: ReportId) {
    record(EventKind::Report, || {
        e.machine()
            .lockdep()
            .report(id)
            .map_or_else(String::new, |r| r.title())
    });
}

#[inline]
pub(crate) fn acquire(m: &Machine, e: &Entity, map: Map, how: Acquire) {
    if !m.rules().lockdep {
        return;
    }
    if e.watched.get() {
        acquire_fact(e, map, how.subclass, how.trylock, how.read, how.nest);
    }
    let how = lockdep::Acquire {
        subclass: how.subclass,
        trylock: how.trylock,
        read: how.read,
        nest: how.nest.map(|n| n.map),
        ..lockdep::Acquire::at(e.site())
    };
    told(e, m.lockdep().acquire(state(e), map.map, how));
}

#[cold]
fn acquire_fact(e: &Entity, map: Map, subclass: u8, trylock: bool, read: Read, nest: Option<Map>) {
    let code = map_code(key(map.map), subclass, trylock, read as u8);
    let nest = nest.map(|n| (key(n.map), n.map.instance));
    fact_about(
        e,
        About {
            how: nest_code(nest),
            ..About::new(Fact::MapGets, map.res(), code)
        },
    );
}

fn key(map: LockMap) -> u64 {
    map.key.index() as u64
}

/// Tells those who check the log what lockdep is about to be told.
#[inline]
fn context(e: &Entity, change: MapContext) {
    fact(e, Fact::MapContext, ResId::NONE, change as u128);
}

#[inline]
pub(crate) fn release(m: &Machine, e: &Entity, map: Map) {
    if m.rules().lockdep {
        fact(e, Fact::MapGives, map.res(), gives_code(map));
        told(e, m.lockdep().release(state(e), map.map, e.site()));
    }
}

#[inline]
fn gives_code(map: Map) -> u128 {
    map_code(map.map.key.index() as u64, 0, false, 0)
}

pub(crate) fn downgrade(e: &Entity, map: Map) {
    if on(e) {
        fact(e, Fact::MapLowers, map.res(), gives_code(map));
        told(
            e,
            e.machine().lockdep().downgrade(state(e), map.map, e.site()),
        );
    }
}

/// `lock_sync()`: the effect of taking a lock on the dependency graph, without holding it.
pub(crate) fn sync(e: &Entity, map: Map) {
    if on(e) {
        fact(e, Fact::MapGets, map.res(), gives_code(map) | MAP_SYNC);
        let how = lockdep::Acquire::at(e.site());
        told(e, e.machine().lockdep().sync(state(e), map.map, how));
    }
}

/// A seqcount reader: a recursive read with interrupts off, over as soon as it began.
pub(crate) fn seqcount_read(e: &Entity, map: Map) {
    if !on(e) {
        return;
    }
    let irqs_on = !e.irqs_disabled();
    hardirqs_off(e);
    let read = Acquire {
        read: Read::Recursive,
        ..Acquire::default()
    };
    acquire(e.machine(), e, map, read);
    release(e.machine(), e, map);
    if irqs_on {
        hardirqs_on(e);
    }
}

/// Whether lockdep sees the lock held by the running task.
pub(crate) fn is_held(e: &Entity, map: Map) -> bool {
    let held = e
        .machine()
        .lockdep()
        .is_held(state(e), map.map, None, e.site());
    matches!(held, Ok(HeldState::Held))
}

#[inline]
pub(crate) fn hardirqs_off(e: &Entity) {
    context(e, MapContext::HardirqsOff);
    if on(e) {
        state(e).hardirqs_off();
    }
}

#[inline]
pub(crate) fn hardirqs_on(e: &Entity) {
    if on(e) {
        context(e, MapContext::HardirqsOn);
        told(e, e.machine().lockdep().hardirqs_on(state(e), e.site()));
    }
}

pub(crate) fn bh_disable(e: &Entity) {
    context(e, MapContext::BhDisable);
    state(e).local_bh_disable();
}

pub(crate) fn bh_enable(e: &Entity) {
    if on(e) {
        context(e, MapContext::BhEnable);
        told(e, e.machine().lockdep().local_bh_enable(state(e), e.site()));
        if e.irqs_disabled() {
            hardirqs_off(e);
        }
    }
}

/// An interrupt handler begins, on top of whatever runs.
pub(crate) fn irq_enter(e: &Entity) {
    hardirqs_off(e);
    context(e, MapContext::HardirqEnter);
    // Every handler of the model is one that PREEMPT_RT would run in a thread.
    state(e).hardirq_enter(true);
}

/// An interrupt handler ends; it had interrupted a context with interrupts on.
pub(crate) fn irq_exit(e: &Entity) {
    context(e, MapContext::HardirqExit);
    state(e).hardirq_exit();
    hardirqs_on(e);
}

/// Softirq handlers begin, on top of whatever runs, with bottom halves off.
pub(crate) fn softirq_enter(e: &Entity) {
    bh_disable(e);
    context(e, MapContext::SoftirqEnter);
    state(e).softirq_enter();
}

/// Softirq handlers end.
pub(crate) fn softirq_exit(e: &Entity) {
    context(e, MapContext::SoftirqExit);
    state(e).softirq_exit();
    bh_enable(e);
}

/// A task ends: it must hold nothing (`debug_check_no_locks_held()`).
pub(crate) fn exit(e: &Entity) {
    if on(e) {
        context(e, MapContext::TaskExit);
        told(
            e,
            e.machine()
                .lockdep()
                .check_no_locks_held(state(e), e.site()),
        );
    }
}

pub(crate) fn rcu_read_lock(e: &Entity) {
    if on(e) {
        let code = map_code(key(rcu()), 0, false, Read::Recursive as u8) | MAP_UNCHECKED;
        fact(e, Fact::MapGets, ResId::NONE, code);
        told(
            e,
            e.machine()
                .lockdep()
                .rcu_read_lock(state(e), Rcu::Preempt, e.site()),
        );
    }
}

/// The map of RCU sections, which is no resource's.
fn rcu() -> LockMap {
    lockdep::rcu_map(Rcu::Preempt)
}

pub(crate) fn rcu_read_unlock(e: &Entity) {
    if on(e) {
        let code = map_code(key(rcu()), 0, false, 0);
        fact(e, Fact::MapGives, ResId::NONE, code);
        told(
            e,
            e.machine()
                .lockdep()
                .rcu_read_unlock(state(e), Rcu::Preempt, e.site()),
        );
    }
}

/// Enters or leaves reclaim on behalf of a filesystem-capable request (F1: `lockdep_set_current_reclaim_state()`).
pub(crate) fn set_reclaim_fs_context(e: &Entity, inside: bool) {
    if on(e) {
        let change = if inside {
            MapContext::ReclaimEnter
        } else {
            MapContext::ReclaimLeave
        };
        context(e, change);
        state(e).set_reclaim_fs_context(inside);
    }
}

/// A filesystem-capable allocation: all held locks are held over reclaim (F1: `lockdep_trace_alloc()`).
pub(crate) fn mark_held_reclaim_fs(e: &Entity) {
    if on(e) {
        context(e, MapContext::HeldOverReclaim);
        told(
            e,
            e.machine()
                .lockdep()
                .mark_held_reclaim_fs(state(e), e.site()),
        );
    }
}
