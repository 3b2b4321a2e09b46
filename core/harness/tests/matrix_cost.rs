//! What a cell of the matrices costs, in visible operations and not in seconds: `ksplat matrix` executes 10,000 schedules
//! of a cell, so this bounds the operations of a cell by five million, seconds on any machine.

use ksplat_harness::check::{Bounds, cases, search};
use ksplat_harness::program::parse;
use ksplat_harness::rules::{laid_over, machine_rules, spelled};
use ksplat_harness::run::Litmus;
use std::path::PathBuf;

/// Visible operations of one execution of a cell.
const LONGEST: u32 = 500;

#[test]
fn every_cell_of_the_matrices_is_cheap() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
    let mut cells = 0;
    let mut dear = Vec::new();
    for thread in ["a", "b", "c", "d", "e"] {
        for entry in std::fs::read_dir(corpus.join(thread)).expect("the programs") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a program");
            let program = parse(&path.display().to_string(), &text).expect("a legal program");
            for case in cases(&program, None) {
                let litmus = Litmus::new(
                    &program,
                    &machine_rules(&laid_over(&program.rules, &case.under)),
                )
                .expect("executable");
                let bounds = Bounds {
                    schedules: 100,
                    ..Bounds::default()
                };
                let found = search(&litmus, &bounds, |_| false);
                cells += 1;
                if found.longest > LONGEST || found.given_up != 0 {
                    let under = spelled(&case.under);
                    dear.push(format!("{} {under}: {}", path.display(), found.longest));
                }
            }
        }
    }
    assert!(cells >= 240, "{cells} cells");
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}
