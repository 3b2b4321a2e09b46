//! MMU notifiers of programs: address spaces, callbacks with bodies, invalidations.

use super::frame::Frame;
use super::litmus::World;
use crate::program::Program;
use crate::program::op::Op;
use crate::program::verb::MmVerb;
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

    /// Operations on address spaces.
    pub(super) fn notifier_op(&self, op: &Op, f: &mut Frame) {
        let mm = self.memory.mm();
        match op {
            Op::MapPage(page, space) => mm.map_page(self.memory.index(*page), space.index()),
            Op::Mm(MmVerb::Munmap, space) => mm.munmap(self, space.index()),
            Op::Mm(MmVerb::Register, space) => mm.mmu_notifier_register(space.index()),
            Op::Mm(MmVerb::ReadBegin, space) => mm.mmu_interval_read_begin(space.index()),
            Op::Invalidate(space, block) => {
                mm.invalidate(self, space.index(), Gfp::KERNEL, || self.block(block, f));
            }
            other => self.wb_op(other, f),
        }
    }
}
