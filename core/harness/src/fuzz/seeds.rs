//! Seed inputs: the cases of a corpus, with the decisions that were recorded with them.

use super::decisions::{Decisions, Transcriber};
use super::input::Input;
use crate::program::{Program, parse};
use crate::rules::machine_rules;
use crate::run::Litmus;
use ksplat_kernel::rt::Deterministic;
use std::io;
use std::path::Path;

/// The programs below a folder as inputs, with their file names, in order. A reproducer comes with its schedule.
///
/// # Errors
/// If something cannot be read, or is no program.
pub fn seeds(folder: &Path) -> io::Result<Vec<(String, Input)>> {
    let mut out = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            out.extend(seeds(&path)?);
            continue;
        }
        if path.extension().is_none_or(|e| e != "splat") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let program = parse(&path.to_string_lossy(), &text)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        out.push((name.into_owned(), transcribed(&program)));
    }
    Ok(out)
}

/// A program as an input. Its schedule, if it has one, becomes the input's decisions: those of the same execution under
/// the program's own rules.
#[must_use]
pub fn transcribed(program: &Program) -> Input {
    let recorded = program.schedule.as_ref().and_then(|schedule| {
        let litmus = Litmus::new(program, &machine_rules(&program.rules)).ok()?;
        let choices = schedule.decisions.iter().map(|&d| u32::from(d)).collect();
        let mut transcriber = Transcriber::new(choices);
        litmus.run(&mut Deterministic::new(), &mut transcriber);
        Some(transcriber.made)
    });
    let mut decisions: Decisions = recorded.unwrap_or_default();
    decisions.trim();
    Input::of(program.clone(), decisions)
}
