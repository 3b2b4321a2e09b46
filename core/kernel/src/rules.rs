//! Kernel variants as data: one value a switch, release names as presets of all.
//!
//! Commits are those that changed the behaviour upstream; the release is the first that has them.

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

/// When reclaim waits for a page under writeback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WritebackWait {
    /// Before 3.6: never in memcg reclaim.
    R0,
    /// `e62e384e9da8`: memcg reclaim, PG_reclaim set and the filesystem may be entered.
    R1,
    /// `c3b94f44fcb0` (3.6): memcg reclaim, PG_reclaim set and IO allowed.
    R2,
    /// `ecf5fc6e9654` (4.2): back to the filesystem's permission.
    R3,
    /// `283aba9f9e0e`, `97c9341f7272` (4.2): legacy memcg reclaim only.
    R3b,
    /// `0c4f8ed498ce` (6.16): never where the mapping says that writeback may deadlock on reclaim.
    R4,
}

/// How lockdep learns about mmu notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MmuNotifier {
    /// Not at all.
    N0,
    /// `23b68395c7c7` (5.4): the map is acquired around invalidations.
    N1,
    /// `66204f1d2d1b` (5.4): and registration primes fs_reclaim → notifier.
    N1p,
    /// Version 2 of the 5.11 patch, with its scope mistake.
    N2b,
    /// `f920e413ff9c` (5.11): every allocation that may reclaim touches the map.
    N2,
}

/// The inode → wb transaction and its interrupt state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WbNesting {
    /// Before 4.2: none.
    W0,
    /// `682aa8e1a6a1` (4.2): locks with the non-saving variant.
    W1,
    /// `2e898e4c0a38` (4.17): saves and restores.
    W2,
    /// `cf4a65539c13` and others (6.13): the outer lock is gone.
    W3,
}

/// How a zonelist rebuild is seen by allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZonelistSeq {
    /// Before 6.0: not at all.
    Z0,
    /// `3d36424b3b58` (6.0): a seqlock, interrupts on.
    Z1,
    /// `1007843a9190` (6.3): interrupts off and printk deferred around it.
    Z2,
    /// `a2ebb5157582` (6.6): irqsave inside, then printk deferred.
    Z3,
    /// First alternative, not merged: only requests that may reclaim look.
    Z4,
    /// Second alternative, not merged: a counter that nobody waits for.
    Z5,
}

/// Who runs the release callback of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelegateRelease {
    /// The reclaiming task.
    Inline,
    /// A worker that the reclaiming task waits for.
    Worker,
}

/// cgroup version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cgroup {
    /// The legacy hierarchy.
    V1,
    /// The unified hierarchy.
    V2,
}

/// Who writes to the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Printk {
    /// The task that prints.
    Sync,
    /// An interrupt later.
    Deferred,
    /// A thread.
    Threaded,
}

