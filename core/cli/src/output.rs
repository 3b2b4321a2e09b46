//! Writing to standard output: a reader that went away is no fault of the program, a full disk is told.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Prints a text as it is.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksplat: standard output: {error}");
            ExitCode::from(2)
        }
    }
}
