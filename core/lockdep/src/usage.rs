//! Usage bits: in which contexts a class was used, and over which it was held.

use alloc::string::String;
use alloc::vec;
use core::fmt;

/// One usage bit of a class. Bit number = `4 * state + 2 * direction + read`, then USED and USED_READ
/// (`enum lock_usage_bit`; RECLAIM_FS is the third state that Linux 2.6.30 to 4.13 had).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageBit(u8);

/// A context that usage bits speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageState {
    /// Hard interrupts.
    Hardirq = 0,
    /// Soft interrupts.
    Softirq = 1,
    /// Filesystem-capable memory reclaim (commit cf40bd16fdad, removed by d92a8cfcb37e).
    ReclaimFs = 2,
}

impl UsageState {
    /// The kernel's name: `HARDIRQ`, `SOFTIRQ`, `RECLAIM_FS`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hardirq => "HARDIRQ",
            Self::Softirq => "SOFTIRQ",
            Self::ReclaimFs => "RECLAIM_FS",
        }
    }
}

const READ: u8 = 1;
const ENABLED: u8 = 2;
const USED_BIT: u8 = 12;
/// Number of usage bits.
pub(crate) const USAGE_BITS: usize = 14;

const NAMES: [&str; USAGE_BITS] = [
    "IN-HARDIRQ-W",
    "IN-HARDIRQ-R",
    "HARDIRQ-ON-W",
    "HARDIRQ-ON-R",
    "IN-SOFTIRQ-W",
    "IN-SOFTIRQ-R",
    "SOFTIRQ-ON-W",
    "SOFTIRQ-ON-R",
    "IN-RECLAIM_FS-W",
    "IN-RECLAIM_FS-R",
    "RECLAIM_FS-ON-W",
    "RECLAIM_FS-ON-R",
    "USED",
    "USED-READ",
];

impl UsageBit {
    /// Used by a writer, in whatever context.
    pub const USED: Self = Self(USED_BIT);
    /// Used by a reader, in whatever context.
    pub const USED_READ: Self = Self(USED_BIT + READ);

    /// Taken inside `state`.
    pub const fn used_in(state: UsageState) -> Self {
        Self(4 * state as u8)
    }

    /// Held while `state` was possible.
    pub const fn enabled(state: UsageState) -> Self {
        Self(4 * state as u8 + ENABLED)
    }

    /// The reader's twin of the bit, if `read`.
    pub const fn with_read(self, read: bool) -> Self {
        Self(self.0 | read as u8)
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..USAGE_BITS as u8).map(Self)
    }

    /// The name of the bit in reports, such as `IN-HARDIRQ-W` or `SOFTIRQ-ON-R`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Bit number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The state the bit speaks of; `None` for USED and USED_READ.
    pub fn state(self) -> Option<UsageState> {
        match self.0 >> 2 {
            0 => Some(UsageState::Hardirq),
            1 => Some(UsageState::Softirq),
            2 => Some(UsageState::ReclaimFs),
            _ => None,
        }
    }

    /// True for the readers' bits.
    pub fn is_read(self) -> bool {
        self.0 & READ != 0
    }

    /// True for "held while enabled", false for "used in" (and for USED).
    pub fn is_enabled(self) -> bool {
        self.0 < USED_BIT && self.0 & ENABLED != 0
    }

    /// `exclusive_bit()`: same state, other direction, writer.
    pub(crate) fn exclusive(self) -> Self {
        Self((self.0 & !READ) ^ ENABLED)
    }

    pub(crate) fn mask(self) -> Usage {
        Usage(1 << self.0)
    }

    /// `state_name()`: the state, with `-READ` for the readers' bits.
    pub fn state_name(self) -> &'static str {
        match (self.state(), self.is_read()) {
            (Some(UsageState::Hardirq), false) => "HARDIRQ",
            (Some(UsageState::Hardirq), true) => "HARDIRQ-READ",
            (Some(UsageState::Softirq), false) => "SOFTIRQ",
            (Some(UsageState::Softirq), true) => "SOFTIRQ-READ",
            (Some(UsageState::ReclaimFs), false) => "RECLAIM_FS",
            (Some(UsageState::ReclaimFs), true) => "RECLAIM_FS-READ",
            (None, false) => "USED",
            (None, true) => "USED-READ",
        }
    }
}

