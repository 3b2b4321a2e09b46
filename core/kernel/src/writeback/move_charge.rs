//! Moving charges from one memcg to another (`mem_cgroup_move_charge()`, `mem_cgroup_move_account()`): a task changes its
//! v1 cgroup, or a memcg goes offline and its pages go to its parent.
//!
//! `moving_account` of the old memcg is up meanwhile, and all page-stat transactions that did not see it are over: those
//! that come later take `move_lock`, as the move of each page does.

use super::accounting::{Accounting, stored};
use crate::mm::{Callbacks, Gfp, Mm, Pressure};
use crate::rt::{EventKind, OpKind, Quantity, count, current, record};
use crate::rules::WbNesting;
use crate::sync::{How, Irq, Rcu};
use std::sync::atomic::Ordering::SeqCst;

impl Accounting {
    /// Starts moving the charges of a memcg: `moving_account` goes up, then all transactions that did not see it must
    /// be over (`mem_cgroup_move_charge()`). May sleep. Nothing where charges do not move.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn start_move(&self, rcu: &Rcu, memcg: usize) {
        let g = &self.memcgs[memcg];
        if !self.moves_charges {
            record(EventKind::Step, || {
                format!("charges of {} do not move under these rules", g.name)
            });
            return;
        }
        self.raise_moving(rcu, memcg);
    }

    fn raise_moving(&self, rcu: &Rcu, memcg: usize) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        e.point(OpKind::Store, g.moving_res);
        g.moving.fetch_add(1, SeqCst);
        count(&e, Quantity::Moving, g.moving_res, 1);
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
        if self.moves_charges {
            self.lower_moving(memcg);
        }
    }

    fn lower_moving(&self, memcg: usize) {
        let (e, g) = (current(), &self.memcgs[memcg]);
        e.point(OpKind::Store, g.moving_res);
        let less = |n: u32| n.checked_sub(1);
        if g.moving.fetch_update(SeqCst, SeqCst, less).is_err() {
            e.machine()
                .state_break_of("moving-account", g.moving_res, || {
                    format!("moving_account of {} goes below 0", g.name)
                });
            return;
        }
        count(&e, Quantity::Moving, g.moving_res, -1);
    }

    /// Moves the charge of one page (`mem_cgroup_move_account()`): the new memcg is charged first, and may reclaim for
    /// it. Nothing if the page is locked by somebody, has no memory, or is charged there already.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn move_page(&self, mm: &Mm, cb: &dyn Callbacks, page: usize, to: usize) {
        if !self.moves_charges {
            record(EventKind::Step, || {
                "charges do not move under these rules".to_owned()
            });
            return;
        }
        self.move_account(mm, cb, page, to);
    }

    fn move_account(&self, mm: &Mm, cb: &dyn Callbacks, page: usize, to: usize) {
        let Some(from) = self.memcg_of(page).filter(|&from| from != to) else {
            return;
        };
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        if !mm.try_charge(cb, to, Gfp::KERNEL, 1, Pressure::None) {
            return;
        }
        if !mm.trylock_page(pfn) {
            record(EventKind::Step, || "the page is locked: stays".to_owned());
            mm.uncharge(to, 1);
            return;
        }
        let moved = mm.lru_frame(page) == Some(pfn) && self.memcg_of(page) == Some(from);
        if moved {
            self.move_statistics(mm, page, from, to);
            mm.set_memcg(pfn, to);
        }
        mm.unlock_page(pfn);
        mm.uncharge(if moved { from } else { to }, 1);
    }

    /// What the page counts for goes with it, under the `move_lock` of the memcg that it leaves.
    fn move_statistics(&self, mm: &Mm, page: usize, from: usize, to: usize) {
        let g = &self.memcgs[from];
        self.books.begin();
        let flags = g.move_lock.lock(How {
            irq: Irq::Save,
            ..How::default()
        });
        current().point(OpKind::Load, mm.writeback_res(page));
        let (dirty, writeback) = self.counted(mm, page);
        for (memcg, sign) in [(from, -1), (to, 1)] {
            let counters = self.memcg_counters(memcg);
            counters.dirty.add(sign * i64::from(dirty));
            counters.writeback.add(sign * i64::from(writeback));
        }
        self.owners[page].store(stored(Some(to)), SeqCst);
        record(EventKind::Step, || {
            let (from, to) = (&g.name, &self.memcgs[to].name);
            format!("the page's charge moves from {from} to {to}")
        });
        g.move_lock.unlock(Irq::Save, flags);
        self.books.end();
    }

    /// A memcg goes offline. Under W0 its pages move to another, its parent (`mem_cgroup_reparent_charges()`); later
    /// kernels leave them charged to it.
    ///
    /// # Panics
    /// If there is no such memcg.
    pub fn offline(&self, mm: &Mm, cb: &dyn Callbacks, rcu: &Rcu, memcg: usize, parent: usize) {
        let e = current();
        e.might_sleep();
        let g = &self.memcgs[memcg];
        record(EventKind::Step, || format!("{} goes offline", g.name));
        if e.machine().rules().wb_nesting != WbNesting::W0 {
            return;
        }
        self.raise_moving(rcu, memcg);
        for page in 0..self.owners.len() {
            if self.memcg_of(page) == Some(memcg) {
                self.move_account(mm, cb, page, parent);
            }
        }
        self.lower_moving(memcg);
    }
}
