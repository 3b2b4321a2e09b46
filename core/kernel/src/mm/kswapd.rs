//! kswapd: one daemon a node, reclaims from below the low to above the high watermark.

use super::Mm;
use super::callbacks::Callbacks;
use super::fs_reclaim::{Hold, Holder};
use super::gfp::Gfp;
use super::node::Node;
use super::page_alloc::Request;
use super::pf::Pf;
use super::vmscan::ScanControl;
use super::watermark::{AllocFlags, Mark};
use super::zone::ZoneKind;
use crate::rt::{EventKind, Needs, OpKind, WaitHow, current, record};
use crate::rules::FsReclaim;
use std::sync::atomic::Ordering::SeqCst;

impl Mm {
    /// Body of a node's kswapd: serves until the machine is at rest; never returns.
    ///
    /// The embedder calls it from the daemon entity that [`MmSpec::kswapds`](super::MmSpec::kswapds) names.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn kswapd(&self, cb: &dyn Callbacks, node: usize) -> ! {
        let (e, node) = (current(), &self.nodes[node]);
        e.set_pf(e.pf() | (Pf::MEMALLOC | Pf::KSWAPD | Pf::KTHREAD).bits());
        loop {
            self.kswapd_try_to_sleep(node);
            record(EventKind::Reclaim, || "kswapd balances its node".to_owned());
            let hold = self.fs_reclaim_acquire(Gfp::KERNEL, Holder::Kswapd);
            let hold = self.balance_pgdat(cb, node, hold);
            self.fs_reclaim_release(hold);
        }
    }

    /// `kswapd_try_to_sleep()`: not while there is work that is not hopeless; on the queue first, then a look whether
    /// anybody asked meanwhile.
    fn kswapd_try_to_sleep(&self, node: &Node) {
        if !self.prepare_kswapd_sleep(node) {
            return;
        }
        node.pfmemalloc_wait.wake_up();
        node.asleep.store(true, SeqCst);
        node.kswapd_wait
            .wait_event(WaitHow::Idle, Needs::Enders, || {
                node.wanted.swap(false, SeqCst)
            });
        node.asleep.store(false, SeqCst);
    }

    fn prepare_kswapd_sleep(&self, node: &Node) -> bool {
        self.is_hopeless(node) || self.pgdat_balanced(node, ZoneKind::Movable)
    }

    /// `kswapd_failures >= MAX_RECLAIM_RETRIES`.
    pub(crate) fn is_hopeless(&self, node: &Node) -> bool {
        node.failures.load(SeqCst) >= self.bounds.kswapd_failures
    }

    /// `pgdat_balanced()`: some zone that will do is above its high watermark.
    pub(crate) fn pgdat_balanced(&self, node: &Node, highest: ZoneKind) -> bool {
        let high = AllocFlags::plain(Mark::High);
        let mut zones = node
            .zones
            .iter()
            .map(|&z| &self.zones[usize::from(z)])
            .filter(|z| z.kind <= highest)
            .peekable();
        zones.peek().is_none() || zones.any(|z| z.watermark_ok(0, highest, high))
    }

    /// `balance_pgdat()`: passes until balanced, or priorities are used up. F6 drops and takes the hold again between
    /// passes, around the check for being frozen.
    fn balance_pgdat(&self, cb: &dyn Callbacks, node: &Node, mut hold: Hold) -> Hold {
        let drops_hold = current().machine().rules().fs_reclaim >= FsReclaim::F6;
        let mut sc = ScanControl::new(Gfp::KERNEL, self.bounds.cluster);
        for _ in 0..self.bounds.passes {
            if self.pgdat_balanced(node, ZoneKind::Movable) {
                break;
            }
            let before = sc.reclaimed;
            sc.target = before + self.bounds.cluster;
            self.shrink_node(cb, node, &mut sc);
            if self.allow_direct_reclaim(node) {
                node.pfmemalloc_wait.wake_up();
            }
            if drops_hold {
                self.fs_reclaim_release(hold);
                hold = self.fs_reclaim_acquire(Gfp::KERNEL, Holder::Kswapd);
            }
        }
        if sc.reclaimed == 0 {
            node.failures.fetch_add(1, SeqCst);
        } else {
            node.failures.store(0, SeqCst);
        }
        node.dirty.store(false, SeqCst);
        node.writeback.store(false, SeqCst);
        hold
    }

    /// `wake_all_kswapds()`, if the request may.
    pub(crate) fn wake_all_kswapds(&self, r: &Request) {
        if !r.gfp.has(Gfp::KSWAPD_RECLAIM) {
            return;
        }
        let mut woken = 0_u64;
        for zone in self.eligible(r) {
            let node = &self.nodes[zone.node];
            if woken & 1 << (node.id % 64) == 0 {
                woken |= 1 << (node.id % 64);
                self.wakeup_kswapd(node, r.highest);
            }
        }
    }

    /// `wakeup_kswapd()`: unless it is awake, hopeless, or has nothing to do.
    fn wakeup_kswapd(&self, node: &Node, highest: ZoneKind) {
        if node.kswapd.is_none() || self.is_hopeless(node) || self.pgdat_balanced(node, highest) {
            return;
        }
        self.rouse(node);
    }

    /// Wakes the kswapd of a node, whatever its zones have free.
    pub fn wake_kswapd(&self, node: usize) {
        if let Some(node) = self.nodes.get(node).filter(|n| n.kswapd.is_some()) {
            self.rouse(node);
        }
    }

    pub(crate) fn rouse(&self, node: &Node) {
        if node.wanted.load(SeqCst) {
            return;
        }
        let e = current();
        e.point(OpKind::Wake, node.kswapd_wait.res());
        let first = !node.wanted.swap(true, SeqCst);
        node.touch(e.machine());
        if first && node.asleep.load(SeqCst) {
            record(EventKind::Alloc, || format!("wakes kswapd{}", node.id));
            node.kswapd_wait.wake_up_quietly();
        }
    }
}
