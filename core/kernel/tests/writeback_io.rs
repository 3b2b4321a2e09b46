//! Batches, plug lists and devices: who can end the writeback of a page at which moment.

mod common;

use common::{Dice, machine};
use ksplat_kernel::mm::{Bounds, Callbacks, LruSpec, Mm, MmSpec, PageFlags, ZoneKind, ZoneSpec};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntityKind, EntitySpec, Machine, Outcome, StopKind, World,
    current,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::writeback::io::{
    BatchSpec, DeviceSpec, Filesystem, MappingSpec, PageChange, PageSpec, Sync, Writeback,
    WritebackSpec,
};

fn disk() -> EntityId {
    EntityId::new(2)
}

/// Two tasks, and an interrupt that completes for a disk.
struct Bench {
    mm: Mm,
    io: Writeback,
    bodies: [fn(&Bench); 2],
}

impl Bench {
    fn new(depth: u32, bodies: [fn(&Bench); 2]) -> (Machine, Self) {
        let entities = vec![
            EntitySpec::task("writer", 0),
            EntitySpec::task("other", 1),
            EntitySpec::new("irq/disk", EntityKind::HardIrq, 1),
        ];
        let mut m = machine(entities, Rules::default());
        let zone = ZoneSpec {
            kind: ZoneKind::Normal,
            node: 0,
            pages: 16,
            watermarks: None,
            free: None,
        };
        let page = |name: &str, tag| LruSpec {
            name: name.into(),
            zone: 0,
            count: 1,
            flags: PageFlags::LRU.with(PageFlags::DIRTY),
            memcg: None,
            tag,
        };
        let mm = Mm::new(
            &mut m,
            &MmSpec {
                zones: vec![zone],
                lru: vec![page("A", 0), page("B", 1)],
                bounds: Bounds::MODEL,
                ..MmSpec::default()
            },
        );
        let in_file = |name: &str| PageSpec {
            name: name.into(),
            mapping: Some(0),
            enders: 0,
        };
        let batch = |name: &str| BatchSpec {
            name: name.into(),
            device: Some(0),
            enders: 0,
        };
        let spec = WritebackSpec {
            pages: vec![in_file("A"), in_file("B")],
            mappings: vec![MappingSpec {
                name: "file".into(),
                device: Some(0),
                may_deadlock: false,
            }],
            devices: vec![DeviceSpec {
                name: "disk".into(),
                depth,
                completers: disk().bit(),
            }],
            batches: vec![batch("first"), batch("second")],
        };
        let io = Writeback::new(&mut m, &spec);
        (m, Self { mm, io, bodies })
    }

    fn run(m: &Machine, bench: &Self, seed: u64) -> Outcome {
        bench.mm.reset();
        bench.io.reset(m, &bench.mm);
        Deterministic::new().run(m, bench, &mut Dice(seed))
    }

    /// Clean for IO, under writeback, in a batch; not submitted.
    fn prepare(&self, page: usize, batch: usize) {
        let pfn = self.mm.lru_frame(page).expect("the page");
        self.mm.lock_page(pfn);
        assert!(self.io.clear_page_dirty_for_io(self, &self.mm, page));
        self.io.set_page_writeback(self, &self.mm, page);
        self.mm.unlock_page(pfn);
        self.io.bio_add_page(&self.mm, batch, page);
    }

    fn submit(&self, batch: usize) {
        self.io.submit_bio(self, &self.mm, batch);
    }
}

impl World for Bench {
    fn run(&self, entity: EntityId) {
        match self.bodies.get(entity.index()) {
            Some(body) => body(self),
            None => {
                self.io.complete_request(self, &self.mm, 0);
            }
        }
    }

    fn about_to_sleep(&self, entity: EntityId) {
        self.io.about_to_sleep(self, &self.mm, entity);
    }
}

impl Callbacks for Bench {}

impl Filesystem for Bench {
    fn change_page(&self, page: usize, change: PageChange) -> bool {
        let Some(pfn) = self.mm.lru_frame(page) else {
            return false;
        };
        let (bit, on) = match change {
            PageChange::SetDirty | PageChange::Redirty => (PageFlags::DIRTY, true),
            PageChange::ClearDirtyForIo | PageChange::CancelDirty => (PageFlags::DIRTY, false),
            PageChange::SetWriteback => (PageFlags::WRITEBACK, true),
            PageChange::EndWriteback => (PageFlags::WRITEBACK, false),
        };
        let was = self.mm.page_flags(pfn).has(bit);
        if on {
            self.mm.set_page_flags(pfn, bit);
        } else {
            self.mm.clear_page_flags(pfn, bit);
        }
        was != on
    }

