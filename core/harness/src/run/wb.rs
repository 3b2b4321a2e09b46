//! Writeback accounting of programs: page-stat and inode to wb transactions, wb switches, charge moving, page events.

use super::frame::Frame;
use super::litmus::World;
use super::roles::{Role, Roles};
use crate::program::op::{Op, PageRef};
use crate::program::verb::MemcgVerb;
use crate::program::{Block, Program};
use ksplat_kernel::rt::Machine;
use ksplat_kernel::writeback::{AccountingSpec, InodeSpec, MoveSpec, PageOwner, WbSpec};

/// Whether the program switches wbs: then there is a worker for it.
pub fn switches(program: &Program) -> bool {
    super::roles::mentions(program, |op| matches!(op, Op::SwitchWb(..)))
}

/// What is counted. Inodes are those declared, then one for each mapping that names none.
pub fn spec(program: &Program, roles: &Roles) -> AccountingSpec {
    let memcgs = program.memcgs.iter().map(|g| MoveSpec {
        name: g.name.to_string(),
        moving: g.moving,
    });
    let wbs = program.wbs.iter().map(|w| WbSpec {
        name: w.name.to_string(),
    });
    let declared = program.inodes.iter().map(|i| InodeSpec {
        name: i.name.to_string(),
        wb: i.wb.map(|w| w.index()),
        switching: i.switching,
    });
    let mut inodes: Vec<InodeSpec> = declared.collect();
    let of_mapping: Vec<usize> = program
        .mappings
        .iter()
        .map(|mapping| {
            mapping.inode.map_or_else(
                || {
                    inodes.push(InodeSpec {
                        name: mapping.name.to_string(),
                        ..InodeSpec::default()
                    });
                    inodes.len() - 1
                },
                |i| i.index(),
            )
        })
        .collect();
    let pages = program.pages.iter().flat_map(|page| {
        let owner = PageOwner {
            inode: page.mapping.map(|m| of_mapping[m.index()]),
            memcg: page.memcg.map(|g| g.index()),
        };
        std::iter::repeat_n(owner, usize::from(page.count))
    });
    AccountingSpec {
        memcgs: memcgs.collect(),
        wbs: wbs.collect(),
        pages: pages.collect(),
        mappings: of_mapping.clone(),
        switch_worker: roles.find(Role::WbSwitch),
        inodes,
    }
}

impl World {
    /// Counts what is dirty or under writeback from the start.
    pub(super) fn reset_accounting(&self) {
        self.accounting.reset();
        let pages: usize = self
            .program
            .pages
            .iter()
            .map(|p| usize::from(p.count))
            .sum();
        for page in 0..pages {
            self.accounting.boot_page(self.memory.mm(), page);
        }
    }

    pub(super) fn check_accounting(&self, m: &Machine) {
        self.accounting.check(m, self.memory.mm());
    }

    pub(super) fn switch_worker(&self) {
        self.accounting.switch_worker(self.memory.mm(), &self.rcu);
    }

    /// `page_stat A { … }`.
    pub(super) fn page_stat(&self, page: PageRef, block: &Block, f: &mut Frame) {
        let (books, rcu) = (&self.accounting, &self.rcu);
        let stat = books.page_stat_begin(rcu, self.memory.index(page));
        self.block(block, f);
        books.page_stat_end(rcu, stat);
    }

    /// `wb_stat I { … }`.
    pub(super) fn wb_stat(&self, inode: usize, block: &Block, f: &mut Frame) {
        let (books, rcu) = (&self.accounting, &self.rcu);
        let stat = books.wb_stat_begin(rcu, inode);
        self.block(block, f);
        books.wb_stat_end(rcu, stat);
    }

    /// `start_move_charge G` and its like.
    pub(super) fn memcg_op(&self, verb: MemcgVerb, memcg: usize) {
        match verb {
            MemcgVerb::StartMove => self.accounting.start_move(&self.rcu, memcg),
            MemcgVerb::EndMove => self.accounting.end_move(memcg),
            MemcgVerb::DrainStock => self.memory.mm().drain_stock(memcg),
        }
    }

    /// `move_page A to G`.
    pub(super) fn move_page(&self, page: PageRef, memcg: usize) {
        let page = self.memory.index(page);
        self.accounting
            .move_page(self.memory.mm(), self, page, memcg);
    }

    /// `offline_memcg G into H`.
    pub(super) fn offline_memcg(&self, memcg: usize, parent: usize) {
        let (mm, rcu) = (self.memory.mm(), &self.rcu);
        self.accounting.offline(mm, self, rcu, memcg, parent);
    }
}
