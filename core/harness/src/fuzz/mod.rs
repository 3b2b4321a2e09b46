//! Fuzzing: inputs and their stored form, mutators, oracles, known findings, feedback.
//!
//! The targets in `fuzz/fuzz_targets` are thin shells around this module, which knows nothing of the fuzzing engine.
//! `docs/fuzzing.md` describes how it is used.

mod class;
mod decisions;
mod execute;
mod input;
mod judge;
mod known;
mod mutate;
mod page_alloc;
mod schedule;
mod seeds;

pub use class::{class, file_name};
pub use decisions::{Decisions, Driven, Preemption};
pub use execute::{Executed, execute, oracle, rules_under};
pub use input::{DecodeError, Input, RANDOM, STEPS, VERSION};
pub use judge::{Finding, Judge, Judged, Options, OptionsError};
pub use known::{Known, Scope, known};
pub use mutate::{crossover, mutate, mutate_input};
pub use page_alloc::PageAlloc;
pub use schedule::{Cases, ScheduleError};
pub use seeds::{seeds, transcribed};
