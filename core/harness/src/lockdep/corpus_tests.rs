//! The recorded answers of a real kernel, all of them.

use super::{Event, Row, Runner, oracle, run_file};
use ksplat_lockdep::SearchMode;
use std::path::PathBuf;

const SETS: [(&str, usize); 5] = [
    ("selftest", 187),
    ("random", 4543),
    ("big", 613),
    ("hard", 1007),
    ("fs_reclaim", 793),
];

fn rows(set: &str) -> Vec<Row> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../corpus/lockdep/{set}.jsonl.gz"));
    let mut rows = Vec::new();
    run_file(&path, |line, event| match event {
        Event::Row(row) => rows.push(*row),
        Event::Malformed(error) => panic!("{set}:{line}: {error}"),
    })
    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    rows
}

/// Every recorded program.
pub(super) fn all_rows() -> impl Iterator<Item = Row> {
    SETS.iter().flat_map(|(set, _)| rows(set))
}

#[test]
fn every_row_agrees_with_the_kernel() {
    let mut runner = Runner::new(SearchMode::Kernel);
    let mut disagreements = Vec::new();
    for (set, count) in SETS {
        let rows = rows(set);
        assert_eq!(rows.len(), count, "rows of {set}");
        for row in rows {
            let expected = row.expected.expect("the corpus has verdicts");
            let differences = runner.run(&row.program).differences(&expected);
            if let Some(first) = differences.first() {
                disagreements.push(format!(
                    "{}: {} differences, first {first}",
                    row.program.id,
                    differences.len()
                ));
            }
        }
    }
    assert!(
        disagreements.is_empty(),
        "{} rows disagree:\n{}",
        disagreements.len(),
        disagreements.join("\n")
    );
}

/// The oracle is only worth something as a judge if it is right itself.
#[test]
fn the_oracle_agrees_with_the_kernel_too() {
    let mut disagreements = Vec::new();
    for row in SETS.iter().flat_map(|(set, _)| rows(set)) {
        let expected = row.expected.expect("the corpus has verdicts");
        let answer = oracle::run(&row.program, SearchMode::Kernel);
        let graph = expected.graph.expect("the corpus has graphs");
        let mut edges: Vec<_> = graph
            .edges
            .iter()
            .map(|(a, b, kinds, n)| (a.clone(), b.clone(), kinds.clone(), *n))
            .collect();
        edges.sort();
        let ours: Vec<_> = answer
            .edges
            .into_iter()
            .map(|(a, b, kinds, n)| (a, b, kinds.iter().map(ToString::to_string).collect(), n))
            .collect();
        if (answer.verdict, Some(answer.op)) != (&expected.verdict, expected.op) || edges != ours {
            disagreements.push(format!(
                "{}: {} at {}",
                row.program.id, answer.verdict, answer.op
            ));
        }
    }
    assert!(
        disagreements.is_empty(),
        "{} rows:\n{}",
        disagreements.len(),
        disagreements.join("\n")
    );
}

/// The examples of `docs/lockdep-differences.md`.
#[test]
fn the_kernel_misses_the_three_examples() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/lockdep/differences.jsonl");
    let mut missed = super::Missed::default();
    let mut verdicts = Vec::new();
    run_file(&path, |line, event| match event {
        Event::Row(row) => {
            let missed = missed
                .look(&row.program)
                .unwrap_or_else(|| panic!("line {line}: no difference"));
            verdicts.push((missed.kernel.verdict, missed.complete.verdict));
            assert!(!missed.paths.is_empty());
        }
        Event::Malformed(error) => panic!("{line}: {error}"),
    })
    .expect("readable");
    assert_eq!(
        verdicts,
        [
            ("ok", "circular"),
            ("ok", "circular"),
            ("ok", "irq-inversion")
        ]
    );
}
