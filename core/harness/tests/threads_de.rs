//! Threads D and E: every cell of their matrices is found by exploration, with fewer schedules than the command takes.

use ksplat_harness::check::{Bounds, cases};
use ksplat_harness::program::{Program, parse};
use std::path::Path;

/// The programs of a thread, by file name.
fn programs(thread: &str) -> Vec<(String, Program)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/litmus")
        .join(thread);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "splat"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let program = parse(&path.display().to_string(), &text)
                .unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
            (path.display().to_string(), program)
        })
        .collect()
}

/// Explores every cell; panics with all that differ.
fn matrix(thread: &str, cells: usize) {
    let bounds = Bounds {
        schedules: 600,
        ..Bounds::default()
    };
    let (mut found, mut differ) = (0, Vec::new());
    for (name, program) in programs(thread) {
        for case in cases(&program, None) {
            assert!(case.expect.is_some(), "{name} expects nothing");
            let result = case.run(&program, &bounds).unwrap();
            found += 1;
            for difference in result.differs {
                differ.push(format!("{name} under {}: {difference}", result.rules));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(found >= cells, "{found} cells, at least {cells} expected");
}

#[test]
fn thread_d_is_as_the_matrix_says() {
    matrix("d", 20);
}

#[test]
fn thread_e_is_as_the_matrix_says() {
    matrix("e", 48);
}
