//! Bodies: their variables and the sum of their operations.

use super::super::error::Problem;
use super::super::handler::TaskFlag;
use super::super::op::{Body, Op, Var};
use super::super::verb::Do;
use super::super::{At, Block, Context, Name, Program, limits};
use super::{all_names, operation};

pub(super) fn check(program: &Program, problems: &mut Vec<Problem>) {
    let declared: std::collections::BTreeSet<&str> = all_names(program)
        .into_iter()
        .map(|(_, name, _)| name.as_str())
        .collect();
    let mut total = 0;
    for (context, _, at, body) in program.bodies() {
        if body.block.depth() > limits::DEPTH {
            let label = format!(
                "expected at most {} blocks inside each other",
                limits::DEPTH
            );
            problems.push(Problem::new(at, "blocks are nested too deep", label));
            continue;
        }
        total += body.block.operations();
        variables(
            body,
            at,
            |name: &Name| declared.contains(name.as_str()),
            problems,
        );
        body.block.walk(&mut |statement| {
            let callee = context == Context::Callee;
            if let Err(problem) = operation(program, body, &statement.op, statement.at, callee) {
                problems.push(problem);
            }
        });
    }
    if total > limits::OPERATIONS {
        let label = format!("expected at most {}", limits::OPERATIONS);
        let at = program.tasks.0.last().map_or(At::NOWHERE, |task| task.at);
        problems.push(Problem::new(
            at,
            "the program has too many operations",
            label,
        ));
    }
    for task in &program.tasks {
        if task.flags.contains(TaskFlag::Daemon) && !has_wait(&task.body.block) {
            let message = format!("daemon `{}` never waits", task.name);
            let label =
                "expected `serve`, `wait_event`, `wait_for_completion` or `msleep` in its body";
            problems.push(Problem::new(task.at, message, label));
        }
    }
}

/// Whether a daemon with this body gives up its CPU in each round.
///
/// One wait at the top level of the body is asked for: one inside of an `if` may be passed by for ever.
pub fn has_wait(block: &Block) -> bool {
    block.iter().any(|statement| {
        matches!(
            statement.op,
            Op::Serve(..) | Op::WaitEvent { .. } | Op::WaitFor { .. } | Op::Do(Do::Msleep)
        )
    })
}

/// The variables are those the body mentions, in that order; each is assigned somewhere.
fn variables(
    body: &Body,
    at: At,
    is_declared: impl Fn(&Name) -> bool,
    problems: &mut Vec<Problem>,
) {
    let mut mentioned: Vec<u8> = Vec::new();
    let mut assigned: Vec<u8> = Vec::new();
    body.block.walk(&mut |statement| {
        for var in statement.op.vars() {
            if let Var::Local(local) = var
                && !mentioned.contains(&local)
            {
                mentioned.push(local);
            }
        }
        if let Some(Var::Local(local)) = statement.op.assigned() {
            assigned.push(local);
        }
    });
    let in_order = mentioned
        .iter()
        .enumerate()
        .all(|(i, local)| i == usize::from(*local));
    if !in_order || mentioned.len() != body.locals.len() || body.locals.len() > limits::LOCALS {
        let label = "expected the variables of the body, in the order of first mention";
        problems.push(Problem::new(
            at,
            "the list of variables does not fit the body",
            label,
        ));
        return;
    }
    for (i, name) in body.locals.iter().enumerate() {
        let is_assigned = assigned.iter().any(|local| usize::from(*local) == i);
        let twice = body.locals[..i].contains(name);
        if is_assigned && name.is_free() && !twice && !is_declared(name) {
            continue;
        }
        let message = format!("`{name}` cannot be a variable of this body");
        let label = "expected a name of its own that some allocation of the body is assigned to";
        problems.push(Problem::new(at, message, label));
    }
}
