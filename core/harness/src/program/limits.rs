//! Sizes beyond which a program is refused.
//!
//! They are far above what the known cases need (two CPUs, three tasks, sixteen pages) and low enough that no input
//! can exhaust memory or the stack before the error is printed.

/// Bytes of text.
pub const TEXT: usize = 1 << 20;
/// Bytes of a name.
pub const NAME: usize = 40;
/// Bytes of a quoted headline.
pub const HEADLINE: usize = 120;
/// Virtual CPUs.
pub const CPUS: u64 = 8;
/// NUMA nodes.
pub const NODES: u64 = 4;
/// Pages of one zone: 1 GiB of 4 KiB pages.
pub const ZONE_PAGES: u64 = 262_144;
/// Tasks and daemons.
pub const TASKS: usize = 100;
/// Declarations of one kind.
pub const DECLARATIONS: usize = 64;
/// Operations in one program.
pub const OPERATIONS: usize = 4096;
/// Blocks inside blocks in one body.
pub const DEPTH: usize = 16;
/// Variables of one body.
pub const LOCALS: usize = 32;
/// Terms of one condition.
pub const TERMS: usize = 8;
/// Rounds of one `loop`.
pub const LOOP: u64 = 1000;
/// Times an interrupt may come.
pub const IRQ_TIMES: u64 = 100;
/// Task priority; 0 is an ordinary task, higher ones are real-time.
pub const PRIORITY: u64 = 99;
/// Instances of one declaration: pages of a population, elements of a pool, workers of a queue.
pub const INSTANCES: u64 = 1024;
/// Allocation order.
pub const ORDER: u64 = 10;
/// Lockdep subclass.
pub const SUBCLASS: u64 = 7;
/// Absolute value of a counter written in the text.
pub const COUNTER: i64 = 1_000_000;
/// Decisions of a recorded schedule.
pub const DECISIONS: usize = 1 << 20;
/// Value of one recorded decision.
pub const DECISION: u64 = u16::MAX as u64;
/// `expect` sections.
pub const EXPECTS: usize = 64;
/// Errors reported for one text; the rest is mostly the echo of the first ones.
pub const ERRORS: usize = 20;
