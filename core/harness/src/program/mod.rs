//! Programs: what runs, as a Rust value and as text.
//!
//! A [`Program`] is rules, a machine, declarations, handlers and tasks, and perhaps a recorded schedule and
//! expectations. It is one `.splat` file, one Rust value, one fuzz input.
//!
//! - References are positions in the table of what they refer to ([`Id`]); `program.locks[id]` is the declaration.
//! - Bodies are trees: an [`Op`] that has a block contains its operations.
//! - Each declaration and operation carries its place in the text ([`At`]), which takes no part in equality.
//!
//! `docs/language.md` is the reference of the text form.

mod at;
pub mod binary;
pub mod block;
mod check;
pub mod cond;
pub mod decl;
mod declared;
mod error;
pub mod expect;
mod generate;
pub mod gfp;
pub mod handler;
mod lex;
pub mod limits;
pub mod machine;
mod name;
pub mod op;
mod parse;
mod print;
pub mod property;
mod repair;
pub mod rules_text;
pub mod schedule;
mod suggest;
mod table;
pub mod verb;
mod walk;
pub mod word;

use serde::{Deserialize, Serialize};

pub use at::At;
pub use block::Block;
pub use check::check;
pub use cond::Cond;
pub use error::{Problem, TextError};
pub use expect::Expect;
pub use gfp::Gfp;
pub use machine::Machine;
pub use name::Name;
pub use op::{Body, Op, Stmt};
pub use parse::{declaration_words, operation_words, parse, parse_bytes, parse_rules};
pub use print::{print, print_operation};
pub use repair::repair;
pub use rules_text::RulesText;
pub use schedule::Schedule;
pub use table::{Declared, Id, Table};

use decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, Mapping, Memcg, Mempool, Mm, Page, Slot,
    WaitQueue, Wb, Workqueue,
};
use handler::{Function, Irq, Notifier, Shrinker, Softirq, Task, Timer, Work};
use property::Property;

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: Name,
    /// The kernel variant.
    pub rules: RulesText,
    /// The machine.
    pub machine: Machine,
    /// Locks of every kind, and lock maps.
    pub locks: Table<Lock>,
    /// Flags.
    pub flags: Table<Flag>,
    /// Counters.
    pub counters: Table<Counter>,
    /// Completions.
    pub completions: Table<Completion>,
    /// Wait queues.
    pub wait_queues: Table<WaitQueue>,
    /// Shared variables.
    pub slots: Table<Slot>,
    /// Workqueues.
    pub workqueues: Table<Workqueue>,
    /// Mempools.
    pub mempools: Table<Mempool>,
    /// Address spaces.
    pub mms: Table<Mm>,
    /// Memory cgroups.
    pub memcgs: Table<Memcg>,
    /// Devices.
    pub devices: Table<Device>,
    /// `bdi_writeback`s.
    pub wbs: Table<Wb>,
    /// Inodes.
    pub inodes: Table<Inode>,
    /// Mappings.
    pub mappings: Table<Mapping>,
    /// Pages.
    pub pages: Table<Page>,
    /// IO batches.
    pub batches: Table<Batch>,
    /// Functions and callbacks.
    pub functions: Table<Function>,
    /// Shrinkers.
    pub shrinkers: Table<Shrinker>,
    /// Mmu notifiers.
    pub notifiers: Table<Notifier>,
    /// Interrupt handlers.
    pub irqs: Table<Irq>,
    /// Softirq handlers.
    pub softirqs: Table<Softirq>,
    /// Timers.
    pub timers: Table<Timer>,
    /// Work items.
    pub works: Table<Work>,
    /// Tasks and daemons.
    pub tasks: Table<Task>,
    /// What its code is held to.
    pub properties: Table<Property>,
    /// The decisions of one execution, in a reproducer.
    pub schedule: Option<Schedule>,
    /// What it is known to do.
    pub expects: Vec<Expect>,
}

impl Program {
    /// Every body with the context it runs in, in the order of the tables.
    pub fn bodies(&self) -> impl Iterator<Item = (Context, &Name, At, &Body)> {
        let functions = self
            .functions
            .iter()
            .map(|f| (Context::Callee, &f.name, f.at, &f.body));
        let shrinkers = self
            .shrinkers
            .iter()
            .map(|s| (Context::Callee, &s.name, s.at, &s.body));
        let notifiers = self
            .notifiers
            .iter()
            .map(|n| (Context::Callee, &n.name, n.at, &n.body));
        let irqs = self
            .irqs
            .iter()
            .map(|i| (Context::Hardirq, &i.name, i.at, &i.body));
        let softirqs = self
            .softirqs
            .iter()
            .map(|s| (Context::Softirq, &s.name, s.at, &s.body));
        let timers = self
            .timers
            .iter()
            .map(|t| (Context::Softirq, &t.name, t.at, &t.body));
        let works = self
            .works
            .iter()
            .map(|w| (Context::Process, &w.name, w.at, &w.body));
        let tasks = self
            .tasks
            .iter()
            .map(|t| (Context::Process, &t.name, t.at, &t.body));
        functions
            .chain(shrinkers)
            .chain(notifiers)
            .chain(irqs)
            .chain(softirqs)
            .chain(timers)
            .chain(works)
            .chain(tasks)
    }

    /// Every body with the context it runs in, to change; in the order of [`Self::bodies`].
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = (Context, &mut Body)> {
        let functions = self
            .functions
            .0
            .iter_mut()
            .map(|f| (Context::Callee, &mut f.body));
        let shrinkers = self
            .shrinkers
            .0
            .iter_mut()
            .map(|s| (Context::Callee, &mut s.body));
        let notifiers = self
            .notifiers
            .0
            .iter_mut()
            .map(|n| (Context::Callee, &mut n.body));
        let irqs = self
            .irqs
            .0
            .iter_mut()
            .map(|i| (Context::Hardirq, &mut i.body));
        let softirqs = self
            .softirqs
            .0
            .iter_mut()
            .map(|s| (Context::Softirq, &mut s.body));
        let timers = self
            .timers
            .0
            .iter_mut()
            .map(|t| (Context::Softirq, &mut t.body));
        let works = self
            .works
            .0
            .iter_mut()
            .map(|w| (Context::Process, &mut w.body));
        let tasks = self
            .tasks
            .0
            .iter_mut()
            .map(|t| (Context::Process, &mut t.body));
        functions
            .chain(shrinkers)
            .chain(notifiers)
            .chain(irqs)
            .chain(softirqs)
            .chain(timers)
            .chain(works)
            .chain(tasks)
    }
}

/// Where a body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A task or a worker: may sleep.
    Process,
    /// A hardirq handler (on PREEMPT_RT, a thread).
    Hardirq,
    /// A softirq or timer handler.
    Softirq,
    /// Wherever its caller runs; `gfp` is the mask of the caller.
    Callee,
}
