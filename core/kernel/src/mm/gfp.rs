//! Allocation masks: gfp bits, the named compositions, and what a task's scopes make of a mask.
//!
//! Bits and compositions as in Linux 6.12's `gfp_types.h`; only bits that decide something here exist.

use super::pf::Pf;
use crate::rules::Rules;
use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// A gfp mask (`gfp_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gfp(u32);

macro_rules! bits {
    ($($name:ident = $bit:literal, $text:literal, $doc:literal;)*) => {
        impl Gfp {
            $(#[doc = $doc] pub const $name: Self = Self(1 << $bit);)*

            /// Every single bit and its name, lowest first.
            pub const BITS: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
}

bits! {
    DMA = 0, "__GFP_DMA", "`__GFP_DMA`: only the DMA zone will do.";
    HIGHMEM = 1, "__GFP_HIGHMEM", "`__GFP_HIGHMEM`: the highmem zone will do.";
    DMA32 = 2, "__GFP_DMA32", "`__GFP_DMA32`: the DMA32 zone or below.";
    MOVABLE = 3, "__GFP_MOVABLE", "`__GFP_MOVABLE`: the page can be migrated.";
    HIGH = 5, "__GFP_HIGH", "`__GFP_HIGH`: half of the min reserve.";
    IO = 6, "__GFP_IO", "`__GFP_IO`: reclaim may start IO.";
    FS = 7, "__GFP_FS", "`__GFP_FS`: reclaim may enter the filesystem.";
    ZERO = 8, "__GFP_ZERO", "`__GFP_ZERO`: zeroed.";
    DIRECT_RECLAIM = 10, "__GFP_DIRECT_RECLAIM", "`__GFP_DIRECT_RECLAIM`: the caller may reclaim, so it may block.";
    KSWAPD_RECLAIM = 11, "__GFP_KSWAPD_RECLAIM", "`__GFP_KSWAPD_RECLAIM`: kswapd may be woken.";
    NOWARN = 13, "__GFP_NOWARN", "`__GFP_NOWARN`: no warning on failure.";
    RETRY_MAYFAIL = 14, "__GFP_RETRY_MAYFAIL", "`__GFP_RETRY_MAYFAIL`: tries hard, but fails rather than kills.";
    NOFAIL = 15, "__GFP_NOFAIL", "`__GFP_NOFAIL`: never fails.";
    NORETRY = 16, "__GFP_NORETRY", "`__GFP_NORETRY`: fails rather than tries hard.";
    MEMALLOC = 17, "__GFP_MEMALLOC", "`__GFP_MEMALLOC`: all of the reserves.";
    COMP = 18, "__GFP_COMP", "`__GFP_COMP`: compound page.";
    NOMEMALLOC = 19, "__GFP_NOMEMALLOC", "`__GFP_NOMEMALLOC`: never the reserves, whatever the task's flags say.";
    HARDWALL = 20, "__GFP_HARDWALL", "`__GFP_HARDWALL`: obeys cpusets.";
    THISNODE = 21, "__GFP_THISNODE", "`__GFP_THISNODE`: no fallback to other nodes.";
    ACCOUNT = 22, "__GFP_ACCOUNT", "`__GFP_ACCOUNT`: charged to the task's memcg.";
    NOLOCKDEP = 26, "__GFP_NOLOCKDEP", "`__GFP_NOLOCKDEP`: lockdep's reclaim tracking ignores this allocation (`7e7844226f10`, 4.12).";
}

impl Gfp {
    /// No bit at all, as debugging code allocates: wakes nobody, never blocks.
    pub const NONE: Self = Self(0);
    /// `__GFP_RECLAIM`: direct reclaim and kswapd.
    pub const RECLAIM: Self = Self::DIRECT_RECLAIM.with(Self::KSWAPD_RECLAIM);
    /// `GFP_ATOMIC`: never blocks; part of the reserves.
    pub const ATOMIC: Self = Self::HIGH.with(Self::KSWAPD_RECLAIM);
    /// `GFP_NOWAIT`: never blocks, no reserves (`__GFP_NOWARN` since 2024).
    pub const NOWAIT: Self = Self::KSWAPD_RECLAIM.with(Self::NOWARN);
    /// `GFP_NOIO`: may reclaim, no IO, no filesystem.
    pub const NOIO: Self = Self::RECLAIM;
    /// `GFP_NOFS`: may reclaim and do IO, no filesystem.
    pub const NOFS: Self = Self::RECLAIM.with(Self::IO);
    /// `GFP_KERNEL`.
    pub const KERNEL: Self = Self::NOFS.with(Self::FS);
    /// `GFP_KERNEL_ACCOUNT`.
    pub const KERNEL_ACCOUNT: Self = Self::KERNEL.with(Self::ACCOUNT);
    /// `GFP_USER`.
    pub const USER: Self = Self::KERNEL.with(Self::HARDWALL);
    /// `GFP_HIGHUSER`.
    pub const HIGHUSER: Self = Self::USER.with(Self::HIGHMEM);
    /// `GFP_HIGHUSER_MOVABLE`.
    pub const HIGHUSER_MOVABLE: Self = Self::HIGHUSER.with(Self::MOVABLE);
    /// `GFP_TRANSHUGE_LIGHT`: movable compound page without any reclaim.
    pub const TRANSHUGE_LIGHT: Self = Self::HIGHUSER_MOVABLE
        .with(Self::COMP)
        .with(Self::NOMEMALLOC)
        .with(Self::NOWARN)
        .without(Self::RECLAIM);
    /// `GFP_RECLAIM_MASK`: the bits that say how memory may be had; the others say which memory.
    pub const RECLAIM_MASK: Self = Self::RECLAIM
        .with(Self::HIGH)
        .with(Self::IO)
        .with(Self::FS)
        .with(Self::NOWARN)
        .with(Self::RETRY_MAYFAIL)
        .with(Self::NOFAIL)
        .with(Self::NORETRY)
        .with(Self::MEMALLOC)
        .with(Self::NOMEMALLOC)
        .with(Self::NOLOCKDEP);

    /// Named compositions, the most specific first: [`Display`](fmt::Display) uses the first that fits.
    pub const COMPOSITIONS: &'static [(Self, &'static str)] = &[
        (Self::TRANSHUGE_LIGHT, "GFP_TRANSHUGE_LIGHT"),
        (Self::HIGHUSER_MOVABLE, "GFP_HIGHUSER_MOVABLE"),
        (Self::HIGHUSER, "GFP_HIGHUSER"),
        (Self::USER, "GFP_USER"),
        (Self::KERNEL_ACCOUNT, "GFP_KERNEL_ACCOUNT"),
        (Self::KERNEL, "GFP_KERNEL"),
        (Self::NOFS, "GFP_NOFS"),
        (Self::NOIO, "GFP_NOIO"),
        (Self::ATOMIC, "GFP_ATOMIC"),
        (Self::NOWAIT, "GFP_NOWAIT"),
    ];

    /// The mask with these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both masks' bits, in constants.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of these bits are set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Whether any of these bits is set.
    #[must_use]
    pub const fn any(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    /// `gfpflags_allow_blocking()`: the request may sleep.
    #[must_use]
    pub const fn may_block(self) -> bool {
        self.has(Self::DIRECT_RECLAIM)
    }

    /// The single bit or composition with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::COMPOSITIONS
            .iter()
            .chain(Self::BITS)
            .chain(&[(Self::RECLAIM, "__GFP_RECLAIM"), (Self::NONE, "0")])
            .find(|(_, n)| *n == name)
            .map(|&(gfp, _)| gfp)
    }

    /// The mask in force (`current_gfp_context()`): NOIO scopes clear IO and FS, NOFS scopes clear FS, PIN scopes clear
    /// MOVABLE. PF_MEMALLOC changes nothing here.
    #[must_use]
    pub fn in_context(self, pf: Pf, rules: &Rules) -> Self {
        let mut gfp = self;
        if pf.has(Pf::MEMALLOC_NOIO) && rules.noio_scope {
            gfp = gfp.without(Self::IO.with(Self::FS));
        } else if pf.has(Pf::MEMALLOC_NOFS) && rules.nofs_scope {
            gfp = gfp.without(Self::FS);
        }
        if pf.has(Pf::MEMALLOC_PIN) {
            gfp = gfp.without(Self::MOVABLE);
        }
        gfp
    }
}

impl BitOr for Gfp {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitAnd for Gfp {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Gfp {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Display for Gfp {
    /// As the kernel prints masks: `GFP_KERNEL|__GFP_NOMEMALLOC`; `0` for the empty mask.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = Self::COMPOSITIONS.iter().find(|(gfp, _)| self.has(*gfp));
        let (mut rest, mut between) = (*self, "");
        if let Some((gfp, name)) = base {
            f.write_str(name)?;
            (rest, between) = (self.without(*gfp), "|");
        }
        for (bit, name) in Self::BITS {
            if rest.has(*bit) {
                write!(f, "{between}{name}")?;
                between = "|";
            }
        }
        if between.is_empty() {
            f.write_str("0")?;
        }
        Ok(())
    }
}

/// A word that is no gfp bit and no composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownGfp(pub String);

impl fmt::Display for UnknownGfp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no gfp flag", self.0)
    }
}

impl std::error::Error for UnknownGfp {}

impl std::str::FromStr for Gfp {
    type Err = UnknownGfp;

    /// Reads what [`Display`](fmt::Display) writes: names with `|` between them.
    fn from_str(text: &str) -> Result<Self, UnknownGfp> {
        text.split('|').try_fold(Self::NONE, |mask, word| {
            let word = word.trim();
            Self::by_name(word)
                .map(|bits| mask | bits)
                .ok_or_else(|| UnknownGfp(word.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_read_as_the_kernel_prints_them() {
        let text = |g: Gfp| g.to_string();
        assert_eq!(text(Gfp::KERNEL), "GFP_KERNEL");
        assert_eq!(
            text(Gfp::KERNEL | Gfp::NOMEMALLOC),
            "GFP_KERNEL|__GFP_NOMEMALLOC"
        );
        assert_eq!(text(Gfp::KERNEL.without(Gfp::FS)), "GFP_NOFS");
        assert_eq!(text(Gfp::TRANSHUGE_LIGHT), "GFP_TRANSHUGE_LIGHT");
        assert_eq!(text(Gfp::NONE), "0");
        assert_eq!(text(Gfp::IO), "__GFP_IO");
    }

    #[test]
    fn every_mask_reads_back() {
        for word in (0..1 << Gfp::BITS.len()).step_by(977) {
            let bits = Gfp::BITS.iter().enumerate();
            let mask = bits
                .filter(|(i, _)| word & (1 << i) != 0)
                .fold(Gfp::NONE, |m, (_, &(b, _))| m | b);
            assert_eq!(mask.to_string().parse(), Ok(mask), "{mask}");
        }
        assert!("GFP_KERNEL|__GFP_NOSUCH".parse::<Gfp>().is_err());
    }

    #[test]
    fn scopes_change_the_mask_in_force() {
        let rules = Rules::default();
        let noio = Gfp::KERNEL.in_context(Pf::MEMALLOC_NOIO | Pf::MEMALLOC_NOFS, &rules);
        assert_eq!(noio, Gfp::NOIO);
        assert_eq!(Gfp::KERNEL.in_context(Pf::MEMALLOC_NOFS, &rules), Gfp::NOFS);
        assert_eq!(Gfp::KERNEL.in_context(Pf::MEMALLOC, &rules), Gfp::KERNEL);
        let old = Rules {
            nofs_scope: false,
            ..Rules::default()
        };
        assert_eq!(Gfp::KERNEL.in_context(Pf::MEMALLOC_NOFS, &old), Gfp::KERNEL);
    }
}
