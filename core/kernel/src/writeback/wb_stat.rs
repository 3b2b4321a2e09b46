//! The inner transaction: the wb of an inode does not change while a counter of it does
//! (`unlocked_inode_to_wb_begin()`).
//!
//! RCU read lock always; the lock of `i_pages` only if `I_WB_SWITCH` is set. W1 (`682aa8e1a6a1`, 4.2) takes it with the
//! variant that enables interrupts at the end whatever they were before; W2 (`2e898e4c0a38`, 4.17) saves and restores.

use super::accounting::{Accounting, begins, ends};
use crate::rt::{EventKind, IrqFlags, OpKind, current, record};
use crate::rules::WbNesting;
use crate::sync::{How, Irq, Rcu};
use std::sync::atomic::Ordering::SeqCst;

const WHAT: &str = "the inode to wb transaction";

/// A running inode to wb transaction: the cookie (`struct wb_lock_cookie`).
#[derive(Debug)]
#[must_use = "the transaction has to be ended"]
pub struct WbStat {
    inode: usize,
    /// The wb that the inode is attached to as long as the transaction runs.
    wb: Option<usize>,
    /// How `i_pages` was locked, if it was.
    locked: Option<(Irq, IrqFlags)>,
    /// It saw `I_WB_SWITCH` clear: the grace period protects it.
    unlocked: bool,
    irqs_were_off: bool,
}

impl WbStat {
    /// The wb that the inode is attached to as long as the transaction runs.
    #[must_use]
    pub const fn wb(&self) -> Option<usize> {
        self.wb
    }
}

impl Accounting {
    /// Begins the transaction of an inode. Legal in any context that holds neither its `i_lock` nor `i_pages`.
    ///
    /// # Panics
    /// If there is no such inode.
    pub fn wb_stat_begin(&self, rcu: &Rcu, inode: usize) -> WbStat {
        let (e, i) = (current(), &self.inodes[inode]);
        let nesting = e.machine().rules().wb_nesting;
        let mut out = WbStat {
            inode,
            wb: self.wb_of(inode),
            locked: None,
            unlocked: false,
            irqs_were_off: begins(&e, WHAT),
        };
        if nesting == WbNesting::W0 {
            return out;
        }
        rcu.read_lock();
        e.point(OpKind::Load, i.state_res);
        if i.switching.load(SeqCst) {
            record(EventKind::Step, || {
                format!("I_WB_SWITCH of {} is set", i.name)
            });
            let irq = if nesting == WbNesting::W1 {
                Irq::Irq
            } else {
                Irq::Save
            };
            let flags = i.i_pages.lock(How {
                irq,
                ..How::default()
            });
            out.locked = Some((irq, flags));
        } else {
            i.unlocked.fetch_add(1, SeqCst);
            out.unlocked = true;
        }
        out.wb = self.wb_of(inode);
        out
    }

    /// Ends a transaction.
    pub fn wb_stat_end(&self, rcu: &Rcu, stat: WbStat) {
        let e = current();
        let i = &self.inodes[stat.inode];
        if let Some((irq, flags)) = stat.locked {
            i.i_pages.unlock(irq, flags);
        }
        if stat.unlocked {
            i.unlocked.fetch_sub(1, SeqCst);
        }
        if e.machine().rules().wb_nesting != WbNesting::W0 {
            rcu.read_unlock();
        }
        ends(&e, stat.irqs_were_off, WHAT);
    }
}
