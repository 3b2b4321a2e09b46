//! Writing to the standard streams: a reader that went away is no fault of the program, a full disk is told, and
//! neither is a panic, as `println!` would make it.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write as _};
use std::process::ExitCode;

/// Prints a text as it is.
pub fn print(text: &str) -> ExitCode {
    match write(format_args!("{text}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(told(&error)),
    }
}

/// Prints a part of what a command has to say. Ends the process if nobody can read it any more: status 0 if the reader
/// went away, 2 if the text cannot be written. Findings are files that are whole by then.
pub fn say(text: Arguments<'_>) {
    if let Err(error) = write(text) {
        std::process::exit(told(&error).into());
    }
}

/// Prints a line to standard error, if anybody can read it.
pub fn complain(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn write(text: Arguments<'_>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_fmt(text).and_then(|()| out.flush())
}

/// The exit status after output that failed, which is told.
fn told(error: &Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return 0;
    }
    complain(format_args!("ksplat: standard output: {error}"));
    2
}

/// `1 case`, `2 cases`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
