//! Bisection names the switch and the commit that make a difference.

use ksplat_harness::bisect::{COMMITS, bisect, commit_of};
use ksplat_harness::program::parse;
use ksplat_harness::program::rules_text::{Release, Setting};

/// A lock is held over an allocation, and reclaim takes it: lockdep sees it from 2.6.30 to 4.13, and again from 4.18.
const OVER_RECLAIM: &str = "splat over-reclaim
rules v4.15
machine { cpus = 2 }
mutex L
shrinker cache objects 1 { lock L { } }
task T1 on cpu0 { lock L { p = alloc_pages GFP_KERNEL order 0 }
    free p }
task T2 on cpu1 { q = alloc_pages GFP_KERNEL order 0 pressure reclaim
    free q }
";

#[test]
fn annotations_come_and_go_with_their_commits() {
    let program = parse("over-reclaim", OVER_RECLAIM).unwrap();
    let answer = bisect(&program, |_, _| {}).unwrap();
    let row = |release: &str| {
        let release = Release::parse(release).unwrap();
        answer
            .releases
            .iter()
            .find(|r| r.release == release)
            .unwrap()
    };
    let reports = |release: &str| row(release).shown.findings.iter().any(|s| s.is_report());
    for (release, expected) in [
        ("v2.6.29", false),
        ("v2.6.30", true),
        ("v4.12", true),
        ("v4.14", false),
        ("v4.17", false),
        ("v4.18", true),
        ("v6.16", true),
    ] {
        assert_eq!(reports(release), expected, "{release}");
    }
    let by = |release: &str| {
        let by = &row(release).by;
        assert_eq!(by.len(), 1, "{release}: {by:?}");
        commit_of(by[0]).map(|c| c.id)
    };
    assert_eq!(by("v2.6.30"), Some("cf40bd16fdad"));
    assert_eq!(by("v4.14"), Some("d92a8cfcb37e"));
    assert_eq!(by("v4.18"), Some("93781325da6e"));
    let edges = &row("v4.18").effect.new_edges;
    assert!(edges.contains(&"fs_reclaim -> L".to_owned()), "{edges:?}");
}

#[test]
fn a_program_that_needs_no_rules_has_no_culprit() {
    let text = "splat abba\nmutex a, b\ntask t on cpu0 { lock a { lock b { } } }\ntask u on cpu1 { lock b { lock a { } } }\n";
    let program = parse("abba", text).unwrap();
    let answer = bisect(&program, |_, _| {}).unwrap();
    assert_eq!(answer.own.findings.len(), 2);
    assert!(
        answer
            .releases
            .iter()
            .all(|r| r.shown.findings == answer.own.findings)
    );
    assert!(answer.releases.iter().all(|r| r.by.is_empty()));
}

#[test]
fn every_commit_is_of_a_switch_and_a_release_that_exist() {
    for c in COMMITS {
        assert!(Setting::switch(c.switch, c.value).is_some(), "{c:?}");
        assert!(
            c.release.is_none_or(|r| Release::parse(r).is_some()),
            "{c:?}"
        );
        assert!(
            c.id.len() == 12 && c.id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{c:?}"
        );
    }
}

/// The table of commits and the presets of releases agree: a preset has the value from its commit's release on.
#[test]
fn commits_agree_with_the_presets() {
    use ksplat_harness::program::RulesText;
    use ksplat_harness::rules::machine_rules;
    let at = |release: Release, setting: Option<Setting>| {
        machine_rules(&RulesText {
            release: Some(release),
            settings: setting.into_iter().collect(),
            ..RulesText::default()
        })
    };
    for c in COMMITS {
        let (Some(setting), Some(release)) = (
            Setting::switch(c.switch, c.value),
            c.release.and_then(Release::parse),
        ) else {
            continue;
        };
        // Two commits of one release: the later one stays.
        let replaced = ["R1", "R3", "N1"].contains(&c.value);
        let has = at(release, Some(setting)) == at(release, None);
        assert_eq!(has, !replaced, "{c:?}");
    }
}
