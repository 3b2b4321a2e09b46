//! When long work ends before it is done: on Ctrl-C, or after a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Becomes true on Ctrl-C, from now on. Where no handler can be set Ctrl-C kills: nothing is lost then either.
pub fn interrupted() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let on_signal = Arc::clone(&flag);
    let _ = ctrlc::set_handler(move || on_signal.store(true, Ordering::SeqCst));
    flag
}

/// The time that `--seconds` gives.
///
/// # Errors
/// What is wrong with the number.
pub fn seconds(given: Option<f64>) -> Result<Option<Duration>, String> {
    let time = given.map(Duration::try_from_secs_f64).transpose();
    time.map_err(|error| format!("--seconds: {error}"))
}
