//! Switching an inode to another wb (`inode_switch_wbs()` and its work function).
//!
//! The switcher sets `I_WB_SWITCH` under `i_lock`; after an RCU grace period a work item takes `wb_switch_rwsem`, both
//! list locks in address order, `i_lock` and `i_pages`, moves the counters of all tagged pages, publishes the new wb
//! and clears the bit. Readers that saw the bit clear are covered by the grace period, those that saw it set by
//! `i_pages`.
//!
//! The kernel starts the grace period when the switch is queued; here the worker waits for one when it picks the switch
//! up, which is as long or longer. One switch runs at a time.

use super::accounting::{Accounting, number, stored};
use super::inode_sync::List;
use crate::mm::Mm;
use crate::rt::{EventKind, IrqFlags, Needs, OpKind, WaitHow, current, record};
use crate::sync::{How, Irq, Rcu};
use std::sync::atomic::Ordering::SeqCst;

const PLAIN: How = How {
    irq: Irq::Plain,
    subclass: 0,
    nest: None,
};

impl Accounting {
    /// `inode_switch_wbs()`: starts switching an inode, unless it is being switched or attached there already. Does
    /// not sleep. Nothing where inodes do not change their wb.
    ///
    /// # Panics
    /// If there is no such inode or wb.
    pub fn switch_wb(&self, inode: usize, wb: usize) {
        let (e, i) = (current(), &self.inodes[inode]);
        assert!(wb < self.wbs.len(), "wb {wb} of {}", self.wbs.len());
        if !self.switches_wbs {
            record(EventKind::Step, || {
                format!("{} keeps its wb under these rules", i.name)
            });
            return;
        }
        let flags = i.i_lock.lock(PLAIN);
        e.point(OpKind::Store, i.state_res);
        let starts = !i.switching.load(SeqCst) && self.wb_of(inode).is_some_and(|old| old != wb);
        if starts {
            i.switching.store(true, SeqCst);
            i.target.store(stored(Some(wb)), SeqCst);
            self.switches_in_flight.fetch_add(1, SeqCst);
            record(EventKind::Step, || {
                format!("I_WB_SWITCH of {}: to {}", i.name, self.wbs[wb].name)
            });
        }
        i.i_lock.unlock(Irq::Plain, flags);
        if starts {
            self.switches.wake_up();
        }
    }

    /// Life of the worker that runs queued switches, one by one, for ever.
    pub fn switch_worker(&self, mm: &Mm, rcu: &Rcu) {
        loop {
            self.switches
                .wait_event(WaitHow::Idle, Needs::Anyone, || self.queued().is_some());
            let Some((inode, wb)) = self.queued() else {
                continue;
            };
            rcu.synchronize();
            self.switch_work(mm, inode, wb);
        }
    }

    /// The first switch that is queued: inode and new wb.
    fn queued(&self) -> Option<(usize, usize)> {
        self.inodes
            .iter()
            .enumerate()
            .find_map(|(n, i)| number(i.target.load(SeqCst)).map(|wb| (n, wb)))
    }

    /// `inode_switch_wbs_work_fn()`.
    fn switch_work(&self, mm: &Mm, inode: usize, new: usize) {
        let i = &self.inodes[inode];
        let Some(old) = self.wb_of(inode) else {
            return;
        };
        record(EventKind::Begin, || {
            let (from, to) = (&self.wbs[old].name, &self.wbs[new].name);
            format!("switches {} from {from} to {to}", i.name)
        });
        let rwsem = self.wb_switch_rwsem.read(PLAIN);
        let (first, second) = (old.min(new), old.max(new));
        let lists = [
            self.wbs[first].list_lock.lock(PLAIN),
            self.wbs[second].list_lock.lock(How {
                subclass: 1,
                ..PLAIN
            }),
        ];
        let i_lock = i.i_lock.lock(PLAIN);
        let i_pages = i.i_pages.lock(How {
            irq: Irq::Irq,
            ..PLAIN
        });
        self.books.begin();
        self.move_counters(mm, inode, old, new);
        self.publish(inode, old, new);
        self.books.end();
        i.i_pages.unlock(Irq::Irq, i_pages);
        i.i_lock.unlock(Irq::Plain, i_lock);
        self.wbs[second].list_lock.unlock(Irq::Plain, lists[1]);
        self.wbs[first].list_lock.unlock(Irq::Plain, lists[0]);
        self.wb_switch_rwsem.read_unlock(Irq::Plain, rwsem);
    }

