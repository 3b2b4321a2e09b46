//! What the writeback of a machine is built from, and what it calls in filesystems.

use crate::mm::{Callbacks, Gfp};
use crate::rt::EntitySet;

/// A page of [`MmSpec::lru`](crate::mm::MmSpec::lru), by the same number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSpec {
    /// Its name.
    pub name: String,
    /// The mapping it belongs to.
    pub mapping: Option<usize>,
    /// Entities that may end its writeback whatever becomes of its batch, one bit each.
    pub enders: EntitySet,
}

/// Description of a mapping (`struct address_space`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingSpec {
    /// Its name.
    pub name: String,
    /// The device its pages are written to; without one IO ends as soon as it is submitted.
    pub device: Option<usize>,
    /// "Writeback may deadlock on reclaim" (`0c4f8ed498ce`).
    pub may_deadlock: bool,
}

/// Description of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its name.
    pub name: String,
    /// Batches it takes at a time, at least 1.
    pub depth: u32,
    /// Entities that complete its IO, one bit each.
    pub completers: EntitySet,
}

/// Description of a batch that the program knows by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSpec {
    /// Its name.
    pub name: String,
    /// The device it is for.
    pub device: Option<usize>,
    /// Entities that may submit or end it, one bit each.
    pub enders: EntitySet,
}

/// Description of a machine's writeback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WritebackSpec {
    /// Pages, numbered as those of the machine's memory.
    pub pages: Vec<PageSpec>,
    /// Mappings.
    pub mappings: Vec<MappingSpec>,
    /// Devices.
    pub devices: Vec<DeviceSpec>,
    /// Batches that the program knows by name.
    pub batches: Vec<BatchSpec>,
}

/// A change of a page's dirty or writeback bit, with all that counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageChange {
    /// The dirty bit is set.
    SetDirty,
    /// The dirty bit is cleared because the page is about to be written.
    ClearDirtyForIo,
    /// The dirty bit is cleared because the data is not wanted any more.
    CancelDirty,
    /// The dirty bit is set again after it was cleared for IO.
    Redirty,
    /// PG_writeback is set.
    SetWriteback,
    /// PG_writeback is cleared.
    EndWriteback,
}

/// What writeback calls in filesystems and drivers. The harness' interpreter implements it.
pub trait Filesystem: Callbacks {
    /// Changes a bit of a page and the counters that go with it. False: the bit was so already, or the page is no
    /// longer in the page cache.
    fn change_page(&self, page: usize, change: PageChange) -> bool;

    /// Maps the blocks of a page of a mapping, in `writepages()`; may allocate, with this mask or another.
    fn map_blocks(&self, _mapping: usize, _gfp: Gfp) {}

    /// A device took a batch: whoever completes its IO is to run some time. Makes no decision and does not wait.
    fn start_request(&self, _device: usize) {}

    /// `wakeup_flusher_threads()`: somebody is to write dirty pages of this mapping's device.
    fn wakeup_flusher(&self, _mapping: usize) {}
}
