//! Variables of bodies: those that are mentioned, in that order, each with a name of its own.

use std::collections::BTreeSet;

use super::super::check::all_names;
use super::super::cond::Atom;
use super::super::op::{Body, Op, Var};
use super::super::table::Id;
use super::super::{Name, Program};
use super::bodies::retain;
use super::names::free_name;

pub(super) fn repair(program: &mut Program) {
    let declared: BTreeSet<Name> = all_names(program)
        .into_iter()
        .map(|(_, name, _)| name.clone())
        .collect();
    let slots = program.slots.len();
    for (_, body) in program.bodies_mut() {
        only_assigned(body, slots);
        in_order(body, &declared);
    }
}

/// A variable that is never assigned becomes one that is, or a slot; or what needs it goes.
fn only_assigned(body: &mut Body, slots: usize) {
    // What goes may have been the assignment of another variable.
    while drop_unassigned(body, slots) {}
}

/// One round of [`only_assigned`]; whether an operation was dropped.
fn drop_unassigned(body: &mut Body, slots: usize) -> bool {
    let mut assigned: BTreeSet<u8> = BTreeSet::new();
    body.block.walk(&mut |statement| {
        if let Some(Var::Local(local)) = statement.op.assigned() {
            assigned.insert(local);
        }
    });
    let choices: Vec<u8> = assigned.iter().copied().collect();
    let replaced = |var: Var| match var {
        Var::Local(local) if !assigned.contains(&local) => {
            let local = usize::from(local);
            let other = local
                .checked_rem(choices.len())
                .map(|i| Var::Local(choices[i]));
            let slot = || local.checked_rem(slots).and_then(|i| u16::try_from(i).ok());
            other.or_else(|| slot().map(|slot| Var::Slot(Id::new(slot))))
        }
        var => Some(var),
    };
    let mut dropped = false;
    retain(&mut body.block, &mut |op| {
        for term in op.cond_mut().into_iter().flat_map(|cond| &mut cond.terms) {
            if let Atom::Holds(var) = term.atom {
                term.atom = replaced(var).map_or(Atom::Maybe, Atom::Holds);
            }
        }
        let (Op::Free(var) | Op::Copy { from: var, .. }) = op else {
            return true;
        };
        let other = replaced(*var);
        *var = other.unwrap_or(*var);
        dropped |= other.is_none();
        other.is_some()
    });
    dropped
}

fn in_order(body: &mut Body, declared: &BTreeSet<Name>) {
    let mut order: Vec<u8> = Vec::new();
    body.block.walk_mut(&mut |statement| {
        for var in statement.op.vars_mut() {
            let Var::Local(local) = var else {
                continue;
            };
            let position = order
                .iter()
                .position(|known| known == local)
                .unwrap_or_else(|| {
                    order.push(*local);
                    order.len() - 1
                });
            *local = u8::try_from(position).unwrap_or(u8::MAX);
        }
    });
    let mut names: Vec<Name> = Vec::new();
    for local in order {
        let given = body
            .locals
            .get(usize::from(local))
            .cloned()
            .unwrap_or_default();
        let taken = |name: &Name| declared.contains(name) || names.contains(name);
        let name = if given.is_free() && !taken(&given) {
            given
        } else {
            free_name(&given, "p", taken)
        };
        names.push(name);
    }
    body.locals = names;
}
