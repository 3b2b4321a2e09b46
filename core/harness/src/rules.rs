//! From the rules of a program's text to the machine's.

use crate::program::RulesText;
use crate::program::rules_text::{Release, Setting};
use ksplat_kernel::rules::Rules;

/// The machine's rules for a text.
#[must_use]
pub fn machine_rules(text: &RulesText) -> Rules {
    let release = text.release.unwrap_or(Release::DEFAULT);
    let mut rules = Rules::release((release.major, release.minor, release.patch));
    // A cgroup version sets the gates that come with it, so it comes before them.
    let (cgroup, rest): (Vec<Setting>, Vec<Setting>) = text
        .settings
        .iter()
        .copied()
        .partition(|s| s.name() == "cgroup");
    for setting in cgroup.into_iter().chain(rest) {
        let known = match setting {
            Setting::Switch { .. } => rules.set(setting.name(), setting.value()),
            Setting::Guard { on, .. } => rules.set_guard(setting.name(), on),
        };
        debug_assert!(known, "the machine knows {}", setting.name());
    }
    rules
}

/// `over` laid over `base`: a release replaces the release, a setting the setting of the same switch or guard.
#[must_use]
pub fn laid_over(base: &RulesText, over: &RulesText) -> RulesText {
    let kept = base
        .settings
        .iter()
        .filter(|b| !over.settings.iter().any(|o| o.same_subject(**b)));
    let settings = kept.chain(&over.settings).copied().collect();
    RulesText {
        at: base.at,
        release: over.release.or(base.release),
        settings,
    }
}

/// The rules as one word a setting, such as `v4.15 fs_reclaim=F2`.
#[must_use]
pub fn spelled(text: &RulesText) -> String {
    let release = text.release.map(|r| r.to_string());
    let settings = text.settings.iter().map(|s| match s {
        Setting::Switch { .. } => format!("{}={}", s.name(), s.value()),
        Setting::Guard { .. } => format!("guard:{}={}", s.name(), s.value()),
    });
    release
        .into_iter()
        .chain(settings)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::rules_text::{GUARDS, SWITCHES};

    #[test]
    fn the_machine_knows_every_switch_value_and_guard_of_the_language() {
        for (s, spec) in SWITCHES.iter().enumerate() {
            for value in 0..spec.values.len() {
                let setting = Setting::Switch {
                    switch: s as u8,
                    value: value as u8,
                };
                assert!(
                    Rules::default().set(setting.name(), setting.value()),
                    "{}={}",
                    setting.name(),
                    setting.value()
                );
            }
        }
        for (guard, _) in GUARDS {
            assert!(Rules::default().set_guard(guard, false), "{guard}");
        }
    }

    #[test]
    fn later_settings_win() {
        let base = RulesText {
            settings: vec![Setting::switch("fs_reclaim", "F2").unwrap()],
            ..RulesText::default()
        };
        let over = RulesText {
            settings: vec![Setting::switch("fs_reclaim", "F5").unwrap()],
            ..RulesText::default()
        };
        assert_eq!(spelled(&laid_over(&base, &over)), "fs_reclaim=F5");
    }
}
