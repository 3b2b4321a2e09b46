//! What the writeback of a machine is built from, and what it calls in filesystems.

use crate::mm::{Callbacks, Gfp};

/// A page of [`MmSpec::lru`](crate::mm::MmSpec::lru), by the same number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSpec {
    /// The mapping it belongs to.
    pub mapping: Option<usize>,
    /// The memcg it is charged to.
    pub memcg: Option<usize>,
    /// Entities that may end its writeback whatever becomes of its batch, one bit each.
    pub enders: u64,
}

/// Description of a mapping (`struct address_space`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingSpec {
    /// Its name.
    pub name: String,
    /// The inode whose pages these are.
    pub inode: Option<usize>,
    /// The device its pages are written to; without one IO ends as soon as it is submitted.
    pub device: Option<usize>,
    /// "Writeback may deadlock on reclaim" (`0c4f8ed498ce`).
    pub may_deadlock: bool,
}

/// Description of an inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InodeSpec {
    /// Its name.
    pub name: String,
    /// The wb it is attached to at the start.
    pub wb: Option<usize>,
}

/// Description of a `bdi_writeback`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WbSpec {
    /// Its name.
    pub name: String,
    /// The cgroup it belongs to.
    pub memcg: Option<usize>,
}

/// Description of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its name.
    pub name: String,
    /// Batches it takes at a time, at least 1.
    pub depth: u32,
    /// Entities that complete its IO, one bit each.
    pub completers: u64,
}

/// Description of a batch that the program knows by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSpec {
    /// Its name.
    pub name: String,
    /// The device it is for.
    pub device: Option<usize>,
    /// Entities that may submit or end it, one bit each.
    pub enders: u64,
}

/// Description of a machine's writeback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritebackSpec {
    /// Pages, numbered as those of the machine's memory.
    pub pages: Vec<PageSpec>,
    /// Mappings.
    pub mappings: Vec<MappingSpec>,
    /// Inodes.
    pub inodes: Vec<InodeSpec>,
    /// `bdi_writeback`s.
    pub wbs: Vec<WbSpec>,
    /// Devices.
    pub devices: Vec<DeviceSpec>,
    /// Batches that the program knows by name.
    pub batches: Vec<BatchSpec>,
    /// Number of memcgs of the machine.
    pub memcgs: usize,
}

/// What writeback calls in filesystems and drivers. The harness' interpreter implements it.
pub trait Filesystem: Callbacks {
    /// Maps the blocks of a page of a mapping, in `writepages()`; may allocate, with this mask or another.
    fn map_blocks(&self, _mapping: usize, _gfp: Gfp) {}

    /// A device took a batch: whoever completes its IO is to run some time. Makes no decision and does not wait.
    fn start_request(&self, _device: usize) {}

    /// `wakeup_flusher_threads()`: somebody is to write dirty pages of this mapping's device.
    fn wakeup_flusher(&self, _mapping: usize) {}
}
