//! The accounting of a machine: memcgs, inodes and wbs with their locks, and what the rules make possible.

use super::page_events::{Books, WbCounters};
use crate::rt::set::AtomicSet;
use crate::rt::{Entity, EntityId, EventKind, Machine, ResId, ResKind, record};
use crate::rules::{Cgroup, Rules, WbNesting};
use crate::sync::{Lock, LockKind, WaitQueue};
use ksplat_lockdep::Key;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::SeqCst};

/// Description of a `bdi_writeback`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WbSpec {
    /// Its name.
    pub name: String,
}

/// Description of an inode with its mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InodeSpec {
    /// Its name.
    pub name: String,
    /// The wb it is attached to; without one its pages are not counted for any.
    pub wb: Option<usize>,
    /// Whether `I_WB_SWITCH` is set when the tasks start: a switch was begun and its work item has not run.
    pub switching: bool,
}

/// Description of a memcg, as far as page statistics go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveSpec {
    /// Its name.
    pub name: String,
    /// Whether its charges are being moved when the tasks start (`moving_account` is 1).
    pub moving: bool,
}

/// Whom a page belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageOwner {
    /// The inode whose page cache it is in.
    pub inode: Option<usize>,
    /// The memcg it is charged to when the tasks start.
    pub memcg: Option<usize>,
}

/// Description of what is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountingSpec {
    /// Memory control groups.
    pub memcgs: Vec<MoveSpec>,
    /// Writeback structures, in address order.
    pub wbs: Vec<WbSpec>,
    /// Inodes.
    pub inodes: Vec<InodeSpec>,
    /// The inode of each mapping.
    pub mappings: Vec<usize>,
    /// The pages of [`MmSpec::lru`](crate::mm::MmSpec::lru), in order.
    pub pages: Vec<PageOwner>,
    /// The daemon that runs [`Accounting::switch_worker`].
    pub switch_worker: Option<EntityId>,
}

/// `struct mem_cgroup`, as far as page statistics go.
#[derive(Debug)]
pub(super) struct Memcg {
    pub(super) name: String,
    pub(super) starts_moving: bool,
    /// `moving_account`.
    pub(super) moving: AtomicU32,
    /// What reads and writes of `moving_account` go through.
    pub(super) moving_res: ResId,
    pub(super) move_lock: Lock,
}

/// `struct bdi_writeback`.
#[derive(Debug)]
pub(super) struct Wb {
    pub(super) name: String,
    pub(super) list_lock: Lock,
    pub(super) counters: WbCounters,
    /// By inode: the lists that it is on, as the bits of [`List`](super::inode_sync::List).
    pub(super) lists: Box<[AtomicU8]>,
}

/// `struct inode` with its `address_space`.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) name: String,
    pub(super) spec: InodeSpec,
    pub(super) i_lock: Lock,
    /// The lock of `i_pages` (`tree_lock` before 4.17).
    pub(super) i_pages: Lock,
    /// What looks at `i_state` and `i_wb` go through.
    pub(super) state_res: ResId,
    /// `I_WB_SWITCH`.
    pub(super) switching: AtomicBool,
    /// `I_SYNC`: who writes it, one bit.
    pub(super) sync: AtomicSet,
    /// What waits for `I_SYNC` go through.
    pub(super) sync_res: ResId,
    /// Tasks that write it.
    pub(super) writers: AtomicU32,
    /// `I_DIRTY_PAGES`: on a list of its wb.
    pub(super) dirty: AtomicBool,
    /// `i_wb`, as a number plus one; 0: none.
    pub(super) i_wb: AtomicU32,
    /// The wb to switch to, while a switch is queued: as a number plus one.
    pub(super) target: AtomicU32,
    /// Transactions that saw `I_WB_SWITCH` clear and are not over.
    pub(super) unlocked: AtomicU32,
}

/// The accounting of a machine.
#[derive(Debug)]
pub struct Accounting {
    pub(super) memcgs: Box<[Memcg]>,
    pub(super) wbs: Box<[Wb]>,
    pub(super) inodes: Box<[Inode]>,
    mappings: Box<[usize]>,
    pub(super) pages: Box<[PageOwner]>,
    /// `page->mem_cgroup` of each page, as a number plus one.
    pub(super) owners: Box<[AtomicU32]>,
    pub(super) wb_switch_rwsem: Lock,
    /// By page: its tags in `i_pages`, as the bits of [`Tag`](super::page_events::Tag).
    pub(super) tags: Box<[AtomicU8]>,
    /// `isw_nr_in_flight`: switches that are queued or run.
    pub(super) switches_in_flight: AtomicU32,
    /// Work for the switch worker.
    pub(super) switches: WaitQueue,
    pub(super) books: Books,
    /// `mem_cgroup_move_account()` can happen at all.
    pub(super) moves_charges: bool,
    /// Inodes can be switched between wbs at all.
    pub(super) switches_wbs: bool,
}