/// The rules in force. Fields are named as their switches are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "one switch, one field")]
pub struct Rules {
    /// `fs_reclaim`.
    pub fs_reclaim: FsReclaim,
    /// `writeback_wait`.
    pub writeback_wait: WritebackWait,
    /// `mmu_notifier`.
    pub mmu_notifier: MmuNotifier,
    /// `map_scope = per_mm`: one notifier map per mm (an experiment; upstream has one for all).
    pub map_per_mm: bool,
    /// `wb_nesting`.
    pub wb_nesting: WbNesting,
    /// `zonelist_seq`.
    pub zonelist_seq: ZonelistSeq,
    /// A release callback inherits `__GFP_NOMEMALLOC` from its reclaim (it does in every release).
    pub propagate_nomemalloc: bool,
    /// `delegate_release`.
    pub delegate_release: DelegateRelease,
    /// Hypothetical: memcg reclaim holds `fs_reclaim` too.
    pub memcg_reclaim_holds_fs_reclaim: bool,
    /// A PREEMPT_RT kernel.
    pub preempt_rt: bool,
    /// `cgroup`.
    pub cgroup: Cgroup,
    /// Charges move with a task between cgroups (v1).
    pub cgroup_v1_move_charge: bool,
    /// Inodes are attached to the wb of a cgroup (v2).
    pub cgroup_writeback: bool,
    /// Forces both of the above open together.
    pub allow_both: bool,
    /// lockdep is on.
    pub lockdep: bool,
    /// lockdep goes on after its first report (a real kernel's does not).
    pub lockdep_continue: bool,
    /// `7e7844226f10` (4.12): `__GFP_NOLOCKDEP` is known.
    pub nolockdep: bool,
    /// `6d7225f0cc1a` (4.12): lockdep's filter applies the NOFS and NOIO scopes.
    pub scope_aware_lockdep: bool,
    /// `7dea19f9ee63` (4.12): the NOFS scope exists.
    pub nofs_scope: bool,
    /// `21caf2fc1931` (3.9): the NOIO scope exists.
    pub noio_scope: bool,
    /// The filesystem opens a NOFS scope in writepages.
    pub writepages_scope: bool,
    /// writepages submits its batch before it allocates.
    pub submit_before_alloc: bool,
    /// Proposed annotation: an allocation that may enter the filesystem over an unsubmitted batch is reported.
    pub annotate_unsubmitted: bool,
    /// mmu notifier callbacks may block.
    pub callback_blockable: bool,
    /// Memory can be taken offline.
    pub memory_hotremove: bool,
    /// `printk`.
    pub printk: Printk,
    /// Work items and flushes are lockdep maps.
    pub work_maps: bool,
    /// A lockdep report goes through printk to the consoles.
    pub report_prints: bool,
    /// `CONFIG_PROVE_RAW_LOCK_NESTING`.
    pub prove_raw_lock_nesting: bool,
    /// Guard: an allocation under PF_MEMALLOC does not enter reclaim (`341ce06f69ab`).
    pub guard_pf_memalloc_recursion: bool,
    /// Guard: reclaim without `__GFP_FS` leaves pages that need the filesystem alone.
    pub guard_may_enter_fs: bool,
    /// Guard: reclaim without `__GFP_IO` starts no IO and waits for none.
    pub guard_may_do_io: bool,
    /// Guard: charge moving and cgroup writeback are never both active.
    pub guard_cgroup_exclusion: bool,
    /// Guard: only kswapd writes file pages from reclaim.
    pub guard_kswapd_writes_only: bool,
    /// Guard: reclaim locks only unreferenced members of a population.
    pub guard_reference_state: bool,
    /// Guard: a frozen gate lets nothing new in.
    pub guard_freeze_protocol: bool,
    /// Guard: printing is deferred where the kernel defers it.
    pub guard_printk_deferral: bool,
    /// Guard: the OOM killer's lock is only tried.
    pub guard_oom_trylock: bool,
    /// Guard: the per-CPU list's lock is only tried on the allocation path.
    pub guard_pcp_trylock: bool,
}

/// Version of a kernel release, such as (4, 15, 0).
pub type Version = (u8, u8, u8);

impl Default for Rules {
    /// Linux 6.12.
    fn default() -> Self {
        Self::release((6, 12, 0))
    }
}

impl Rules {
    /// The rules of a release.
    #[must_use]
    pub fn release(v: Version) -> Self {
        let cgroup = if v >= (4, 5, 0) {
            Cgroup::V2
        } else {
            Cgroup::V1
        };
        let mut rules = Self {
            fs_reclaim: fs_reclaim(v),
            writeback_wait: writeback_wait(v),
            mmu_notifier: mmu_notifier(v),
            map_per_mm: false,
            wb_nesting: wb_nesting(v),
            zonelist_seq: zonelist_seq(v),
            propagate_nomemalloc: true,
            delegate_release: DelegateRelease::Inline,
            memcg_reclaim_holds_fs_reclaim: false,
            preempt_rt: false,
            cgroup,
            cgroup_v1_move_charge: false,
            cgroup_writeback: false,
            allow_both: false,
            lockdep: true,
            lockdep_continue: true,
            nolockdep: v >= (4, 12, 0),
            scope_aware_lockdep: v >= (4, 12, 0),
            nofs_scope: v >= (4, 12, 0),
            noio_scope: v >= (3, 9, 0),
            writepages_scope: false,
            submit_before_alloc: false,
            annotate_unsubmitted: false,
            callback_blockable: true,
            memory_hotremove: true,
            printk: Printk::Sync,
            work_maps: true,
            report_prints: false,
            prove_raw_lock_nesting: v >= (5, 10, 0),
            guard_pf_memalloc_recursion: true,
            guard_may_enter_fs: true,
            guard_may_do_io: true,
            guard_cgroup_exclusion: true,
            guard_kswapd_writes_only: true,
            guard_reference_state: true,
            guard_freeze_protocol: true,
            guard_printk_deferral: true,
            guard_oom_trylock: true,
            guard_pcp_trylock: true,
        };
        rules.set_cgroup(cgroup);
        rules
    }

