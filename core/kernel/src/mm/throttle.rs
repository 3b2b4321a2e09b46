//! Throttles: direct reclaimers wait for kswapd while the reserves are nearly gone.

use super::Mm;
use super::gfp::Gfp;
use super::node::Node;
use super::page_alloc::Request;
use super::pf::Pf;
use super::zone::ZoneKind;
use crate::rt::{EventKind, Needs, OpKind, ResId, WaitHow, current, record};
use std::sync::atomic::Ordering::SeqCst;

impl Mm {
    /// `throttle_direct_reclaim()`: user tasks wait on `pfmemalloc_wait` while free memory is below half of the sum of
    /// the min watermarks. True: the task was killed meanwhile and should not reclaim.
    pub(crate) fn throttle_direct_reclaim(&self, r: &Request, gfp: Gfp) -> bool {
        let e = current();
        if Pf::from_bits(e.pf()).has(Pf::KTHREAD) {
            return false;
        }
        let Some(zone) = self.eligible(r).find(|z| z.kind <= ZoneKind::Normal) else {
            return false;
        };
        let node = &self.nodes[zone.node];
        if self.allow_direct_reclaim(node) {
            return false;
        }
        record(EventKind::Reclaim, || {
            format!("throttle_direct_reclaim, gfp {gfp}: waits for kswapd")
        });
        if !gfp.has(Gfp::FS) {
            // At most a second: kswapd may need a filesystem lock that this task holds. It ends by itself.
            e.point(OpKind::Yield, ResId::NONE);
            return false;
        }
        node.pfmemalloc_wait
            .wait_event(WaitHow::Sleep, Needs::Enders, || {
                self.allow_direct_reclaim(node)
            });
        self.is_oom_victim(e.task().id())
    }

    /// `allow_direct_reclaim()`. Without a kswapd nobody could end the wait, so there is none.
    pub(crate) fn allow_direct_reclaim(&self, node: &Node) -> bool {
        if node.kswapd.is_none() || self.is_hopeless(node) {
            return true;
        }
        let zones = node.zones.iter().map(|&z| &self.zones[usize::from(z)]);
        let (mut reserve, mut free) = (0, 0);
        for zone in zones.filter(|z| z.kind <= ZoneKind::Normal && self.reclaimable(z) > 0) {
            reserve += zone.marks.min;
            free += zone.nr_free();
        }
        current()
            .machine()
            .near_limit(i64::from(free) - i64::from(reserve / 2));
        if reserve == 0 || free > reserve / 2 {
            return true;
        }
        if node.asleep.load(SeqCst) {
            self.rouse(node);
        }
        false
    }
}
