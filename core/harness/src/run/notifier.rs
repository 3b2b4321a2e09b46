//! MMU notifiers of programs: address spaces, callbacks with bodies, invalidations.

use super::frame::Frame;
use super::litmus::World;
use crate::program::op::PageRef;
use crate::program::verb::MmVerb;
use crate::program::{Block, Program};
use ksplat_kernel::mm::{AddressSpaceSpec, Gfp};

/// The address spaces of a program, each with the pages mapped into it.
pub fn spaces(program: &Program) -> Vec<AddressSpaceSpec> {
    let mut spaces: Vec<AddressSpaceSpec> = program
        .mms
        .iter()
        .map(|mm| AddressSpaceSpec {
            name: mm.name.to_string(),
            pages: Vec::new(),
        })
        .collect();
    let mut number = 0;
    for page in program.pages.iter() {
        for _ in 0..page.count {
            if let Some(space) = page.mm.and_then(|mm| spaces.get_mut(mm.index())) {
                space.pages.push(number);
            }
            number += 1;
        }
    }
    spaces
}

impl World {
    /// Runs the callbacks of every notifier registered on an address space.
    pub(super) fn run_notifiers(&self, space: usize, gfp: Gfp) {
        for notifier in self.program.notifiers.iter() {
            if notifier.mm.index() == space {
                self.body(&notifier.body, gfp.bits());
            }
        }
    }

    /// `map_page A into M`.
    pub(super) fn map_page(&self, page: PageRef, space: usize) {
        self.memory.mm().map_page(self.memory.index(page), space);
    }

    /// `munmap M` and its like.
    pub(super) fn mm_op(&self, verb: MmVerb, space: usize) {
        let mm = self.memory.mm();
        match verb {
            MmVerb::Munmap => mm.munmap(self, space),
            MmVerb::Register => mm.mmu_notifier_register(space),
            MmVerb::ReadBegin => mm.mmu_interval_read_begin(space),
        }
    }

    /// `invalidate M { … }`.
    pub(super) fn invalidate(&self, space: usize, block: &Block, f: &mut Frame) {
        let mm = self.memory.mm();
        mm.invalidate(self, space, Gfp::KERNEL, || self.block(block, f));
    }
}
