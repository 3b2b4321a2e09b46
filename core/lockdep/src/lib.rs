//! A lock validator with the semantics of Linux 6.12's lockdep.
#![allow(clippy::module_name_repetitions)]

mod acquire;
mod check;
mod context;
mod engine;
mod graph;
mod key;
mod published;
mod query;
mod release;
mod report;
mod search;
mod snapshot;
mod sync;
mod table;
mod task;
mod usage;

pub use engine::{Config, Limits, Lockdep, Mode};
pub use graph::Deps;
pub use key::{Acquire, ClassId, Key, KeyInfo, LockMap, LockType, MAX_SUBCLASSES, Read, WaitType};
pub use query::{HeldState, PinCookie, rcu_map};
pub use report::{
    ClassRef, Dependency, Detail, HeldLock, Kind, Outcome, PathStep, Rcu, Report, ReportId, Trace,
};
pub use search::SearchMode;
pub use snapshot::{ClassInfo, Edge, GraphInfo};
pub use task::{MAX_LOCK_DEPTH, TaskState};
pub use usage::{Usage, UsageBit, UsageState};
