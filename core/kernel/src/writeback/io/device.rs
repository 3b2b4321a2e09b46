//! Devices: a queue with a depth, and whoever completes what is in it.

use super::Writeback;
use super::batch::Stage;
use super::spec::Filesystem;
use crate::mm::Mm;
use crate::rt::{EventKind, Needs, OpKind, Wait, WaitHow, current, record};

impl Writeback {
    pub(super) fn depth(&self, device: usize) -> usize {
        self.devices[device].spec.depth.max(1) as usize
    }

    fn is_full(&self, device: usize) -> bool {
        self.state().queues[device].len() >= self.depth(device)
    }

    /// A submitter waits until the device has room for one more batch (`blk_mq_get_tag()`). Where sleeping is not
    /// possible the batch goes behind the others without waiting.
    pub(super) fn wait_for_room(&self, batch: usize) {
        let e = current();
        let Some(device) = self.state().batches[batch].device else {
            return;
        };
        let room = self.devices[device].room;
        e.point(OpKind::Wait, room);
        if e.atomic() {
            return;
        }
        let wait = Wait {
            res: room,
            how: WaitHow::Sleep,
            needs: Needs::Enders,
        };
        e.wait_until(wait, || !self.is_full(device));
    }

    /// A device's IO is done: one of the batches in flight completes, a choice where there are several. What the
    /// device's interrupt handler, work item or daemon does. False: there was nothing in flight.
    pub fn complete_request(&self, fs: &dyn Filesystem, mm: &Mm, device: usize) -> bool {
        let e = current();
        e.point(OpKind::Store, self.devices[device].room);
        let in_flight = self.in_flight(device);
        if in_flight == 0 {
            return false;
        }
        let which = e.machine().choose(in_flight as u32) as usize;
        self.finish(fs, mm, device, which)
    }

    fn in_flight(&self, device: usize) -> usize {
        self.state().queues[device].len().min(self.depth(device))
    }

    /// Takes the nth batch off its queue; the first that waits behind the depth takes its place.
    fn finish(&self, fs: &dyn Filesystem, mm: &Mm, device: usize, nth: usize) -> bool {
        let (batch, next) = {
            let mut s = self.state();
            if nth >= s.queues[device].len() {
                return false;
            }
            let batch = s.queues[device].remove(nth);
            (batch, s.queues[device].len() >= self.depth(device))
        };
        record(EventKind::Step, || {
            format!("{} completes a request", self.devices[device].spec.name)
        });
        self.complete_batch(fs, mm, batch);
        if next {
            fs.start_request(device);
        }
        true
    }

    /// `bio_endio()` of a declared batch by its program: a handler that plays the device, or an error before
    /// submission. Nothing if it has no pages.
    pub fn end_bio(&self, fs: &dyn Filesystem, mm: &Mm, batch: usize) {
        let e = current();
        e.point(OpKind::Store, self.batches[batch].done);
        let (stage, place) = {
            let s = self.state();
            let b = &s.batches[batch];
            let place = b.device.and_then(|device| {
                let nth = s.queues[device].iter().position(|&q| q == batch)?;
                Some((device, nth))
            });
            (b.stage, place)
        };
        match (stage, place) {
            (Stage::Submitted, Some((device, nth))) => {
                self.finish(fs, mm, device, nth);
            }
            (Stage::Open | Stage::Plugged, _) => {
                self.unplug_one(batch);
                self.complete_batch(fs, mm, batch);
            }
            _ => {}
        }
    }

    /// A daemon that serves a device waits for a request, for as long as there is none.
    pub fn wait_for_request(&self, device: usize) {
        let (e, requests) = (current(), self.devices[device].requests);
        e.might_sleep();
        e.point(OpKind::Wait, requests);
        let wait = Wait {
            res: requests,
            how: WaitHow::Idle,
            needs: Needs::Anyone,
        };
        e.wait_until(wait, || self.in_flight(device) != 0);
    }
}