    /// The pages of the inode that are dirty or under writeback count for the new wb from now on.
    fn move_counters(&self, mm: &Mm, inode: usize, old: usize, new: usize) {
        let (old, new) = (&self.wbs[old].counters, &self.wbs[new].counters);
        for (page, _) in self
            .pages
            .iter()
            .enumerate()
            .filter(|(_, p)| p.inode == Some(inode))
        {
            current().point(OpKind::Load, mm.writeback_res(page));
            let (dirty, writeback) = self.counted(mm, page);
            if dirty {
                old.reclaimable.add(-1);
                new.reclaimable.add(1);
            }
            if writeback {
                old.writeback.add(-1);
                new.writeback.add(1);
            }
        }
    }

    /// Publishes the new wb, then clears the bit.
    pub(super) fn publish(&self, inode: usize, old: usize, new: usize) {
        let (e, i) = (current(), &self.inodes[inode]);
        e.point(OpKind::Store, i.state_res);
        // Invariant 29: with the bit set and all four locks held; whoever saw the bit clear has finished.
        let locks = [
            &self.wbs[old].list_lock,
            &self.wbs[new].list_lock,
            &i.i_lock,
            &i.i_pages,
        ];
        if !i.switching.load(SeqCst) || !locks.iter().all(|l| l.held_by_current()) {
            e.machine().state_break("wb-switch-unlocked", || {
                format!("i_wb of {} moves without I_WB_SWITCH or a lock", i.name)
            });
        }
        let overlapping = i.unlocked.load(SeqCst);
        if overlapping != 0 {
            e.machine().state_break("wb-switch-overlap", || {
                format!(
                    "i_wb of {} moves under {overlapping} transactions that saw I_WB_SWITCH clear",
                    i.name
                )
            });
        }
        if self.wbs[old].lists[inode].swap(0, SeqCst) != 0 {
            self.wbs[new].lists[inode].store(List::Dirty as u8, SeqCst);
        }
        i.i_wb.store(stored(Some(new)), SeqCst);
        i.target.store(0, SeqCst);
        self.switches_in_flight.fetch_sub(1, SeqCst);
        i.switching.store(false, SeqCst);
        record(EventKind::Step, || {
            format!(
                "{} is attached to {}, I_WB_SWITCH clear",
                i.name, self.wbs[new].name
            )
        });
        e.machine().touch();
    }

    /// Invariant 30: a switch in flight for each inode that is to be switched, and no other.
    pub(super) fn check_switches(&self, m: &crate::rt::Machine) {
        let wanted = |i: &&super::accounting::Inode| i.target.load(SeqCst) != 0;
        let wanted = self.inodes.iter().filter(wanted).count();
        let counted = self.switches_in_flight.load(SeqCst);
        if counted as usize != wanted {
            m.state_break("switches-in-flight", || {
                format!("isw_nr_in_flight is {counted}, {wanted} inodes are being switched")
            });
        }
    }

    /// Puts an inode that just became dirty on the `b_dirty` list of its wb (`__mark_inode_dirty()`).
    pub(crate) fn mark_inode_dirty(&self, inode: usize) {
        let (e, i) = (current(), &self.inodes[inode]);
        let flags = i.i_lock.lock(PLAIN);
        e.point(OpKind::Store, i.state_res);
        let was = i.dirty.swap(true, SeqCst);
        i.i_lock.unlock(Irq::Plain, flags);
        if was || self.wb_of(inode).is_none() {
            return;
        }
        // Who writes it puts it on a list when it is through.
        self.with_lists(inode, |wb| {
            if i.sync.load(SeqCst) == 0 && i.dirty.load(SeqCst) {
                self.put_on(inode, wb, Some(List::Dirty));
            }
        });
    }

    /// Takes `i_pages` with interrupts off, as the page events do.
    pub(crate) fn lock_pages(&self, inode: usize) -> IrqFlags {
        self.inodes[inode].i_pages.lock(How {
            irq: Irq::Save,
            ..PLAIN
        })
    }

    pub(crate) fn unlock_pages(&self, inode: usize, flags: IrqFlags) {
        self.inodes[inode].i_pages.unlock(Irq::Save, flags);
    }
}
