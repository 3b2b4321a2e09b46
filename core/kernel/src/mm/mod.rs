//! Memory management: the page allocator and reclaim of the machine, as Linux has them.
//!
//! One [`Mm`] per machine, built from an [`MmSpec`] and set back by [`Mm::reset`] before every execution. An
//! allocation goes through [`Mm::alloc_pages`]: fast path (`page_alloc`), slow path (`slowpath`), direct reclaim
//! (`vmscan`, `shrinker`), OOM (`oom`). kswapd and the release worker are daemons of the embedder's machine whose
//! bodies are [`Mm::kswapd`] and [`Mm::release_worker`]. What lockdep hears about it all is in `fs_reclaim`.

mod buddy;
mod callbacks;
#[cfg(test)]
mod canaries;
mod fs_reclaim;
mod gfp;
mod hotplug;
mod invariants;
mod kswapd;
mod lru;
mod memcg;
mod mempool;
mod mmu_notifier;
mod node;
mod oom;
mod page;
mod page_alloc;
mod page_cache;
mod page_lock;
mod page_writeback;
mod pcp;
mod pf;
mod reclaim_writeback;
mod release;
mod shrinker;
mod slowpath;
mod throttle;
mod unsubmitted;
mod vmscan;
mod watermark;
mod zone;
mod zonelist;
mod zonelist_seq;

pub use callbacks::{Callbacks, NoCallbacks};
pub use fs_reclaim::Differences;
pub use gfp::{Gfp, UnknownGfp};
pub use invariants::Broken;
pub use lru::{LruPage, LruSpec};
pub use memcg::MemcgSpec;
pub use mempool::{Element, MempoolSpec};
pub use mmu_notifier::AddressSpaceSpec;
pub use page::{FrameKind, MAX_ORDER, Page, PageFlags, Pfn};
pub use page_alloc::Pressure;
pub use pcp::PcpSpec;
pub use pf::{
    Pf, Scope, memalloc_nofs_save, memalloc_noio_save, memalloc_noreclaim_save, memalloc_pin_save,
};
pub use shrinker::ShrinkerSpec;
pub use vmscan::MAX_RECLAIM_DEPTH;
pub use watermark::Watermarks;
pub use zone::{Zone, ZoneKind, ZoneSpec};

use crate::rt::{Entity, EntityId, MAX_ENTITIES, Machine, ResId, ResKind};
use crate::rules::FsReclaim;
use crate::sync::{Lock, LockKind, LockMap};
use memcg::Memcg;
use mempool::Mempool;
use mmu_notifier::Notifiers;
use node::Node;
use oom::Oom;
use page::{Frames, MAX_BLOCK, NIL};
use release::Delegation;
use shrinker::Shrinker;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use unsubmitted::Unsubmitted;
use zone::ZoneKeys;
use zonelist::{KINDS, Zonelists};
use zonelist_seq::Sequence;

/// How long the allocator and reclaim keep trying. The kernel's values are the default; small machines explore the
/// same paths with fewer repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Retries without progress (`MAX_RECLAIM_RETRIES`), at most 16.
    pub retries: u32,
    /// Passes of one reclaim (`DEF_PRIORITY`).
    pub passes: u32,
    /// Pages that one reclaim is content with (`SWAP_CLUSTER_MAX`).
    pub cluster: u32,
    /// Failures after which kswapd is hopeless (`MAX_RECLAIM_RETRIES`).
    pub kswapd_failures: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            retries: 16,
            passes: 12,
            cluster: 32,
            kswapd_failures: 16,
        }
    }
}

impl Bounds {
    /// For machines of a few pages: every path is there, each loop goes round twice at most.
    pub const MODEL: Self = Self {
        retries: 2,
        passes: 2,
        cluster: 1,
        kswapd_failures: 2,
    };
}

/// Description of a machine's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MmSpec {
    /// Zones; at least one.
    pub zones: Vec<ZoneSpec>,
    /// The node of each CPU; node 0 for those not given.
    pub cpu_nodes: Vec<usize>,
    /// Per-CPU lists, if the machine has them.
    pub pcp: Option<PcpSpec>,
    /// Pages on the LRU when the tasks start.
    pub lru: Vec<LruSpec>,
    /// Registered shrinkers.
    pub shrinkers: Vec<ShrinkerSpec>,
    /// Memory control groups.
    pub memcgs: Vec<MemcgSpec>,
    /// Memory pools.
    pub mempools: Vec<MempoolSpec>,
    /// Address spaces with their mapped pages.
    pub address_spaces: Vec<AddressSpaceSpec>,
    /// The daemon that runs [`Mm::kswapd`], by node; none for those not given.
    pub kswapds: Vec<Option<EntityId>>,
    /// The daemon that runs [`Mm::release_worker`].
    pub release_worker: Option<EntityId>,
    /// Whether zonelists may be rebuilt.
    pub hotplug: bool,
    /// How long things are tried.
    pub bounds: Bounds,
}