/// Whether charges move between memcgs under these rules: a v1 feature, gone in 6.13.
fn moves_charges(rules: &Rules) -> bool {
    let open = rules.cgroup_v1_move_charge
        && (!rules.guard_cgroup_exclusion || rules.cgroup == Cgroup::V1);
    (open || rules.allow_both) && rules.wb_nesting < WbNesting::W3
}

/// Whether inodes change their wb under these rules: a v2 feature, new in 4.2.
fn switches_wbs(rules: &Rules) -> bool {
    let open =
        rules.cgroup_writeback && (!rules.guard_cgroup_exclusion || rules.cgroup == Cgroup::V2);
    (open || rules.allow_both) && rules.wb_nesting > WbNesting::W0
}

/// Lock classes; one each, as in the kernel.
struct Keys {
    move_lock: Option<Key>,
    list_lock: Option<Key>,
    i_lock: Option<Key>,
    i_pages: Option<Key>,
    wb_switch_rwsem: Option<Key>,
}

impl Accounting {
    /// Builds a machine's accounting: adds its locks and lockdep classes to the machine.
    #[must_use]
    pub fn new(m: &mut Machine, spec: &AccountingSpec) -> Self {
        let keyed = m.rules().lockdep;
        let class =
            |m: &mut Machine, kind: LockKind, name: &str| keyed.then(|| kind.class(m, name));
        let keys = Keys {
            move_lock: class(m, LockKind::Spin, "&memcg->move_lock"),
            list_lock: class(m, LockKind::Spin, "&wb->list_lock"),
            i_lock: class(m, LockKind::Spin, "&inode->i_lock"),
            i_pages: class(m, LockKind::Spin, "&mapping->i_pages"),
            wb_switch_rwsem: class(m, LockKind::RwSem, "&bdi->wb_switch_rwsem"),
        };
        let memcgs: Vec<Memcg> = spec
            .memcgs
            .iter()
            .map(|g| Memcg::new(m, g, &keys))
            .collect();
        let inodes = spec.inodes.len();
        let wbs = spec.wbs.iter().map(|w| Wb::new(m, w, inodes, &keys));
        let wbs: Vec<Wb> = wbs.collect();
        let inodes: Vec<Inode> = spec
            .inodes
            .iter()
            .map(|i| Inode::new(m, i, &keys))
            .collect();
        let rwsem = Lock::new(m, LockKind::RwSem, "wb_switch_rwsem", keys.wb_switch_rwsem);
        Self {
            books: Books::new(memcgs.len()),
            memcgs: memcgs.into(),
            wbs: wbs.into(),
            inodes: inodes.into(),
            owners: spec.pages.iter().map(|_| AtomicU32::new(0)).collect(),
            tags: spec.pages.iter().map(|_| AtomicU8::new(0)).collect(),
            switches_in_flight: AtomicU32::new(0),
            mappings: spec.mappings.clone().into(),
            pages: spec.pages.clone().into(),
            wb_switch_rwsem: rwsem,
            switches: WaitQueue::new(m, ResKind::Idle, "a wb switch to do", 0),
            moves_charges: moves_charges(m.rules()),
            switches_wbs: switches_wbs(m.rules()),
        }
    }

    /// Back to how every execution starts. Pages that are dirty or under writeback from the start are counted by
    /// [`Accounting::boot_page`] afterwards.
    pub fn reset(&self) {
        for g in &self.memcgs {
            let moving = g.starts_moving && self.moves_charges;
            g.moving.store(u32::from(moving), SeqCst);
        }
        for wb in &self.wbs {
            wb.counters.reset();
            wb.lists.iter().for_each(|l| l.store(0, SeqCst));
        }
        for inode in &self.inodes {
            inode.reset(self.switches_wbs);
        }
        self.tags.iter().for_each(|t| t.store(0, SeqCst));
        self.switches_in_flight.store(0, SeqCst);
        for (owner, page) in self.owners.iter().zip(&self.pages) {
            owner.store(stored(page.memcg), SeqCst);
        }
        self.books.reset();
    }

