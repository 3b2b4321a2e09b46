//! IO of dirty pages: batches, plug lists, devices, and `writepages()` over them.
//!
//! The state that lockdep knows nothing about: a page under writeback waits for a batch, an unsubmitted batch for the
//! task that builds it, a submitted one for whoever completes its device's IO. Each change tells the machine who can
//! clear PG_writeback from now on, so that a wait for one's own unsubmitted batch is a stop the moment it begins.
//!
//! One [`Writeback`] a machine, over its [`Mm`], set back by [`Writeback::reset`] before every execution.

mod balance;
mod batch;
mod device;
mod page;
mod plug;
mod spec;
mod truncate;
mod writepages;

pub use spec::{
    BatchSpec, DeviceSpec, Filesystem, MappingSpec, PageChange, PageSpec, WritebackSpec,
};
pub use writepages::Sync;

use crate::mm::{Broken, Mm, PageFlags};
use crate::rt::{EntityId, EntitySet, Machine, ResId, ResKind};
use batch::{Batch, Stage};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The writeback of a machine.
#[derive(Debug)]
pub struct Writeback {
    pages: Box<[PageSpec]>,
    mappings: Box<[Mapping]>,
    devices: Box<[Device]>,
    batches: Box<[DeclaredBatch]>,
    /// Writers sleep here while there is too much that is dirty.
    throttle: ResId,
    state: Mutex<State>,
}

/// `struct address_space`.
#[derive(Debug)]
struct Mapping {
    spec: MappingSpec,
    /// Numbers of its pages, in order.
    pages: Vec<usize>,
}

#[derive(Debug)]
struct Device {
    spec: DeviceSpec,
    /// Submitters wait here while it has as many batches as it takes.
    room: ResId,
    /// A daemon that serves the device waits here for a request.
    requests: ResId,
}

#[derive(Debug)]
struct DeclaredBatch {
    spec: BatchSpec,
    /// Those who wait for its end wait here.
    done: ResId,
}

/// IO state of one page.
#[derive(Clone, Copy, Debug, Default)]
struct PageIo {
    batch: Option<usize>,
    /// Who has set PG_writeback and has still to submit the page.
    owner: Option<EntityId>,
}

/// What changes while a machine runs. Locked for moments only, never over a decision.
#[derive(Debug)]
struct State {
    pages: Vec<PageIo>,
    /// The declared ones first, then those that `writepages()` builds.
    batches: Vec<Batch>,
    /// Numbers of batches that `writepages()` can build next.
    spare: Vec<usize>,
    /// Batches of each device, oldest first: the first `depth` are in flight.
    queues: Vec<Vec<usize>>,
    /// Plug lists by entity.
    plugs: Vec<plug::Plug>,
}

impl Writeback {
    /// Builds a machine's writeback: adds its locks, queues and lockdep classes to the machine.
    #[must_use]
    pub fn new(m: &mut Machine, spec: &WritebackSpec) -> Self {
        let mappings = spec.mappings.iter().enumerate().map(|(i, s)| Mapping {
            spec: s.clone(),
            pages: (0..spec.pages.len())
                .filter(|&p| spec.pages[p].mapping == Some(i))
                .collect(),
        });
        let mappings = mappings.collect();
        let devices = spec.devices.iter().map(|s| Device {
            room: m.add_resource(ResKind::Io, format_args!("room in the queue of {}", s.name)),
            requests: m.add_resource(ResKind::Idle, format_args!("requests to {}", s.name)),
            spec: s.clone(),
        });
        let devices = devices.collect();
        let batches = spec.batches.iter().map(|s| DeclaredBatch {
            done: m.add_resource(ResKind::Io, format_args!("IO of {}", s.name)),
            spec: s.clone(),
        });
        let batches: Box<[DeclaredBatch]> = batches.collect();
        let state = State {
            pages: vec![PageIo::default(); spec.pages.len()],
            batches: batches.iter().map(|b| Batch::new(b.spec.device)).collect(),
            spare: Vec::with_capacity(8),
            queues: spec.devices.iter().map(|_| Vec::with_capacity(8)).collect(),
            plugs: (0..m.entities().len())
                .map(|_| plug::Plug::default())
                .collect(),
        };
        Self {
            pages: spec.pages.clone().into(),
            mappings,
            devices,
            batches,
            throttle: m.add_resource(ResKind::State, "dirty pages to be written"),
            state: Mutex::new(state),
        }
    }

