//! Saves findings as reproducers, whole or not at all.

use ksplat_harness::check::CaseResult;
use ksplat_harness::finding::Signature;
use ksplat_harness::hunt::write_whole;
use ksplat_harness::program::{Program, RulesText};
use ksplat_harness::reproducer::{reproducer, to_text};
use std::path::{Path, PathBuf};

/// Writes a reproducer of every finding of a case into `dir`.
///
/// # Errors
/// What could not be written, in words.
pub fn save(
    dir: &Path,
    program: &Program,
    under: &RulesText,
    result: &CaseResult,
) -> Result<Vec<PathBuf>, String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut saved = Vec::new();
    for (signature, found) in &result.search.found {
        let path = dir.join(file_name(
            &program.name.to_string(),
            &result.rules,
            signature,
        ));
        let text = to_text(&reproducer(program, under, signature, found), signature);
        write_whole(&path, text.as_bytes()).map_err(|e| e.to_string())?;
        saved.push(path);
    }
    Ok(saved)
}

/// A name made of the program, the rules and the finding.
fn file_name(program: &str, rules: &str, signature: &Signature) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let mut name: String = format!("{program}-{rules}-{signature}")
        .chars()
        .map(plain)
        .collect();
    name.truncate(120);
    format!("{name}.splat")
}
