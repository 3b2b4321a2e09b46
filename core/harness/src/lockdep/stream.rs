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
pub fn run_rows(mut reader: impl BufRead, mut visit: impl FnMut(u64, Event)) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if (&mut reader)
            .take(MAX_ROW_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if line.len() > MAX_ROW_BYTES && line.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
            visit(number, Event::Malformed(RowError::TooLong(MAX_ROW_BYTES)));
            continue;
        }
        let text = match std::str::from_utf8(&line) {
            Ok(text) => text.trim(),
            Err(error) => {
                visit(
                    number,
                    Event::Malformed(RowError::Json(format!("not UTF-8: {error}"))),
                );
                continue;
            }
        };
        if text.is_empty() {
            continue;
        }
        visit(
            number,
            Row::parse(text).map_or_else(Event::Malformed, |row| Event::Row(Box::new(row))),
        );
    }
    Ok(())
}