    /// Back to how every execution starts; after [`Mm::reset`]. Pages that are under writeback from the start are in
    /// flight on their mapping's device, all in one batch.
    pub fn reset(&self, m: &Machine, mm: &Mm) {
        let mut s = self.state();
        let s = &mut *s;
        s.batches.truncate(self.batches.len());
        s.batches.iter_mut().for_each(Batch::reset);
        s.spare.clear();
        s.queues.iter_mut().for_each(Vec::clear);
        s.plugs.iter_mut().for_each(plug::Plug::reset);
        for page in 0..self.pages.len() {
            s.pages[page] = PageIo::default();
            if mm.page_has(page, PageFlags::WRITEBACK)
                && let Some(device) = self.device_of(page)
            {
                self.boot_io(s, page, device);
            }
        }
        for page in 0..self.pages.len() {
            mm.set_writeback_enders(m, page, self.enders(s, page));
        }
        for (i, b) in self.batches.iter().enumerate() {
            m.set_enders(b.done, self.batch_enders(s, i));
        }
        for d in &self.devices {
            m.set_enders(d.room, d.spec.completers);
            m.set_enders(d.requests, EntitySet::MAX);
        }
    }

    /// A page whose IO is on its way when the tasks start.
    fn boot_io(&self, s: &mut State, page: usize, device: usize) {
        let batch = match s.queues[device].first() {
            Some(&batch) => batch,
            None => {
                s.batches.push(Batch::new(Some(device)));
                let batch = s.batches.len() - 1;
                s.queues[device].push(batch);
                batch
            }
        };
        s.batches[batch].stage = Stage::Submitted;
        s.batches[batch].pages.push(page);
        s.pages[page].batch = Some(batch);
    }

    /// Devices that have IO in flight when the tasks start, given who is under writeback then.
    #[must_use]
    pub fn busy_at_start(
        spec: &WritebackSpec,
        under_writeback: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut busy: Vec<usize> = (0..spec.pages.len())
            .filter(|&p| under_writeback(p))
            .filter_map(|p| spec.mappings.get(spec.pages[p].mapping?)?.device)
            .collect();
        busy.sort_unstable();
        busy.dedup();
        busy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mapping(&self, page: usize) -> Option<&Mapping> {
        self.mappings.get(self.pages.get(page)?.mapping?)
    }

    fn device_of(&self, page: usize) -> Option<usize> {
        self.mapping(page)?.spec.device
    }

    /// Whether a page's mapping is flagged "writeback may deadlock on reclaim".
    #[must_use]
    pub fn may_deadlock(&self, page: usize) -> bool {
        self.mapping(page).is_some_and(|m| m.spec.may_deadlock)
    }

    /// Who can clear PG_writeback of a page as things are.
    fn enders(&self, s: &State, page: usize) -> EntitySet {
        let io = &s.pages[page];
        let always = self.pages[page].enders;
        let owner = io.owner.map_or(0, EntityId::bit);
        always | io.batch.map_or(owner, |b| owner | self.batch_enders(s, b))
    }

    fn batch_enders(&self, s: &State, batch: usize) -> EntitySet {
        let b = &s.batches[batch];
        let always = self.batches.get(batch).map_or(0, |d| d.spec.enders);
        let owner = b.owner.map_or(0, EntityId::bit);
        match (b.stage, b.device) {
            (Stage::Submitted, Some(device)) => always | self.devices[device].spec.completers,
            _ => always | owner,
        }
    }

    /// Tells the machine who can end the waits for a batch and its pages.
    fn publish(&self, s: &State, m: &Machine, mm: &Mm, batch: usize) {
        for &page in &s.batches[batch].pages {
            mm.set_writeback_enders(m, page, self.enders(s, page));
        }
        if let Some(declared) = self.batches.get(batch) {
            m.set_enders(declared.done, self.batch_enders(s, batch));
        }
    }

    /// What is broken when an execution has come to its end: writeback that nobody ended, batches that nobody submitted
    /// or completed (invariant 25). OS threads end with their tasks: what a device still has to do then is not missing.
    #[must_use]
    pub fn broken_at_rest(&self, m: &Machine, mm: &Mm) -> Vec<Broken> {
        let s = self.state();
        let late = |b: usize| m.simulated() || s.batches[b].stage != Stage::Submitted;
        let ours = |p: usize| s.pages[p].owner.is_some() || s.pages[p].batch.is_some_and(late);
        let left = (0..self.pages.len()).find(|&p| mm.page_has(p, PageFlags::WRITEBACK) && ours(p));
        let detail = left.map(|page| {
            let name = &self.pages[page].name;
            let open = s.batches.iter().filter(|b| b.stage != Stage::Empty).count();
            format!("{name} is still under writeback; {open} batches are not completed")
        });
        let broken = detail.map(|detail| Broken {
            kind: "writeback-left",
            detail,
        });
        broken.into_iter().collect()
    }
}
