//! Model events: each is a tracing event; a subscriber turns them into the story.
//!
//! Nothing is formatted unless the machine records.

use super::entity::{Entity, Needs, Wait, WaitHow, current};
use super::feedback;
use super::finding::Stop;
use super::ids::{EntityId, ResId};
use super::machine::Machine;
use super::set::members;
use std::panic::Location;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A task or handler starts.
    Begin,
    /// A task or handler ends.
    End,
    /// A lock is asked for or taken.
    Lock,
    /// A lock is released.
    Unlock,
    /// A wait begins.
    Block,
    /// A wait ends, or is ended.
    Wake,
    /// Interrupt, preemption or scope state changes.
    Context,
    /// The allocator does a step.
    Alloc,
    /// Reclaim does a step.
    Reclaim,
    /// Anything else that the program does.
    Step,
    /// lockdep reports.
    Report,
    /// An invariant is broken.
    State,
    /// The machine stops.
    Stop,
    /// A bare [`Fact`], for those who check a log; nothing to tell.
    Fact,
}

/// What an event says, for those who check a log without the machine that wrote it. The number of an event's resource,
/// and what else it is about, stand beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fact {
    /// Nothing that can be checked.
    #[default]
    None,
    /// The entity stands before a lock; `set`: 0 to write, 1 to read, 2 to read past waiting writers.
    Asks,
    /// The entity holds a lock from now on; `set` as for [`Fact::Asks`].
    Gets,
    /// The entity gave one hold of a lock back; `set` as for [`Fact::Asks`].
    Gives,
    /// A write hold became a read hold.
    Lowers,
    /// The entity began to wait; `set`: those whom it waits for, where the wait names them; `how`: see [`wait_code`].
    Waits,
    /// The wait is over, the entity looks again.
    Goes,
    /// Everybody who waits for the resource may look again.
    Wakes,
    /// An entity begins its body; in an interrupt handler, `set` is the entity it interrupts.
    Begins,
    /// An entity ended its body.
    Ends,
    /// The entity got its CPU.
    Runs,
    /// Interrupt or preemption state changed.
    Context,
    /// An interrupt became pending; `set`: its entity.
    Raises,
    /// lockdep was told of an acquisition; `set`: see [`map_code`].
    MapGets,
    /// lockdep was told of a release.
    MapGives,
    /// An invariant is broken.
    Breaks,
    /// Softirqs have nothing to do any more; `set`: their entity.
    Calms,
    /// lockdep was told of a change of context; `set`: which ([`MapContext`]).
    MapContext,
    /// lockdep was told that a write hold became a read hold; `set`: see [`map_code`].
    MapLowers,
    /// The entity gives back a hold that it does not have; `set` as for [`Fact::Asks`].
    Lacks,
    /// A quantity changed; `how`: which ([`Quantity`]), `set`: by how much, in two's complement.
    Counts,
    /// A grace period begins: that of the waiting entity with `set` 0, that of a callback with 1.
    GraceBegins,
    /// The outermost RCU section of the entity begins.
    Reads,
    /// It ends.
    ReadsNot,
}

impl Fact {
    const ALL: [Self; 24] = [
        Self::None,
        Self::Asks,
        Self::Gets,
        Self::Gives,
        Self::Lowers,
        Self::Waits,
        Self::Goes,
        Self::Wakes,
        Self::Begins,
        Self::Ends,
        Self::Runs,
        Self::Context,
        Self::Raises,
        Self::MapGets,
        Self::MapGives,
        Self::Breaks,
        Self::Calms,
        Self::MapContext,
        Self::MapLowers,
        Self::Lacks,
        Self::Counts,
        Self::GraceBegins,
        Self::Reads,
        Self::ReadsNot,
    ];

    /// The fact with this number, [`Fact::None`] if there is none.
    #[must_use]
    pub fn from_code(code: u64) -> Self {
        usize::try_from(code)
            .ok()
            .and_then(|c| Self::ALL.get(c).copied())
            .unwrap_or_default()
    }
}

/// A change of context that lockdep is told of, always of the task whose held stack is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MapContext {
    /// Hard interrupts off.
    HardirqsOff,
    /// Hard interrupts on.
    HardirqsOn,
    /// Bottom halves one level deeper off.
    BhDisable,
    /// One level less: hard interrupts off, at the last level soft interrupts on, hard interrupts on.
    BhEnable,
    /// A hard interrupt handler begins, one that PREEMPT_RT would thread.
    HardirqEnter,
    /// It ends.
    HardirqExit,
    /// Softirqs begin.
    SoftirqEnter,
    /// They end.
    SoftirqExit,
    /// Reclaim on behalf of a filesystem-capable request is left.
    ReclaimLeave,
    /// It is entered.
    ReclaimEnter,
    /// A filesystem-capable allocation: all held locks are held over reclaim.
    HeldOverReclaim,
    /// A task ends.
    TaskExit,
}