    /// The memcg that a page is charged to.
    pub(super) fn memcg_of(&self, page: usize) -> Option<usize> {
        number(self.owners.get(page)?.load(SeqCst))
    }

    /// The inode of a page.
    #[must_use]
    pub fn inode_of(&self, page: usize) -> Option<usize> {
        self.pages.get(page)?.inode
    }

    /// The inode of a mapping.
    ///
    /// # Panics
    /// If there is no such mapping.
    #[must_use]
    pub fn inode_of_mapping(&self, mapping: usize) -> usize {
        self.mappings[mapping]
    }

    /// The wb that an inode is attached to (`inode->i_wb`), if any.
    ///
    /// # Panics
    /// If there is no such inode.
    #[must_use]
    pub fn wb_of(&self, inode: usize) -> Option<usize> {
        number(self.inodes[inode].i_wb.load(SeqCst))
    }

    /// The counters of a wb.
    ///
    /// # Panics
    /// If there is no such wb.
    #[must_use]
    pub fn wb_counters(&self, wb: usize) -> &WbCounters {
        &self.wbs[wb].counters
    }
}

/// From a number plus one to the number.
pub(super) fn number(stored: u32) -> Option<usize> {
    stored.checked_sub(1).map(|n| n as usize)
}

/// From a number to the number plus one.
pub(super) fn stored(number: Option<usize>) -> u32 {
    number.map_or(0, |n| n as u32 + 1)
}

impl Memcg {
    fn new(m: &mut Machine, spec: &MoveSpec, keys: &Keys) -> Self {
        let lock = format_args!("move_lock of {}", spec.name);
        Self {
            name: spec.name.clone(),
            starts_moving: spec.moving,
            moving: AtomicU32::new(0),
            moving_res: m.add_resource(
                ResKind::State,
                format_args!("moving_account of {}", spec.name),
            ),
            move_lock: Lock::new(m, LockKind::Spin, lock, keys.move_lock),
        }
    }
}

impl Wb {
    fn new(m: &mut Machine, spec: &WbSpec, inodes: usize, keys: &Keys) -> Self {
        let lock = format_args!("list_lock of {}", spec.name);
        Self {
            name: spec.name.clone(),
            list_lock: Lock::new(m, LockKind::Spin, lock, keys.list_lock),
            counters: WbCounters::default(),
            lists: (0..inodes).map(|_| AtomicU8::new(0)).collect(),
        }
    }
}

impl Inode {
    fn new(m: &mut Machine, spec: &InodeSpec, keys: &Keys) -> Self {
        let name = &spec.name;
        Self {
            name: name.clone(),
            i_lock: Lock::new(
                m,
                LockKind::Spin,
                format_args!("i_lock of {name}"),
                keys.i_lock,
            ),
            i_pages: Lock::new(
                m,
                LockKind::Spin,
                format_args!("i_pages of {name}"),
                keys.i_pages,
            ),
            state_res: m.add_resource(ResKind::State, format_args!("i_state of {name}")),
            sync: AtomicSet::default(),
            sync_res: m.add_resource(ResKind::PageBit, format_args!("I_SYNC of {name}")),
            writers: AtomicU32::new(0),
            switching: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            i_wb: AtomicU32::new(0),
            target: AtomicU32::new(0),
            unlocked: AtomicU32::new(0),
            spec: spec.clone(),
        }
    }

    fn reset(&self, switches_wbs: bool) {
        self.switching
            .store(self.spec.switching && switches_wbs, SeqCst);
        self.dirty.store(false, SeqCst);
        self.i_wb.store(stored(self.spec.wb), SeqCst);
        self.sync.store(0, SeqCst);
        self.writers.store(0, SeqCst);
        self.target.store(0, SeqCst);
        self.unlocked.store(0, SeqCst);
    }
}

/// A transaction begins: its end compares the interrupts with what they are now.
pub(super) fn begins(e: &Entity, what: &str) -> bool {
    record(EventKind::Context, || format!("begins {what}"));
    e.irqs_disabled()
}

/// Invariant 14: a transaction promises to leave interrupts as they were when it began.
pub(super) fn ends(e: &Entity, were_off: bool, what: &str) {
    let off = e.irqs_disabled();
    let word = |off: bool| if off { "disabled" } else { "enabled" };
    if off != were_off {
        e.machine().state_break("irq-state", || {
            let (now, then) = (word(off), word(were_off));
            format!(
                "{}: interrupts {then} when {what} began, {now} at its end",
                e.name()
            )
        });
    }
    record(EventKind::Context, || format!("ends {what}"));
}
