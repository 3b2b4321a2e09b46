//! Mutations of what there is: declarations, the machine, the rules.

use super::stranger;
use crate::explore::Rng;
use crate::program::decl::{LockKind, PageBit};
use crate::program::handler::TaskFlag;
use crate::program::rules_text::{SWITCHES, Setting};
use crate::program::word::Word;
use crate::program::{Declared, Program, Table};

/// One change.
pub(super) fn mutate(program: &mut Program, rng: &mut Rng) {
    match rng.below(12) {
        0..=3 => graft(program, rng),
        4 => remove(program, rng),
        5 => change_rule(program, rng),
        6 => change_machine(program, rng),
        7 => change_lock(program, rng),
        8 | 9 => change_page(program, rng),
        _ => change_task(program, rng),
    }
}

/// Takes a declaration over from a random program.
fn graft(program: &mut Program, rng: &mut Rng) {
    let from = stranger(rng);
    take(program, &from, rng);
}

/// Takes a declaration, with what it does, over from another program. What it refers to is what stands there here.
pub(super) fn take(program: &mut Program, from: &Program, rng: &mut Rng) {
    type Take = fn(&mut Program, &Program, &mut Rng) -> bool;
    const TAKES: [Take; 16] = [
        one::<crate::program::decl::Lock>,
        one::<crate::program::decl::Page>,
        one::<crate::program::decl::Mapping>,
        one::<crate::program::decl::Device>,
        one::<crate::program::decl::Completion>,
        one::<crate::program::decl::Mm>,
        one::<crate::program::decl::Batch>,
        one::<crate::program::decl::Memcg>,
        one::<crate::program::decl::Flag>,
        one::<crate::program::handler::Shrinker>,
        one::<crate::program::handler::Function>,
        one::<crate::program::handler::Irq>,
        one::<crate::program::handler::Notifier>,
        one::<crate::program::handler::Work>,
        one::<crate::program::handler::Task>,
        one::<crate::program::handler::Timer>,
    ];
    for _ in 0..TAKES.len() {
        if TAKES[rng.below(TAKES.len() as u32) as usize](program, from, rng) {
            return;
        }
    }
}

fn one<T: Declared + Clone>(program: &mut Program, from: &Program, rng: &mut Rng) -> bool {
    let theirs = &T::table(from).0;
    if theirs.is_empty() {
        return false;
    }
    let new = theirs[rng.below(theirs.len() as u32) as usize].clone();
    let ours = &mut T::table_mut(program).0;
    if !ours.is_empty() && rng.below(2) == 0 {
        let at = rng.below(ours.len() as u32) as usize;
        ours[at] = new;
    } else {
        ours.push(new);
    }
    true
}

/// Drops a declaration that has a body, or a page.
pub(super) fn remove(program: &mut Program, rng: &mut Rng) {
    fn drop_one<T>(table: &mut Table<T>, rng: &mut Rng) {
        if !table.is_empty() {
            table.0.remove(rng.below(table.0.len() as u32) as usize);
        }
    }
    match rng.below(10) {
        0 => drop_one(&mut program.shrinkers, rng),
        1 => drop_one(&mut program.irqs, rng),
        2 => drop_one(&mut program.works, rng),
        3 => drop_one(&mut program.notifiers, rng),
        4 => drop_one(&mut program.tasks, rng),
        5 => drop_one(&mut program.pages, rng),
        6 => drop_one(&mut program.functions, rng),
        7 => drop_one(&mut program.locks, rng),
        8 => drop_one(&mut program.timers, rng),
        _ => program.rules.settings.clear(),
    }
}

/// Changes one rule: a switch gets another value, or is set no more.
fn change_rule(program: &mut Program, rng: &mut Rng) {
    let switch = rng.below(SWITCHES.len() as u32);
    let value = rng.below(SWITCHES[switch as usize].values.len() as u32);
    let new = Setting::Switch {
        switch: switch as u8,
        value: value as u8,
    };
    let settings = &mut program.rules.settings;
    let before = settings.len();
    settings.retain(|s| !s.same_subject(new));
    if before == settings.len() || rng.below(2) == 0 {
        settings.push(new);
    }
}

fn change_machine(program: &mut Program, rng: &mut Rng) {
    let machine = &mut program.machine;
    match rng.below(5) {
        0 => machine.cpus = 1 + rng.below(3) as u8,
        1 => machine.kswapd = machine.kswapd.is_none().then_some(0),
        2 => {
            let pcp = crate::program::machine::Pcp { high: 4, batch: 2 };
            machine.pcp = machine.pcp.is_none().then_some(pcp);
        }
        _ => {
            let at = rng.below(machine.zones.len() as u32) as usize;
            if let Some(zone) = machine.zones.get_mut(at) {
                zone.free = (rng.below(3) > 0).then(|| rng.below(zone.pages + 1));
            }
        }
    }
}

fn some<'t, T>(table: &'t mut Table<T>, rng: &mut Rng) -> Option<&'t mut T> {
    let n = rng.below(table.0.len() as u32) as usize;
    table.0.get_mut(n)
}

fn change_lock(program: &mut Program, rng: &mut Rng) {
    if let Some(lock) = some(&mut program.locks, rng) {
        lock.kind = LockKind::WORDS[rng.below(LockKind::WORDS.len() as u32) as usize].0;
    }
}

fn change_page(program: &mut Program, rng: &mut Rng) {
    let bit = PageBit::WORDS[rng.below(PageBit::WORDS.len() as u32) as usize].0;
    let Some(page) = some(&mut program.pages, rng) else {
        return graft(program, rng);
    };
    page.bits = if page.bits.contains(bit) {
        page.bits.without(bit)
    } else {
        page.bits.with(bit)
    };
}

fn change_task(program: &mut Program, rng: &mut Rng) {
    let cpus = u32::from(program.machine.cpus);
    let flag = TaskFlag::WORDS[rng.below(TaskFlag::WORDS.len() as u32) as usize].0;
    let Some(task) = some(&mut program.tasks, rng) else {
        return;
    };
    match rng.below(3) {
        0 => task.cpu = rng.below(cpus) as u8,
        1 => task.prio = rng.below(3) as u8,
        _ if task.flags.contains(flag) => task.flags = task.flags.without(flag),
        _ => task.flags = task.flags.with(flag),
    }
}
