//! Writeback of programs: dirty pages, batches, plug lists, devices and their completion, throttled writers.

use super::frame::Frame;
use super::litmus::World;
use super::reach::Reach;
use super::roles::{Role, Roles};
use crate::program::decl::{CompletesIn, PageBit};
use crate::program::op::{Op, PageRef};
use crate::program::verb::{BatchVerb, MappingVerb, PageVerb};
use crate::program::{Block, Program};
use ksplat_kernel::mm::{Callbacks as _, Gfp, LruPage};
use ksplat_kernel::rt::{
    EntityId, EntitySet, Machine, Needs, Outcome, ResKind, StateBreak, WaitHow, current,
};
use ksplat_kernel::sync::WaitQueue;
use ksplat_kernel::writeback::io::{
    BatchSpec, DeviceSpec, Filesystem, MappingSpec, PageChange, PageSpec, Sync, Writeback,
    WritebackSpec,
};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The writeback of a machine, and the daemon that writes for throttled writers.
#[derive(Debug)]
pub struct Io {
    pub(super) writeback: Writeback,
    /// The flusher sleeps here.
    flusher: WaitQueue,
    wanted: AtomicBool,
}

impl Io {
    /// The writeback that a program describes.
    pub fn new(m: &mut Machine, program: &Program, roles: &Roles, reach: &Reach) -> Self {
        let spec = spec(program, roles, reach);
        Self {
            writeback: Writeback::new(m, &spec),
            flusher: WaitQueue::new(m, ResKind::Idle, "work for the flusher", EntitySet::MAX),
            wanted: AtomicBool::new(false),
        }
    }
}

fn spec(program: &Program, roles: &Roles, reach: &Reach) -> WritebackSpec {
    let pages = program.pages.iter().zip(&reach.pages);
    let pages = pages.flat_map(|(page, &enders)| {
        (0..page.count).map(move |i| PageSpec {
            name: match page.count {
                1 => page.name.to_string(),
                _ => format!("{}[{i}]", page.name),
            },
            mapping: page.mapping.map(|m| m.index()),
            enders,
        })
    });
    let mappings = program.mappings.iter().map(|m| MappingSpec {
        name: m.name.to_string(),
        device: m.device.map(|d| d.index()),
        may_deadlock: m.may_deadlock,
    });
    let devices = program.devices.iter().enumerate();
    let devices = devices.map(|(i, d)| DeviceSpec {
        name: d.name.to_string(),
        depth: u32::from(d.depth),
        completers: completers(program, roles, reach, i),
    });
    let batches = program.batches.iter().zip(&reach.batches);
    let batches = batches.map(|(b, &enders)| BatchSpec {
        name: b.name.to_string(),
        device: Some(b.device.index()),
        enders,
    });
    WritebackSpec {
        pages: pages.collect(),
        mappings: mappings.collect(),
        devices: devices.collect(),
        batches: batches.collect(),
    }
}

/// Who completes the IO of a device, one bit an entity.
fn completers(program: &Program, roles: &Roles, reach: &Reach, device: usize) -> EntitySet {
    let bit = |e: Option<EntityId>| e.map_or(0, EntityId::bit);
    match program.devices.0[device].completes {
        CompletesIn::Irq { .. } => bit(roles.find(Role::Device { device })),
        CompletesIn::Handler { irq } => bit(roles.irq(irq)),
        CompletesIn::Worker { queue } => roles.workers(queue.index()),
        CompletesIn::Daemon => reach.devices[device],
    }
}

/// Who may queue the completion of a device on a workqueue: whoever submits, so everybody.
pub fn queuers(program: &Program, queue: usize) -> EntitySet {
    let here = |d: &crate::program::decl::Device| matches!(d.completes, CompletesIn::Worker { queue: q } if q.index() == queue);
    if program.devices.iter().any(here) {
        EntitySet::MAX
    } else {
        0
    }
}

/// Whether a device has IO in flight when the tasks start: pages of its mappings that are under writeback then.
pub fn busy_at_start(program: &Program, device: usize) -> bool {
    program.pages.iter().any(|page| {
        let on = |m: &crate::program::decl::Mapping| m.device.is_some_and(|d| d.index() == device);
        let mapping = page.mapping.and_then(|m| program.mappings.get(m));
        page.bits.contains(PageBit::Writeback) && mapping.is_some_and(on)
    })
}

