//! The state word of locks: who holds it, told to the machine so that it knows who waits for whom.
//!
//! 0 free; [`WRITER`] plus the owner's id while held exclusively; otherwise the number of readers.

use crate::rt::event::fact;
use crate::rt::resource::WRITER;
use crate::rt::{
    Entity, EntitySet, EventKind, Fact, Machine, OpKind, ResId, Resource, record, wait_for_holders,
};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// [`Mode::Read`] in facts: for what several may hold.
pub(crate) const SHARED: u128 = 1;

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Exclusively.
    Write,
    /// Shared; behind writers that wait, as rw-semaphores and queued rwlocks do.
    Read,
    /// Shared; past writers that wait, as rwlock readers in interrupts do.
    ReadRecursive,
}

impl Mode {
    /// As events spell it.
    pub(crate) const fn code(self) -> u128 {
        self as u128
    }

    const fn op(self) -> OpKind {
        match self {
            Self::Write => OpKind::Lock,
            Self::Read | Self::ReadRecursive => OpKind::Read,
        }
    }
}

/// Whether the lock can be taken now.
#[inline]
fn available(r: &Resource, mode: Mode) -> bool {
    let state = r.state.load(Relaxed);
    match mode {
        Mode::Write => state == 0,
        Mode::Read => state & WRITER == 0 && r.queued_writers.load(Relaxed) == 0,
        Mode::ReadRecursive => state & WRITER == 0,
    }
}

/// Takes the lock, waiting as long as it takes.
#[inline]
pub(crate) fn take(m: &Machine, e: &Entity, res: ResId, mode: Mode, spin: bool) {
    if !m.simulated() {
        return take_on_threads(m, e, res, mode, spin);
    }
    let r = m.resource(res);
    r.waiters.insert(e.id());
    if mode != Mode::Write {
        r.read_waiters.insert(e.id());
    }
    fact(e, Fact::Asks, res, mode.code());
    if available(r, mode) {
        m.point(e, crate::rt::Op::new(mode.op(), res));
    }
    if !available(r, mode) {
        wait_until_available(m, e, r, res, mode, spin);
    }
    r.waiters.remove(e.id());
    if mode != Mode::Write {
        r.read_waiters.remove(e.id());
    }
    own(m, e, r, res, mode);
}

#[cold]
fn wait_until_available(m: &Machine, e: &Entity, r: &Resource, res: ResId, mode: Mode, spin: bool) {
    if mode == Mode::Write {
        r.queued_writers.insert(e.id());
    }
    m.announce(e, crate::rt::Op::new(mode.op(), res));
    while !available(r, mode) {
        e.wait_now(wait_for_holders(res, spin));
    }
    r.queued_writers.remove(e.id());
    if e.watched.get() {
        tell_that_it_gets(r);
    }
}

#[cold]
fn tell_that_it_gets(r: &Resource) {
    record(EventKind::Wake, || format!("gets {}", r.name()));
}

/// Takes the lock if that is possible at once.
#[inline]
pub(crate) fn try_take(e: &Entity, res: ResId, mode: Mode) -> bool {
    let m = e.machine();
    e.point(OpKind::TryLock, res);
    let r = m.resource(res);
    if !m.simulated() {
        return try_take_on_threads(e, r, res, mode);
    }
    if !available(r, mode) {
        return false;
    }
    own(m, e, r, res, mode);
    true
}

/// Takes it shared, whoever holds it.
pub(crate) fn share(e: &Entity, res: ResId) {
    let m = e.machine();
    let r = m.resource(res);
    r.state.fetch_add(1, AcqRel);
    r.listed.fetch_or(e.bit(), AcqRel);
    e.hold_shared(res);
    e.count_held(1);
    m.changed(e, false);
    fact(e, Fact::Gets, res, Mode::Read.code());
}

/// Gives back a shared hold that the state word knows nothing of.
pub(crate) fn unshare_only(e: &Entity, res: ResId) -> bool {
    if !e.drop_shared(res) {
        return false;
    }
    e.count_held(-1);
    e.machine().changed(e, false);
    true
}

/// Whether somebody holds the lock exclusively.
pub(crate) fn is_written(r: &Resource) -> bool {
    r.state.load(Relaxed) & WRITER != 0
}

#[inline]
fn own(m: &Machine, e: &Entity, r: &Resource, res: ResId, mode: Mode) {
    if mode == Mode::Write {
        r.state.store(WRITER | e.id().index() as u64, Relaxed);
        // Those who stand before it can no longer be chosen.
        m.not_ready(r.waiters.load(Relaxed));
    } else {
        own_shared(m, e, r, res);
    }
    e.count_held(1);
    fact(e, Fact::Gets, res, mode.code());
    m.note_change(e, false);
}

