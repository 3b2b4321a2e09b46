//! Programs, exploration strategies, oracles, verdicts and reproducers.

pub mod program;
pub mod lockdep;