    /// A cgroup version brings what upstream allows with it.
    fn set_cgroup(&mut self, cgroup: Cgroup) {
        self.cgroup = cgroup;
        self.cgroup_v1_move_charge = cgroup == Cgroup::V1 && self.wb_nesting < WbNesting::W3;
        self.cgroup_writeback = cgroup == Cgroup::V2 && self.wb_nesting > WbNesting::W0;
    }

    /// Sets a switch. False if there is no such switch or value.
    #[must_use]
    pub fn set(&mut self, switch: &str, value: &str) -> bool {
        self.set_variant(switch, value)
            .or_else(|| self.set_word(switch, value))
            .or_else(|| self.set_bool(switch, value))
            .is_some()
    }

    fn set_variant(&mut self, switch: &str, value: &str) -> Option<()> {
        match switch {
            "fs_reclaim" => {
                use FsReclaim::{F0, F1, F2, F3, F4, F5, F6};
                self.fs_reclaim = by_name(&[F0, F1, F2, F3, F4, F5, F6], value)?;
            }
            "writeback_wait" => {
                use WritebackWait::{R0, R1, R2, R3, R3b, R4};
                self.writeback_wait = by_name(&[R0, R1, R2, R3, R3b, R4], value)?;
            }
            "mmu_notifier" => {
                use MmuNotifier::{N0, N1, N1p, N2, N2b};
                self.mmu_notifier = by_name(&[N0, N1, N1p, N2b, N2], value)?;
            }
            "wb_nesting" => {
                use WbNesting::{W0, W1, W2, W3};
                self.wb_nesting = by_name(&[W0, W1, W2, W3], value)?;
            }
            "zonelist_seq" => {
                use ZonelistSeq::{Z0, Z1, Z2, Z3, Z4, Z5};
                self.zonelist_seq = by_name(&[Z0, Z1, Z2, Z3, Z4, Z5], value)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn set_word(&mut self, switch: &str, value: &str) -> Option<()> {
        match (switch, value) {
            ("map_scope", "global") => self.map_per_mm = false,
            ("map_scope", "per_mm") => self.map_per_mm = true,
            ("delegate_release", "inline") => self.delegate_release = DelegateRelease::Inline,
            ("delegate_release", "worker") => self.delegate_release = DelegateRelease::Worker,
            ("cgroup", "v1") => self.set_cgroup(Cgroup::V1),
            ("cgroup", "v2") => self.set_cgroup(Cgroup::V2),
            ("printk", "sync") => self.printk = Printk::Sync,
            ("printk", "deferred") => self.printk = Printk::Deferred,
            ("printk", "threaded") => self.printk = Printk::Threaded,
            ("lockdep", "off") => self.lockdep = false,
            ("lockdep", "on") => (self.lockdep, self.lockdep_continue) = (true, false),
            ("lockdep", "continue") => (self.lockdep, self.lockdep_continue) = (true, true),
            _ => return None,
        }
        Some(())
    }

    fn set_bool(&mut self, switch: &str, value: &str) -> Option<()> {
        let on = match value {
            "on" => true,
            "off" => false,
            _ => return None,
        };
        *self.switch(switch)? = on;
        Some(())
    }

    fn switch(&mut self, switch: &str) -> Option<&mut bool> {
        Some(match switch {
            "propagate_nomemalloc" => &mut self.propagate_nomemalloc,
            "memcg_reclaim_holds_fs_reclaim" => &mut self.memcg_reclaim_holds_fs_reclaim,
            "preempt_rt" => &mut self.preempt_rt,
            "cgroup_v1_move_charge" => &mut self.cgroup_v1_move_charge,
            "cgroup_writeback" => &mut self.cgroup_writeback,
            "allow_both" => &mut self.allow_both,
            "nolockdep" => &mut self.nolockdep,
            "scope_aware_lockdep" => &mut self.scope_aware_lockdep,
            "nofs_scope" => &mut self.nofs_scope,
            "writepages_scope" => &mut self.writepages_scope,
            "submit_before_alloc" => &mut self.submit_before_alloc,
            "annotate_unsubmitted" => &mut self.annotate_unsubmitted,
            "callback_blockable" => &mut self.callback_blockable,
            "memory_hotremove" => &mut self.memory_hotremove,
            "work_maps" => &mut self.work_maps,
            "report_prints" => &mut self.report_prints,
            "prove_raw_lock_nesting" => &mut self.prove_raw_lock_nesting,
            _ => return None,
        })
    }

    /// Switches a guard. False if there is no such guard.
    #[must_use]
    pub fn set_guard(&mut self, guard: &str, on: bool) -> bool {
        let field = match guard {
            "pf_memalloc_recursion" => &mut self.guard_pf_memalloc_recursion,
            "may_enter_fs" => &mut self.guard_may_enter_fs,
            "may_do_io" => &mut self.guard_may_do_io,
            "cgroup_exclusion" => &mut self.guard_cgroup_exclusion,
            "kswapd_writes_only" => &mut self.guard_kswapd_writes_only,
            "reference_state" => &mut self.guard_reference_state,
            "freeze_protocol" => &mut self.guard_freeze_protocol,
            "printk_deferral" => &mut self.guard_printk_deferral,
            "oom_trylock" => &mut self.guard_oom_trylock,
            "pcp_trylock" => &mut self.guard_pcp_trylock,
            _ => return false,
        };
        *field = on;
        true
    }
}

/// The variant whose name is `value`.
fn by_name<T: Copy + std::fmt::Debug>(all: &[T], value: &str) -> Option<T> {
    all.iter().copied().find(|v| format!("{v:?}") == value)
}

fn fs_reclaim(v: Version) -> FsReclaim {
    match v {
        v if v < (2, 6, 30) => FsReclaim::F0,
        v if v < (4, 14, 0) => FsReclaim::F1,
        v if v < (4, 16, 0) => FsReclaim::F2,
        v if v < (4, 18, 0) => FsReclaim::F3,
        v if v < (5, 11, 0) => FsReclaim::F4,
        v if v < (6, 12, 0) => FsReclaim::F5,
        _ => FsReclaim::F6,
    }
}

fn writeback_wait(v: Version) -> WritebackWait {
    match v {
        v if v < (3, 6, 0) => WritebackWait::R0,
        v if v < (4, 2, 0) => WritebackWait::R2,
        v if v < (6, 16, 0) => WritebackWait::R3b,
        _ => WritebackWait::R4,
    }
}

fn mmu_notifier(v: Version) -> MmuNotifier {
    match v {
        v if v < (5, 4, 0) => MmuNotifier::N0,
        v if v < (5, 11, 0) => MmuNotifier::N1p,
        _ => MmuNotifier::N2,
    }
}

fn wb_nesting(v: Version) -> WbNesting {
    match v {
        v if v < (4, 2, 0) => WbNesting::W0,
        v if v < (4, 17, 0) => WbNesting::W1,
        v if v < (6, 13, 0) => WbNesting::W2,
        _ => WbNesting::W3,
    }
}

fn zonelist_seq(v: Version) -> ZonelistSeq {
    match v {
        v if v < (6, 0, 0) => ZonelistSeq::Z0,
        v if v < (6, 3, 0) => ZonelistSeq::Z1,
        v if v < (6, 6, 0) => ZonelistSeq::Z2,
        _ => ZonelistSeq::Z3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_what_they_had() {
        assert_eq!(Rules::release((4, 15, 0)).fs_reclaim, FsReclaim::F2);
        assert_eq!(Rules::release((2, 6, 29)).fs_reclaim, FsReclaim::F0);
        assert!(!Rules::release((4, 11, 0)).scope_aware_lockdep);
        assert_eq!(Rules::default().zonelist_seq, ZonelistSeq::Z3);
    }

    #[test]
    fn switches_take_their_values_only() {
        let mut rules = Rules::default();
        assert!(
            rules.set("fs_reclaim", "F2")
                && rules.set("cgroup", "v1")
                && rules.set("preempt_rt", "on")
        );
        assert_eq!(rules.fs_reclaim, FsReclaim::F2);
        assert!(rules.cgroup_v1_move_charge && !rules.cgroup_writeback);
        assert!(
            !rules.set("fs_reclaim", "F9")
                && !rules.set("nonsense", "on")
                && !rules.set("preempt_rt", "v1")
        );
        assert!(rules.set_guard("may_do_io", false) && !rules.guard_may_do_io);
    }
}
