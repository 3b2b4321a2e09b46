//! Programs, exploration strategies, oracles, verdicts and reproducers.

pub mod explore;
pub mod lockdep;
pub mod program;