/// Whether anybody is throttled: then there is a flusher to write for them.
pub fn needs_flusher(program: &Program) -> bool {
    let mut found = false;
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |stmt| {
            found |= matches!(stmt.op, Op::Mapping(MappingVerb::BalanceDirty, _));
        });
    }
    found
}

impl Filesystem for World {
    fn change_page(&self, page: usize, change: PageChange) -> bool {
        let (books, mm, rcu) = (&self.accounting, self.memory.mm(), &self.rcu);
        let changed = match change {
            PageChange::SetDirty => books.set_page_dirty(mm, rcu, page),
            PageChange::ClearDirtyForIo => books.clear_page_dirty_for_io(mm, rcu, page),
            PageChange::CancelDirty => books.cancel_dirty_page(mm, rcu, page),
            PageChange::Redirty => {
                books.redirty_page(mm, rcu, page);
                true
            }
            PageChange::SetWriteback => books.set_page_writeback(mm, rcu, page),
            PageChange::EndWriteback => books.end_page_writeback(mm, rcu, page),
        };
        let e = current();
        e.machine().touch();
        e.machine().changed(&e, true);
        changed
    }

    fn map_blocks(&self, mapping: usize, gfp: Gfp) {
        if let Some(function) = self.program.mappings.0[mapping].map_blocks {
            self.inside_writepages(|| self.function(function.index(), gfp.bits()));
        }
    }

    fn start_request(&self, device: usize) {
        let m = current();
        let irq = match self.program.devices.0[device].completes {
            CompletesIn::Irq { .. } => self.roles.find(Role::Device { device }),
            CompletesIn::Handler { irq } => self.roles.irq(irq),
            CompletesIn::Worker { .. } => {
                self.works.queue_quietly(self.device_work(device));
                None
            }
            CompletesIn::Daemon => None,
        };
        if let Some(irq) = irq {
            m.machine().raise_irq(irq);
        }
    }

    fn wakeup_flusher(&self, _mapping: usize) {
        if !self.io.wanted.swap(true, SeqCst) {
            self.io.flusher.wake_up_quietly();
        }
    }
}

impl World {
    /// Back to how every execution starts, after the memory.
    pub(super) fn reset_io(&self, m: &Machine) {
        self.io.writeback.reset(m, self.memory.mm());
        self.io.wanted.store(false, SeqCst);
        for device in 0..self.program.devices.len() {
            let worker = matches!(
                self.program.devices.0[device].completes,
                CompletesIn::Worker { .. }
            );
            if worker && busy_at_start(&self.program, device) {
                self.works.queued_at_start(self.device_work(device));
            }
        }
    }

    /// The work item that completes a device's IO: behind the declared items, one a device.
    pub(super) fn device_work(&self, device: usize) -> usize {
        self.program.works.len() + device
    }

    /// Runs a work item: a declared one, or the completion of a device.
    pub(super) fn run_work(&self, item: usize) {
        match self.program.works.0.get(item) {
            Some(work) => self.body(&work.body, 0),
            None => self.complete_all_requests(item - self.program.works.len()),
        }
    }

    /// The interrupt of a device: one request is done.
    pub(super) fn device_irq(&self, device: usize) {
        self.io
            .writeback
            .complete_request(self, self.memory.mm(), device);
    }

    /// A work item stands for all that was done when it was queued.
    fn complete_all_requests(&self, device: usize) {
        while self
            .io
            .writeback
            .complete_request(self, self.memory.mm(), device)
        {}
    }

    /// Life of the flusher: writes all that is dirty whenever a throttled writer asks.
    pub(super) fn flusher(&self) {
        loop {
            self.io
                .flusher
                .wait_event(WaitHow::Idle, Needs::Anyone, || {
                    self.io.wanted.swap(false, SeqCst)
                });
            for mapping in 0..self.program.mappings.len() {
                self.io
                    .writeback
                    .writepages(self, self.memory.mm(), mapping, Sync::None);
            }
        }
    }