impl MapContext {
    const ALL: [Self; 12] = [
        Self::HardirqsOff,
        Self::HardirqsOn,
        Self::BhDisable,
        Self::BhEnable,
        Self::HardirqEnter,
        Self::HardirqExit,
        Self::SoftirqEnter,
        Self::SoftirqExit,
        Self::ReclaimLeave,
        Self::ReclaimEnter,
        Self::HeldOverReclaim,
        Self::TaskExit,
    ];

    /// The change with this number.
    #[must_use]
    pub fn from_code(code: u128) -> Option<Self> {
        usize::try_from(code)
            .ok()
            .and_then(|c| Self::ALL.get(c).copied())
    }
}

/// A quantity that a log follows by its changes ([`Fact::Counts`]), of the event's resource or, where that is none, of
/// the entity, or the CPU, that it happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Quantity {
    /// How deep the task is inside of reclaim.
    ReclaimDepth,
    /// How deep the entity is inside of functions of the program.
    CallDepth,
    /// Pages under writeback that an entity has not submitted; instead of a resource, the number of that entity.
    Unsubmitted,
    /// How often moving the charges of a memcg was begun and not ended.
    Moving,
    /// Whether the page is under writeback.
    Writeback,
    /// Whether printk is deferred, on the CPU of the event.
    PrintkDeferred,
}

/// How an entity waits and whom it needs, as a number: tens say spin 0, sleep 1, idle 2; units say holders 0, all of
/// a set 1, the resource's enders 2, any of a set 3, anyone 4.
#[must_use]
pub const fn wait_code(wait: Wait) -> u64 {
    let how = match wait.how {
        WaitHow::Spin => 0,
        WaitHow::Sleep => 10,
        WaitHow::Idle => 20,
    };
    how + match wait.needs {
        Needs::Holders => 0,
        Needs::All(_) => 1,
        Needs::Enders => 2,
        Needs::AnyOf(_) => 3,
        Needs::Anyone => 4,
    }
}

/// Mode of an acquisition that lockdep was told of, as a number: bits 0 and 1 exclusive 0, shared 1, recursive 2; bit
/// 2 trylock; bits 3 to 5 the subclass; bit 6 [`MAP_UNCHECKED`]; bit 7 [`MAP_SYNC`]; from bit 8 on the number of the
/// class key. `how` of the event is [`nest_code`].
#[must_use]
pub const fn map_code(key: u64, subclass: u8, trylock: bool, read: u8) -> u128 {
    (read as u128) | (trylock as u128) << 2 | (subclass as u128) << 3 | (key as u128) << 8
}

/// In [`map_code`]: lockdep validates no dependencies of it.
pub const MAP_UNCHECKED: u128 = 1 << 6;
/// In [`map_code`]: taken for its effect only, and not held.
pub const MAP_SYNC: u128 = 1 << 7;

/// The lock that serialises taking several of a class, as a number: key and instance, 0 if there is none.
#[must_use]
pub const fn nest_code(nest: Option<(u64, u32)>) -> u64 {
    match nest {
        Some((key, instance)) => (key << 32 | instance as u64) + 1,
        None => 0,
    }
}

/// A fact with what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) fact: Fact,
    pub(crate) res: ResId,
    pub(crate) set: u128,
    pub(crate) how: u64,
}

impl About {
    pub(crate) const NOTHING: Self = Self::new(Fact::None, ResId::NONE, 0);

    pub(crate) const fn new(fact: Fact, res: ResId, set: u128) -> Self {
        Self {
            fact,
            res,
            set,
            how: 0,
        }
    }
}

impl EventKind {
    /// Stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::End => "end",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Block => "block",
            Self::Wake => "wake",
            Self::Context => "context",
            Self::Alloc => "alloc",
            Self::Reclaim => "reclaim",
            Self::Step => "step",
            Self::Report => "report",
            Self::State => "state",
            Self::Stop => "stop",
            Self::Fact => "fact",
        }
    }
}

/// Records an event of the running entity, if the machine records. `text` is only called then.
#[inline]
#[track_caller]
pub fn record(kind: EventKind, text: impl FnOnce() -> String) {
    say(&current(), kind, text);
}

/// As [`record`], of this entity, which is the running one.
#[inline]
#[track_caller]
pub(crate) fn say(e: &Entity, kind: EventKind, text: impl FnOnce() -> String) {
    if e.watched.get() {
        notice(e, kind, About::NOTHING, text);
    }
}

