//! Task flags (`current->flags`) and the scopes that set them.

use crate::rt::{EventKind, current, record};
use std::fmt;
use std::ops::BitOr;

/// A set of PF flags. Values as in Linux 6.12's `sched.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pf(u32);

impl Pf {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `PF_EXITING`.
    pub const EXITING: Self = Self(0x4);
    /// `PF_WQ_WORKER`: sleeps one tick in reclaim retries, so that its pool notices.
    pub const WQ_WORKER: Self = Self(0x20);
    /// `PF_MEMALLOC`: inside reclaim, or in an explicit no-reclaim scope.
    pub const MEMALLOC: Self = Self(0x800);
    /// `PF_KCOMPACTD`.
    pub const KCOMPACTD: Self = Self(0x1_0000);
    /// `PF_KSWAPD`.
    pub const KSWAPD: Self = Self(0x2_0000);
    /// `PF_MEMALLOC_NOFS`.
    pub const MEMALLOC_NOFS: Self = Self(0x4_0000);
    /// `PF_MEMALLOC_NOIO`.
    pub const MEMALLOC_NOIO: Self = Self(0x8_0000);
    /// `PF_LOCAL_THROTTLE`.
    pub const LOCAL_THROTTLE: Self = Self(0x10_0000);
    /// `PF_KTHREAD`: not throttled in direct reclaim.
    pub const KTHREAD: Self = Self(0x20_0000);
    /// `PF_MEMALLOC_PIN`.
    pub const MEMALLOC_PIN: Self = Self(0x1000_0000);

    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::EXITING, "PF_EXITING"),
        (Self::WQ_WORKER, "PF_WQ_WORKER"),
        (Self::MEMALLOC, "PF_MEMALLOC"),
        (Self::KCOMPACTD, "PF_KCOMPACTD"),
        (Self::KSWAPD, "PF_KSWAPD"),
        (Self::MEMALLOC_NOFS, "PF_MEMALLOC_NOFS"),
        (Self::MEMALLOC_NOIO, "PF_MEMALLOC_NOIO"),
        (Self::LOCAL_THROTTLE, "PF_LOCAL_THROTTLE"),
        (Self::KTHREAD, "PF_KTHREAD"),
        (Self::MEMALLOC_PIN, "PF_MEMALLOC_PIN"),
    ];
    const SCOPES: Self = Self(
        Self::MEMALLOC.0 | Self::MEMALLOC_NOFS.0 | Self::MEMALLOC_NOIO.0 | Self::MEMALLOC_PIN.0,
    );

    /// The flags with these bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as a number, for [`EntitySpec::pf`](crate::rt::EntitySpec::pf).
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The flags in force for the running entity.
    #[inline]
    #[must_use]
    pub fn current() -> Self {
        Self(current().pf())
    }

    /// Those that scopes set: PF_MEMALLOC and its kin.
    #[must_use]
    pub const fn scopes(self) -> Self {
        Self(self.0 & Self::SCOPES.0)
    }

    /// Whether all of these flags are set.
    #[inline]
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for Pf {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Pf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (_, name) in Self::NAMES.iter().filter(|(flag, _)| self.has(*flag)) {
            write!(f, "{between}{name}")?;
            between = "|";
        }
        if between.is_empty() {
            f.write_str("0")?;
        }
        Ok(())
    }
}

/// What a `memalloc_*_save()` returns: which flag it set, and what was in force before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the scope has to be restored"]
pub struct Scope {
    flag: Pf,
    was_set: bool,
    after: Pf,
}

/// `memalloc_nofs_save()`: allocations of this task lose `__GFP_FS`.
pub fn memalloc_nofs_save() -> Scope {
    save(Pf::MEMALLOC_NOFS)
}

/// `memalloc_noio_save()`: allocations of this task lose `__GFP_IO` and `__GFP_FS`.
pub fn memalloc_noio_save() -> Scope {
    save(Pf::MEMALLOC_NOIO)
}

/// `memalloc_noreclaim_save()`: allocations of this task do not reclaim and may use all reserves.
pub fn memalloc_noreclaim_save() -> Scope {
    save(Pf::MEMALLOC)
}

/// `memalloc_pin_save()`: allocations of this task lose `__GFP_MOVABLE`.
pub fn memalloc_pin_save() -> Scope {
    save(Pf::MEMALLOC_PIN)
}

fn save(flag: Pf) -> Scope {
    let e = current();
    let before = Pf(e.pf());
    let after = before | flag;
    e.set_pf(after.0);
    record(EventKind::Context, || format!("sets {flag}"));
    Scope {
        flag,
        was_set: before.has(flag),
        after,
    }
}

impl Scope {
    /// The matching `memalloc_*_restore()`: clears the flag unless it was set before.
    ///
    /// Scopes are last in, first out; one that is restored out of order breaks the invariant `pf-scope-order`.
    pub fn restore(self) {
        let e = current();
        let now = Pf(e.pf());
        if (now.0 ^ self.after.0) & Pf::SCOPES.0 != 0 {
            e.machine().state_break("pf-scope-order", || {
                format!(
                    "{} restores {} with {now} in force; {} was in force when the scope began",
                    e.name(),
                    self.flag,
                    self.after
                )
            });
        }
        if !self.was_set {
            e.set_pf(now.0 & !self.flag.0);
        }
        record(EventKind::Context, || format!("restores {}", self.flag));
    }
}
