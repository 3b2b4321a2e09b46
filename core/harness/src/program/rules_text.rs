//! The `rules` section: a release and what differs from it.
//!
//! This module knows only how switches are spelled. What a value means, and which values a release has, is the
//! machine's business.

use serde::{Deserialize, Serialize};

use super::At;

/// A switch, the values it can take and what it selects.
#[derive(Debug)]
pub struct SwitchSpec {
    /// Its name in the text.
    pub name: &'static str,
    /// The words that can stand after `=`.
    pub values: &'static [&'static str],
    /// What it selects, for `docs/language.md` and help texts.
    pub about: &'static str,
}

const fn spec(
    name: &'static str,
    values: &'static [&'static str],
    about: &'static str,
) -> SwitchSpec {
    SwitchSpec {
        name,
        values,
        about,
    }
}

const OFF_ON: &[&str] = &["off", "on"];

/// Every switch. Values are stored by position, so both lists only ever grow at their end.
pub const SWITCHES: &[SwitchSpec] = &[
    spec(
        "fs_reclaim",
        &["F0", "F1", "F2", "F3", "F4", "F5", "F6"],
        "how lockdep learns about filesystem reclaim",
    ),
    spec(
        "writeback_wait",
        &["R0", "R1", "R2", "R3", "R3b", "R4"],
        "when reclaim waits for a page under writeback",
    ),
    spec(
        "mmu_notifier",
        &["N0", "N1", "N1p", "N2b", "N2"],
        "how lockdep learns about mmu notifiers",
    ),
    spec(
        "map_scope",
        &["global", "per_mm"],
        "one mmu notifier map for all, or one per mm",
    ),
    spec(
        "wb_nesting",
        &["W0", "W1", "W2", "W3"],
        "the inode to wb transaction and its irq state",
    ),
    spec(
        "zonelist_seq",
        &["Z0", "Z1", "Z2", "Z3", "Z4", "Z5"],
        "how a zonelist rebuild is seen by allocations",
    ),
    spec(
        "propagate_nomemalloc",
        OFF_ON,
        "a release callback inherits __GFP_NOMEMALLOC from its reclaim",
    ),
    spec(
        "delegate_release",
        &["inline", "worker"],
        "who runs the release callback: the reclaimer or a worker it waits for",
    ),
    spec(
        "memcg_reclaim_holds_fs_reclaim",
        OFF_ON,
        "memcg reclaim holds the fs_reclaim map (no release does)",
    ),
    spec(
        "preempt_rt",
        OFF_ON,
        "spinlocks sleep, irqsave leaves interrupts on, handlers are threads",
    ),
    spec("cgroup", &["v1", "v2"], "cgroup version"),
    spec(
        "cgroup_v1_move_charge",
        OFF_ON,
        "charges move with a task between cgroups (v1 only)",
    ),
    spec(
        "cgroup_writeback",
        OFF_ON,
        "inodes are attached to the wb of a cgroup (v2 only)",
    ),
    spec(
        "allow_both",
        OFF_ON,
        "force v1 charge moving and v2 cgroup writeback open together",
    ),
    spec(
        "lockdep",
        &["off", "on", "continue"],
        "lock validator: off, until the first report, or on after it",
    ),
    spec(
        "nolockdep",
        OFF_ON,
        "__GFP_NOLOCKDEP is known (4.12 and later)",
    ),
    spec(
        "scope_aware_lockdep",
        OFF_ON,
        "the reclaim annotation honours NOIO and NOFS scopes (4.12 and later)",
    ),
    spec(
        "nofs_scope",
        OFF_ON,
        "the NOFS task scope exists (4.12 and later)",
    ),
    spec(
        "writepages_scope",
        OFF_ON,
        "the filesystem opens a NOFS scope in writepages",
    ),
    spec(
        "submit_before_alloc",
        OFF_ON,
        "writepages submits its batch before it allocates",
    ),
    spec(
        "annotate_unsubmitted",
        OFF_ON,
        "proposed annotation: report an allocation that may enter the filesystem over an unsubmitted batch",
    ),
    spec(
        "callback_blockable",
        OFF_ON,
        "mmu notifier callbacks may block",
    ),
    spec("memory_hotremove", OFF_ON, "memory can be taken offline"),
    spec(
        "printk",
        &["sync", "deferred", "threaded"],
        "who writes to the console",
    ),
    spec(
        "work_maps",
        OFF_ON,
        "work items and flushes are lockdep maps",
    ),
    spec(
        "report_prints",
        OFF_ON,
        "a lockdep report goes through printk to the consoles",
    ),
];

