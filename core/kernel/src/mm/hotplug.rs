//! Memory hotplug: zones go out of service and come back, and the zonelists are rebuilt (`build_all_zonelists()`).
//!
//! Pages in use are not migrated: a zone with a frame in use cannot be taken offline (`-EBUSY`).

use super::Mm;
use super::callbacks::Callbacks;
use super::page::{FrameKind, Frames};
use super::page_alloc::Request;
use super::watermark::{AllocFlags, Mark};
use super::zone::Zone;
use crate::rt::{Entity, EventKind, IrqFlags, OpKind, current, record};
use crate::rules::ZonelistSeq as Variant;
use crate::sync::{How, Irq};
use std::sync::atomic::Ordering::Relaxed;

impl Mm {
    /// Takes a zone out of service and rebuilds the zonelists (`offline_pages()`). May sleep. False: memory cannot be
    /// taken offline, or a frame of the zone is in use.
    ///
    /// # Panics
    /// If there is no such zone.
    pub fn offline_zone(&self, cb: &dyn Callbacks, zone: usize) -> bool {
        let zone = &self.zones[zone];
        let flags = self.hotplug_lock.lock(How::default());
        let done = self.try_offline(zone);
        record(EventKind::Step, || {
            let word = if done {
                "is offline"
            } else {
                "stays: it is in use"
            };
            format!("zone {} {word}", zone.kind.as_str())
        });
        if done {
            self.build_all_zonelists(cb);
        }
        self.hotplug_lock.unlock(Irq::Plain, flags);
        done
    }

    fn try_offline(&self, zone: &Zone) -> bool {
        if !current().machine().rules().memory_hotremove || !zone.is_populated() {
            return false;
        }
        for cpu in 0..current().machine().nr_cpus() {
            zone.drain(&self.frames, cpu);
        }
        zone.take_offline(&self.frames)
    }

    /// Puts a zone back in service and rebuilds the zonelists (`online_pages()`). May sleep. False: it is in service.
    ///
    /// # Panics
    /// If there is no such zone.
    pub fn online_zone(&self, cb: &dyn Callbacks, zone: usize) -> bool {
        let zone = &self.zones[zone];
        let flags = self.hotplug_lock.lock(How::default());
        let done = zone.bring_online(&self.frames);
        if done {
            record(EventKind::Step, || {
                format!("zone {} is online", zone.kind.as_str())
            });
            self.build_all_zonelists(cb);
            current().machine().wake(self.memory);
        }
        self.hotplug_lock.unlock(Irq::Plain, flags);
        done
    }

    /// What hotplug does after a change, without the change. May sleep.
    pub fn rebuild_zonelists(&self, cb: &dyn Callbacks) {
        let flags = self.hotplug_lock.lock(How::default());
        self.build_all_zonelists(cb);
        self.hotplug_lock.unlock(Irq::Plain, flags);
    }

    /// `__build_all_zonelists()`: the writer of the sequence, in each variant's order.
    fn build_all_zonelists(&self, cb: &dyn Callbacks) {
        let e = current();
        let seq = &self.sequence;
        match e.machine().rules().zonelist_seq {
            Variant::Z0 => {
                let flags = seq.write_begin(Irq::Plain);
                self.rewrite_zonelists(cb, &e);
                seq.write_end(Irq::Plain, flags);
            }
            Variant::Z1 | Variant::Z4 => {
                let flags = seq.write_begin(Irq::Plain);
                report_may_print(cb, &e);
                self.rewrite_zonelists(cb, &e);
                report_may_print(cb, &e);
                seq.write_end(Irq::Plain, flags);
            }
            Variant::Z2 => self.rebuild_z2(cb, &e),
            Variant::Z3 => {
                let flags = seq.write_begin(Irq::Save);
                report_may_print(cb, &e);
                cb.printk_deferred(true);
                self.rewrite_zonelists(cb, &e);
                cb.printk_deferred(false);
                report_may_print(cb, &e);
                seq.write_end(Irq::Save, flags);
            }
            Variant::Z5 => {
                let flags = seq.write_begin(Irq::Save);
                self.rewrite_zonelists(cb, &e);
                seq.write_end(Irq::Save, flags);
            }
        }
        self.audit_zonelists(&e);
    }

