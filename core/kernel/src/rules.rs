//! Kernel variants as data: one value a switch, release names as presets of all.
//!
//! Source of switches and commits: the five discussions; see `docs/rules.md`.

/// Annotation of filesystem reclaim for lockdep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FsReclaim {
    /// Before 2.6.30: nothing.
    F0,
    /// `cf40bd16fdad` (2.6.30): RECLAIM_FS usage state.
    F1,
    /// `d92a8cfcb37e` (4.14): the `fs_reclaim` map; taken after PF_MEMALLOC is set.
    F2,
    /// `2e517d681632` (4.16): PF_MEMALLOC alone skips it, whatever NOMEMALLOC says.
    F3,
    /// `93781325da6e` (4.18): held before PF_MEMALLOC is set; kswapd holds it unconditionally.
    F4,
    /// `f920e413ff9c`, `95d6c701f4ca` (5.11): filter split, `might_alloc()`.
    F5,
    /// 6.12: as F5; kswapd drops it around its freezer check.
    F6,
}

/// Where delegated release work runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelegateRelease {
    /// In the reclaiming task.
    Inline,
    /// In a worker that the reclaiming task waits for.
    Worker,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// `fs_reclaim`.
    pub fs_reclaim: FsReclaim,
    /// Reclaim passes NOMEMALLOC on to callbacks (it does in every release).
    pub propagate_nomemalloc: bool,
    /// Where a release callback runs.
    pub delegate_release: DelegateRelease,
    /// Hypothetical: memcg reclaim holds `fs_reclaim` too.
    pub memcg_reclaim_holds_fs_reclaim: bool,
    /// `6d7225f0cc1a` (4.12): lockdep's filter applies the NOFS/NOIO scopes.
    pub lockdep_knows_scopes: bool,
    /// `7e7844226f10` (4.12): `__GFP_NOLOCKDEP` opts out of lockdep's reclaim tracking.
    pub nolockdep: bool,
    /// `21caf2fc1931` (3.9): the NOIO scope exists.
    pub scope_noio: bool,
    /// `7dea19f9ee63` (4.12): the NOFS scope exists.
    pub scope_nofs: bool,
    /// A PREEMPT_RT kernel.
    pub preempt_rt: bool,
    /// `CONFIG_PROVE_RAW_LOCK_NESTING`.
    pub prove_raw_lock_nesting: bool,
    /// lockdep is on.
    pub lockdep: bool,
    /// lockdep goes on after its first report (a real kernel's does not).
    pub lockdep_continue: bool,
    /// Guard `pf_memalloc_recursion`: an allocation under PF_MEMALLOC does not enter reclaim (`341ce06f69ab`).
    pub guard_pf_memalloc_recursion: bool,
    /// Guard `kswapd_writes_only`: direct reclaim does not write file pages.
    pub guard_may_enter_fs: bool,
}

impl Default for Rules {
    /// Linux 6.12.
    fn default() -> Self {
        Self {
            fs_reclaim: FsReclaim::F6,
            propagate_nomemalloc: true,
            delegate_release: DelegateRelease::Inline,
            memcg_reclaim_holds_fs_reclaim: false,
            lockdep_knows_scopes: true,
            nolockdep: true,
            scope_noio: true,
            scope_nofs: true,
            preempt_rt: false,
            prove_raw_lock_nesting: true,
            lockdep: true,
            lockdep_continue: true,
            guard_pf_memalloc_recursion: true,
            guard_may_enter_fs: true,
        }
    }
}
