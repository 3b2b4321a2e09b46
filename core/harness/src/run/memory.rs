//! Memory operations of programs: what they mean on the machine's allocator.

use super::frame::{Frame, Held, Holding};
use super::litmus::World;
use super::notifier;
use super::reach::Reach;
use super::roles::{Role, Roles};
use crate::program::decl::{Mapping, PageBit, PageBits};
use crate::program::gfp::{Gfp as Text, GfpBase, GfpFlag};
use crate::program::machine::{Zone, ZoneKind as Kind};
use crate::program::op::{PageRef, Pressure as Forced, ReclaimOf, Source, Var};
use crate::program::word::Word as _;
use crate::program::{Id, Program};
use ksplat_kernel::mm::{
    Bounds, Callbacks, Gfp, LruPage, LruSpec, MemcgSpec, MempoolSpec, Mm, MmSpec, PageFlags,
    PcpSpec, Pressure, ShrinkerSpec, Watermarks, ZoneKind, ZoneSpec,
};
use ksplat_kernel::rt::{
    Entity, EntityId, EventKind, Machine, OpKind, ResId, ResKind, current, record,
};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Masks by [`GfpBase`].
static BASES: LazyLock<Vec<Gfp>> = LazyLock::new(|| named(GfpBase::WORDS));
/// Masks by [`GfpFlag`].
static FLAGS: LazyLock<Vec<Gfp>> = LazyLock::new(|| named(GfpFlag::WORDS));

fn named<T>(words: &[(T, &str)]) -> Vec<Gfp> {
    let mask = |(_, name): &(T, &str)| Gfp::by_name(name).unwrap_or(Gfp::NONE);
    words.iter().map(mask).collect()
}

/// The memory of a machine and what of a program is about it.
#[derive(Debug)]
pub struct Memory {
    mm: Mm,
    /// Number of the first page of each declaration.
    first_page: Vec<usize>,
    slots: Vec<(ResId, Mutex<Holding>)>,
}

impl Memory {
    /// The memory that a program describes.
    pub fn new(m: &mut Machine, program: &Program, roles: &Roles, reach: &Reach) -> Self {
        let mm = Mm::new(m, &spec(program, roles, reach));
        let mut first_page = Vec::new();
        let mut pages = 0;
        for page in program.pages.iter() {
            first_page.push(pages);
            pages += usize::from(page.count);
        }
        let slots = program
            .slots
            .iter()
            .map(|s| (m.add_resource(ResKind::State, &s.name), Mutex::default()));
        Self {
            mm,
            first_page,
            slots: slots.collect(),
        }
    }