    /// What an execution that came to its end left behind.
    pub(super) fn left_behind(&self, m: &Machine, mut outcome: Outcome) -> Outcome {
        if outcome.end != ksplat_kernel::rt::End::Completed {
            return outcome;
        }
        for broken in self.io.writeback.broken_at_rest(m, self.memory.mm()) {
            outcome.breaks.push(StateBreak {
                kind: broken.kind,
                about: None,
                detail: broken.detail,
                entity: None,
                site: 0,
            });
        }
        outcome
    }

    /// `bio_add_page B A`.
    pub(super) fn bio_add_page(&self, batch: usize, page: PageRef) {
        let page = self.memory.index(page);
        self.io
            .writeback
            .bio_add_page(self.memory.mm(), batch, page);
    }

    /// `submit_bio B` and its like.
    pub(super) fn batch_op(&self, verb: BatchVerb, batch: usize) {
        let (io, mm) = (&self.io.writeback, self.memory.mm());
        match verb {
            BatchVerb::Submit => io.submit_bio(self, mm, batch),
            BatchVerb::Wait => io.wait_bio(batch),
            BatchVerb::End => io.end_bio(self, mm, batch),
        }
    }

    /// `serve D { … }`.
    pub(super) fn serve(&self, device: usize, block: &Block, f: &mut Frame) {
        self.io.writeback.wait_for_request(device);
        self.block(block, f);
        self.device_irq(device);
    }

    /// `writepages M` and its like.
    pub(super) fn mapping_op(&self, verb: MappingVerb, mapping: usize) {
        let (io, mm) = (&self.io.writeback, self.memory.mm());
        match verb {
            MappingVerb::Writepages => {
                io.writepages(self, mm, mapping, Sync::None);
            }
            MappingVerb::Fsync => io.fsync(self, mm, mapping),
            MappingVerb::Truncate => io.truncate(self, mm, mapping),
            MappingVerb::BalanceDirty => io.balance_dirty_pages(self, mm, mapping),
        }
    }

    /// `lock_page A` and its like; nothing for a page that has no memory any more.
    pub(super) fn page_op(&self, verb: PageVerb, page: PageRef) {
        let (io, mm) = (&self.io.writeback, self.memory.mm());
        let page = self.memory.index(page);
        let Some(pfn) = mm.lru_frame(page) else {
            return;
        };
        match verb {
            PageVerb::LockPage => mm.lock_page(pfn),
            PageVerb::UnlockPage => mm.unlock_page(pfn),
            PageVerb::SetDirty => {
                io.set_page_dirty(self, mm, page);
            }
            PageVerb::ClearDirtyForIo => {
                io.clear_page_dirty_for_io(self, mm, page);
            }
            PageVerb::CancelDirty => {
                io.cancel_dirty_page(self, page);
            }
            PageVerb::Redirty => io.redirty_page(self, page),
            PageVerb::SetWriteback => io.set_page_writeback(self, mm, page),
            PageVerb::EndWriteback => io.end_page_writeback(self, mm, page),
            PageVerb::WaitOnWriteback => mm.wait_on_page_writeback(page),
            PageVerb::WaitOnLocked => mm.wait_on_page_locked(pfn),
            PageVerb::MarkAccessed => mm.mark_page_accessed(pfn),
            PageVerb::Truncate => io.truncate_page(self, mm, page),
            PageVerb::Unmap => mm.try_to_unmap(self, pfn, Gfp::KERNEL),
            PageVerb::Release => {
                let tag = page as u32;
                self.release_page(LruPage { pfn, tag }, Gfp::KERNEL);
            }
        }
    }

    /// `blk_start_plug`.
    pub(super) fn start_plug(&self) {
        self.io.writeback.start_plug();
    }

    /// `blk_finish_plug`.
    pub(super) fn finish_plug(&self) {
        self.io.writeback.finish_plug(self, self.memory.mm());
    }

    /// What every sleep does with the plug list.
    pub(super) fn flush_plug(&self) {
        self.io
            .writeback
            .about_to_sleep(self, self.memory.mm(), current().id());
    }

    /// `->writepage()` on behalf of reclaim.
    pub(super) fn pageout(&self, page: LruPage, gfp: Gfp) -> bool {
        let mm = self.memory.mm();
        self.io
            .writeback
            .write_page(self, mm, page.tag as usize, gfp)
    }
}