/// The memory of a machine.
#[derive(Debug)]
pub struct Mm {
    frames: Frames,
    zones: Box<[Zone]>,
    nodes: Box<[Node]>,
    zonelists: Zonelists,
    /// Zonelists may be rebuilt: looking at one is a step of its own.
    hotplugs: bool,
    /// What rewriting a zonelist goes through.
    zonelist_res: ResId,
    /// `zonelist_update_seq`.
    sequence: Sequence,
    /// `mem_hotplug_lock`.
    hotplug_lock: Lock,
    cpu_nodes: Box<[usize]>,
    lru: Vec<LruSpec>,
    /// The frames of the pages of `lru`, in order.
    lru_frames: Box<[AtomicU32]>,
    /// The embedder's name of each page in use, by frame; empty on machines without LRU pages.
    tags: Box<[AtomicU32]>,
    /// The number in `lru_frames` of each page in use, by frame; empty on machines without LRU pages.
    numbers: Box<[AtomicU32]>,
    /// The memcg of each page in use, by frame; empty on machines without LRU pages.
    memcg_tags: Box<[AtomicU32]>,
    shrinkers: Box<[Shrinker]>,
    memcgs: Box<[Memcg]>,
    free_at_start: Box<[Option<u32>]>,
    delegation: Option<Delegation>,
    oom: Oom,
    pcpu_drain_mutex: Lock,
    /// `fs_reclaim`, in the variants that have it.
    fs_reclaim: Option<LockMap>,
    /// The variant annotates at all and lockdep is on.
    annotates: bool,
    /// What retry loops in the allocator wait for.
    memory: ResId,
    /// What a task waits for whose stack is used up: nothing.
    stack: ResId,
    /// PG_locked of the pages of `lru`, in order.
    page_locks: Box<[Lock]>,
    /// What waits for PG_writeback of the pages of `lru` go through, in order.
    page_writeback: Box<[ResId]>,
    mempools: Box<[Mempool]>,
    notifiers: Notifiers,
    unsubmitted: Unsubmitted,
    /// How deep each entity is in reclaim.
    depth: [AtomicU8; MAX_ENTITIES],
    /// Number of entities of the machine.
    entities: usize,
    differences: AtomicU32,
    bounds: Bounds,
}

/// Frame numbers of the zones, each aligned so that its blocks are as large as it permits.
fn layout(zones: &[ZoneSpec]) -> (Vec<u32>, u32) {
    let mut end = 0_u32;
    let starts = zones.iter().map(|z| {
        let align = z.pages.next_power_of_two().min(MAX_BLOCK);
        let start = end.next_multiple_of(align);
        end = start + z.pages;
        start
    });
    (starts.collect(), end)
}

