//! Stories: what happened, step by step, fit for a mail.

mod explain;
mod fold;
mod record;
mod render;
mod trim;

pub use explain::{cycle, findings, headlines};
pub use record::{Moment, recorded};
pub use render::{WIDTH, steps};
pub use trim::Step;

/// A text as lines of at most `width` characters; lines after the first are indented.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    render::wrap(text, width)
}
