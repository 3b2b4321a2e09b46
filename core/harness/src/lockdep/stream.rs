//! Reads files of rows, plain or gzipped, one row at a time.

use super::row::{Row, RowError};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read as a row. Whatever the file, no more than this is held in memory.
pub const MAX_ROW_BYTES: usize = 64 << 20;

/// What a file holds, row by row.
#[derive(Debug)]
pub enum Event {
    /// A row.
    Row(Box<Row>),
    /// Something that is no row.
    Malformed(RowError),
}

/// Calls `visit` with the number and content of every line of a file that is not blank. Files that start as gzip
/// streams do are decompressed, whatever their name.
///
/// # Errors
/// If the file cannot be read, or its compressed stream is damaged; rows before that were visited.
pub fn run_file(path: &Path, visit: impl FnMut(u64, Event)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    match is_gzip {
        true => run_rows(
            BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)),
            visit,
        ),
        false => run_rows(file, visit),
    }
}

/// Calls `visit` with the number and content of every line that is not blank.
///
/// # Errors
/// If reading fails.
pub fn run_rows(reader: impl BufRead, visit: impl FnMut(u64, Event)) -> io::Result<()> {
    rows_of_at_most(MAX_ROW_BYTES, reader, visit)
}

fn rows_of_at_most(
    limit: usize,
    mut reader: impl BufRead,
    mut visit: impl FnMut(u64, Event),
) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if (&mut reader)
            .take(limit as u64 + 1)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if line.len() > limit && line.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
            visit(number, Event::Malformed(RowError::TooLong(limit)));
            continue;
        }
        if let Some(event) = event(&line) {
            visit(number, event);
        }
    }
    Ok(())
}

/// What a line holds; nothing if it is blank.
fn event(line: &[u8]) -> Option<Event> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.trim(),
        Err(error) => {
            return Some(Event::Malformed(RowError::Json(format!(
                "not UTF-8: {error}"
            ))));
        }
    };
    let row = (!text.is_empty()).then(|| Row::parse(text))?;
    Some(row.map_or_else(Event::Malformed, |row| Event::Row(Box::new(row))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const ROW: &str = r#"{"id":"x","classes":{},"locks":{},"ops":[]}"#;

    fn summary(events: &mut Vec<String>) -> impl FnMut(u64, Event) {
        |line, event| {
            events.push(match event {
                Event::Row(row) => format!("{line} {}", row.program.id),
                Event::Malformed(error) => format!("{line} {error}"),
            });
        }
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    fn run(name: &str, bytes: &[u8]) -> (Vec<String>, bool) {
        let path =
            std::env::temp_dir().join(format!("ksplat-stream-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("a writable temporary directory");
        let mut events = Vec::new();
        let fine = run_file(&path, summary(&mut events)).is_ok();
        std::fs::remove_file(&path).expect("it was there");
        (events, fine)
    }

    #[test]
    fn plain_and_gzipped_files_read_alike() {
        let text = format!("{ROW}\n\n  {ROW}");
        let expected = (vec!["1 x".to_owned(), "3 x".to_owned()], true);
        assert_eq!(run("plain", text.as_bytes()), expected);
        assert_eq!(run("gzip", &gzipped(&text)), expected);
        // Two streams in a row are one file.
        let two = [gzipped(&format!("{ROW}\n\n")), gzipped(ROW)].concat();
        assert_eq!(run("two", &two), expected);
    }

    #[test]
    fn a_damaged_stream_is_an_error() {
        let whole = gzipped(&format!("{ROW}\n").repeat(1000));
        assert!(!run("damaged", &whole[..whole.len() - 9]).1);
    }

    #[test]
    fn no_line_is_too_long_or_too_strange_to_go_on() {
        let mut bytes = format!("{ROW}\n{}\n", "x".repeat(500)).into_bytes();
        bytes.extend(b"\xff\n");
        bytes.extend(ROW.as_bytes());
        let mut events = Vec::new();
        rows_of_at_most(100, bytes.as_slice(), summary(&mut events)).expect("memory");
        assert_eq!(events[0], "1 x");
        assert_eq!(events[1], "2 the line is longer than 100 bytes");
        assert!(events[2].starts_with("3 not UTF-8"));
        assert_eq!(events[3], "4 x");
    }
}
