//! Writeback: what becomes of dirty pages.
//!
//! `io` has the batches, devices and `writepages()`: who is to end the writeback of which page.

pub mod io;
