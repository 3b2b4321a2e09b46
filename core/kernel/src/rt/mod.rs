//! The seam: decide here, block on this resource, wake, choose among n. Three runtimes implement it.
//!
//! Model code says [`current()`]`.point(…)` before a visible operation, [`Entity::block`] to wait, [`Machine::wake`]
//! when it changed what others wait for, and [`Machine::choose`] where something other than the schedule may go
//! several ways. Which runtime runs it is decided per execution: [`Deterministic::run`], [`run_in_shuttle`] or
//! [`run_on_threads`]. On the first two an execution is a pure function of program and choices.

mod context;
mod cpu;
mod det;
mod entity;
pub(crate) mod event;
pub(crate) mod feedback;
mod fiber;
mod finding;
mod ids;
mod judge;
mod machine;
mod op;
mod prio;
pub(crate) mod resource;
mod sched;
pub(crate) mod set;
mod shuttle;
mod sim;
mod spare;
mod strategy;
mod threads;
mod wait;

pub use context::IrqFlags;
pub use det::Deterministic;
pub use entity::{
    Current, Entity, EntityKind, EntitySpec, Needs, Wait, WaitHow, current, in_machine,
};
pub(crate) use event::fact;
pub use event::{
    EventKind, Fact, MAP_SYNC, MAP_UNCHECKED, MapContext, Quantity, count, map_code, nest_code,
    record, wait_code,
};
pub use feedback::{FEATURES, Feedback};
pub use finding::{End, Outcome, StateBreak, Stop, StopKind, StuckWait};
pub use ids::{CpuId, EntityId, MAX_CPUS, ResId};
pub use machine::{Machine, MachineSpec, Runtime, Teardown, World};
pub use op::{Op, OpKind};
pub use resource::{ResKind, Resource};
pub use set::{EntitySet, MAX_ENTITIES, members};
pub use shuttle::{StrategyScheduler, run_in_shuttle};
pub use strategy::{Decision, Ending, Gave, Standing, Step, Strategy, Undisturbed};
pub use threads::{abandon, run_on_threads};
pub use wait::{Round, wait_for_holders};
