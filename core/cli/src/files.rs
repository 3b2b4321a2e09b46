//! Program files: found, read, parsed, with errors that show the place.

use ksplat_harness::program::{At, Program, TextError, parse_bytes};
use ksplat_harness::run::Unsupported;
use miette::{GraphicalReportHandler, GraphicalTheme};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// A program and the file it came from.
pub struct File {
    pub path: PathBuf,
    pub text: String,
    pub program: Program,
}

/// All `.splat` files that the arguments name: files as they are, directories with everything below, sorted.
///
/// # Errors
/// What could not be read, in words.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found)?;
            if found.len() == before {
                return Err(format!(
                    "{}: there is no .splat file in this directory or below",
                    path.display()
                ));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|e| format!("{}: {e}", dir.display()))?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "splat") {
            found.push(path);
        }
    }
    Ok(())
}

/// Reads and parses a file.
///
/// # Errors
/// The message to show, with the place and what was expected.
pub fn read(path: &Path) -> Result<File, String> {
    /// More than this is no program.
    const MOST: u64 = 16 << 20;
    let size = std::fs::metadata(path)
        .map_err(|e| format!("{}: {e}", path.display()))?
        .len();
    if size > MOST {
        return Err(format!(
            "{}: {size} bytes; a program has at most {MOST}",
            path.display()
        ));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let program = parse_bytes(&path.display().to_string(), &bytes).map_err(|e| show(&e))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(File {
        path: path.to_owned(),
        text,
        program,
    })
}

/// A parse error as text: one line an error, then the places in the source.
fn show(error: &TextError) -> String {
    let theme = if std::io::stderr().is_terminal() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::none()
    };
    let handler = GraphicalReportHandler::new_themed(theme);
    let mut out = error.to_string();
    out.push('\n');
    for problem in error.diagnostics() {
        out.push('\n');
        // Writing to a string does not fail; the first lines say everything if it did.
        let _ = handler.render_report(&mut out, &problem);
    }
    out
}

/// What of a program cannot be executed, one line each.
pub fn show_unsupported(path: &Path, missing: &[Unsupported]) -> String {
    let line = |u: &Unsupported| {
        format!(
            "{}:{}: {} cannot be executed yet",
            path.display(),
            place(u.at),
            u.what
        )
    };
    missing.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn place(at: At) -> String {
    if at.is_known() {
        format!("{}:{}", at.line, at.column)
    } else {
        "1:1".to_owned()
    }
}
