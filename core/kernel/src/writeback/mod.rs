//! Writeback: what becomes of dirty pages.
//!
//! `io` has the batches, devices and `writepages()`: who is to end the writeback of which page. The rest is accounting:
//! `page_events` counts, in the transactions `page_stat` (outer: the memcg of a page stays the same) and `wb_stat`
//! (inner: the wb of an inode stays the same); `wb_switch` moves an inode to another wb, `move_charge` pages to another
//! memcg; `inode_sync` says who writes an inode, and on which list it waits for that.

mod accounting;
#[cfg(test)]
mod canaries;
mod inode_sync;
pub mod io;
mod move_charge;
mod page_events;
mod page_stat;
mod wb_stat;
mod wb_switch;

pub use accounting::{Accounting, AccountingSpec, InodeSpec, MoveSpec, PageOwner, WbSpec};
pub use page_events::{Counter, Counters, WbCounters};
pub use page_stat::PageStat;
pub use wb_stat::WbStat;