impl fmt::Debug for UsageBit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for UsageBit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of usage bits (`usage_mask`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Usage(pub(crate) u32);

const IN_WRITE: u32 = 0b0001_0001_0001;
const WRITERS: u32 = IN_WRITE | IN_WRITE << 2;
const READERS: u32 = WRITERS << 1;

impl Usage {
    /// No bit.
    pub const EMPTY: Self = Self(0);
    /// Every USED_IN bit (`LOCKF_USED_IN_IRQ_ALL`).
    pub(crate) const USED_IN: Self = Self(IN_WRITE | IN_WRITE << 1);
    /// Every ENABLED bit (`LOCKF_ENABLED_IRQ_ALL`).
    pub(crate) const ENABLED: Self = Self(Self::USED_IN.0 << 2);

    /// True if the bit is in the set.
    pub fn contains(self, bit: UsageBit) -> bool {
        self.0 & bit.mask().0 != 0
    }

    /// True if no bit is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits of the set in ascending order.
    pub fn bits(self) -> impl Iterator<Item = UsageBit> {
        UsageBit::all().filter(move |bit| self.contains(*bit))
    }

    pub(crate) fn insert(&mut self, bit: UsageBit) {
        self.0 |= bit.mask().0;
    }

    pub(crate) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn inverted(self) -> u32 {
        (self.0 & Self::ENABLED.0) >> 2 | (self.0 & Self::USED_IN.0) << 2
    }

    /// `exclusive_mask()`: whatever conflicts with one of these bits, readers and writers alike.
    pub(crate) fn exclusive(self) -> Self {
        let inverted = self.inverted();
        Self(inverted | (inverted & READERS) >> 1 | (inverted & WRITERS) << 1)
    }

    /// The bits that a path may carry onwards when only recursive readers can block at its end.
    pub(crate) fn visible(self, only_xr: bool) -> Self {
        if only_xr {
            Self(self.0 & WRITERS)
        } else {
            self
        }
    }

    /// `find_exclusive_match()`: the first bit here that some bit of `other` conflicts with.
    pub(crate) fn exclusive_match(self, other: Self) -> Option<(UsageBit, UsageBit)> {
        for bit in self.bits().take_while(|bit| bit.0 < USED_BIT) {
            for excl in [bit.exclusive(), bit.exclusive().with_read(true)] {
                if other.contains(excl) {
                    return Some((bit, excl));
                }
            }
        }
        None
    }

    /// The characters reports print for a class (`get_usage_chars()`): writer and reader of each state;
    /// `.` never in that context and only held with it off, `-` used in it, `+` held over it, `?` both.
    /// Four characters, or six with RECLAIM_FS.
    pub fn characters(self, reclaim_fs: bool) -> String {
        let mut states = vec![UsageState::Hardirq, UsageState::Softirq];
        if reclaim_fs {
            states.push(UsageState::ReclaimFs);
        }
        let character = |state, read| {
            let used_in = self.contains(UsageBit::used_in(state).with_read(read));
            let enabled = self.contains(UsageBit::enabled(state).with_read(read));
            match (used_in, enabled) {
                (false, false) => '.',
                (true, false) => '-',
                (false, true) => '+',
                (true, true) => '?',
            }
        };
        states
            .into_iter()
            .flat_map(|s| [character(s, false), character(s, true)])
            .collect()
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.bits()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_masks_pair_the_directions() {
        for bit in UsageBit::all().filter(|b| b.state().is_some()) {
            let conflicts = bit.mask().exclusive();
            assert_eq!(conflicts.bits().count(), 2, "{bit}");
            for other in conflicts.bits() {
                assert_eq!(other.state(), bit.state());
                assert_ne!(other.is_enabled(), bit.is_enabled());
                assert_eq!(bit.mask().exclusive_match(other.mask()), Some((bit, other)));
            }
        }
    }

    #[test]
    fn used_bits_conflict_with_nothing() {
        let used = Usage(UsageBit::USED.mask().0 | UsageBit::USED_READ.mask().0);
        assert!(used.exclusive().is_empty());
        assert_eq!(used.exclusive_match(Usage(u32::MAX)), None);
    }

    #[test]
    fn characters_follow_the_kernel() {
        let mut usage = Usage::EMPTY;
        assert_eq!(usage.characters(false), "....");
        usage.insert(UsageBit::used_in(UsageState::Hardirq));
        usage.insert(UsageBit::enabled(UsageState::Hardirq));
        usage.insert(UsageBit::enabled(UsageState::Softirq).with_read(true));
        usage.insert(UsageBit::used_in(UsageState::ReclaimFs));
        assert_eq!(usage.characters(false), "?..+");
        assert_eq!(usage.characters(true), "?..+-.");
    }
}