/// A named condition that prevents a stop, and can be taken away to show that it does.
pub const GUARDS: &[(&str, &str)] = &[
    (
        "pf_memalloc_recursion",
        "a task inside reclaim does not enter reclaim again",
    ),
    (
        "may_enter_fs",
        "reclaim without __GFP_FS leaves pages that need the filesystem alone",
    ),
    (
        "may_do_io",
        "reclaim without __GFP_IO starts no IO and waits for none",
    ),
    (
        "cgroup_exclusion",
        "v1 charge moving and v2 cgroup writeback are never both active",
    ),
    (
        "kswapd_writes_only",
        "only kswapd writes file pages from reclaim",
    ),
    (
        "reference_state",
        "reclaim locks only unreferenced members of a population",
    ),
    ("freeze_protocol", "a frozen gate lets nothing new in"),
    (
        "printk_deferral",
        "printing is deferred where the kernel defers it",
    ),
    ("oom_trylock", "the OOM killer's lock is only tried"),
    (
        "pcp_trylock",
        "the per-CPU list's lock is only tried on the allocation path",
    ),
];

/// A release whose values are in force where nothing else is said: `v4.15`, `v2.6.30`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, arbitrary::Arbitrary,
)]
pub struct Release {
    /// `4` of `v4.15`.
    pub major: u8,
    /// `15` of `v4.15`.
    pub minor: u8,
    /// `30` of `v2.6.30`; 0 when not written.
    pub patch: u8,
}

impl Release {
    /// The release the model follows where a program names none.
    pub const DEFAULT: Self = Self {
        major: 6,
        minor: 12,
        patch: 0,
    };

    /// The release spelled `text`: `v`, then two or three numbers with dots between them.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v')?.split('.');
        let mut number = || parts.next().map(number_of);
        let release = Self {
            major: number()??,
            minor: number()??,
            patch: match number() {
                None => 0,
                Some(patch) => patch.filter(|p| *p > 0)?,
            },
        };
        (parts.next().is_none() && release.is_legal()).then_some(release)
    }

    /// Whether there is such a release: 2.6 to 2.6.39, then series that ended with 3.19, 4.20, 5.19 and 6.19. The rules
    /// of what came after the newest preset are those of the newest preset.
    pub fn is_legal(self) -> bool {
        match self.major {
            2 => self.minor == 6 && self.patch <= 39,
            4 => self.minor <= 20,
            3 | 5..=7 => self.minor <= 19,
            _ => false,
        }
    }
}

/// Canonical digits only: `007` is not a release number.
fn number_of(digits: &str) -> Option<u8> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    (canonical && plain).then(|| digits.parse().ok()).flatten()
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(f, ".{}", self.patch)?;
        }
        Ok(())
    }
}

/// A switch by its position in [`SWITCHES`], or a guard by its position in [`GUARDS`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, arbitrary::Arbitrary,
)]
pub enum Setting {
    /// `fs_reclaim = F2`.
    Switch {
        /// Position in [`SWITCHES`].
        switch: u8,
        /// Position in the values of that switch.
        value: u8,
    },
    /// `guard pf_memalloc_recursion off`.
    Guard {
        /// Position in [`GUARDS`].
        guard: u8,
        /// Whether the guard stands.
        on: bool,
    },
}

impl Setting {
    /// `name = value`, if there is such a switch with such a value.
    pub fn switch(name: &str, value: &str) -> Option<Self> {
        let switch = SWITCHES.iter().position(|s| s.name == name)?;
        let value = SWITCHES[switch].values.iter().position(|v| *v == value)?;
        Some(Self::Switch {
            switch: u8::try_from(switch).ok()?,
            value: u8::try_from(value).ok()?,
        })
    }

    /// `guard name on|off`, if there is such a guard.
    pub fn guard(name: &str, on: bool) -> Option<Self> {
        let guard = GUARDS.iter().position(|(g, _)| *g == name)?;
        Some(Self::Guard {
            guard: u8::try_from(guard).ok()?,
            on,
        })
    }

