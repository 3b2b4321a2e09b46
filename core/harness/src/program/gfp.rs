//! Gfp expressions: `GFP_KERNEL|__GFP_NOMEMALLOC & ~__GFP_FS`, `gfp`.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::word::Word;

/// What a gfp expression starts from: a named composition, nothing, or the mask of the caller.
///
/// Source of the compositions: the table of gfp masks of Linux 6.12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum GfpBase {
    /// `GFP_KERNEL`: may wake kswapd, reclaim, do IO and enter the filesystem.
    #[default]
    Kernel,
    /// `GFP_ATOMIC`: never blocks, part of the reserves.
    Atomic,
    /// `GFP_NOWAIT`: never blocks, no reserves.
    Nowait,
    /// `GFP_NOIO`: may reclaim, no IO, no filesystem.
    Noio,
    /// `GFP_NOFS`: may reclaim and do IO, no filesystem.
    Nofs,
    /// `GFP_USER`: `GFP_KERNEL` that obeys cpusets.
    User,
    /// `GFP_HIGHUSER`: `GFP_USER` that may use highmem.
    Highuser,
    /// `GFP_HIGHUSER_MOVABLE`: `GFP_HIGHUSER` whose page can be migrated.
    HighuserMovable,
    /// `GFP_KERNEL_ACCOUNT`: `GFP_KERNEL` charged to the task's memcg.
    KernelAccount,
    /// `GFP_TRANSHUGE_LIGHT`: movable compound page without any reclaim.
    TranshugeLight,
    /// `0`: no bit at all, as debugging code allocates.
    Zero,
    /// `gfp`: the mask the enclosing shrinker, callback or function was called with.
    Inherited,
}

impl Word for GfpBase {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Kernel, "GFP_KERNEL"),
        (Self::Atomic, "GFP_ATOMIC"),
        (Self::Nowait, "GFP_NOWAIT"),
        (Self::Noio, "GFP_NOIO"),
        (Self::Nofs, "GFP_NOFS"),
        (Self::User, "GFP_USER"),
        (Self::Highuser, "GFP_HIGHUSER"),
        (Self::HighuserMovable, "GFP_HIGHUSER_MOVABLE"),
        (Self::KernelAccount, "GFP_KERNEL_ACCOUNT"),
        (Self::TranshugeLight, "GFP_TRANSHUGE_LIGHT"),
        (Self::Zero, "0"),
        (Self::Inherited, "gfp"),
    ];
}

impl GfpBase {
    /// Whether the composition contains `__GFP_DIRECT_RECLAIM`; `None` when only the caller knows.
    pub fn direct_reclaim(self) -> Option<bool> {
        match self {
            Self::Inherited => None,
            Self::Atomic | Self::Nowait | Self::TranshugeLight | Self::Zero => Some(false),
            _ => Some(true),
        }
    }
}

/// A single gfp bit that the model knows, or the pair `__GFP_RECLAIM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Arbitrary)]
pub enum GfpFlag {
    /// `__GFP_DIRECT_RECLAIM`: the caller may reclaim, so it may block.
    DirectReclaim,
    /// `__GFP_KSWAPD_RECLAIM`: kswapd may be woken.
    KswapdReclaim,
    /// `__GFP_IO`: reclaim may start IO.
    Io,
    /// `__GFP_FS`: reclaim may enter the filesystem.
    Fs,
    /// `__GFP_HIGH`: part of the reserves.
    High,
    /// `__GFP_MEMALLOC`: all of the reserves.
    Memalloc,
    /// `__GFP_NOMEMALLOC`: never the reserves, whatever the task's flags say.
    Nomemalloc,
    /// `__GFP_NORETRY`: fail rather than try hard.
    Noretry,
    /// `__GFP_RETRY_MAYFAIL`: try hard, but fail rather than kill.
    RetryMayfail,
    /// `__GFP_NOFAIL`: never fail.
    Nofail,
    /// `__GFP_NOWARN`: no warning on failure.
    Nowarn,
    /// `__GFP_NOLOCKDEP`: lockdep's reclaim tracking ignores this allocation (4.12 and later).
    Nolockdep,
    /// `__GFP_ACCOUNT`: charged to the task's memcg.
    Account,
    /// `__GFP_HARDWALL`: obeys cpusets.
    Hardwall,
    /// `__GFP_THISNODE`: no fallback to other nodes.
    Thisnode,
    /// `__GFP_HIGHMEM`: the highmem zone will do.
    Highmem,
    /// `__GFP_DMA`: only the DMA zone will do.
    Dma,
    /// `__GFP_DMA32`: the DMA32 zone or below.
    Dma32,
    /// `__GFP_MOVABLE`: the page can be migrated.
    Movable,
    /// `__GFP_COMP`: compound page.
    Comp,
    /// `__GFP_ZERO`: zeroed.
    Zero,
}

