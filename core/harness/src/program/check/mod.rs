//! Whether a program can run at all.
//!
//! Refused is what has no meaning: dangling references, a mutex in an interrupt handler, a function that calls itself.
//! What merely goes wrong at run time (unlock of a lock that is not held, double free) is legal here and a finding
//! there.

mod atomic;
mod bodies;
mod declarations;
mod machine;
mod operations;

pub(super) use atomic::{atomic_functions, call_cycle, sleeps};
pub(super) use bodies::has_wait;
pub(super) use declarations::{all_names, pages_declared, pages_of_machine};
pub(super) use operations::operation;

use super::error::Problem;
use super::table::{Declared, Id};
use super::{At, Program, limits};

/// Every reason why `program` cannot run; empty for a legal one.
pub fn check(program: &Program) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !program.name.is_free() {
        let message = format!("`{}` cannot be the name of a program", program.name);
        problems.push(Problem::new(At::NOWHERE, message, "expected a name"));
    }
    machine::check(program, &mut problems);
    declarations::check(program, &mut problems);
    // The rest looks at what declarations refer to.
    if problems.is_empty() {
        bodies::check(program, &mut problems);
    }
    if problems.is_empty() {
        atomic::check(program, &mut problems);
    }
    problems.truncate(limits::ERRORS);
    problems
}

/// What `id` refers to; `at` is where it stands.
pub(super) fn get<T: Declared>(program: &Program, id: Id<T>, at: At) -> Result<&T, Problem> {
    T::table(program).get(id).ok_or_else(|| {
        let message = format!("there is no declaration {}", id.index());
        let label = format!("expected {} that exists", T::WHAT);
        Problem::new(at, message, label)
    })
}
