//! Who owns pages under writeback that nobody has submitted yet, and the proposed annotation about it.
//!
//! "An allocation that may enter filesystem reclaim while its task owns an unsubmitted batch" can wait for itself, and
//! lockdep has no word for it: PG_writeback is held by nobody. The rule `annotate_unsubmitted` reports such
//! allocations. It exists in no kernel: its findings are proposals, and so is their name.

use super::Mm;
use super::gfp::Gfp;
use super::pf::Pf;
use crate::rt::{Entity, EntityId, MAX_ENTITIES, Quantity, ResId, count, current};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Pages under writeback and not submitted, by the entity that has to submit them.
#[derive(Debug)]
pub(crate) struct Unsubmitted([AtomicU16; MAX_ENTITIES]);

impl Unsubmitted {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU16::new(0) }; MAX_ENTITIES])
    }

    pub(crate) fn reset(&self, entities: usize) {
        let used = &self.0[..entities];
        used.iter().for_each(|n| n.store(0, Relaxed));
    }
}

impl Mm {
    /// A page under writeback waits for this entity to submit it.
    pub fn owns_unsubmitted(&self, owner: EntityId) {
        self.unsubmitted.0[owner.index()].fetch_add(1, Relaxed);
        count(&current(), Quantity::Unsubmitted, ResId(owner.0.into()), 1);
    }

    /// It has been submitted, or its writeback ended without.
    pub fn disowns_unsubmitted(&self, owner: EntityId) {
        let less = |n: u16| n.checked_sub(1);
        let counter = &self.unsubmitted.0[owner.index()];
        if counter.fetch_update(Relaxed, Relaxed, less).is_ok() {
            count(&current(), Quantity::Unsubmitted, ResId(owner.0.into()), -1);
        }
    }

    /// Pages under writeback that this entity has still to submit.
    #[must_use]
    pub fn unsubmitted_pages(&self, owner: EntityId) -> u16 {
        self.unsubmitted.0[owner.index()].load(Relaxed)
    }

    /// The proposed annotation, where the rules switch it on.
    pub(crate) fn annotate_unsubmitted(&self, e: &Entity, given: Gfp) {
        let rules = e.machine().rules();
        if !rules.annotate_unsubmitted {
            return;
        }
        let (pages, pf) = (self.unsubmitted_pages(e.id()), Pf::from_bits(e.pf()));
        let gfp = given.in_context(pf, rules);
        if pages == 0 || !gfp.may_block() || !gfp.has(Gfp::FS) || pf.has(Pf::MEMALLOC) {
            return;
        }
        e.machine().state_break("proposal-unsubmitted-batch", || {
            format!(
                "proposed annotation: {} allocates with {gfp} while {pages} pages under writeback wait for it to \
                 submit them",
                e.name()
            )
        });
    }
}
