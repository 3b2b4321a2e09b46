//! Planted bugs that the accounting's invariants must find.

use super::accounting::{
    Accounting, AccountingSpec, InodeSpec, MoveSpec, PageOwner, WbSpec, stored,
};
use super::inode_sync::List;
use super::page_events::Tag;
use crate::mm::{Bounds, LruSpec, MemcgSpec, Mm, MmSpec, PageFlags, ZoneKind, ZoneSpec};
use crate::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, Undisturbed, World, current,
};
use crate::rules::{Cgroup, Rules};
use crate::sync::Rcu;
use std::sync::atomic::Ordering::SeqCst;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// A counter changes and no page does.
    Node,
    ZonePending,
    Memcg,
    Wb,
    /// A tag is lost, or there is one too many.
    DirtyTag,
    WritebackTag,
    /// The inode is on two lists, or on that of another wb.
    TwoLists,
    OtherList,
    /// A second writer gets past `I_SYNC`.
    SecondWriter,
    /// `i_wb` moves without the locks.
    Unlocked,
    /// `i_wb` moves under a transaction that saw `I_WB_SWITCH` clear.
    Overlap,
    /// A switch is forgotten.
    InFlight,
    /// A page says that it is charged to a memcg that nobody charged.
    Uncharged,
}

struct Canary {
    mm: Mm,
    books: Accounting,
    rcu: Rcu,
    bug: Bug,
}

const DIRTY: usize = 0;
const CLEAN: usize = 1;

impl Canary {
    fn plant(&self) {
        let (books, mm) = (&self.books, &self.mm);
        match self.bug {
            Bug::None => {}
            Bug::Node => books.node_counters().dirty.add(1),
            Bug::ZonePending => books.books.write_pending.add(1),
            Bug::Memcg => books.memcg_counters(0).writeback.add(1),
            Bug::Wb => books.wb_counters(0).reclaimable.add(1),
            Bug::DirtyTag => books.tag(DIRTY, Tag::Dirty, false),
            Bug::WritebackTag => books.tag(CLEAN, Tag::Writeback, true),
            Bug::TwoLists => {
                let both = List::Dirty as u8 | List::MoreIo as u8;
                books.wbs[0].lists[0].store(both, SeqCst);
            }
            Bug::OtherList => books.wbs[1].lists[0].store(List::Io as u8, SeqCst),
            Bug::SecondWriter => {
                assert!(books.start_sync(0, false));
                books.inodes[0].sync.store(0, SeqCst);
                assert!(books.start_sync(0, false));
            }
            Bug::Unlocked => {
                books.inodes[0].switching.store(true, SeqCst);
                books.publish(0, 0, 1);
            }
            Bug::Overlap => {
                let stat = books.wb_stat_begin(&self.rcu, 0);
                books.publish(0, 0, 1);
                books.wb_stat_end(&self.rcu, stat);
            }
            Bug::InFlight => books.inodes[0].target.store(stored(Some(1)), SeqCst),
            Bug::Uncharged => {
                let pfn = mm.lru_frame(CLEAN).expect("the page has memory");
                mm.set_memcg(pfn, 1);
                mm.drain_stock(1);
            }
        }
    }
}

impl World for Canary {
    fn run(&self, _: EntityId) {
        assert!(self.books.set_page_dirty(&self.mm, &self.rcu, CLEAN));
        assert!(self.books.set_page_writeback(&self.mm, &self.rcu, DIRTY));
        assert!(self.books.end_page_writeback(&self.mm, &self.rcu, DIRTY));
        assert!(self.books.start_sync(0, false));
        self.books.end_sync(&self.mm, 0);
        self.plant();
        self.books.books.begin();
        self.books.books.end();
        current().might_sleep();
    }

    fn check(&self, m: &Machine) {
        self.books.check(m, &self.mm);
        self.mm.check(m);
    }
}

fn found(bug: Bug) -> Vec<&'static str> {
    let mut m = Machine::new(&MachineSpec {
        cpus: 1,
        entities: vec![EntitySpec::task("T", 0)],
        rules: Rules {
            cgroup: Cgroup::V2,
            ..Rules::default()
        },
        max_steps: 10_000,
    });
    let page = |name: &str, flags| LruSpec {
        name: name.into(),
        zone: 0,
        count: 1,
        flags,
        memcg: Some(0),
        tag: 0,
    };
    let memcg = |name: &str| MemcgSpec {
        name: name.into(),
        limit: 8,
        usage: 0,
        stock: 0,
    };
    let mm = Mm::new(
        &mut m,
        &MmSpec {
            zones: vec![ZoneSpec::new(ZoneKind::Normal, 16)],
            lru: vec![
                page("dirty", PageFlags::LRU.with(PageFlags::DIRTY)),
                page("clean", PageFlags::LRU),
            ],
            memcgs: vec![memcg("G"), memcg("H")],
            bounds: Bounds::MODEL,
            ..MmSpec::default()
        },
    );
    let wb = |name: &str| WbSpec { name: name.into() };
    let moves = |name: &str| MoveSpec {
        name: name.into(),
        moving: false,
    };
    let owner = PageOwner {
        inode: Some(0),
        memcg: Some(0),
    };
    let books = Accounting::new(
        &mut m,
        &AccountingSpec {
            memcgs: vec![moves("G"), moves("H")],
            wbs: vec![wb("home"), wb("away")],
            inodes: vec![InodeSpec {
                name: "I".into(),
                wb: Some(0),
                switching: false,
            }],
            mappings: vec![0],
            pages: vec![owner; 2],
            switch_worker: None,
        },
    );
    let canary = Canary {
        rcu: Rcu::new(&mut m),
        mm,
        books,
        bug,
    };
    canary.mm.reset();
    canary.books.reset();
    for page in [DIRTY, CLEAN] {
        canary.books.boot_page(&canary.mm, page);
    }
    let outcome = Deterministic::new().run(&m, &canary, &mut Undisturbed);
    assert_eq!(outcome.fault, None, "{bug:?}");
    outcome.breaks.iter().map(|b| b.kind).collect()
}

#[test]
fn sound_accounting_is_silent() {
    assert_eq!(found(Bug::None), [""; 0]);
}

#[test]
fn every_planted_bug_is_found() {
    for (bug, kind) in [
        (Bug::Node, "node-counters"),
        (Bug::ZonePending, "zone-counters"),
        (Bug::Memcg, "memcg-counters"),
        (Bug::Wb, "wb-counters"),
        (Bug::DirtyTag, "page-tags"),
        (Bug::WritebackTag, "page-tags"),
        (Bug::TwoLists, "inode-list"),
        (Bug::OtherList, "inode-list"),
        (Bug::SecondWriter, "inode-sync"),
        (Bug::Unlocked, "wb-switch-unlocked"),
        (Bug::Overlap, "wb-switch-overlap"),
        (Bug::InFlight, "switches-in-flight"),
        (Bug::Uncharged, "memcg-charges"),
    ] {
        let kinds = found(bug);
        assert!(kinds.contains(&kind), "{kind}: found {kinds:?}");
    }
}
