//! The files of `corpus/`: what is wrong with the bad ones, and that the others are read.

use std::fs;
use std::path::{Path, PathBuf};

use ksplat_harness::program::{Problem, Program, TextError, check, parse, parse_bytes, print};

const MARK: &str = "# expect-error: ";

fn corpus(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus")
        .join(folder)
}

/// Every `.splat` below `folder`, in the order of their names.
fn splats(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            found.extend(splats(&path));
        } else if path.extension().is_some_and(|e| e == "splat") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The problems that the comments at the head of a bad file announce: `LINE:COLUMN message; label; help`.
fn announced(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map_while(|line| line.strip_prefix(MARK).map(str::to_owned))
        .collect()
}

fn reported(error: &TextError) -> Vec<String> {
    let line = |p: &Problem| {
        let help = p
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("; {help}"));
        format!("{} {}; {}{help}", p.at, p.message, p.label)
    };
    error.problems.iter().map(line).collect()
}

#[test]
fn bad_files_are_refused_where_they_are_wrong() {
    let files = splats(&corpus("bad"));
    assert!(files.len() >= 40, "only {} bad files", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let bytes = fs::read(file).expect("readable");
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        match parse_bytes(&name, &bytes) {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(error) => {
                assert_well_formed(&name, &bytes, &error);
                let (expected, found) = (announced(&bytes), reported(&error));
                if expected != found {
                    wrong.push(format!("{name}: expected {expected:#?}, found {found:#?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every problem has a place inside of the text and says what was expected; the report can be drawn.
fn assert_well_formed(name: &str, bytes: &[u8], error: &TextError) {
    assert!(!error.problems.is_empty(), "{name}");
    for problem in &error.problems {
        assert!(problem.at.is_known(), "{name}: {problem} has no place");
        assert!(
            problem.label.starts_with("expected"),
            "{name}: {}",
            problem.label
        );
        let end = problem.at.offset as usize + problem.at.len as usize;
        assert!(end <= bytes.len() + 2, "{name}: {problem} ends at {end}");
    }
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
    for (problem, diagnostic) in error.problems.iter().zip(error.diagnostics()) {
        let mut drawn = String::new();
        handler
            .render_report(&mut drawn, &diagnostic)
            .expect("drawn");
        let place = format!("{name}:{}:{}", problem.at.line, problem.at.column);
        assert!(drawn.contains(&place), "{name}: no {place} in\n{drawn}");
    }
}

fn read(file: &Path) -> (String, Program) {
    let text = fs::read_to_string(file).expect("readable");
    let program = parse(&file.to_string_lossy(), &text).unwrap_or_else(|e| panic!("{}", e));
    (text, program)
}

#[test]
fn litmus_tests_are_read_and_survive_printing() {
    let files = splats(&corpus("litmus"));
    assert!(!files.is_empty());
    for file in files {
        let (text, program) = read(&file);
        assert!(check(&program).is_empty());
        let stem = file.file_stem().expect("a name").to_string_lossy();
        assert_eq!(
            program.name.as_str(),
            stem,
            "the program is called what its file is called"
        );
        assert!(!program.expects.is_empty(), "{stem} expects nothing");
        assert!(
            text.lines().all(|line| line.chars().count() <= 110),
            "{stem} has long lines"
        );
        let printed = print(&program);
        let again = parse("printed", &printed).unwrap_or_else(|e| panic!("{}\n{printed}", e));
        assert_eq!(again, program, "{stem}");
        assert_eq!(print(&again), printed, "{stem}");
    }
}

#[test]
fn thread_a_has_its_seven_cases() {
    let names: Vec<String> = splats(&corpus("litmus/a"))
        .iter()
        .map(|file| {
            read(file)
                .1
                .name
                .as_str()
                .split('-')
                .next()
                .unwrap_or("")
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["a1", "a2", "a3", "a4", "a5", "a6", "a7"]);
}
