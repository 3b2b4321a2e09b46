//! `ksplat hunt` killed with SIGKILL at arbitrary moments: no finding is lost, no file is half written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAMS: &str = "60";

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ksplat-kill-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn hunt(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ksplat"));
    command
        .args([
            "hunt",
            "--programs",
            PROGRAMS,
            "--schedules",
            "20",
            "--arbitrary",
        ])
        .arg("--dir")
        .arg(dir)
        .stdout(Stdio::null());
    command
}

fn files(dir: &Path, sub: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(dir.join(sub)) else {
        return BTreeSet::new();
    };
    let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|n| n.ends_with(".splat")).collect()
}

#[test]
fn nothing_is_lost_when_a_hunt_is_killed() {
    let (whole, killed) = (dir("whole"), dir("killed"));
    assert!(hunt(&whole).status().unwrap().success());
    let mut kills = 0;
    let mut saved = BTreeSet::new();
    for ms in [3, 7, 15, 30, 60, 25, 90, 45, 10, 120] {
        let mut child = hunt(&killed).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        kills += u32::from(!child.wait().unwrap().success());
        // What was there stays there, raw or minimised, and every file is whole.
        let now: BTreeSet<String> = files(&killed, "found")
            .union(&files(&killed, "pending"))
            .cloned()
            .collect();
        assert!(saved.is_subset(&now), "lost {:?}", saved.difference(&now));
        saved = now;
        for sub in ["found", "pending"] {
            for name in files(&killed, sub) {
                let path = killed.join(sub).join(&name);
                let replay = Command::new(env!("CARGO_BIN_EXE_ksplat"))
                    .arg("replay")
                    .arg(&path)
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
                assert!(replay.success(), "{}", path.display());
            }
        }
    }
    assert!(kills > 0, "no hunt was killed in the middle");
    assert!(hunt(&killed).status().unwrap().success());
    assert_eq!(files(&whole, "found"), files(&killed, "found"));
    assert!(files(&killed, "pending").is_empty());
    std::fs::remove_dir_all(&whole).unwrap();
    std::fs::remove_dir_all(&killed).unwrap();
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_hunt_cleanly() {
    let dir = dir("interrupt");
    let child = Command::new(env!("CARGO_BIN_EXE_ksplat"))
        .args(["hunt", "--schedules", "20", "--arbitrary", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The handler is set before the directory is made.
    while files(&dir, "found").is_empty() && files(&dir, "pending").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{:?}", out.status);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("new findings"), "{text}");
    assert!(dir.join("shard-1-of-1.json").exists());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn bad_options_are_told_with_status_2() {
    for (args, expected) in [
        (vec!["hunt", "--shard", "3/2"], "expected I/N"),
        (vec!["hunt", "--rules", "4.15"], "expected a release"),
        (vec!["minimize", "no-such-file.splat"], "no-such-file.splat"),
        (vec!["bisect", "no-such-file.splat"], "no-such-file.splat"),
        (vec!["explain", "no-such-file.splat"], "no-such-file.splat"),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_ksplat"))
            .args(&args)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}
