//! Programs, exploration strategies, oracles, verdicts and reproducers.

pub mod bisect;
pub mod check;
pub mod checker;
pub mod confirm;
pub mod explore;
pub mod finding;
pub mod fuzz;
pub mod hunt;
pub mod lockdep;
pub mod minimise;
pub mod program;
pub mod reproducer;
pub mod rules;
pub mod run;
pub mod story;