/// Somebody wants to know. Apart from where it happens, so that what it costs is not paid there.
#[cold]
#[track_caller]
fn notice(e: &Entity, kind: EventKind, about: About, text: impl FnOnce() -> String) {
    feedback::event(e, about, Location::caller());
    if e.machine().recording() {
        emit(e, kind, about, &text());
    }
}

/// Records a bare fact, if the machine records.
#[inline]
#[track_caller]
pub(crate) fn fact(e: &Entity, fact: Fact, res: ResId, set: u128) {
    if e.watched.get() {
        notice(e, EventKind::Fact, About::new(fact, res, set), String::new);
    }
}

/// Records a fact with all that it is about, if the machine records.
#[inline]
#[track_caller]
pub(crate) fn fact_about(e: &Entity, about: About) {
    if e.watched.get() {
        notice(e, EventKind::Fact, about, String::new);
    }
}

/// Records that a quantity changed, if the machine records.
#[inline]
#[track_caller]
pub fn count(e: &Entity, what: Quantity, res: ResId, by: i64) {
    if e.watched.get() {
        let about = About {
            how: what as u64,
            ..About::new(Fact::Counts, res, i128::from(by) as u128)
        };
        notice(e, EventKind::Fact, about, String::new);
    }
}

/// Records a fact of whoever runs, if the machine records.
#[inline]
pub(crate) fn fact_of_current(m: &Machine, about: Fact, res: ResId, set: u128) {
    if m.recording() && super::in_machine() {
        fact(&current(), about, res, set);
    }
}

/// Records an event with a fact, if the machine records.
#[inline]
#[track_caller]
pub(crate) fn tell(
    e: &Entity,
    kind: EventKind,
    fact: Fact,
    res: ResId,
    set: u128,
    text: impl FnOnce() -> String,
) {
    if e.watched.get() {
        notice(e, kind, About::new(fact, res, set), text);
    }
}

#[cold]
fn emit(e: &Entity, kind: EventKind, about: About, text: &str) {
    let task = e.task();
    tracing::info!(
        target: "ksplat",
        step = e.machine().sim.steps.get(),
        cpu = e.cpu.0,
        entity = e.id.0,
        task = &*e.name,
        kind = kind.as_str(),
        site = e.site.get(),
        pf = task.pf.get(),
        irqs_off = e.irqs_off.get(),
        bh_off = e.bh.get() != 0 && !e.machine().rt(),
        preempt = u64::from(e.preempt.get()),
        bh = u64::from(e.bh.get()),
        atomic = e.preempt.get() != 0 || e.bh.get() != 0 && !e.machine().rt(),
        fact = about.fact as u64,
        res = u64::from(about.res.0),
        set = about.set,
        how = about.how,
        text
    );
}

/// A wait begins.
#[inline]
pub(crate) fn blocked(e: &Entity, wait: Wait) {
    if e.watched.get() {
        notice_wait(e, wait);
    }
}

#[cold]
fn notice_wait(e: &Entity, wait: Wait) {
    feedback::waits(e, wait);
    if !e.machine().recording() {
        return;
    }
    let m = e.machine();
    let how = match wait.how {
        WaitHow::Spin => "spins on",
        WaitHow::Sleep => "waits for",
        WaitHow::Idle => "has nothing to do:",
    };
    let resource = m.resource(wait.res);
    let holders: Vec<&str> = members(resource.holders())
        .map(|h| &*m.entity(h).name)
        .collect();
    let by = if holders.is_empty() {
        String::new()
    } else {
        format!(", held by {}", holders.join(", "))
    };
    let set = match wait.needs {
        Needs::All(set) | Needs::AnyOf(set) => set,
        Needs::Holders | Needs::Enders | Needs::Anyone => 0,
    };
    let about = About {
        how: wait_code(wait),
        ..About::new(Fact::Waits, wait.res, set)
    };
    emit(
        e,
        EventKind::Block,
        about,
        &format!("{how} {}{by}", resource.name()),
    );
}

pub(crate) fn state(m: &Machine, kind: &str, res: ResId, detail: &str) {
    if m.recording() && super::in_machine() {
        let about = About::new(Fact::Breaks, res, 0);
        emit(
            &current(),
            EventKind::State,
            about,
            &format!("{kind}: {detail}"),
        );
    }
}

pub(crate) fn stop(m: &Machine, stop: &Stop) {
    if m.recording() && super::in_machine() {
        let text = format!("{:?}", stop.kind);
        emit(&current(), EventKind::Stop, About::NOTHING, &text);
    }
}

/// An entity got its CPU.
pub(crate) fn runs(m: &Machine, id: EntityId) {
    fact(m.entity(id), Fact::Runs, ResId::NONE, 0);
}
