//! Small integer names of what a machine consists of.

use super::set::{EntitySet, MAX_ENTITIES};

/// Most virtual CPUs that one machine can have.
pub const MAX_CPUS: usize = 16;

/// A schedulable thing: a task or an interrupt handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(pub(crate) u8);

impl EntityId {
    /// The entity with this index, in the order of [`MachineSpec::entities`](super::MachineSpec::entities).
    ///
    /// # Panics
    /// If `index` is not below [`MAX_ENTITIES`].
    #[inline]
    #[must_use]
    pub const fn new(index: usize) -> Self {
        assert!(
            index < MAX_ENTITIES,
            "a machine does not have so many entities"
        );
        Self(index as u8)
    }

    /// Its index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The set that holds only this entity.
    #[inline]
    #[must_use]
    pub const fn bit(self) -> EntitySet {
        BITS[self.0 as usize % MAX_ENTITIES]
    }
}

/// The bit of each entity: wide shifts cost more than a look.
static BITS: [EntitySet; MAX_ENTITIES] = {
    let mut bits = [1; MAX_ENTITIES];
    let mut i = 1;
    while i < MAX_ENTITIES {
        bits[i] = bits[i - 1] << 1;
        i += 1;
    }
    bits
};

/// A virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u8);

impl CpuId {
    /// Its index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Anything an entity can wait for: see [`Resource`](super::Resource).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResId(pub(crate) u32);

impl ResId {
    /// No resource: for operations that touch nothing shared.
    pub const NONE: Self = Self(u32::MAX);

    /// The interrupt and preemption state of a CPU, which operations of kind `Cpu` touch.
    #[inline]
    #[must_use]
    pub const fn cpu(cpu: CpuId) -> Self {
        Self(cpu.0 as u32)
    }

    /// Its index, in the order of creation.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
