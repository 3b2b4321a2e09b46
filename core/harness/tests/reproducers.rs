//! Every reproducer shows what it promises, and its story fits a mail: one screen, 80 columns, plain ASCII.

use ksplat_harness::checker;
use ksplat_harness::program::expect::{Expect, StopExpect};
use ksplat_harness::program::parse;
use ksplat_harness::reproducer::{Replayed, named_signature, replay};
use ksplat_harness::story;
use std::path::PathBuf;

const SCREEN: usize = 50;

fn reproducers() -> Vec<(String, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/reproducers");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the reproducers")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 31, "{} reproducers", paths.len());
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a reproducer");
        (path.display().to_string(), text)
    };
    paths.into_iter().map(read).collect()
}

fn replayed(name: &str, text: &str) -> Replayed {
    let program = parse(name, text).unwrap_or_else(|e| panic!("{e}"));
    assert!(program.schedule.is_some(), "{name} has no schedule");
    replay(&program).expect("executable")
}

#[test]
fn every_reproducer_reproduces() {
    for (name, text) in reproducers() {
        let Replayed { recorded, .. } = replayed(&name, &text);
        let signature = named_signature(&text).unwrap_or_else(|| panic!("{name} names nothing"));
        let got = &recorded.signatures;
        assert!(got.contains(&signature), "{name}: {got:?}");
        assert_eq!(recorded.diverged, None, "{name}");
        assert!(checker::rejected(&recorded.opinions).is_none(), "{name}");
    }
}

#[test]
fn every_case_of_the_discussions_that_stops_has_one() {
    let have: Vec<String> = reproducers()
        .iter()
        .map(|(name, text)| parse(name, text).expect("a program").name.to_string())
        .collect();
    let litmus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    let mut stop = 0;
    for thread in ["a", "b", "c", "d", "e"] {
        for entry in std::fs::read_dir(litmus.join(thread)).expect("the cases") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a case");
            let program = parse(&path.display().to_string(), &text).expect("a program");
            let stops = |e: &Expect| matches!(e.stop, Some(StopExpect::Found(_)));
            if program.expects.iter().any(stops) {
                stop += 1;
                assert!(
                    have.contains(&program.name.to_string()),
                    "{}",
                    path.display()
                );
            }
        }
    }
    assert!(stop >= 29, "{stop} cases");
}

#[test]
fn every_story_fits_one_screen_of_80_columns() {
    for (name, text) in reproducers() {
        let Replayed { litmus, recorded } = replayed(&name, &text);
        let (outcome, moments) = (&recorded.outcome, &recorded.moments);
        let steps = story::steps(moments);
        let findings = story::findings(litmus.machine(), outcome, moments);
        for line in steps.lines().chain(findings.lines()) {
            assert!(line.len() <= 80 && line.is_ascii(), "{name}: {line}");
        }
        // What the kernel would print comes behind the story.
        let told = findings.lines().take_while(|l| !l.starts_with("====="));
        let lines = steps.lines().count() + told.count();
        assert!(lines <= SCREEN, "{name}: {lines} lines\n{steps}{findings}");
    }
}

#[test]
fn stories_say_masks_flags_interrupts_and_page_bits() {
    let story_of = |file: &str| {
        let found = reproducers()
            .into_iter()
            .find(|(name, _)| name.ends_with(file));
        let (name, text) = found.expect("the reproducer");
        story::steps(&replayed(&name, &text).recorded.moments)
    };
    let memcg = story_of("b1-nofs-R2.splat");
    for what in ["GFP_NOFS", "PF_MEMALLOC", "PG_writeback", "PG_reclaim"] {
        assert!(memcg.contains(what), "{what}:\n{memcg}");
    }
    let nested = story_of("d-flip-w1.splat");
    assert!(nested.contains("{irqs off}"), "{nested}");
}
