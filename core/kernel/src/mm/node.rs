//! Nodes (`pg_data_t`): zones, LRU, kswapd and those who wait for it.

use super::lru::Lru;
use crate::rt::{EntityId, Machine, ResKind};
use crate::sync::{Locked, WaitQueue};
use ksplat_lockdep::Key;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// `struct pglist_data`.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: usize,
    /// Numbers of its zones, lowest kind first.
    pub(crate) zones: Box<[u8]>,
    /// `lruvec->lru_lock` and the lists.
    pub(crate) lru: Locked<Lru>,
    /// Since its invariants were checked.
    pub(crate) changed: AtomicBool,
    /// Pages on the lists. Written under `lru_lock`.
    pub(crate) on_lru: AtomicU32,
    pub(crate) kswapd: Option<EntityId>,
    pub(crate) kswapd_wait: WaitQueue,
    pub(crate) pfmemalloc_wait: WaitQueue,
    /// `kswapd_order` is set: somebody asked for reclaim since kswapd last looked.
    pub(crate) wanted: AtomicBool,
    /// kswapd is on its wait queue (`waitqueue_active()`).
    pub(crate) asleep: AtomicBool,
    /// `kswapd_failures`.
    pub(crate) failures: AtomicU32,
    /// PGDAT_DIRTY: reclaim met many dirty pages; kswapd may write some.
    pub(crate) dirty: AtomicBool,
    /// PGDAT_WRITEBACK: reclaim met pages under writeback for the second time.
    pub(crate) writeback: AtomicBool,
}

impl Node {
    pub(crate) fn new(
        m: &mut Machine,
        id: usize,
        zones: Box<[u8]>,
        kswapd: Option<EntityId>,
        lru_key: Option<Key>,
        lru_pages: usize,
    ) -> Self {
        let everybody = (0..m.entities().len()).fold(0, |s, i| s | EntityId::new(i).bit());
        let others = everybody & !kswapd.map_or(0, EntityId::bit);
        let lru = Lru::with_capacity(lru_pages);
        let lru = Locked::new(
            m,
            format_args!("lruvec->lru_lock (node {id})"),
            lru_key,
            lru,
        );
        let name = format_args!("kswapd_wait (node {id})");
        let kswapd_wait = WaitQueue::new(m, ResKind::Idle, name, others);
        let name = format_args!("pfmemalloc_wait (node {id})");
        let enders = kswapd.map_or(0, EntityId::bit);
        let pfmemalloc_wait = WaitQueue::new(m, ResKind::WaitQueue, name, enders);
        Self {
            id,
            zones,
            lru,
            changed: AtomicBool::new(false),
            on_lru: AtomicU32::new(0),
            kswapd,
            kswapd_wait,
            pfmemalloc_wait,
            wanted: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            dirty: AtomicBool::new(false),
            writeback: AtomicBool::new(false),
        }
    }

    /// The invariants of this node are to be checked at the next step.
    pub(crate) fn touch(&self, m: &Machine) {
        self.changed.store(true, SeqCst);
        m.touch();
    }

    pub(crate) fn reset(&self) {
        self.lru.set(Lru::clear);
        self.on_lru.store(0, SeqCst);
        self.wanted.store(false, SeqCst);
        self.asleep.store(false, SeqCst);
        self.failures.store(0, SeqCst);
        self.dirty.store(false, SeqCst);
        self.writeback.store(false, SeqCst);
    }
}
