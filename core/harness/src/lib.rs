//! Programs, exploration strategies, oracles, verdicts and reproducers.
