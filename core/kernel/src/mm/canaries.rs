//! Planted bugs that the invariants must find: silence means something only if they are not silent here.

use super::*;
use crate::rt::{Deterministic, EntityKind, EntitySpec, MachineSpec, Undisturbed, World, current};
use crate::rules::Rules;
use crate::sync::Irq;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// A page is taken off a per-CPU list and forgotten.
    PageLeak,
    /// The same block is freed twice.
    DoubleFree,
    /// A block is freed by somebody who had it before.
    StaleFree,
    /// kswapd is wanted, but nobody wakes it.
    LostWakeUp,
    /// A function returns with interrupts off.
    IrqState,
    /// NR_FREE_PAGES is counted without the pages.
    Counter,
    /// A free block is on the list of another order.
    WrongList,
    /// A scope is restored while a later one is open.
    ScopeOrder,
    /// A request gets a page that the watermark denies it.
    Watermark,
    /// A page says that it is on an LRU list, and is not; or is, and does not say so.
    LruFlag,
    LruList,
    /// An element of a mempool is lost.
    Mempool,
    /// A failed trylock leaves preemption off.
    Trylock,
    /// A dirty page leaves its mapping.
    DirtyRemoved,
}

struct Canary {
    mm: Mm,
    bug: Bug,
}

const KSWAPD: usize = 1;

impl Canary {
    fn alloc(&self) -> Page {
        self.mm
            .alloc_pages(&NoCallbacks, Gfp::NOWAIT, 0, Pressure::None)
            .expect("memory is free")
    }

    fn plant(&self) {
        let zone = &self.mm.zones[0];
        match self.bug {
            Bug::None => {}
            Bug::PageLeak => {
                let mut pcp = zone.pcps[0].lock(Irq::Plain);
                pcp.pop(0).expect("the list was filled");
                zone.changed.store(true, Relaxed);
                current().machine().touch();
            }
            Bug::DoubleFree | Bug::StaleFree => {
                let page = self.alloc();
                self.mm.free_pages(page);
                let again = (self.bug == Bug::StaleFree).then(|| self.alloc());
                assert!(again.is_none_or(|p| p.pfn() == page.pfn() && p != page));
                self.mm.free_pages(page);
            }
            Bug::LostWakeUp => {
                let node = &self.mm.nodes[0];
                node.wanted.store(true, std::sync::atomic::Ordering::SeqCst);
                node.touch(current().machine());
            }
            Bug::IrqState => {
                let _ = current().local_irq_save();
            }
            Bug::Counter => zone.boot_count(1),
            Bug::WrongList => {
                let mut buddy = zone.buddy.lock(Irq::Save);
                let pfn = buddy.take(&self.mm.frames, 0).expect("a free block");
                buddy.put(&self.mm.frames, pfn | 1, 1);
                zone.changed.store(true, Relaxed);
                current().machine().touch();
            }
            Bug::ScopeOrder => {
                let outer = memalloc_nofs_save();
                let inner = memalloc_noio_save();
                outer.restore();
                inner.restore();
            }
            Bug::LruFlag => {
                let page = self.alloc();
                self.mm.frames.set_flags(page.pfn(), PageFlags::LRU);
                self.mm.nodes[0].touch(current().machine());
            }
            Bug::LruList => {
                let page = self.alloc();
                let node = &self.mm.nodes[0];
                node.lru.lock(Irq::Save).add(page.pfn().0, false);
                node.touch(current().machine());
            }
            Bug::Mempool => {
                self.mm.mempools[0].lose();
                let element =
                    self.mm
                        .mempool_alloc(&NoCallbacks, 0, Gfp::NOWAIT, Pressure::NoProgress);
                assert!(element.is_some());
            }
            Bug::DirtyRemoved => {
                let pfn = self.mm.lru_frame(0).expect("the page has memory");
                self.mm.frames.set_flags(pfn, PageFlags::DIRTY);
                self.mm.detach_page(pfn);
            }
            Bug::Trylock => {
                let before = current().standing();
                current().preempt_disable();
                current().audit_no_trace(before);
                current().preempt_enable();
            }
            Bug::Watermark => {
                let r = page_alloc::Request {
                    given: Gfp::NOWAIT,
                    gfp: Gfp::NOWAIT,
                    order: 0,
                    node: 0,
                    highest: ZoneKind::Normal,
                    preferred: 0,
                    pressure: Pressure::None,
                };
                let all = watermark::AllocFlags::plain(watermark::Mark::None);
                let page = self.mm.get_page_from_freelist(&r, all);
                self.mm.free_pages(page.expect("memory is free"));
            }
        }
    }
}

