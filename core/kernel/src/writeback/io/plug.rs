//! Plug lists (`struct blk_plug`): a task holds its batches back until it unplugs or sleeps. Busy loops do not flush.

use super::Writeback;
use super::batch::Stage;
use super::spec::Filesystem;
use crate::mm::Mm;
use crate::rt::{EntityId, EventKind, OpKind, ResId, current, record};

/// The plug list of an entity.
#[derive(Debug, Default)]
pub(super) struct Plug {
    depth: u16,
    batches: Vec<usize>,
}

impl Plug {
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        self.batches.clear();
    }
}

impl Writeback {
    /// `blk_start_plug()`. Only the outermost counts.
    pub fn start_plug(&self) {
        let mut s = self.state();
        let plug = &mut s.plugs[current().id().index()];
        plug.depth = plug.depth.saturating_add(1);
    }

    /// `blk_finish_plug()`: the outermost submits what is on the list.
    pub fn finish_plug(&self, fs: &dyn Filesystem, mm: &Mm) {
        let e = current();
        let left = {
            let mut s = self.state();
            let plug = &mut s.plugs[e.id().index()];
            plug.depth = plug.depth.saturating_sub(1);
            plug.depth
        };
        if left == 0 {
            self.flush_plug(fs, mm);
        }
    }

    /// `blk_flush_plug()`, from a task that may wait for its devices.
    pub fn flush_plug(&self, fs: &dyn Filesystem, mm: &Mm) {
        let e = current();
        e.point(OpKind::Yield, ResId::NONE);
        while let Some(batch) = self.next_plugged(e.id()) {
            self.wait_for_room(batch);
            self.unplug_one(batch);
            self.send(fs, mm, batch);
            self.complete_at_once(fs, mm, batch);
        }
    }

    fn next_plugged(&self, owner: EntityId) -> Option<usize> {
        self.state().plugs[owner.index()].batches.first().copied()
    }

    /// Puts a batch on the running task's plug list. False: it has no plug.
    pub(super) fn plug(&self, mm: &Mm, batch: usize) -> bool {
        let e = current();
        let mut s = self.state();
        if s.plugs[e.id().index()].depth == 0 {
            return false;
        }
        s.plugs[e.id().index()].batches.push(batch);
        s.batches[batch].stage = Stage::Plugged;
        s.batches[batch].owner = Some(e.id());
        self.publish(&s, e.machine(), mm, batch);
        record(EventKind::Step, || {
            "submit_bio: onto the plug list".to_owned()
        });
        true
    }

    pub(super) fn unplug_one(&self, batch: usize) {
        for plug in &mut self.state().plugs {
            plug.batches.retain(|&b| b != batch);
        }
    }

    /// The plug list of a task that is about to sleep goes to the devices (`sched_submit_work()`): at once, whatever
    /// room they have.
    pub fn about_to_sleep(&self, fs: &dyn Filesystem, mm: &Mm, entity: EntityId) {
        while let Some(batch) = self.next_plugged(entity) {
            record(EventKind::Step, || {
                "schedule() flushes the plug list".to_owned()
            });
            self.unplug_one(batch);
            self.send(fs, mm, batch);
        }
    }
}
