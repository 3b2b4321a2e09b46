//! `mempool_t`: a reserve of elements behind an allocator, and the sleep when both are empty (`mempool_alloc()`).

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use super::page::Page;
use super::page_alloc::Pressure;
use crate::rt::{
    EntitySet, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Description of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolSpec {
    /// Its name.
    pub name: String,
    /// Elements in reserve (`min_nr`).
    pub size: u32,
    /// Entities that may give elements back, one bit each.
    pub enders: EntitySet,
}

/// A pool. Elements of the reserve are interchangeable: only their number counts.
#[derive(Debug)]
pub(crate) struct Mempool {
    name: String,
    size: u32,
    left: AtomicU32,
    /// Elements of the reserve that somebody has.
    out: AtomicU32,
    res: ResId,
}

/// What a pool handed out.
#[derive(Clone, Copy, Debug)]
#[must_use = "an element that is not given back is leaked"]
pub struct Element {
    pool: usize,
    /// Memory of the allocator; `None`: an element of the reserve.
    page: Option<Page>,
}

impl Mempool {
    pub(crate) fn new(m: &mut Machine, spec: &MempoolSpec) -> Self {
        let res = m.add_resource(
            ResKind::WaitQueue,
            format_args!("an element of {}", spec.name),
        );
        m.set_enders(res, spec.enders);
        Self {
            name: spec.name.clone(),
            size: spec.size,
            left: AtomicU32::new(spec.size),
            out: AtomicU32::new(0),
            res,
        }
    }

    pub(crate) fn reset(&self) {
        self.left.store(self.size, SeqCst);
        self.out.store(0, SeqCst);
    }

    #[cfg(test)]
    pub(super) fn lose(&self) {
        self.left.fetch_sub(1, SeqCst);
    }

    fn take(&self) -> bool {
        let less = |n: u32| n.checked_sub(1);
        let taken = self.left.fetch_update(SeqCst, SeqCst, less).is_ok();
        if taken {
            self.out.fetch_add(1, SeqCst);
            self.audit();
        }
        taken
    }

    /// Invariant 38: what is in the pool and what is out are all its elements.
    fn audit(&self) {
        let (left, out) = (self.left.load(SeqCst), self.out.load(SeqCst));
        let m = current();
        if left + out != self.size && m.machine().simulated() {
            m.machine().state_break("mempool-count", || {
                format!(
                    "{}: {left} elements in the pool, {out} out, of {}",
                    self.name, self.size
                )
            });
        }
    }
}

impl Mm {
    /// `mempool_alloc()`: the allocator without reclaim, the reserve, the allocator with the caller's mask, and then
    /// sleep until somebody gives an element back. `None` only for masks that may not block.
    ///
    /// # Panics
    /// If there is no such pool.
    pub fn mempool_alloc(
        &self,
        cb: &dyn Callbacks,
        pool: usize,
        gfp: Gfp,
        pressure: Pressure,
    ) -> Option<Element> {
        let (e, p) = (current(), &self.mempools[pool]);
        record(EventKind::Alloc, || {
            format!("mempool_alloc {} gfp {gfp}", p.name)
        });
        self.might_alloc(gfp);
        let hard = Gfp::NOMEMALLOC | Gfp::NORETRY | Gfp::NOWARN;
        let first = (gfp | hard).without(Gfp::DIRECT_RECLAIM | Gfp::IO);
        let mut mask = first;
        loop {
            if let Some(page) = self.alloc_pages(cb, mask, 0, pressure) {
                return Some(Element {
                    pool,
                    page: Some(page),
                });
            }
            e.point(OpKind::TryLock, p.res);
            if p.take() {
                record(EventKind::Alloc, || {
                    format!("{}: an element of the reserve", p.name)
                });
                return Some(Element { pool, page: None });
            }
            if mask == first && gfp.may_block() {
                mask = gfp | hard;
                continue;
            }
            if !gfp.may_block() {
                return None;
            }
            self.wait_for_element(p);
        }
    }

    /// The kernel sleeps in ticks of 5 s and tries the allocator again; here the return of an element ends the sleep,
    /// and memory that comes free meanwhile does not (the pool is what such waits count on).
    fn wait_for_element(&self, p: &Mempool) {
        let e = current();
        let wait = Wait {
            res: p.res,
            how: WaitHow::Sleep,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || p.left.load(SeqCst) != 0);
    }

    /// `mempool_free()`: refills the reserve first.
    pub fn mempool_free(&self, element: Element) {
        let (e, p) = (current(), &self.mempools[element.pool]);
        if let Some(page) = element.page {
            self.free_pages(page);
            return;
        }
        e.point(OpKind::Wake, p.res);
        let less = |n: u32| n.checked_sub(1);
        let known = p.out.fetch_update(SeqCst, SeqCst, less).is_ok();
        if p.left.fetch_add(1, SeqCst) >= p.size || !known {
            e.machine().state_break("mempool-overfull", || {
                format!("{}: more elements given back than it has", p.name)
            });
        } else {
            p.audit();
        }
        e.machine().wake(p.res);
    }

    /// Elements that a pool has in reserve.
    ///
    /// # Panics
    /// If there is no such pool.
    #[must_use]
    pub fn mempool_left(&self, pool: usize) -> u32 {
        self.mempools[pool].left.load(SeqCst)
    }
}
