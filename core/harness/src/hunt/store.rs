//! The directory of a hunt: findings in `found`, those not yet made small in `pending`, contradictions of the tool in
//! `faults`, and a note of how far each shard is. Every file appears whole or not at all.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A hunt's directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    note: PathBuf,
    seed: u64,
    next: u64,
}

/// How far a shard is.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Seed of the programs.
    seed: u64,
    /// All programs of the shard below this are done.
    next: u64,
}

impl Store {
    /// Opens a directory, makes it if it is not there, and reads how far the shard is.
    ///
    /// # Errors
    /// If it cannot be made or read, or if its note is of another seed.
    pub fn open(dir: &Path, seed: u64, shard: (u64, u64)) -> io::Result<Self> {
        for sub in ["found", "pending", "faults"] {
            let sub = dir.join(sub);
            std::fs::create_dir_all(&sub).map_err(|e| at(&sub, e))?;
        }
        let note = dir.join(format!("shard-{}-of-{}.json", shard.0 + 1, shard.1));
        let next = match std::fs::read(&note) {
            Ok(bytes) => read_note(&note, &bytes, seed)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(at(&note, e)),
        };
        Ok(Self {
            dir: dir.to_owned(),
            note,
            seed,
            next,
        })
    }

    /// The first program that is not known to be done.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Notes that all programs below `next` are done.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, next: u64) -> io::Result<()> {
        let note = Note {
            seed: self.seed,
            next,
        };
        let text = serde_json::to_vec(&note).map_err(io::Error::other)?;
        write_whole(&self.note, &text)
    }

    /// Shapes of everything found before.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn known(&self) -> io::Result<BTreeSet<String>> {
        let mut out = BTreeSet::new();
        for sub in ["found", "pending"] {
            out.extend(self.texts(sub)?.into_iter().map(|(shape, _)| shape));
        }
        Ok(out)
    }

    /// Shapes and texts of what is not minimised yet.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn pending(&self) -> io::Result<Vec<(String, String)>> {
        self.texts("pending")
    }

    /// Saves a finding before anything else is done with it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_pending(&self, shape: &str, text: &str) -> io::Result<()> {
        write_whole(&self.path("pending", shape), marked(shape, text).as_bytes())
    }

    /// Saves a minimised finding; its raw form is no longer needed then.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_found(&self, shape: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path("found", shape);
        write_whole(&path, marked(shape, text).as_bytes())?;
        let pending = self.path("pending", shape);
        match std::fs::remove_file(&pending) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(&pending, e)),
            _ => Ok(path),
        }
    }

    /// Saves a program on which the tool contradicts itself.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_fault(&self, number: u64, text: &str) -> io::Result<()> {
        let path = self.dir.join("faults").join(format!("{number}.splat"));
        write_whole(&path, text.as_bytes())
    }

    fn path(&self, sub: &str, shape: &str) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let mut name: String = shape.chars().map(plain).collect();
        name.truncate(80);
        self.dir
            .join(sub)
            .join(format!("{name}-{:08x}.splat", hash(shape)))
    }

    /// Shapes and texts of a directory, in order of the names. Files that a kill left behind are none.
    fn texts(&self, sub: &str) -> io::Result<Vec<(String, String)>> {
        let dir = self.dir.join(sub);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(|e| at(&dir, e))? {
            let path = entry.map_err(|e| at(&dir, e))?.path();
            if path.extension().is_some_and(|e| e == "splat") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut out = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|e| at(&path, e))?;
            if let Some(shape) = text.lines().find_map(|l| l.strip_prefix(SHAPE)) {
                out.push((shape.to_owned(), text.clone()));
            }
        }
        Ok(out)
    }
}

/// First words of the comment that names the shape of a saved finding.
const SHAPE: &str = "# shape ";

fn marked(shape: &str, text: &str) -> String {
    format!("{SHAPE}{shape}\n{text}")
}

fn read_note(path: &Path, bytes: &[u8], seed: u64) -> io::Result<u64> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let note: Note = serde_json::from_slice(bytes).map_err(|e| {
        wrong(format!(
            "{}: {e}; expected the note of a hunt, such as {{\"seed\":0,\"next\":32}}",
            path.display()
        ))
    })?;
    if note.seed != seed {
        return Err(wrong(format!(
            "{}: is of a hunt with seed {}, expected {seed}: use another directory",
            path.display(),
            note.seed
        )));
    }
    Ok(note.next)
}

/// FNV-1a, 32 bits: the same name for the same shape on every machine.
fn hash(text: &str) -> u32 {
    let step = |h: u32, b: u8| (h ^ u32::from(b)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Writes a file beside the target first, so that a full disk or a kill leaves the old file or none.
///
/// # Errors
/// If it cannot be written; the error names the file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link leads to is written, not replaced, and so is what is no file: a device, a pipe.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if target.metadata().is_ok_and(|found| !found.is_file()) {
        let written = std::fs::write(&target, bytes);
        return written.map_err(|error| at(path, error));
    }
    // Several threads and processes may write the same finding.
    let unique = format!(
        "{}-{:?}.partial",
        std::process::id(),
        std::thread::current().id()
    );
    let beside = target.with_extension(unique.replace(['(', ')'], ""));
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&beside, &target));
    renamed.map_err(|error| {
        // The error of writing is the one to tell.
        let _ = std::fs::remove_file(&beside);
        at(path, error)
    })
}
