//! Synchronisation primitives, each reporting to lockdep what the kernel's does.

#[cfg(test)]
mod canaries;
mod completion;
mod console;
mod late;
mod lock;
mod map;
mod rcu;
mod seqlock;
mod softirq;
mod spinlock;
mod srcu;
mod wait_queue;
mod word;

pub use crate::lockdep_events::Map;
pub use completion::Completion;
pub use console::Consoles;
pub use late::Late;
pub use lock::{How, Irq, Lock, LockKind};
pub use map::LockMap;
pub use rcu::Rcu;
pub use seqlock::Seqlock;
pub use softirq::{MAX_SOFTIRQS, SoftWork, Softirqs};
pub use spinlock::{Guard, Locked};
pub use srcu::Srcu;
pub use wait_queue::WaitQueue;
