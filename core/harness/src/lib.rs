//! Programs, exploration strategies, oracles, verdicts and reproducers.

pub mod lockdep;
pub mod program;