impl Mm {
    /// Builds a machine's memory: adds its locks, wait queues and lockdep classes to the machine.
    ///
    /// # Panics
    /// If there is no zone, more than 32, or a zone without pages.
    #[must_use]
    pub fn new(m: &mut Machine, spec: &MmSpec) -> Self {
        assert!(
            (1..=32).contains(&spec.zones.len()) && spec.zones.iter().all(|z| z.pages > 0),
            "1 to 32 zones, none of them empty"
        );
        let (starts, end) = layout(&spec.zones);
        let frames = Frames::new(end as usize);
        let keyed = m.rules().lockdep;
        let class =
            |m: &mut Machine, kind: LockKind, name: &str| keyed.then(|| kind.class(m, name));
        let keys = ZoneKeys {
            zone: class(m, LockKind::Spin, "&zone->lock"),
            pcp: class(m, LockKind::Spin, "&pcp->lock"),
        };
        let mut zones: Vec<Zone> = Vec::new();
        for (id, (spec_zone, &start)) in spec.zones.iter().zip(&starts).enumerate() {
            zones.push(Zone::new(m, &frames, id, start, spec_zone, spec.pcp, keys));
        }
        reserve_lowmem(&mut zones);
        let nodes = 1 + spec.zones.iter().map(|z| z.node).max().unwrap_or(0);
        let lru_key = class(m, LockKind::Spin, "&lruvec->lru_lock");
        let lru_pages: u32 = spec.lru.iter().map(|l| l.count).sum();
        let make_node = |id| {
            let mut here: Vec<&Zone> = zones.iter().filter(|z| z.node == id).collect();
            here.sort_by_key(|z| z.kind);
            let here = here.iter().map(|z| z.id as u8).collect();
            let kswapd = spec.kswapds.get(id).copied().flatten();
            Node::new(m, id, here, kswapd, lru_key, lru_pages as usize)
        };
        let nodes: Box<[Node]> = (0..nodes).map(make_node).collect();
        let drain_key = class(m, LockKind::Mutex, "pcpu_drain_mutex");
        let oom_key = class(m, LockKind::Mutex, "oom_lock");
        let annotates = keyed && m.rules().fs_reclaim != FsReclaim::F0;
        let mapped = annotates && m.rules().fs_reclaim != FsReclaim::F1;
        let fs_reclaim = mapped.then(|| {
            let key = LockMap::class(m, "fs_reclaim");
            LockMap::new(m, "fs_reclaim", key)
        });
        let per_frame = if lru_pages > 0 { frames.len() } else { 0 };
        let tags = |n: usize| (0..n).map(|_| AtomicU32::new(NIL)).collect();
        let names = page_names(&spec.lru);
        let drain = Lock::new(m, LockKind::Mutex, "pcpu_drain_mutex", drain_key);
        let hotplug_key = class(m, LockKind::PercpuRwSem, "mem_hotplug_lock");
        let hotplug = Lock::new(m, LockKind::PercpuRwSem, "mem_hotplug_lock", hotplug_key);
        let oom = Lock::new(m, LockKind::Mutex, "oom_lock", oom_key);
        let mm = Self {
            zonelists: Zonelists::build(nodes.len(), &zones),
            hotplugs: spec.hotplug,
            zonelist_res: m.add_resource(ResKind::State, "zonelists"),
            sequence: Sequence::new(m),
            hotplug_lock: hotplug,
            cpu_nodes: (0..m.nr_cpus())
                .map(|cpu| spec.cpu_nodes.get(cpu).copied().unwrap_or(0) % nodes.len())
                .collect(),
            frames,
            zones: zones.into(),
            nodes,
            lru: spec.lru.clone(),
            lru_frames: tags(lru_pages as usize),
            tags: tags(per_frame),
            numbers: tags(per_frame),
            memcg_tags: tags(per_frame),
            shrinkers: spec.shrinkers.iter().map(Shrinker::new).collect(),
            memcgs: spec.memcgs.iter().map(|g| Memcg::new(m, g)).collect(),
            free_at_start: spec.zones.iter().map(|z| z.free).collect(),
            delegation: spec.release_worker.map(|w| Delegation::new(m, w)),
            oom: Oom::new(oom),
            pcpu_drain_mutex: drain,
            fs_reclaim,
            annotates,
            memory: m.add_resource(ResKind::Memory, "free memory"),
            stack: m.add_resource(ResKind::State, "stack space"),
            page_locks: page_locks(m, &names),
            page_writeback: page_writeback::resources(m, &names, &spec.lru),
            mempools: spec.mempools.iter().map(|p| Mempool::new(m, p)).collect(),
            notifiers: Notifiers::new(m, &spec.address_spaces, lru_pages as usize),
            unsubmitted: Unsubmitted::new(),
            depth: [const { AtomicU8::new(0) }; MAX_ENTITIES],
            entities: m.entities().len(),
            differences: AtomicU32::new(0),
            bounds: spec.bounds,
        };
        mm.boot();
        mm
    }

    /// Back to how every execution starts. Costs as much as the last execution used.
    ///
    /// # Panics
    /// Inside a running execution.
    pub fn reset(&self) {
        for zone in &self.zones {
            zone.reset(&self.frames);
        }
        self.zonelists.rewrite(&self.zones, || {});
        self.sequence.reset();
        self.nodes.iter().for_each(Node::reset);
        self.memcgs.iter().for_each(Memcg::reset);
        if let Some(d) = &self.delegation {
            d.reset();
        }
        self.oom.reset();
        let depth = &self.depth[..self.entities];
        depth.iter().for_each(|d| d.store(0, Relaxed));
        self.differences.store(0, Relaxed);
        self.mempools.iter().for_each(Mempool::reset);
        self.notifiers.reset();
        self.unsubmitted.reset(self.entities);
        self.boot();
    }