    /// Back to how every execution starts.
    pub fn reset(&self) {
        self.mm.reset();
        for (_, slot) in &self.slots {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// The machine's memory.
    pub const fn mm(&self) -> &Mm {
        &self.mm
    }

    /// See [`Mm::out_of_stack`].
    pub fn out_of_stack(&self, e: &Entity) -> ! {
        self.mm.out_of_stack(e)
    }

    /// Checks what must hold after every step.
    pub fn check(&self, m: &Machine) {
        self.mm.check(m);
    }

    /// Position of a page among all declared ones.
    pub(super) fn index(&self, page: PageRef) -> usize {
        self.first_page[page.page.index()] + usize::from(page.index)
    }

    /// Whether a mask has a bit.
    pub(super) fn has(&self, mask: Gfp, flag: GfpFlag) -> bool {
        mask.has(FLAGS[flag as usize])
    }

    /// The mask that an expression means where the caller's is `inherited`.
    pub(super) fn mask(&self, text: Text, inherited: u32) -> Gfp {
        let base = if text.base == GfpBase::Inherited {
            Gfp::from_bits(inherited)
        } else {
            BASES[text.base as usize]
        };
        let set = text
            .set
            .iter()
            .fold(base, |mask, flag| mask.with(FLAGS[flag as usize]));
        text.clear
            .iter()
            .fold(set, |mask, flag| mask.without(FLAGS[flag as usize]))
    }
}

fn spec(program: &Program, roles: &Roles, reach: &Reach) -> MmSpec {
    let zones: Vec<ZoneSpec> = program.machine.zones.iter().map(zone).collect();
    let main = normal_zone(&zones);
    let mut first = 0;
    let lru = program.pages.iter().map(|page| {
        let tag = first;
        first += u32::from(page.count);
        LruSpec {
            name: page.name.to_string(),
            zone: main,
            count: u32::from(page.count),
            flags: page_flags(page.bits, page.mm.is_some()),
            memcg: page.memcg.map(|g| g.index()),
            tag,
        }
    });
    let lru: Vec<LruSpec> = lru.collect();
    let shrinkers = program.shrinkers.iter().map(|s| ShrinkerSpec {
        name: s.name.to_string(),
        objects: u32::from(s.objects),
        zone: main,
        needs_fs: s.needs_fs,
        memcg_aware: true,
    });
    let memcgs = program.memcgs.iter().map(|g| MemcgSpec {
        name: g.name.to_string(),
        limit: g.limit.map_or(u64::MAX / 2, u64::from),
        usage: u64::from(g.usage),
        stock: u64::from(g.stock),
    });
    let mempools = program.mempools.iter().map(|p| MempoolSpec {
        name: p.name.to_string(),
        size: u32::from(p.size),
        enders: reach.frees,
    });
    let pcp = program.machine.pcp.map(|p| PcpSpec {
        high: u32::from(p.high),
        batch: u32::from(p.batch),
    });
    MmSpec {
        zones,
        pcp,
        lru,
        shrinkers: shrinkers.collect(),
        memcgs: memcgs.collect(),
        mempools: mempools.collect(),
        address_spaces: notifier::spaces(program),
        kswapds: vec![roles.find(Role::Kswapd)],
        release_worker: roles.find(Role::ReleaseWorker),
        hotplug: super::hotplug::rebuilds(program),
        bounds: Bounds::MODEL,
        ..MmSpec::default()
    }
}

fn zone(z: &Zone) -> ZoneSpec {
    let kind = match z.kind {
        Kind::Dma => ZoneKind::Dma,
        Kind::Dma32 => ZoneKind::Dma32,
        Kind::Normal => ZoneKind::Normal,
        Kind::Highmem => ZoneKind::Highmem,
        Kind::Movable => ZoneKind::Movable,
    };
    ZoneSpec {
        kind,
        node: usize::from(z.node),
        pages: z.pages,
        watermarks: z.watermarks.map(|w| Watermarks {
            min: w.min,
            low: w.low,
            high: w.high,
        }),
        free: z.free,
    }
}

/// Pages and objects are taken from the normal zone, or from the first.
fn normal_zone(zones: &[ZoneSpec]) -> usize {
    zones
        .iter()
        .position(|z| z.kind == ZoneKind::Normal)
        .unwrap_or(0)
}

const BITS: [(PageBit, PageFlags); 7] = [
    (PageBit::Locked, PageFlags::LOCKED),
    (PageBit::Dirty, PageFlags::DIRTY),
    (PageBit::Writeback, PageFlags::WRITEBACK),
    (PageBit::Reclaim, PageFlags::RECLAIM),
    (PageBit::Referenced, PageFlags::REFERENCED),
    (PageBit::Active, PageFlags::ACTIVE),
    (PageBit::Private, PageFlags::PRIVATE),
];

fn page_flags(bits: PageBits, mapped: bool) -> PageFlags {
    let on_lru = if bits.contains(PageBit::Isolated) {
        PageFlags::NONE
    } else {
        PageFlags::LRU
    };
    let mapped = if mapped {
        PageFlags::MAPPED
    } else {
        PageFlags::NONE
    };
    let set = BITS.iter().filter(|(bit, _)| bits.contains(*bit));
    set.fold(on_lru.with(mapped), |flags, (_, flag)| flags.with(*flag))
}

const fn pressure(forced: Forced) -> Pressure {
    match forced {
        Forced::None => Pressure::None,
        Forced::Fast => Pressure::Fast,
        Forced::Reclaim => Pressure::Reclaim,
        Forced::Progress => Pressure::Progress,
        Forced::NoProgress => Pressure::NoProgress,
        Forced::Maybe => Pressure::Maybe,
    }
}

impl Callbacks for World {
    fn release_page(&self, page: LruPage, gfp: Gfp) -> bool {
        let declared = self
            .memory
            .first_page
            .partition_point(|&first| first <= page.tag as usize)
            - 1;
        let mapping = self.program.pages.0[declared].mapping;
        if let Some(release) = mapping.and_then(|m| self.program.mappings[m].release) {
            self.function(release.index(), gfp.bits());
        }
        true
    }

    fn scan_objects(&self, shrinker: usize, gfp: Gfp) -> u32 {
        self.body(&self.program.shrinkers.0[shrinker].body, gfp.bits());
        1
    }

    fn invalidate_range_start(&self, space: usize, gfp: Gfp) {
        self.run_notifiers(space, gfp);
    }

    fn may_deadlock(&self, page: LruPage) -> bool {
        self.io.writeback.may_deadlock(page.tag as usize)
    }

    fn write_page(&self, page: LruPage, gfp: Gfp) -> bool {
        self.pageout(page, gfp)
    }

    fn remove_mapping(&self, page: LruPage) -> bool {
        self.io
            .writeback
            .remove_mapping(&self.memory.mm, page.tag as usize)
    }

    fn printk(&self) {
        self.print_in_rebuild();
    }

    fn printk_deferred(&self, enter: bool) {
        self.defer_printing(enter);
    }

    fn printk_is_deferred(&self) -> bool {
        self.consoles.is_deferred()
    }

    fn oom_victim(&self, _memcg: Option<usize>) -> Option<EntityId> {
        None
    }
}

impl World {
    /// `p = kmalloc GFP_KERNEL`.
    pub(super) fn alloc(
        &self,
        to: Option<Var>,
        source: &Source,
        gfp: Text,
        forced: Forced,
        f: &mut Frame,
    ) {
        let page = self.allocate(source, self.memory.mask(gfp, f.gfp), forced);
        if let Some(to) = to {
            self.put(to, page, f);
        }
    }

    /// `free p`.
    pub(super) fn free(&self, var: Var, f: &mut Frame) {
        if let Some(held) = self.take(var, f) {
            self.give_back(held);
        }
    }

    /// `q = p`: both hold the memory from now on.
    pub(super) fn copy(&self, to: Var, from: Var, f: &mut Frame) {
        self.look_at(from);
        let held = self.holding(from, f);
        self.put(to, held, f);
    }

    /// `might_alloc GFP_KERNEL`.
    pub(super) fn might_alloc(&self, gfp: Text, f: &Frame) {
        let mask = self.memory.mask(gfp, f.gfp);
        record(EventKind::Alloc, || format!("might_alloc {mask}"));
        self.memory.mm.might_alloc(mask);
        if mask.may_block() {
            current().might_sleep();
        }
    }

    /// `try_to_free_pages GFP_KERNEL` and its like.
    pub(super) fn reclaim(&self, of: ReclaimOf, gfp: Text, f: &Frame) {
        let (mm, mask) = (&self.memory.mm, self.memory.mask(gfp, f.gfp));
        match of {
            ReclaimOf::Node => {
                mm.reclaim(self, mask);
            }
            ReclaimOf::Memcg(memcg) => {
                mm.try_to_free_mem_cgroup_pages(self, memcg.index(), mask);
            }
            ReclaimOf::Slab => {
                mm.shrink_slab(self, mask);
            }
        }
    }

    /// `try_charge G GFP_KERNEL`.
    pub(super) fn charge(&self, memcg: usize, pages: u16, gfp: Text, forced: Forced, f: &Frame) {
        let mask = self.memory.mask(gfp, f.gfp);
        self.memory
            .mm
            .try_charge(self, memcg, mask, u64::from(pages), pressure(forced));
    }

    fn allocate(&self, source: &Source, mask: Gfp, forced: Forced) -> Holding {
        let mm = &self.memory.mm;
        match source {
            Source::Pages { order } => mm
                .alloc_pages(self, mask, *order, pressure(forced))
                .map(Held::Page),
            Source::Slab => {
                record(EventKind::Alloc, || format!("kmalloc gfp {mask}"));
                mm.might_alloc(mask);
                let memcg = self.task_memcg().filter(|_| mask.has(Gfp::ACCOUNT));
                self.charged(memcg, mask, forced)
            }
            Source::PageCache(mapping) => {
                let allowed = self.mapping_mask(*mapping);
                record(EventKind::Alloc, || {
                    format!("page_cache_alloc gfp {mask}, the mapping allows {allowed}")
                });
                self.charged(self.task_memcg(), mask & allowed, forced)
            }
            Source::Mempool(pool) => mm
                .mempool_alloc(self, pool.index(), mask, pressure(forced))
                .map(Held::Element),
        }
    }

    /// `mapping_gfp_mask()`.
    pub(super) fn mapping_mask(&self, mapping: Id<Mapping>) -> Gfp {
        let mask = self.program.mappings[mapping].gfp;
        mask.map_or(Gfp::HIGHUSER_MOVABLE, |base| BASES[base as usize])
    }

    /// The memcg of the running task.
    fn task_memcg(&self) -> Option<usize> {
        let Role::Task(task) = self.roles.role(current().id()) else {
            return None;
        };
        self.program.tasks.0[task].memcg.map(|g| g.index())
    }

    /// One page, charged to a memcg first; `None`: the charge fails, and the request with it, or there is no memory.
    fn charged(&self, memcg: Option<usize>, mask: Gfp, forced: Forced) -> Holding {
        let mm = &self.memory.mm;
        let Some(memcg) = memcg else {
            return mm
                .alloc_pages(self, mask, 0, pressure(forced))
                .map(Held::Page);
        };
        if !mm.try_charge(self, memcg, mask, 1, Pressure::None) {
            return None;
        }
        let page = mm.alloc_pages(self, mask, 0, pressure(forced));
        if page.is_none() {
            mm.uncharge(memcg, 1);
        }
        page.map(|page| Held::Charged(page, memcg))
    }

    fn give_back(&self, held: Held) {
        let mm = &self.memory.mm;
        match held {
            Held::Page(page) => mm.free_pages(page),
            Held::Element(element) => mm.mempool_free(element),
            Held::Charged(page, memcg) => {
                mm.free_pages(page);
                mm.uncharge(memcg, 1);
            }
        }
    }

    pub(super) fn kswapd(&self) {
        self.memory.mm.kswapd(self, 0);
    }

    pub(super) fn release_worker(&self) {
        self.memory.mm.release_worker(self);
    }

    /// What a variable holds.
    pub(super) fn holding(&self, var: Var, f: &Frame) -> Holding {
        match var {
            Var::Local(n) => f.locals.get(usize::from(n)).copied().flatten(),
            Var::Slot(slot) => {
                let (_, slot) = &self.memory.slots[slot.index()];
                *slot.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    fn put(&self, var: Var, page: Holding, f: &mut Frame) {
        match var {
            Var::Local(n) => {
                if let Some(local) = f.locals.get_mut(usize::from(n)) {
                    *local = page;
                }
            }
            Var::Slot(slot) => {
                let (res, slot) = &self.memory.slots[slot.index()];
                current().point(OpKind::Store, *res);
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = page;
            }
        }
    }

    fn take(&self, var: Var, f: &mut Frame) -> Holding {
        match var {
            Var::Local(n) => f.locals.get_mut(usize::from(n)).and_then(Option::take),
            Var::Slot(slot) => {
                let (res, slot) = &self.memory.slots[slot.index()];
                current().point(OpKind::Store, *res);
                slot.lock().unwrap_or_else(PoisonError::into_inner).take()
            }
        }
    }

    /// Announces that a condition reads a shared variable.
    pub(super) fn look_at(&self, var: Var) {
        if let Var::Slot(slot) = var {
            current().point(OpKind::Load, self.memory.slots[slot.index()].0);
        }
    }

    pub(super) fn page_bit(&self, bit: PageBit, page: PageRef) -> bool {
        let mm = &self.memory.mm;
        let Some(pfn) = mm.lru_frame(self.memory.index(page)) else {
            return false;
        };
        let flags = mm.page_flags(pfn);
        match BITS.iter().find(|(b, _)| *b == bit) {
            Some((_, flag)) => flags.has(*flag),
            None => !flags.has(PageFlags::LRU),
        }
    }

    pub(super) fn gfp_has(&self, mask: u32, flag: GfpFlag) -> bool {
        self.memory.has(Gfp::from_bits(mask), flag)
    }
}