fn own_shared(m: &Machine, e: &Entity, r: &Resource, res: ResId) {
    r.state.store(r.state.load(Relaxed) + 1, Relaxed);
    r.listed.insert(e.id());
    e.hold_shared(res);
    m.not_ready(r.waiters.load(Relaxed) & !r.read_waiters.load(Relaxed));
}

/// Releases the lock. False if the entity does not hold it in this way: nothing happened then.
#[inline]
pub(crate) fn release(m: &Machine, e: &Entity, res: ResId, mode: Mode) -> bool {
    let r = m.resource(res);
    if m.simulated() {
        release_simulated(m, e, r, res, mode)
    } else {
        release_on_threads(m, e, r, res, mode)
    }
}

#[inline]
fn release_simulated(m: &Machine, e: &Entity, r: &Resource, res: ResId, mode: Mode) -> bool {
    if mode == Mode::Write {
        if r.state.load(Relaxed) != WRITER | e.id().index() as u64 {
            return false;
        }
        r.state.store(0, Relaxed);
    } else if !release_shared(e, r, res) {
        return false;
    }
    e.count_held(-1);
    fact(e, Fact::Gives, res, mode.code());
    m.note_change(e, false);
    if mode == Mode::Write || r.state.load(Relaxed) == 0 {
        look_again(m, e, r, res);
    }
    true
}

/// Those who stand before a lock that is free now look again.
#[inline]
fn look_again(m: &Machine, e: &Entity, r: &Resource, res: ResId) {
    let waiting = r.waiters.load(Relaxed);
    if e.watched.get() {
        tell_of_look(e, res, waiting);
    }
    m.make_ready(waiting);
}

#[cold]
fn tell_of_look(e: &Entity, res: ResId, waiting: EntitySet) {
    if waiting != 0 {
        fact(e, Fact::Wakes, res, 0);
    }
}

fn release_shared(e: &Entity, r: &Resource, res: ResId) -> bool {
    if !e.drop_shared(res) {
        return false;
    }
    r.state.store(r.state.load(Relaxed) - 1, Relaxed);
    if !e.holds_shared(res) {
        r.listed.remove(e.id());
    }
    true
}

/// A write hold becomes a read hold, without a moment in between where the lock is free.
pub(crate) fn downgrade(e: &Entity, res: ResId) -> bool {
    let m = e.machine();
    let r = m.resource(res);
    if r.state
        .compare_exchange(WRITER | e.id().index() as u64, 1, AcqRel, Relaxed)
        .is_err()
    {
        return false;
    }
    r.listed.fetch_or(e.bit(), AcqRel);
    e.hold_shared(res);
    fact(e, Fact::Lowers, res, 0);
    m.changed(e, true);
    m.wake(res);
    true
}

/// Whether anybody holds the lock.
pub(crate) fn is_held(r: &Resource) -> bool {
    r.state.load(Relaxed) != 0
}

/// Whether this entity holds the lock.
pub(crate) fn held_by(r: &Resource, e: &Entity) -> bool {
    r.holders() & e.bit() != 0
}

fn take_on_threads(m: &Machine, e: &Entity, res: ResId, mode: Mode, spin: bool) {
    e.point(mode.op(), res);
    let r = m.resource(res);
    if try_take_on_threads(e, r, res, mode) {
        return;
    }
    if mode == Mode::Write {
        r.queued_writers.fetch_or(e.bit(), AcqRel);
    }
    e.start_looking();
    while !try_take_on_threads(e, r, res, mode) {
        m.threads_block(e, wait_for_holders(res, spin));
    }
    r.queued_writers.fetch_and(!e.bit(), AcqRel);
}

fn try_take_on_threads(e: &Entity, r: &Resource, res: ResId, mode: Mode) -> bool {
    if mode == Mode::Write {
        if r.state
            .compare_exchange(0, WRITER | e.id().index() as u64, Acquire, Relaxed)
            .is_err()
        {
            return false;
        }
        e.count_held(1);
        return true;
    }
    let queue_matters = mode == Mode::Read && r.queued_writers.load(Acquire) != 0;
    let more = |s: u64| (s & WRITER == 0 && !queue_matters).then(|| s + 1);
    if r.state.fetch_update(Acquire, Relaxed, more).is_err() {
        return false;
    }
    r.listed.fetch_or(e.bit(), Relaxed);
    e.hold_shared(res);
    e.count_held(1);
    true
}

fn release_on_threads(m: &Machine, e: &Entity, r: &Resource, res: ResId, mode: Mode) -> bool {
    if mode == Mode::Write {
        if r.state.load(Relaxed) != WRITER | e.id().index() as u64 {
            return false;
        }
        r.state.store(0, Release);
    } else {
        if !e.drop_shared(res) {
            return false;
        }
        if !e.holds_shared(res) {
            r.listed.fetch_and(!e.bit(), Relaxed);
        }
        r.state.fetch_sub(1, Release);
    }
    e.count_held(-1);
    m.wake(res);
    true
}