impl World for Canary {
    fn run(&self, entity: EntityId) {
        if entity.index() == KSWAPD {
            self.mm.kswapd(&NoCallbacks, 0);
        }
        let page = self.alloc();
        self.mm.free_pages(page);
        // kswapd goes to sleep meanwhile.
        current().might_sleep();
        for _ in 0..20 {
            let page = self.alloc();
            self.mm.free_pages(page);
        }
        self.plant();
        let page = self.alloc();
        self.mm.free_pages(page);
    }

    fn check(&self, m: &Machine) {
        self.mm.check(m);
    }
}

/// The kinds of broken invariants that a bug leads to, while it runs and at rest.
fn found(bug: Bug) -> Vec<&'static str> {
    let mut m = Machine::new(&MachineSpec {
        cpus: 1,
        entities: vec![
            EntitySpec::new("T", EntityKind::Task, 0),
            EntitySpec::new("kswapd0", EntityKind::Daemon, 0),
        ],
        rules: Rules::default(),
        max_steps: 10_000,
    });
    let spec = MmSpec {
        zones: vec![ZoneSpec::new(ZoneKind::Normal, 32)],
        pcp: Some(PcpSpec { high: 6, batch: 3 }),
        kswapds: vec![Some(EntityId::new(KSWAPD))],
        lru: vec![LruSpec {
            name: "page".into(),
            zone: 0,
            count: 2,
            flags: PageFlags::LRU,
            memcg: None,
            tag: 0,
        }],
        mempools: vec![MempoolSpec {
            name: "pool".into(),
            size: 2,
            enders: 0,
        }],
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    };
    let canary = Canary {
        mm: Mm::new(&mut m, &spec),
        bug,
    };
    let mut det = Deterministic::new();
    // One schedule in which kswapd sleeps before the task begins, one in which it does not run.
    let first = det.run(&m, &canary, &mut KswapdFirst);
    let mut kinds: Vec<_> = first.breaks.iter().map(|b| b.kind).collect();
    assert_eq!(first.fault, None);
    kinds.extend(canary.mm.broken(&m).iter().map(|b| b.kind));
    canary.mm.reset();
    let second = det.run(&m, &canary, &mut Undisturbed);
    assert_eq!(second.fault, None);
    kinds.extend(second.breaks.iter().map(|b| b.kind));
    kinds.dedup();
    kinds
}

/// Lets kswapd run until it sleeps, then the task.
struct KswapdFirst;

impl crate::rt::Strategy for KswapdFirst {
    fn pick(&mut self, d: &crate::rt::Decision<'_>) -> EntityId {
        let kswapd = EntityId::new(KSWAPD);
        if d.candidates & kswapd.bit() != 0 {
            kswapd
        } else {
            d.nth(0)
        }
    }

    fn choose(&mut self, _: u32) -> u32 {
        0
    }
}

#[test]
fn a_sound_allocator_is_silent() {
    assert_eq!(found(Bug::None), [""; 0]);
}

#[test]
fn every_planted_bug_is_found() {
    for (bug, kind) in [
        (Bug::PageLeak, "page-leak"),
        (Bug::DoubleFree, "double-free"),
        (Bug::StaleFree, "double-free"),
        (Bug::LostWakeUp, "kswapd-lost-wakeup"),
        (Bug::IrqState, "irqs-at-exit"),
        (Bug::Counter, "nr-free"),
        (Bug::WrongList, "buddy-unaligned"),
        (Bug::ScopeOrder, "pf-scope-order"),
        (Bug::Watermark, "watermark-breach"),
        (Bug::LruFlag, "lru-flag"),
        (Bug::LruList, "lru-page"),
        (Bug::Mempool, "mempool-count"),
        (Bug::Trylock, "trylock-trace"),
        (Bug::DirtyRemoved, "removed-in-use"),
    ] {
        let kinds = found(bug);
        assert!(kinds.contains(&kind), "{kind}: found {kinds:?}");
    }
}