    /// Interrupts are really off before the seqlock is taken: on PREEMPT_RT its spinlock sleeps.
    fn rebuild_z2(&self, cb: &dyn Callbacks, e: &Entity) {
        let irqs = e.local_irq_save();
        cb.printk_deferred(true);
        let flags: IrqFlags = self.sequence.write_begin(Irq::Plain);
        report_may_print(cb, e);
        self.rewrite_zonelists(cb, e);
        report_may_print(cb, e);
        self.sequence.write_end(Irq::Plain, flags);
        cb.printk_deferred(false);
        e.local_irq_restore(irqs);
    }

    /// The lists themselves; the kernel prints the fallback order of each node first.
    fn rewrite_zonelists(&self, cb: &dyn Callbacks, e: &Entity) {
        record(EventKind::Step, || "rebuilds the zonelists".to_owned());
        audit_deferral(cb, e);
        cb.printk();
        self.zonelists.rewrite(&self.zones, || {
            e.point(OpKind::Store, self.zonelist_res);
        });
        e.machine().changed(e, true);
    }

    /// Invariant 34, first half: rebuilt lists have the populated zones, all of them and nothing else.
    fn audit_zonelists(&self, e: &Entity) {
        if !e.machine().simulated() {
            return;
        }
        for node in 0..self.zonelists.nodes() {
            if !self.zonelists.is_current(&self.zones, node) {
                e.machine().state_break("zonelist-contents", || {
                    format!("the list of node {node} is not made of the populated zones")
                });
            }
        }
    }

    /// Invariant 34, second half: whoever gives up because it sees no zone with memory would not see one in the current
    /// list either.
    pub(crate) fn audit_given_up(&self, r: &Request, kind: &'static str) {
        let e = current();
        if !e.machine().simulated() {
            return;
        }
        let seen = |id: usize| self.kept_zones(r).any(|z| z.id == id);
        let enough = AllocFlags::plain(Mark::Min);
        let overlooked = self
            .eligible(r)
            .find(|z| !seen(z.id) && z.watermark_ok(r.order, r.highest, enough));
        if let Some(zone) = overlooked {
            e.machine().state_break(kind, || {
                format!(
                    "{} gives up {} of order {}: its position in the zonelist is stale, zone {} has {} free pages",
                    e.name(),
                    r.gfp,
                    r.order,
                    zone.kind.as_str(),
                    zone.nr_free()
                )
            });
        }
    }
}

/// `report_prints`: lockdep or a lockup detector may report here, in the middle of a rebuild, and print.
fn report_may_print(cb: &dyn Callbacks, e: &Entity) {
    let m = e.machine();
    if m.rules().report_prints && m.simulated() && m.choose(2) == 1 {
        record(EventKind::Step, || "a report prints".to_owned());
        audit_deferral(cb, e);
        m.world().report_prints();
    }
}

/// Invariant 43: where readers wait for the sequence, what is printed while it is odd is deferred, in the variants that
/// know of it.
fn audit_deferral(cb: &dyn Callbacks, e: &Entity) {
    let m = e.machine();
    let defers = matches!(m.rules().zonelist_seq, Variant::Z2 | Variant::Z3);
    if defers && !cb.printk_is_deferred() {
        m.state_break("printk-not-deferred", || {
            format!("{} prints while zonelist_update_seq is odd", e.name())
        });
    }
}

impl Zone {
    /// Whether its memory is in service (`populated_zone()`).
    #[inline]
    pub(crate) fn is_populated(&self) -> bool {
        !self.offline.load(Relaxed)
    }

    /// Takes every frame, if all of them are free. False: some are not, and nothing happened.
    fn take_offline(&self, frames: &Frames) -> bool {
        let mut buddy = self.buddy.lock(Irq::Save);
        if self.nr_free() != self.managed() {
            return false;
        }
        while let Some(pfn) = buddy.take(frames, 0) {
            frames.set(pfn, FrameKind::Reserved, 0);
        }
        self.count_free(-(self.managed() as i32));
        self.offline.store(true, Relaxed);
        self.touch(&current());
        true
    }

    /// Gives all frames back to the allocator. False: it is in service.
    fn bring_online(&self, frames: &Frames) -> bool {
        let mut buddy = self.buddy.lock(Irq::Save);
        if self.is_populated() {
            return false;
        }
        for pfn in self.start..self.end {
            buddy.put(frames, pfn, 0);
        }
        self.count_free(self.managed() as i32);
        self.offline.store(false, Relaxed);
        self.touch(&current());
        true
    }
}
