//! mm
pub mod pf;
