//! A lock validator with the semantics of Linux 6.12's lockdep.
//!
//! Lockdep watches lock events and reports what *could* deadlock: it learns the order in which classes of locks are
//! taken, in which contexts, and how each waits, and complains as soon as what it has learnt contradicts itself, without
//! the deadlock having to happen. This crate is that algorithm as a value: no threads, no I/O, no globals.
//!
//! ```
//! use ksplat_lockdep::{Acquire, Config, Kind, KeyInfo, LockMap, Lockdep, TaskState, WaitType};
//!
//! let lockdep = Lockdep::new(Config::default());
//! let a = LockMap::new(lockdep.register_key(KeyInfo::waiting("A", WaitType::Config)), 0);
//! let b = LockMap::new(lockdep.register_key(KeyInfo::waiting("B", WaitType::Config)), 0);
//!
//! let mut task = TaskState::new(1);
//! lockdep.acquire(&mut task, a, Acquire::at(10))?;
//! lockdep.acquire(&mut task, b, Acquire::at(11))?;
//! lockdep.release(&mut task, b, 12)?;
//! lockdep.release(&mut task, a, 13)?;
//!
//! let mut other = TaskState::new(2);
//! lockdep.acquire(&mut other, b, Acquire::at(20))?;
//! let report = lockdep.acquire(&mut other, a, Acquire::at(21)).unwrap_err();
//! let report = lockdep.report(report).unwrap();
//! assert_eq!(report.kind(), Kind::Circular);
//! println!("{}", report.render(&|site| format!("example.rs:{site}")));
//! # Ok::<(), ksplat_lockdep::ReportId>(())
//! ```
//!
//! # Who owns what
//!
//! * [`Lockdep`] is shared by all threads: classes, dependency graph, chain cache, reports. Every operation takes `&self`.
//!   When the sequence of held classes was seen before in this context, an acquisition takes no lock, writes no
//!   shared memory and allocates nothing; anything new goes through one internal lock, as in the kernel.
//! * [`TaskState`] belongs to one task: held stack, interrupt and preemption state. An interrupt handler uses the
//!   state of the task it interrupts. Its context operations (`hardirqs_off`, `hardirq_enter`, `local_bh_disable`,
//!   `preempt_disable` …) are plain methods; those that can raise a report (`hardirqs_on`, `local_bh_enable`) are
//!   [`Lockdep`]'s.
//! * [`Key`] stands for the place where locks are initialised, [`LockMap`] for one lock. A class is a key and a
//!   subclass, and lookup is an index.
//! * `site` is a number of the caller's that reports give back; [`Sites`] turns it into words when one is rendered.
//!
//! # Reports
//!
//! Operations return [`Outcome`]: `Err` holds the number of the first *new* report that the operation raised; the
//! operation has taken effect all the same. A [`Report`] is a self-contained value. In [`Mode::OneShot`] everything is off
//! after the first (except after plain warnings, see [`Kind::switches_off`]); in [`Mode::Continue`] the engine goes on, leaves the
//! offending dependency out, and is silent about what it has reported before. [`Lockdep::reset`] empties the engine
//! for the next run and keeps keys and memory.
//!
//! # Fidelity
//!
//! [`SearchMode::Kernel`] walks the graph in exactly the kernel's order, including its early "visited" mark, by which it overlooks
//! some strong cycles. [`SearchMode::Complete`] overlooks none. [`Config::reclaim_fs`] adds the usage state that preceded
//! the `fs_reclaim` map. Not modelled: `cmp_fn` of classes, class zapping on module unload, lock statistics,
//! `check_redundant()` (compiled out unless CONFIG_LOCKDEP_SMALL), NMI context.

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod acquire;
mod check;
mod context;
mod engine;
mod graph;
mod held;
mod key;
mod op;
mod published;
mod query;
mod release;
mod render;
mod report;
mod scenario;
mod search;
mod snapshot;
mod sync;
mod table;
mod task;
mod usage;
#[cfg(all(feature = "lock_api", not(loom)))]
pub mod wrapper;

pub use engine::{Config, Limits, Lockdep, Mode};
pub use graph::Deps;
pub use key::{Acquire, ClassId, Key, KeyInfo, LockMap, LockType, MAX_SUBCLASSES, Read, WaitType};
pub use query::{HeldState, PinCookie, rcu_map};
pub use render::Sites;
pub use report::{
    ClassRef, Dependency, Detail, HeldLock, Kind, Outcome, PathStep, Rcu, Report, ReportId, Trace,
};
pub use search::SearchMode;
pub use snapshot::{ClassInfo, Edge, GraphInfo};
pub use task::{MAX_LOCK_DEPTH, TaskState};
pub use usage::{Usage, UsageBit, UsageState};
