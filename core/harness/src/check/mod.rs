//! Checks programs: explores them, classifies what was found, compares it with what is expected.

mod case;
mod search;
mod verdict;

pub use case::{Case, CaseResult, cases};
pub use search::{Bounds, Found, Runtime, Search, search};
pub use verdict::{Judgement, in_words, judge};
