//! Stories: what happened, step by step, fit for a mail.

mod explain;
mod record;
mod render;

pub use explain::{cycle, findings};
pub use record::{Moment, recorded};
pub use render::{WIDTH, steps};
