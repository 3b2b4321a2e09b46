//! The machine: virtual CPUs, tasks, interrupts, locks and memory management as the Linux kernel has them.

mod lockdep_events;
pub mod mm;
pub mod rt;
pub mod rules;
pub mod sync;
pub mod writeback;
