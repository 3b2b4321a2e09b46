//! Model events: each is a tracing event; a subscriber turns them into the story.
//!
//! Nothing is formatted unless the machine records.

use super::entity::{Entity, Wait, WaitHow, current};
use super::finding::Stop;
use super::ids::members;
use super::machine::Machine;

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
        }
    }
}

/// Records an event of the running entity, if the machine records. `text` is only called then.
#[inline]
pub fn record(kind: EventKind, text: impl FnOnce() -> String) {
    let e = current();
    if e.machine().recording() {
        emit(&e, kind, &text());
    }
}

#[cold]
fn emit(e: &Entity, kind: EventKind, text: &str) {
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
        text
    );
}

pub(crate) fn blocked(e: &Entity, wait: Wait) {
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
    emit(
        e,
        EventKind::Block,
        &format!("{how} {}{by}", resource.name()),
    );
}

pub(crate) fn state(m: &Machine, kind: &str, detail: &str) {
    if m.recording() && super::in_machine() {
        emit(&current(), EventKind::State, &format!("{kind}: {detail}"));
    }
}

pub(crate) fn stop(m: &Machine, stop: &Stop) {
    if m.recording() && super::in_machine() {
        emit(&current(), EventKind::Stop, &format!("{:?}", stop.kind));
    }
}
