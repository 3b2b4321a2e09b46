//! What the machine cannot execute: such programs are refused, with the place.

use crate::program::{At, Program, repair};

/// A construct that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub what: String,
}

/// Makes a program executable: no more entities than a machine can have (see `Roles::of`), and legal.
///
/// For programs that nobody wrote: fuzz inputs. What a person wrote is refused instead.
pub fn executable(program: &mut Program) {
    program.irqs.0.truncate(16);
    program.devices.0.truncate(8);
    program.workqueues.0.truncate(3);
    for queue in &mut program.workqueues.0 {
        queue.workers = queue.workers.clamp(1, 3);
    }
    repair(program);
}
