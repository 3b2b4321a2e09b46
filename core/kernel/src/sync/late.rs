//! What may still be queued once every task has ended.

use crate::rt::{EntityKind, current};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Things that may queue themselves: a periodic timer, a work item. Once every task has ended each may be queued once
/// more by what runs then, so that chains of them run to their end and those that go round end with their program.
#[derive(Debug, Default)]
pub struct Late(AtomicU64);

impl Late {
    /// Nothing was queued late yet.
    pub fn reset(&self) {
        self.0.store(0, SeqCst);
    }

    /// Whether the running entity may queue thing number `index` now. An interrupt may: it does not come for ever.
    pub fn may_queue(&self, index: usize) -> bool {
        let e = current();
        let bit = 1u64 << (index % 64);
        e.kind() == EntityKind::HardIrq
            || e.machine().tasks_live()
            || self.0.fetch_or(bit, SeqCst) & bit == 0
    }
}
