//! Names: legal, and each declared once.

use std::collections::BTreeSet;

use super::super::decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, Mapping, Memcg, Mempool, Mm, Page, Slot,
    WaitQueue, Wb, Workqueue,
};
use super::super::handler::{Function, Irq, Notifier, Shrinker, Softirq, Task, Timer, Work};
use super::super::property::Property;
use super::super::table::Declared;
use super::super::{Name, Program, limits};

pub(super) fn repair(program: &mut Program) {
    if !program.name.is_free() {
        program.name = legal(&program.name, "program");
    }
    let mut taken = BTreeSet::new();
    unique::<Lock>(program, &mut taken, "lock");
    unique::<Flag>(program, &mut taken, "flag");
    unique::<Counter>(program, &mut taken, "counter");
    unique::<Completion>(program, &mut taken, "done");
    unique::<WaitQueue>(program, &mut taken, "queue");
    unique::<Slot>(program, &mut taken, "slot");
    unique::<Workqueue>(program, &mut taken, "wq");
    unique::<Mempool>(program, &mut taken, "pool");
    unique::<Mm>(program, &mut taken, "mm");
    unique::<Memcg>(program, &mut taken, "memcg");
    unique::<Device>(program, &mut taken, "disk");
    unique::<Wb>(program, &mut taken, "wb");
    unique::<Inode>(program, &mut taken, "inode");
    unique::<Mapping>(program, &mut taken, "file");
    unique::<Page>(program, &mut taken, "page");
    unique::<Batch>(program, &mut taken, "bio");
    unique::<Function>(program, &mut taken, "function");
    unique::<Shrinker>(program, &mut taken, "shrinker");
    unique::<Notifier>(program, &mut taken, "notifier");
    unique::<Property>(program, &mut taken, "property");
    unique::<Irq>(program, &mut taken, "irq");
    unique::<Softirq>(program, &mut taken, "softirq");
    unique::<Timer>(program, &mut taken, "timer");
    unique::<Work>(program, &mut taken, "work");
    unique::<Task>(program, &mut taken, "task");
}

/// Gives every declaration of a kind a legal name that nothing before it has.
fn unique<T: Declared>(program: &mut Program, taken: &mut BTreeSet<Name>, fallback: &str) {
    for item in &mut T::table_mut(program).0 {
        let name = item.name_mut();
        if !name.is_free() || taken.contains(name) {
            *name = free_name(name, fallback, |name| taken.contains(name));
        }
        taken.insert(name.clone());
    }
}

/// A free name like `name` that is not taken.
pub(super) fn free_name(name: &Name, fallback: &str, taken: impl Fn(&Name) -> bool) -> Name {
    let base = legal(name, fallback);
    if !taken(&base) {
        return base;
    }
    let room = limits::NAME - 8;
    let stem: String = base.as_str().chars().take(room).collect();
    (0u32..)
        .map(|n| Name::repaired(&format!("{stem}_{n}"), fallback))
        .find(|candidate| !taken(candidate))
        .unwrap_or(base)
}

fn legal(name: &Name, fallback: &str) -> Name {
    let name = Name::repaired(name.as_str(), fallback);
    if name.is_free() {
        name
    } else {
        Name::repaired(fallback, fallback)
    }
}