    /// Hands out the frames that are taken when the tasks start.
    fn boot(&self) {
        for numbers in &self.numbers {
            numbers.store(NIL, Relaxed);
        }
        let mut at = 0;
        for spec in &self.lru {
            for i in 0..spec.count {
                self.boot_lru_page(spec, i, at);
                at += 1;
            }
        }
        for node in &self.nodes {
            node.lru
                .set(|lru| node.on_lru.store(lru.len() as u32, Relaxed));
        }
        for s in &self.shrinkers {
            let zone = &self.zones[s.spec.zone % self.zones.len()];
            let taken = s.frames.iter().map_while(|slot| {
                let pfn = zone.boot_take(&self.frames, FrameKind::Reserved)?;
                slot.store(pfn, Relaxed);
                Some(self.frames.hand_out(pfn, 0))
            });
            s.left.store(taken.count() as u32, Relaxed);
        }
        for (zone, free) in self.zones.iter().zip(&self.free_at_start) {
            while free.is_some_and(|free| zone.nr_free() > free) {
                if zone.boot_take(&self.frames, FrameKind::Reserved).is_none() {
                    break;
                }
            }
        }
    }

    fn boot_lru_page(&self, spec: &LruSpec, i: u32, number: usize) {
        let slot = &self.lru_frames[number];
        slot.store(NIL, Relaxed);
        let zone = &self.zones[spec.zone % self.zones.len()];
        let Some(pfn) = zone.boot_take(&self.frames, FrameKind::Reserved) else {
            return;
        };
        slot.store(pfn, Relaxed);
        let page = self.frames.hand_out(pfn, 0);
        self.frames.set_flags(page.pfn(), spec.flags);
        self.tags[page.pfn().index()].store(spec.tag.wrapping_add(i), Relaxed);
        self.numbers[page.pfn().index()].store(number as u32, Relaxed);
        let memcg = spec.memcg.map_or(NIL, |g| g as u32);
        self.memcg_tags[page.pfn().index()].store(memcg, Relaxed);
        if let Some(g) = spec.memcg.and_then(|g| self.memcgs.get(g)) {
            g.force(1);
        }
        if spec.flags.has(PageFlags::LRU) {
            let active = spec.flags.has(PageFlags::ACTIVE);
            self.nodes[zone.node].lru.set(|lru| lru.add(pfn, active));
        }
    }

    /// The node of the CPU that an entity runs on.
    #[inline]
    fn this_node(&self, e: &Entity) -> usize {
        self.cpu_nodes[e.cpu().index()]
    }

    /// The zones, in the order of [`MmSpec::zones`].
    #[must_use]
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// The frame of the nth page of [`MmSpec::lru`], counting through all entries. `None`: its zone was too small.
    #[must_use]
    pub fn lru_frame(&self, n: usize) -> Option<Pfn> {
        let pfn = self.lru_frames.get(n)?.load(Relaxed);
        (pfn != NIL).then_some(Pfn(pfn))
    }

    /// The flags of a page in use.
    #[must_use]
    pub fn page_flags(&self, pfn: Pfn) -> PageFlags {
        self.frames.flags(pfn)
    }
}

/// What pages are called in stories, in order.
fn page_names(lru: &[LruSpec]) -> Vec<String> {
    let names = lru.iter().flat_map(|spec| {
        (0..spec.count).map(move |i| match spec.count {
            1 => spec.name.clone(),
            _ => format!("{}[{i}]", spec.name),
        })
    });
    names.collect()
}

/// One lock a page, without a class: lockdep does not know PG_locked.
fn page_locks(m: &mut Machine, names: &[String]) -> Box<[Lock]> {
    names
        .iter()
        .map(|name| {
            Lock::new(
                m,
                LockKind::Mutex,
                format_args!("PG_locked of {name}"),
                None,
            )
        })
        .collect()
}

/// `setup_per_zone_lowmem_reserve()`: a low zone keeps back a part of what the higher zones of its node have.
fn reserve_lowmem(zones: &mut [Zone]) {
    const RATIO: [u32; KINDS] = [256, 256, 32, 0, 0];
    let sizes: Vec<(usize, ZoneKind, u32)> = zones
        .iter()
        .map(|z| (z.node, z.kind, z.managed()))
        .collect();
    for zone in zones {
        let ratio = RATIO[zone.kind as usize];
        for highest in ZoneKind::ALL.into_iter().filter(|&k| k > zone.kind) {
            let above = sizes
                .iter()
                .filter(|(node, kind, _)| {
                    *node == zone.node && *kind > zone.kind && *kind <= highest
                })
                .map(|(_, _, pages)| pages);
            zone.lowmem_reserve[highest as usize] =
                above.sum::<u32>().checked_div(ratio).unwrap_or(0);
        }
    }
}
