//! The whole corpus: every known stop within 1,000 schedules of the portfolio, every false positive proved to be one.

use ksplat_harness::check::{Bounds, Case, cases};
use ksplat_harness::confirm::Decision;
use ksplat_harness::program::expect::{StopExpect, Verdict};
use ksplat_harness::program::{Program, parse};
use ksplat_harness::rules::spelled;
use std::path::{Path, PathBuf};

fn programs(dir: &Path, out: &mut Vec<(PathBuf, Program)>) {
    let entries = std::fs::read_dir(dir).expect("the corpus");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            programs(&path, out);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a program");
        let program = parse(&path.display().to_string(), &text).expect("a legal program");
        out.push((path, program));
    }
}

/// What of a case does not hold within 1,000 schedules.
fn complaint(program: &Program, case: &Case) -> Option<String> {
    let bounds = Bounds {
        schedules: 1_000,
        ..Bounds::default()
    };
    let result = case.run(program, &bounds).expect("an executable program");
    if !result.differs.is_empty() {
        return Some(format!("{:?}", result.differs));
    }
    let judgement = &result.judgement;
    if judgement.verdict != Verdict::FalsePositive {
        return None;
    }
    let open = |d: &&ksplat_harness::confirm::Decided| {
        !matches!(d.decision, Decision::Refuted { .. } | Decision::NoCycle)
    };
    if let Some(open) = judgement.reports.iter().find(open) {
        return Some(format!("{} is not refuted", open.signature));
    }
    judgement
        .every_schedule
        .is_none()
        .then(|| format!("a false positive is not proved: {}", judgement.bounds))
}

#[test]
fn every_stop_is_found_and_every_false_positive_proved() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    let mut all = Vec::new();
    programs(&dir, &mut all);
    let (mut stops, mut false_positives) = (0, 0);
    let mut complaints = Vec::new();
    for (path, program) in &all {
        for case in cases(program, None) {
            let expect = case.expect.as_ref();
            let stop = expect.and_then(|e| e.stop);
            stops += usize::from(matches!(stop, Some(StopExpect::Found(_))));
            let verdict = expect.and_then(|e| e.verdict);
            false_positives += usize::from(verdict == Some(Verdict::FalsePositive));
            if let Some(why) = complaint(program, &case) {
                complaints.push(format!(
                    "{} {}: {why}",
                    path.display(),
                    spelled(&case.under)
                ));
            }
        }
    }
    assert!(
        stops > 100 && false_positives > 6,
        "{stops} stops, {false_positives} false positives"
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
