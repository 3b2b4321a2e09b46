//! The outer transaction: the memcg of a page does not change while a statistic of it does (`lock_page_memcg()`,
//! `mem_cgroup_begin_page_stat()` before 4.6).
//!
//! RCU read lock always; the memcg's `move_lock` with `irqsave` only while charges are being moved. Gone in 6.13 (W3,
//! `cf4a65539c13` and others), with charge moving itself.

use super::accounting::{Accounting, begins, ends};
use crate::rt::{EventKind, IrqFlags, OpKind, current, record};
use crate::rules::WbNesting;
use crate::sync::{How, Irq, Rcu};
use std::sync::atomic::Ordering::SeqCst;

const WHAT: &str = "the page-stat transaction";

/// A running page-stat transaction: what its end has to undo.
#[derive(Debug)]
#[must_use = "the transaction has to be ended"]
pub struct PageStat {
    /// The memcg and the irq state saved by its `move_lock`, if that was taken.
    locked: Option<(usize, IrqFlags)>,
    rcu: bool,
    irqs_were_off: bool,
}

impl Accounting {
    /// Begins the page-stat transaction of a page. Legal in any context.
    pub fn page_stat_begin(&self, rcu: &Rcu, page: usize) -> PageStat {
        let e = current();
        let mut out = PageStat {
            locked: None,
            rcu: false,
            irqs_were_off: begins(&e, WHAT),
        };
        if e.machine().rules().wb_nesting == WbNesting::W3 {
            return out;
        }
        rcu.read_lock();
        out.rcu = true;
        while let Some(memcg) = self.memcg_of(page) {
            let g = &self.memcgs[memcg];
            e.point(OpKind::Load, g.moving_res);
            if g.moving.load(SeqCst) == 0 {
                break;
            }
            record(EventKind::Step, || {
                format!("charges of {} are being moved", g.name)
            });
            let flags = g.move_lock.lock(How {
                irq: Irq::Save,
                ..How::default()
            });
            if self.memcg_of(page) == Some(memcg) {
                out.locked = Some((memcg, flags));
                break;
            }
            // Moved while it waited: from the start.
            g.move_lock.unlock(Irq::Save, flags);
        }
        out
    }

    /// Ends a page-stat transaction.
    pub fn page_stat_end(&self, rcu: &Rcu, stat: PageStat) {
        if let Some((memcg, flags)) = stat.locked {
            self.memcgs[memcg].move_lock.unlock(Irq::Save, flags);
        }
        if stat.rcu {
            rcu.read_unlock();
        }
        ends(&current(), stat.irqs_were_off, WHAT);
    }
}
