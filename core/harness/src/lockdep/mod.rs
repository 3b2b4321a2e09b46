//! Lock programs: small sequences of lock operations, one JSON row each, and what lockdep says to them.
//!
//! A row names classes, lock instances and operations; [`Program`] is its checked form. A [`Runner`] executes
//! programs on a [`ksplat_lockdep::Lockdep`] and gives an [`Answer`]. Where the row records what a real kernel
//! answered, [`Answer::differences`] compares. [`run_file`] does all this for a file of any size.

mod answer;
mod compare;
#[cfg(test)]
mod corpus_tests;
mod generate;
mod gfp;
mod judge;
mod missed;
mod op;
pub mod oracle;
mod row;
mod run;
mod stream;

pub use answer::{Answer, GraphAnswer};
pub use compare::Difference;
pub use judge::Judge;
pub use ksplat_lockdep::SearchMode;
pub use missed::{Missed, MissedReport};
pub use op::{LockOp, Scope};
pub use row::{Expected, LockKind, Program, Row, RowError};
pub use run::Runner;
pub use stream::{Event, MAX_ROW_BYTES, run_file, run_rows};
