//! Litmus tests explored under plain shuttle.
