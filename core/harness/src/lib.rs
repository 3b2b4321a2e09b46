//! Programs, exploration strategies, oracles, verdicts and reproducers.

pub mod program;
