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
        let Some(memcg) = self.pages.get(page).and_then(|p| p.memcg) else {
            return out;
        };
        let g = &self.memcgs[memcg];
        e.point(OpKind::Load, g.moving_res);
        if g.moving.load(SeqCst) == 0 {
            return out;
        }
        record(EventKind::Step, || {
            format!("charges of {} are being moved", g.name)
        });
        // A real transaction looks again whether the page still belongs to the memcg: no operation of the model moves
        // a page's charge, so it does.
        let flags = g.move_lock.lock(How {
            irq: Irq::Save,
            ..How::default()
        });
        out.locked = Some((memcg, flags));
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

    /// Starts moving the charges of a memcg: `moving_account` goes up, then all transactions that did not see it must
    /// be over (`mem_cgroup_move_charge()`). May sleep. Nothing where charges do not move.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn start_move(&self, rcu: &Rcu, memcg: usize) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        if !self.moves_charges {
            record(EventKind::Step, || {
                format!("charges of {} do not move under these rules", g.name)
            });
            return;
        }
        e.point(OpKind::Store, g.moving_res);
        g.moving.fetch_add(1, SeqCst);
        record(EventKind::Step, || {
            format!("moving_account of {} goes up", g.name)
        });
        rcu.synchronize();
    }

    /// Ends moving the charges of a memcg.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn end_move(&self, memcg: usize) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        if !self.moves_charges {
            return;
        }
        e.point(OpKind::Store, g.moving_res);
        let less = |n: u32| n.checked_sub(1);
        if g.moving.fetch_update(SeqCst, SeqCst, less).is_err() {
            e.machine().state_break("moving-account", || {
                format!("moving_account of {} goes below 0", g.name)
            });
        }
    }
}
