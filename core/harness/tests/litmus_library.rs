//! The litmus tests that belong to no discussion: every one shows what it says, with fewer schedules than `ksplat check`
//! takes.

use ksplat_harness::check::{Bounds, cases};
use ksplat_harness::program::parse;
use std::path::PathBuf;

#[track_caller]
fn explore(dir: &str, least: usize) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/litmus")
        .join(dir);
    let bounds = Bounds {
        schedules: 300,
        ..Bounds::default()
    };
    let entries = std::fs::read_dir(dir).expect("the programs");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= least, "{} programs", paths.len());
    let mut differ = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a program");
        let name = path.display().to_string();
        let program = parse(&name, &text).unwrap_or_else(|e| panic!("{e}"));
        assert!(!program.expects.is_empty(), "{name} expects nothing");
        for case in cases(&program, None) {
            let result = case.run(&program, &bounds).expect("an executable program");
            if !result.differs.is_empty() {
                differ.push(format!("{name} {}: {:?}", result.rules, result.differs));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn general_rules_list_what_violates_them() {
    explore("rules", 6);
}

#[test]
fn generic_programs_show_what_they_say() {
    explore("generic", 40);
}

#[test]
fn documented_bugs_stop_and_their_fixes_do_not() {
    explore("bugs", 24);
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus/bugs");
    let names = std::fs::read_dir(&dir).expect("the programs");
    let names = names.map(|e| e.expect("an entry").path());
    for path in names.filter(|p| !p.to_string_lossy().ends_with("-fixed.splat")) {
        let stem = path.file_stem().expect("a name").to_string_lossy();
        assert!(
            dir.join(format!("{stem}-fixed.splat")).exists(),
            "{stem} has no fix"
        );
    }
}
