//! Findings: what an execution shows. Values, not panics.

use super::entity::Wait;
use super::ids::EntityId;
use super::set::EntitySet;

/// A real stop: entities that can never go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What kind of stop.
    pub kind: StopKind,
    /// The waits that hold each other, in cycle order where there is a cycle.
    pub waits: Vec<StuckWait>,
    /// Everything that is stuck, one bit an entity.
    pub stuck: EntitySet,
}

/// Kinds of stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopKind {
    /// A cycle of waits.
    Deadlock,
    /// A cycle that goes through spinners or retry loops.
    Livelock,
    /// A wait that no live path can end.
    NoEnder,
}

/// One wait of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StuckWait {
    /// Who waits.
    pub waiter: EntityId,
    /// For what; `None`: for its CPU.
    pub wait: Option<Wait>,
    /// Who would have to end it.
    pub needs: EntitySet,
    /// Position in the program text of the waiting operation.
    pub site: u32,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateBreak {
    /// Short stable name, part of the signature, such as `irq-state` or `double-free`.
    pub kind: &'static str,
    /// What it is about, where one kind is about several things: part of the signature too.
    pub about: Option<String>,
    /// What was found and what was expected.
    pub detail: String,
    /// Who ran.
    pub entity: Option<EntityId>,
    /// Position in the program text.
    pub site: u32,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Every task ended.
    Completed,
    /// A stop was found and the execution torn down.
    Stopped,
    /// More steps than allowed: says nothing about the program.
    StepLimit,
    /// The model itself panicked: a fault of this tool, never of the program.
    Internal,
}

/// What one execution showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The stop, if any.
    pub stop: Option<Stop>,
    /// Broken invariants, in order, each kind once.
    pub breaks: Vec<StateBreak>,
    /// lockdep's reports, in order.
    pub reports: Vec<ksplat_lockdep::Report>,
    /// Visible operations executed.
    pub steps: u32,
    /// Message of an internal fault.
    pub fault: Option<String>,
}

/// The text of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
