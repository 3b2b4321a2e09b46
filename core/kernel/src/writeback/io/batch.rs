//! IO batches (`struct bio`, ioends): unsubmitted, submitted, completed.

use super::spec::Filesystem;
use super::{State, Writeback};
use crate::mm::{Mm, PageFlags};
use crate::rt::{EntityId, EventKind, Needs, OpKind, Wait, WaitHow, current, record};

/// How far a batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// No pages.
    #[default]
    Empty,
    /// Has pages, and only its owner can submit it.
    Open,
    /// On its owner's plug list.
    Plugged,
    /// With its device.
    Submitted,
}

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stage: Stage,
    pub(super) device: Option<usize>,
    /// Who has to submit it.
    pub(super) owner: Option<EntityId>,
    pub(super) pages: Vec<usize>,
}

impl Batch {
    pub(super) fn new(device: Option<usize>) -> Self {
        Self {
            stage: Stage::Empty,
            device,
            owner: None,
            pages: Vec::with_capacity(8),
        }
    }

    pub(super) fn reset(&mut self) {
        self.stage = Stage::Empty;
        self.owner = None;
        self.pages.clear();
    }
}

impl Writeback {
    /// `bio_alloc()` for `writepages()`: the number of an empty batch.
    pub(super) fn new_batch(&self, device: Option<usize>) -> usize {
        let mut s = self.state();
        if let Some(batch) = s.spare.pop() {
            s.batches[batch].device = device;
            return batch;
        }
        s.batches.push(Batch::new(device));
        s.batches.len() - 1
    }

    /// `bio_add_page()`.
    pub fn bio_add_page(&self, mm: &Mm, batch: usize, page: usize) {
        let e = current();
        e.point(OpKind::Store, mm.writeback_res(page));
        let mut s = self.state();
        let taken = s.pages[page].batch.is_some();
        let late = s.batches[batch].stage == Stage::Submitted;
        if taken || late {
            drop(s);
            e.machine().state_break("bio-add-page", || {
                let why = if late {
                    "submitted already"
                } else {
                    "for a page that is in a batch"
                };
                format!("{} adds page {page} to a batch: {why}", e.name())
            });
            return;
        }
        s.pages[page].batch = Some(batch);
        let b = &mut s.batches[batch];
        b.pages.push(page);
        b.owner.get_or_insert(e.id());
        if b.stage == Stage::Empty {
            b.stage = Stage::Open;
        }
        self.publish(&s, e.machine(), mm, batch);
        record(EventKind::Step, || {
            let pages = s.batches[batch].pages.len();
            format!("bio_add_page: {pages} pages in an unsubmitted batch")
        });
    }

    /// `submit_bio()`: onto the task's plug list, or to the device. Waits while the device's queue is full.
    pub fn submit_bio(&self, fs: &dyn Filesystem, mm: &Mm, batch: usize) {
        let e = current();
        let stage = self.state().batches[batch].stage;
        match stage {
            Stage::Empty => return,
            Stage::Open => {}
            Stage::Plugged | Stage::Submitted => {
                e.machine().state_break("bio-submitted-twice", || {
                    format!("{} submits a batch that is submitted", e.name())
                });
                return;
            }
        }
        if self.plug(mm, batch) {
            return;
        }
        self.wait_for_room(batch);
        self.send(fs, mm, batch);
        self.complete_at_once(fs, mm, batch);
    }

    /// Without a device IO ends as soon as it is submitted.
    pub(super) fn complete_at_once(&self, fs: &dyn Filesystem, mm: &Mm, batch: usize) {
        if self.state().batches[batch].device.is_none() {
            self.complete_batch(fs, mm, batch);
        }
    }

    /// The batch is the device's now.
    pub(super) fn send(&self, fs: &dyn Filesystem, mm: &Mm, batch: usize) {
        let e = current();
        let mut s = self.state();
        if !matches!(s.batches[batch].stage, Stage::Open | Stage::Plugged) {
            return;
        }
        record(EventKind::Step, || {
            format!("submit_bio, {} pages", s.batches[batch].pages.len())
        });
        s.batches[batch].stage = Stage::Submitted;
        disown(&mut s, mm, batch);
        let device = s.batches[batch].device;
        if let Some(device) = device {
            s.queues[device].push(batch);
        }
        self.publish(&s, e.machine(), mm, batch);
        if let Some(device) = device {
            let in_flight = s.queues[device].len() <= self.depth(device);
            drop(s);
            e.machine().wake(self.devices[device].requests);
            if in_flight {
                fs.start_request(device);
            }
        }
    }

    /// What `bio_endio()` does: ends the writeback of every page, tells whoever waits.
    pub(super) fn complete_batch(&self, fs: &dyn Filesystem, mm: &Mm, batch: usize) {
        let e = current();
        // For the pages, which are kept here while their waiters are woken.
        e.must_unwind();
        let (pages, device) = {
            let mut s = self.state();
            disown(&mut s, mm, batch);
            let b = &mut s.batches[batch];
            let pages = std::mem::take(&mut b.pages);
            (b.stage, b.owner) = (Stage::Submitted, None);
            let device = b.device;
            for &page in &pages {
                s.pages[page].batch = None;
            }
            (pages, device)
        };
        record(EventKind::Step, || {
            format!("IO of {} pages ends", pages.len())
        });
        for &page in &pages {
            if mm.page_has(page, PageFlags::WRITEBACK) {
                self.end_page_writeback(fs, mm, page);
            }
        }
        self.recycle(batch, pages);
        if let Some(declared) = self.batches.get(batch) {
            e.point(OpKind::Wake, declared.done);
            e.machine().wake(declared.done);
        }
        if let Some(device) = device {
            e.machine().wake(self.devices[device].room);
        }
    }

    /// Keeps the capacity, and the number of a batch that no program knows.
    fn recycle(&self, batch: usize, mut pages: Vec<usize>) {
        pages.clear();
        let mut s = self.state();
        s.batches[batch].stage = Stage::Empty;
        if s.batches[batch].pages.is_empty() {
            s.batches[batch].pages = pages;
        }
        if batch >= self.batches.len() && !s.spare.contains(&batch) {
            s.spare.push(batch);
        }
    }

    /// `wait_bio`: until a declared batch has no IO left.
    pub fn wait_bio(&self, batch: usize) {
        let (e, done) = (current(), self.batches[batch].done);
        e.might_sleep();
        e.point(OpKind::Wait, done);
        let wait = Wait {
            res: done,
            how: WaitHow::Sleep,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || self.state().batches[batch].stage == Stage::Empty);
    }
}

/// Pages of a batch that nobody has to submit any more.
fn disown(s: &mut State, mm: &Mm, batch: usize) {
    for at in 0..s.batches[batch].pages.len() {
        let page = s.batches[batch].pages[at];
        if let Some(owner) = s.pages[page].owner.take() {
            mm.disowns_unsubmitted(owner);
        }
    }
}
