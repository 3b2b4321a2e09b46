//! The hunt's directory: what was found is found again, shards share the work, nothing depends on threads.

use ksplat_harness::hunt::{Config, News, Summary, hunt, write_whole};
use ksplat_harness::program::parse;
use ksplat_harness::reproducer::{named_signature, replay};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ksplat-hunt-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn config(dir: &Path, programs: u64, jobs: usize) -> Config {
    Config {
        dir: dir.to_owned(),
        seed: 3,
        shard: (0, 1),
        rules: None,
        time: None,
        programs: Some(programs),
        jobs,
        corpus: Vec::new(),
        schedules: 20,
    }
}

fn run(config: &Config) -> Summary {
    hunt(config, &AtomicBool::new(false), &|_| {}).unwrap()
}

fn found(dir: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(dir.join("found")).unwrap();
    names
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn findings_replay_and_are_minimised() {
    let dir = dir("replay");
    let summary = run(&config(&dir, 40, 2));
    assert_eq!(
        (
            summary.programs,
            summary.total,
            summary.pending,
            summary.faults
        ),
        (40, 40, 0, 0)
    );
    assert!(summary.new > 5, "{summary:?}");
    assert_eq!(found(&dir).len() as u64, summary.new);
    for name in found(&dir) {
        let text = std::fs::read_to_string(dir.join("found").join(&name)).unwrap();
        let program = parse(&name, &text).unwrap();
        let signature = named_signature(&text).unwrap();
        let replayed = replay(&program).unwrap().recorded;
        assert!(replayed.signatures.contains(&signature), "{name}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_hunt_goes_on_where_it_stopped() {
    let (whole, parts) = (dir("whole"), dir("parts"));
    run(&config(&whole, 40, 2));
    // Stopped in the middle of anything, again and again.
    for after in [1, 3, 9, 20] {
        let stop = AtomicBool::new(false);
        let seen = AtomicU64::new(0);
        let told = Mutex::new(0);
        let tell = |news: News| {
            *told.lock().unwrap() += 1;
            if matches!(news, News::New(_) | News::Programs(_))
                && seen.fetch_add(1, Ordering::SeqCst) >= after
            {
                stop.store(true, Ordering::SeqCst);
            }
        };
        hunt(&config(&parts, 40, 2), &stop, &tell).unwrap();
    }
    let last = run(&config(&parts, 40, 1));
    assert_eq!((last.total, last.pending), (40, 0));
    assert_eq!(found(&whole), found(&parts));
    assert_eq!(
        run(&config(&parts, 40, 1)).programs,
        0,
        "everything is done"
    );
    std::fs::remove_dir_all(&whole).unwrap();
    std::fs::remove_dir_all(&parts).unwrap();
}

#[test]
fn shards_together_find_what_one_hunt_finds() {
    let (whole, shared) = (dir("one"), dir("shared"));
    run(&config(&whole, 30, 1));
    for shard in 0..3 {
        let part = Config {
            shard: (shard, 3),
            ..config(&shared, 10, 1)
        };
        run(&part);
    }
    assert_eq!(found(&whole), found(&shared));
    std::fs::remove_dir_all(&whole).unwrap();
    std::fs::remove_dir_all(&shared).unwrap();
}

#[test]
fn another_seed_or_a_broken_note_is_refused() {
    let dir = dir("seed");
    run(&config(&dir, 2, 1));
    let other = Config {
        seed: 4,
        ..config(&dir, 2, 1)
    };
    let error = hunt(&other, &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("seed 3, expected 4"), "{error}");
    std::fs::write(dir.join("shard-1-of-1.json"), "{").unwrap();
    let error = hunt(&config(&dir, 2, 1), &AtomicBool::new(false), &|_| {}).unwrap_err();
    assert!(
        error.to_string().contains("expected the note of a hunt"),
        "{error}"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_what_is_no_file_stays_what_it_is() {
    let dir = dir("targets");
    std::fs::create_dir_all(&dir).unwrap();
    let (file, link) = (dir.join("file"), dir.join("link"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_whole(&link, b"new").unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&file).unwrap(), b"new");
    let socket = dir.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = write_whole(&socket, b"new").unwrap_err();
    assert!(error.to_string().contains("socket"), "{error}");
    assert!(!socket.metadata().unwrap().is_file());
    drop(listener);
    std::fs::remove_dir_all(&dir).unwrap();
}
