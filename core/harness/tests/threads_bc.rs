//! Threads B and C: every cell of their matrices, found by exploration with fewer schedules than `ksplat matrix` takes.

use ksplat_harness::check::{Bounds, cases};
use ksplat_harness::program::{Program, parse};
use std::path::PathBuf;

fn programs(thread: &str) -> Vec<(PathBuf, Program)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir.join(thread))
        .expect("the scenarios")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a scenario");
            let name = path.display().to_string();
            let program = parse(&name, &text).expect("a legal scenario");
            (path, program)
        })
        .collect()
}

fn explore(thread: &str) {
    let bounds = Bounds {
        schedules: 120,
        ..Bounds::default()
    };
    let mut cells = 0;
    let mut differ = Vec::new();
    for (path, program) in programs(thread) {
        for case in cases(&program, None) {
            let result = case.run(&program, &bounds).expect("an executable scenario");
            cells += 1;
            if !result.differs.is_empty() {
                differ.push(format!(
                    "{} {}: {:?}",
                    path.display(),
                    result.rules,
                    result.differs
                ));
            }
        }
    }
    assert!(cells > 20, "{cells} cells");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn thread_b_finds_what_is_expected() {
    explore("b");
}

#[test]
fn thread_c_finds_what_is_expected() {
    explore("c");
}
