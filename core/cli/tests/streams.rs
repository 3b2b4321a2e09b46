//! What happens when nobody reads the output, or it cannot be written, or the input is no text: never a panic.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const REPRODUCER: &str = "corpus/reproducers/e1-z1.splat";
const LITMUS: &str = "corpus/litmus/a/a1-nomemalloc-nested.splat";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ksplat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ksplat"));
    command.args(arguments).current_dir(root());
    command
}

fn commands() -> Vec<Vec<&'static str>> {
    vec![
        vec!["check", LITMUS, "--schedules", "100"],
        vec!["check", LITMUS, "--schedules", "100", "--json"],
        vec!["replay", REPRODUCER],
        vec!["replay", REPRODUCER, "--json"],
        vec!["explain", REPRODUCER, "--schedules", "100"],
        vec!["minimize", REPRODUCER],
        vec!["matrix", "e", "--schedules", "1"],
        vec!["lockdep", "corpus/lockdep/selftest.jsonl.gz"],
        vec!["--help"],
    ]
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_told() {
    for arguments in commands() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = ksplat(&arguments).stdout(full).output().unwrap();
        let error = stderr(&out);
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
        if arguments[0] != "--help" {
            assert_eq!(out.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.contains("No space left"), "{arguments:?}: {error}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_went_away_is_no_error() {
    for arguments in commands() {
        let mut child = ksplat(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        let error = stderr(&out);
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    }
}

#[test]
fn what_is_no_text_is_shown_as_text() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, bytes) in [
        (
            "escapes.splat",
            &b"splat x\ntask t on cpu0 { \x1b[31m\x07 }\n"[..],
        ),
        ("latin.splat", &b"splat x\n# \xe4\xf6\n\x1b[2J\n"[..]),
    ] {
        let path = dir.join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let out = ksplat(&["check", path.to_str().unwrap()]).output().unwrap();
        let error = stderr(&out);
        assert_eq!(out.status.code(), Some(2), "{error}");
        assert!(error.contains(&format!("{name}:2:")), "{error}");
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!error.contains(steers), "{error:?}");
    }
}

#[test]
fn a_release_that_never_was_is_refused() {
    for release in ["v4.21", "v5.20", "v9.1", "v2.5", "6.1"] {
        let out = ksplat(&["check", LITMUS, "--rules", release])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2), "{release}");
        assert!(stderr(&out).contains("expected a release"), "{release}");
    }
}
