//! Which commit brought which variant. Source of the facts: the documentation of `ksplat_kernel::rules`.

use crate::program::rules_text::Setting;

/// A commit that changed the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The switch that it moved.
    pub switch: &'static str,
    /// To which value.
    pub value: &'static str,
    /// Its abbreviated id.
    pub id: &'static str,
    /// The first release that has it; `None`: posted, never merged.
    pub release: Option<&'static str>,
}

const fn merged(
    switch: &'static str,
    value: &'static str,
    id: &'static str,
    release: &'static str,
) -> Commit {
    Commit {
        switch,
        value,
        id,
        release: Some(release),
    }
}

/// Every commit that the switches stand for.
pub const COMMITS: &[Commit] = &[
    merged("fs_reclaim", "F1", "cf40bd16fdad", "v2.6.30"),
    merged("fs_reclaim", "F2", "d92a8cfcb37e", "v4.14"),
    merged("fs_reclaim", "F3", "2e517d681632", "v4.16"),
    merged("fs_reclaim", "F4", "93781325da6e", "v4.18"),
    merged("fs_reclaim", "F5", "f920e413ff9c", "v5.11"),
    merged("writeback_wait", "R1", "e62e384e9da8", "v3.6"),
    merged("writeback_wait", "R2", "c3b94f44fcb0", "v3.6"),
    merged("writeback_wait", "R3", "ecf5fc6e9654", "v4.2"),
    merged("writeback_wait", "R3b", "97c9341f7272", "v4.2"),
    merged("writeback_wait", "R4", "0c4f8ed498ce", "v6.16"),
    merged("mmu_notifier", "N1", "23b68395c7c7", "v5.4"),
    merged("mmu_notifier", "N1p", "66204f1d2d1b", "v5.4"),
    merged("mmu_notifier", "N2", "f920e413ff9c", "v5.11"),
    merged("wb_nesting", "W1", "682aa8e1a6a1", "v4.2"),
    merged("wb_nesting", "W2", "2e898e4c0a38", "v4.17"),
    merged("wb_nesting", "W3", "cf4a65539c13", "v6.13"),
    merged("zonelist_seq", "Z1", "3d36424b3b58", "v6.0"),
    merged("zonelist_seq", "Z2", "1007843a9190", "v6.3"),
    merged("zonelist_seq", "Z3", "a2ebb5157582", "v6.6"),
    merged("nolockdep", "on", "7e7844226f10", "v4.12"),
    merged("scope_aware_lockdep", "on", "6d7225f0cc1a", "v4.12"),
    merged("nofs_scope", "on", "7dea19f9ee63", "v4.12"),
];

/// The commit that brought a switch to a value, where it is known.
#[must_use]
pub fn commit_of(setting: Setting) -> Option<&'static Commit> {
    let is = |c: &&Commit| c.switch == setting.name() && c.value == setting.value();
    COMMITS.iter().find(is)
}

/// Whether a switch follows the releases, rather than a configuration.
#[must_use]
pub fn follows_releases(switch: &str) -> bool {
    COMMITS.iter().any(|c| c.switch == switch)
}
