//! Litmus tests explored under plain shuttle, as a shuttle user would write them.

use ksplat_harness::program::{Program, RulesText, parse, rules_text::Setting};
use ksplat_harness::rules::{laid_over, machine_rules};
use ksplat_harness::run::Litmus;

/// The scenario of thread A whose file name begins with `name`.
///
/// # Panics
/// If there is none, or it is no legal program.
#[must_use]
pub fn scenario(name: &str) -> Program {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/litmus/a");
    let entries = std::fs::read_dir(dir).expect("the corpus is there");
    let is = |p: &std::path::PathBuf| {
        p.file_name()
            .is_some_and(|f| f.to_string_lossy().starts_with(name))
    };
    let path = entries.map(|e| e.expect("a file").path()).find(is);
    let path = path.unwrap_or_else(|| panic!("{dir} has a scenario {name}"));
    let text = std::fs::read_to_string(&path).expect("readable");
    parse(&path.display().to_string(), &text).expect("a legal program")
}

/// A scenario of thread A under a variant of the `fs_reclaim` annotation.
///
/// # Panics
/// If there is no such scenario or variant.
#[must_use]
pub fn litmus(name: &str, fs_reclaim: &str) -> Litmus {
    let program = scenario(name);
    let variant = Setting::switch("fs_reclaim", fs_reclaim).expect("a variant");
    let over = RulesText {
        settings: vec![variant],
        ..RulesText::default()
    };
    Litmus::new(&program, &machine_rules(&laid_over(&program.rules, &over))).expect("executable")
}