    fn start_request(&self, _device: usize) {
        current().machine().raise_irq(disk());
    }
}

fn nothing(_: &Bench) {}

/// The kind of stop in any of a hundred schedules.
fn stops(depth: u32, bodies: [fn(&Bench); 2]) -> Option<StopKind> {
    let (m, bench) = Bench::new(depth, bodies);
    let outcomes = (0..100).map(|seed| Bench::run(&m, &bench, seed));
    outcomes
        .inspect(|o| assert_eq!(o.fault, None))
        .find_map(|o| o.stop.map(|s| s.kind))
}

#[test]
fn only_the_owner_ends_the_wait_for_an_unsubmitted_page() {
    let own = |b: &Bench| {
        b.prepare(0, 0);
        b.mm.wait_on_page_writeback(0);
    };
    assert_eq!(stops(1, [own, nothing]), Some(StopKind::Deadlock));
}

#[test]
fn after_submission_the_disk_ends_it() {
    let own = |b: &Bench| {
        b.prepare(0, 0);
        b.submit(0);
        b.mm.wait_on_page_writeback(0);
        b.io.wait_bio(0);
    };
    assert_eq!(stops(1, [own, |b| b.mm.wait_on_page_writeback(0)]), None);
}

#[test]
fn an_owner_that_has_ended_submits_nothing() {
    let forgets = |b: &Bench| b.prepare(0, 0);
    let waits = |b: &Bench| b.mm.wait_on_page_writeback(0);
    assert_eq!(stops(1, [forgets, waits]), Some(StopKind::NoEnder));
    let (m, bench) = Bench::new(1, [forgets, nothing]);
    assert_eq!(Bench::run(&m, &bench, 0).end, End::Completed);
    let left = bench.io.broken_at_rest(&m, &bench.mm);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].kind, "writeback-left");
}

#[test]
fn a_full_queue_makes_submitters_wait() {
    let both = |b: &Bench| {
        b.prepare(0, 0);
        b.prepare(1, 1);
        b.submit(0);
        b.submit(1);
        b.io.wait_bio(1);
    };
    assert_eq!(stops(1, [both, nothing]), None);
    assert_eq!(stops(2, [both, nothing]), None);
}

#[test]
fn sleeping_flushes_the_plug_list_and_spinning_does_not() {
    let sleeps = |b: &Bench| {
        b.io.start_plug();
        b.prepare(0, 0);
        b.submit(0);
        b.mm.wait_on_page_writeback(0);
        b.io.finish_plug(b, &b.mm);
    };
    assert_eq!(stops(1, [sleeps, nothing]), None);
    let ends = |b: &Bench| {
        b.io.start_plug();
        b.prepare(0, 0);
        b.submit(0);
    };
    let waits = |b: &Bench| b.mm.wait_on_page_writeback(0);
    assert_eq!(stops(1, [ends, waits]), Some(StopKind::NoEnder));
}

#[test]
fn a_batch_is_submitted_once() {
    let twice = |b: &Bench| {
        b.prepare(0, 0);
        b.submit(0);
        b.submit(0);
    };
    let (m, bench) = Bench::new(1, [twice, nothing]);
    let kinds = (0..50).flat_map(|seed| Bench::run(&m, &bench, seed).breaks);
    assert!(kinds.into_iter().any(|b| b.kind == "bio-submitted-twice"));
}

#[test]
fn writepages_and_truncation_leave_nothing_behind() {
    let writes = |b: &Bench| b.io.fsync(b, &b.mm, 0);
    let truncates = |b: &Bench| b.io.truncate(b, &b.mm, 0);
    let (m, bench) = Bench::new(1, [writes, truncates]);
    for seed in 0..200 {
        let outcome = Bench::run(&m, &bench, seed);
        assert_eq!(outcome.end, End::Completed, "{outcome:?}");
        assert!(outcome.breaks.is_empty(), "{:?}", outcome.breaks);
        assert!(bench.io.broken_at_rest(&m, &bench.mm).is_empty());
        assert_eq!(bench.mm.broken(&m), []);
        assert!((0..2).all(|page| bench.mm.lru_frame(page).is_none()));
    }
}

#[test]
fn writers_skip_or_wait_for_pages_under_writeback() {
    let dirties_again = |b: &Bench| {
        b.prepare(0, 0);
        b.submit(0);
        b.io.set_page_dirty(b, &b.mm, 0);
        b.io.writepages(b, &b.mm, 0, Sync::None);
        b.io.writepages(b, &b.mm, 0, Sync::All);
        assert!(!b.mm.page_has(0, PageFlags::DIRTY));
    };
    assert_eq!(stops(1, [dirties_again, nothing]), None);
}
