//! The commands that the documents show are run, and print what is shown.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "cargo run --release -- ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A command of a `console` block with the lines shown below it.
struct Shown {
    arguments: Vec<String>,
    output: Vec<String>,
}

/// What the `console` blocks of a document show. A line `...` stands for any number of lines.
fn shown(text: &str) -> Vec<Shown> {
    let mut all = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = fence == "console";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            let arguments = command
                .strip_prefix(PROGRAM)
                .unwrap_or_else(|| panic!("console blocks show `{PROGRAM}…`, not {command:?}"));
            all.push(Shown {
                arguments: arguments.split_whitespace().map(str::to_owned).collect(),
                output: Vec::new(),
            });
        } else {
            let last: &mut Shown = all.last_mut().expect("a console block begins with `$ `");
            last.output.push(line.trim_end().to_owned());
        }
    }
    all
}

fn printed(arguments: &[String]) -> Vec<String> {
    let out = Command::new(env!("CARGO_BIN_EXE_ksplat"))
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|l| l.trim_end().to_owned()).collect()
}

/// Whether the lines printed are those shown, where `...` stands for any number of lines.
fn fits(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, more)| line == first && fits(rest, more)),
    }
}

fn documents() -> Vec<PathBuf> {
    let mut all = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    all.extend(docs.map(|entry| entry.unwrap().path()));
    all.retain(|path| path.extension().is_some_and(|e| e == "md"));
    all.sort();
    all
}

#[test]
fn commands_print_what_the_documents_show() {
    let mut run = 0;
    for path in documents() {
        for command in shown(&std::fs::read_to_string(&path).unwrap()) {
            let printed = printed(&command.arguments);
            assert!(
                fits(&command.output, &printed),
                "{}: ksplat {} prints\n{}\nand not\n{}",
                path.display(),
                command.arguments.join(" "),
                printed.join("\n"),
                command.output.join("\n")
            );
            run += 1;
        }
    }
    assert!(run >= 2, "the README shows commands with their output");
}

#[test]
fn the_program_in_the_readme_is_the_one_that_is_run() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let start = text.find("\nsplat ").unwrap() + 1;
    let listing = text[start..].split("```").next().unwrap().trim();
    let path = root().join("corpus/litmus/a/a3-lock-over-reclaim.splat");
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file.contains(listing), "README.md and the corpus differ");
}

#[test]
fn paths_in_the_documents_exist() {
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| c.is_whitespace() || "`()[],;:".contains(c));
        for word in words.map(|w| w.trim_end_matches(['.', '/'])) {
            let ours = [
                "core/",
                "corpus/",
                "ci/",
                "docs/",
                "fuzz/",
                "shuttle-tests/",
            ];
            let pattern = word.contains(['*', '<', '{', '…']);
            if pattern || !ours.iter().any(|folder| word.starts_with(folder)) {
                continue;
            }
            assert!(
                root().join(word).exists(),
                "{}: there is no {word}",
                path.display()
            );
        }
    }
}
