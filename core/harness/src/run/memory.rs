//! Memory operations of programs: placeholder until the allocator lands.
use super::frame::{Frame, Holding};
use super::litmus::World;
use super::roles::Roles;
use crate::program::Program;
use crate::program::decl::PageBit;
use crate::program::gfp::GfpFlag;
use crate::program::op::{Op, PageRef, Var};
use crate::program::verb::Do;
use ksplat_kernel::rt::Machine;

#[derive(Debug)]
pub struct Memory;
impl Memory {
    pub fn new(_m: &mut Machine, _p: &Program, _r: &Roles) -> Self {
        Self
    }
    pub fn reset(&self) {}
    pub fn check(&self, _m: &Machine) {}
}
impl World {
    pub(super) fn memory_op(&self, _op: &Op, _f: &mut Frame) {}
    pub(super) fn memory_verb(&self, _d: Do) {}
    pub(super) fn kswapd(&self) {}
    pub(super) fn release_worker(&self) {}
    pub(super) fn holding(&self, _v: Var, _f: &Frame) -> Holding {
        None
    }
    pub(super) fn page_bit(&self, _b: PageBit, _p: PageRef) -> bool {
        false
    }
    pub(super) fn gfp_has(&self, _g: u32, _f: GfpFlag) -> bool {
        false
    }
}
