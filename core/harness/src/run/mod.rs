//! Runs programs: puts a [`Program`](crate::program::Program) on a machine and executes its bodies there.

mod exec;
mod frame;
mod hotplug;
mod litmus;
mod locking;
mod locks;
mod memory;
mod notifier;
mod population;
mod property;
mod reach;
mod roles;
mod unsupported;
mod vars;
mod waits;
mod wb;
mod works;
mod writeback;

pub use exec::{MAX_CALL_DEPTH, place};
pub use litmus::{Litmus, MAX_STEPS, World};
pub use reach::Reach;
pub use roles::{Role, Roles};
pub use unsupported::{Unsupported, executable};
