//! Checks programs: explores them, classifies what was found, compares it with what is expected.

mod case;
mod explain;
pub mod probe;
mod search;
pub mod verdict;

pub use case::{Case, CaseResult, cases};
pub use explain::{Argument, argue};
pub use search::{Bounds, Found, Runtime, Search, search};
pub use verdict::{Judgement, judge};
