//! Release of a page's private data: in the reclaiming task, or delegated to a worker that it waits for.
//!
//! A worker has its own flags and no scope of the task that waits: what `fs_reclaim` knows of one task is lost.

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::lru::LruPage;
use super::page::Pfn;
use crate::rt::{
    EntityId, EventKind, MAX_ENTITIES, Machine, Needs, ResKind, WaitHow, current, record,
};
use crate::rules::DelegateRelease;
use crate::sync::WaitQueue;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

const FREE: u32 = 0;
const POSTED: u32 = 1;
const REFUSED: u32 = 2;
const RELEASED: u32 = 3;

/// The worker's in-tray: one request a waiting task.
#[derive(Debug)]
pub(crate) struct Delegation {
    worker: EntityId,
    /// The worker sleeps here.
    work: WaitQueue,
    /// Those who delegated sleep here.
    done: WaitQueue,
    requests: Box<[Request]>,
}

#[derive(Debug)]
struct Request {
    state: AtomicU32,
    page: AtomicU64,
    gfp: AtomicU32,
}

impl Delegation {
    pub(crate) fn new(m: &mut Machine, worker: EntityId) -> Self {
        let everybody = (0..m.entities().len()).fold(0, |s, i| s | EntityId::new(i).bit());
        let request = |_| Request {
            state: AtomicU32::new(FREE),
            page: AtomicU64::new(0),
            gfp: AtomicU32::new(0),
        };
        Self {
            worker,
            work: WaitQueue::new(
                m,
                ResKind::Idle,
                "release work queue",
                everybody & !worker.bit(),
            ),
            done: WaitQueue::new(m, ResKind::Work, "release work", worker.bit()),
            requests: (0..MAX_ENTITIES).map(request).collect(),
        }
    }

    pub(crate) fn reset(&self) {
        for r in &self.requests {
            r.state.store(FREE, SeqCst);
        }
    }
}

impl Mm {
    /// Has the private data of a page released, by whom the rules say.
    pub(crate) fn release_private(&self, cb: &dyn Callbacks, page: LruPage, gfp: Gfp) -> bool {
        let e = current();
        let rules = e.machine().rules();
        let gfp = if rules.propagate_nomemalloc {
            gfp
        } else {
            gfp.without(Gfp::NOMEMALLOC)
        };
        match &self.delegation {
            Some(d) if rules.delegate_release == DelegateRelease::Worker && e.id() != d.worker => {
                delegate(d, page, gfp)
            }
            _ => {
                record(EventKind::Reclaim, || {
                    format!("release_folio pfn {:#x}, gfp {gfp}", page.pfn.0)
                });
                cb.release_page(page, gfp)
            }
        }
    }

    /// Body of the worker that releases pages for others; never returns.
    ///
    /// The embedder calls it from the daemon entity that [`MmSpec::release_worker`](super::MmSpec::release_worker)
    /// names. Does nothing without one.
    pub fn release_worker(&self, cb: &dyn Callbacks) {
        let Some(d) = &self.delegation else {
            return;
        };
        loop {
            let mut next = None;
            d.work.wait_event(WaitHow::Idle, Needs::Enders, || {
                next = d.requests.iter().find(|r| r.state.load(SeqCst) == POSTED);
                next.is_some()
            });
            let Some(r) = next else { continue };
            let (page, gfp) = r.read();
            record(EventKind::Reclaim, || {
                format!("releases pfn {:#x} for another task, gfp {gfp}", page.pfn.0)
            });
            let released = cb.release_page(page, gfp);
            r.state
                .store(if released { RELEASED } else { REFUSED }, SeqCst);
            d.done.wake_up();
        }
    }
}

impl Request {
    fn write(&self, page: LruPage, gfp: Gfp) {
        let word = u64::from(page.pfn.0) << 32 | u64::from(page.tag);
        self.page.store(word, SeqCst);
        self.gfp.store(gfp.bits(), SeqCst);
        self.state.store(POSTED, SeqCst);
    }

    fn read(&self) -> (LruPage, Gfp) {
        let word = self.page.load(SeqCst);
        let page = LruPage {
            pfn: Pfn((word >> 32) as u32),
            tag: word as u32,
        };
        (page, Gfp::from_bits(self.gfp.load(SeqCst)))
    }
}

fn delegate(d: &Delegation, page: LruPage, gfp: Gfp) -> bool {
    let r = &d.requests[current().task().id().index()];
    r.write(page, gfp);
    d.work.wake_up();
    d.done.wait_event(WaitHow::Sleep, Needs::Enders, || {
        r.state.load(SeqCst) > POSTED
    });
    r.state.swap(FREE, SeqCst) == RELEASED
}