    /// Name of the switch or guard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Switch { switch, .. } => {
                SWITCHES.get(usize::from(switch)).map_or("?", |s| s.name)
            }
            Self::Guard { guard, .. } => {
                GUARDS.get(usize::from(guard)).map_or("?", |(name, _)| name)
            }
        }
    }

    /// The value's word: `F2`, `on`, `off`.
    pub fn value(self) -> &'static str {
        match self {
            Self::Switch { switch, value } => SWITCHES
                .get(usize::from(switch))
                .and_then(|s| s.values.get(usize::from(value)))
                .map_or("?", |word| word),
            Self::Guard { on: true, .. } => "on",
            Self::Guard { on: false, .. } => "off",
        }
    }

    /// Whether both positions exist.
    pub fn is_legal(self) -> bool {
        match self {
            Self::Switch { switch, value } => SWITCHES
                .get(usize::from(switch))
                .is_some_and(|s| usize::from(value) < s.values.len()),
            Self::Guard { guard, .. } => usize::from(guard) < GUARDS.len(),
        }
    }

    /// Whether both set the same switch or guard.
    pub fn same_subject(self, other: Self) -> bool {
        match (self, other) {
            (Self::Switch { switch: a, .. }, Self::Switch { switch: b, .. }) => a == b,
            (Self::Guard { guard: a, .. }, Self::Guard { guard: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// A release and what differs from it. Also the condition of `expect under …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesText {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// The preset; [`Release::DEFAULT`] when not written.
    pub release: Option<Release>,
    /// What differs, each switch and guard at most once.
    pub settings: Vec<Setting>,
}

impl RulesText {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.release.is_none() && self.settings.is_empty()
    }

    /// Whether both say the same, in whatever order.
    pub fn same_as(&self, other: &Self) -> bool {
        let sorted = |rules: &Self| {
            let mut settings = rules.settings.clone();
            settings.sort();
            (rules.release, settings)
        };
        sorted(self) == sorted(other)
    }

    /// These rules with others laid over them: a release in `over` replaces the release, a setting in `over` replaces
    /// the setting of the same switch or guard; all other settings stay.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let replaced = |s: &Setting| over.settings.iter().any(|o| o.same_subject(*s));
        let kept = self.settings.iter().copied().filter(|s| !replaced(s));
        Self {
            at: self.at,
            release: over.release.or(self.release),
            settings: kept.chain(over.settings.iter().copied()).collect(),
        }
    }

    /// The word given to switch `name`, when the text names it.
    pub fn get(&self, name: &str) -> Option<&'static str> {
        let setting = self
            .settings
            .iter()
            .find(|s| matches!(s, Setting::Switch { .. }) && s.name() == name)?;
        Some(setting.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_they_are_printed() {
        for good in ["v2.6.30", "v4.15", "v6.12", "v3.0"] {
            assert_eq!(
                Release::parse(good).map(|r| r.to_string()).as_deref(),
                Some(good)
            );
        }
        for bad in [
            "4.15",
            "v4",
            "v4.",
            "v4.15.0",
            "v4.015",
            "v2.4",
            "v1.0",
            "v4.15.1.1",
            "v4.300",
            "v+4.1",
        ] {
            assert_eq!(Release::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn laid_over_rules_replace_what_they_name() {
        let set = |name, value| Setting::switch(name, value).expect("known");
        let own = RulesText {
            release: Release::parse("v4.15"),
            settings: vec![set("fs_reclaim", "F2"), set("cgroup", "v1")],
            ..RulesText::default()
        };
        let over = RulesText {
            settings: vec![set("fs_reclaim", "F5")],
            ..RulesText::default()
        };
        let both = own.overlaid(&over);
        assert_eq!(both.release, own.release);
        assert_eq!(
            (both.get("fs_reclaim"), both.get("cgroup")),
            (Some("F5"), Some("v1"))
        );
        assert_eq!(both.settings.len(), 2);
    }

    #[test]
    fn every_switch_has_distinct_values() {
        for spec in SWITCHES {
            let mut values = spec.values.to_vec();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), spec.values.len(), "{}", spec.name);
            assert!(values.len() > 1, "{}", spec.name);
        }
    }
}
