//! Allocation flags, as far as lockdep's view of reclaim depends on them.

/// A gfp mask. Flags without bearing on `fs_reclaim` are accepted and have no bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gfp(u8);

const DIRECT_RECLAIM: u8 = 1;
const IO: u8 = 2;
const FS: u8 = 4;
const NOLOCKDEP: u8 = 8;

/// `PF_MEMALLOC`: the task is itself reclaiming, or may use reserves.
pub(super) const PF_MEMALLOC: u8 = 1;
/// `PF_MEMALLOC_NOFS`.
pub(super) const PF_MEMALLOC_NOFS: u8 = 2;
/// `PF_MEMALLOC_NOIO`.
pub(super) const PF_MEMALLOC_NOIO: u8 = 4;

const FLAGS: &[(&str, u8)] = &[
    ("0", 0),
    ("GFP_ATOMIC", 0),
    ("GFP_NOWAIT", 0),
    ("GFP_NOIO", DIRECT_RECLAIM),
    ("GFP_NOFS", DIRECT_RECLAIM | IO),
    ("GFP_KERNEL", DIRECT_RECLAIM | IO | FS),
    ("GFP_KERNEL_ACCOUNT", DIRECT_RECLAIM | IO | FS),
    ("GFP_USER", DIRECT_RECLAIM | IO | FS),
    ("GFP_HIGHUSER", DIRECT_RECLAIM | IO | FS),
    ("GFP_HIGHUSER_MOVABLE", DIRECT_RECLAIM | IO | FS),
    ("GFP_TRANSHUGE_LIGHT", IO | FS),
    ("GFP_TRANSHUGE", DIRECT_RECLAIM | IO | FS),
    ("GFP_DMA", 0),
    ("GFP_DMA32", 0),
    ("__GFP_DIRECT_RECLAIM", DIRECT_RECLAIM),
    ("__GFP_KSWAPD_RECLAIM", 0),
    ("__GFP_RECLAIM", DIRECT_RECLAIM),
    ("__GFP_IO", IO),
    ("__GFP_FS", FS),
    ("__GFP_NOLOCKDEP", NOLOCKDEP),
    ("__GFP_HIGH", 0),
    ("__GFP_NOWARN", 0),
    ("__GFP_NOMEMALLOC", 0),
    ("__GFP_MEMALLOC", 0),
    ("__GFP_NORETRY", 0),
    ("__GFP_RETRY_MAYFAIL", 0),
    ("__GFP_NOFAIL", 0),
    ("__GFP_ZERO", 0),
    ("__GFP_COMP", 0),
    ("__GFP_ACCOUNT", 0),
    ("__GFP_HARDWALL", 0),
    ("__GFP_HIGHMEM", 0),
    ("__GFP_MOVABLE", 0),
    ("__GFP_RECLAIMABLE", 0),
    ("__GFP_WRITE", 0),
    ("__GFP_THISNODE", 0),
    ("__GFP_DMA", 0),
    ("__GFP_DMA32", 0),
];

impl Gfp {
    /// Reads `GFP_KERNEL|__GFP_NOWARN` and the like.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut mask = 0;
        for name in text.split('|') {
            let flag = FLAGS.iter().find(|(flag, _)| *flag == name);
            mask |= flag.ok_or_else(|| format!("unknown gfp flag `{name}`"))?.1;
        }
        Ok(Self(mask))
    }

    /// `gfpflags_allow_blocking()`.
    pub(super) fn allows_blocking(self) -> bool {
        self.0 & DIRECT_RECLAIM != 0
    }

    /// True if `fs_reclaim_acquire()` acts, for a task with these PF flags (Linux 5.11 and later).
    pub(super) fn enters_fs_reclaim(self, pf_flags: u8) -> bool {
        let withheld = match (
            pf_flags & PF_MEMALLOC_NOIO != 0,
            pf_flags & PF_MEMALLOC_NOFS != 0,
        ) {
            (true, _) => IO | FS,
            (false, true) => FS,
            (false, false) => 0,
        };
        let mask = self.0 & !withheld;
        mask & (DIRECT_RECLAIM | FS | NOLOCKDEP) == DIRECT_RECLAIM | FS
            && pf_flags & PF_MEMALLOC == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter() {
        let enters = |text: &str, flags| {
            Gfp::parse(text)
                .expect("known flags")
                .enters_fs_reclaim(flags)
        };
        assert!(enters("GFP_KERNEL", 0));
        assert!(enters("__GFP_FS|__GFP_DIRECT_RECLAIM|__GFP_NOMEMALLOC", 0));
        for (text, flags) in [
            ("GFP_NOFS", 0),
            ("__GFP_FS", 0),
            ("GFP_KERNEL|__GFP_NOLOCKDEP", 0),
            ("GFP_KERNEL", PF_MEMALLOC),
            ("GFP_KERNEL", PF_MEMALLOC_NOFS),
            ("GFP_KERNEL", PF_MEMALLOC_NOIO),
        ] {
            assert!(!enters(text, flags), "{text} {flags}");
        }
        assert!(Gfp::parse("GFP_KERNEL|").is_err());
    }
}