impl Word for GfpFlag {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::DirectReclaim, "__GFP_DIRECT_RECLAIM"),
        (Self::KswapdReclaim, "__GFP_KSWAPD_RECLAIM"),
        (Self::Io, "__GFP_IO"),
        (Self::Fs, "__GFP_FS"),
        (Self::High, "__GFP_HIGH"),
        (Self::Memalloc, "__GFP_MEMALLOC"),
        (Self::Nomemalloc, "__GFP_NOMEMALLOC"),
        (Self::Noretry, "__GFP_NORETRY"),
        (Self::RetryMayfail, "__GFP_RETRY_MAYFAIL"),
        (Self::Nofail, "__GFP_NOFAIL"),
        (Self::Nowarn, "__GFP_NOWARN"),
        (Self::Nolockdep, "__GFP_NOLOCKDEP"),
        (Self::Account, "__GFP_ACCOUNT"),
        (Self::Hardwall, "__GFP_HARDWALL"),
        (Self::Thisnode, "__GFP_THISNODE"),
        (Self::Highmem, "__GFP_HIGHMEM"),
        (Self::Dma, "__GFP_DMA"),
        (Self::Dma32, "__GFP_DMA32"),
        (Self::Movable, "__GFP_MOVABLE"),
        (Self::Comp, "__GFP_COMP"),
        (Self::Zero, "__GFP_ZERO"),
    ];
}

/// A set of gfp bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
#[serde(transparent)]
pub struct GfpFlags(u32);

impl GfpFlags {
    /// Every bit the model knows.
    pub const ALL: Self = Self((1 << GfpFlag::WORDS.len()) - 1);

    /// Whether `flag` is in the set.
    pub fn contains(self, flag: GfpFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// The set with `flag`.
    #[must_use]
    pub fn with(self, flag: GfpFlag) -> Self {
        Self(self.0 | 1 << flag as u32)
    }

    /// The set without the members of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The members of both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members in the order of [`GfpFlag`].
    pub fn iter(self) -> impl Iterator<Item = GfpFlag> {
        GfpFlag::WORDS
            .iter()
            .map(|(flag, _)| *flag)
            .filter(move |flag| self.contains(*flag))
    }
}

/// A gfp expression: `(base | set) & ~clear`. A legal one never sets and clears the same bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct Gfp {
    /// Where the mask starts.
    pub base: GfpBase,
    /// Bits added.
    pub set: GfpFlags,
    /// Bits removed.
    pub clear: GfpFlags,
}

impl Gfp {
    /// A bare composition.
    pub fn of(base: GfpBase) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// Whether the mask has `__GFP_DIRECT_RECLAIM`; `None` when only the caller knows.
    pub fn direct_reclaim(self) -> Option<bool> {
        if self.clear.contains(GfpFlag::DirectReclaim) {
            return Some(false);
        }
        if self.set.contains(GfpFlag::DirectReclaim) {
            return Some(true);
        }
        self.base.direct_reclaim()
    }
}
