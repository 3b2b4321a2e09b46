//! Synchronisation primitives, each reporting to lockdep what the kernel's does.

mod completion;
mod lock;
mod map;
mod rcu;
mod spinlock;
mod wait_queue;
mod word;

pub use crate::lockdep_events::Map;
pub use completion::Completion;
pub use lock::{How, Irq, Lock, LockKind};
pub use map::LockMap;
pub use rcu::Rcu;
pub use spinlock::{Guard, Locked};
pub use wait_queue::WaitQueue;
