//! Puts the cases of `corpus/litmus` into the binaries: fuzzers run where there is no source tree.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

fn cases(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            cases(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "splat") {
            into.push(path);
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/litmus");
    println!("cargo:rerun-if-changed={}", corpus.display());
    let mut files = Vec::new();
    cases(&corpus, &mut files)?;
    files.sort();
    let mut out =
        String::from("/// Name and text of every case.\nstatic LITMUS: &[(&str, &str)] = &[\n");
    for file in files {
        let path = file.canonicalize()?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = writeln!(out, "    ({name:?}, include_str!({path:?})),");
    }
    out.push_str("];\n");
    let to = std::env::var_os("OUT_DIR").unwrap_or_default();
    std::fs::write(Path::new(&to).join("litmus.rs"), out)
}
