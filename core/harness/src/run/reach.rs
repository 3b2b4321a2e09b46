//! What an entity may come to do: which completions it may complete, which queues it may wake, which variables it may
//! change. Waits are judged by it: an over-approximation, which can only delay a finding.

use super::roles::{Role, Roles};
use crate::program::handler::FunctionKind;
use crate::program::op::Op;
use crate::program::verb::{BatchVerb, Do, PageVerb, TimerVerb, WorkVerb};
use crate::program::{Block, Program};
use ksplat_kernel::rt::{EntityId, EntitySet};

/// Effects of a body and all that it may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    completions: Vec<bool>,
    queues: Vec<bool>,
    pages: Vec<bool>,
    batches: Vec<bool>,
    devices: Vec<bool>,
    frees: bool,
    variables: bool,
    /// It may enter reclaim, and with it any callback.
    reclaims: bool,
    prints: bool,
    /// It may raise softirqs or queue RCU callbacks, on its CPU.
    softirqs: bool,
    timers: Vec<bool>,
    irqs: Vec<bool>,
    works: Vec<bool>,
    functions: Vec<bool>,
}

/// Who may end which wait, one bit an entity.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// By completion.
    pub completions: Vec<EntitySet>,
    /// By wait queue.
    pub queues: Vec<EntitySet>,
    /// By page declaration: who ends the writeback of its pages.
    pub pages: Vec<EntitySet>,
    /// By batch: who submits or ends it.
    pub batches: Vec<EntitySet>,
    /// By device: who serves it.
    pub devices: Vec<EntitySet>,
    /// Who frees anything.
    pub frees: EntitySet,
    /// Flags and counters, all together.
    pub variables: EntitySet,
    /// By work item: who may queue it.
    pub works: Vec<EntitySet>,
    /// By interrupt: who may raise it.
    pub irqs: Vec<EntitySet>,
    /// By timer: who may arm it.
    pub timers: Vec<EntitySet>,
    /// Who may raise softirqs or queue RCU callbacks.
    pub softirqs: EntitySet,
    /// Who may print.
    pub prints: EntitySet,
}

impl Reach {
    /// Who of `roles` may do what in `program`.
    #[must_use]
    pub fn of(program: &Program, roles: &Roles, report_prints: bool) -> Self {
        let mut reach = Self {
            completions: vec![0; program.completions.len()],
            queues: vec![0; program.wait_queues.len()],
            works: vec![0; program.works.len()],
            irqs: vec![0; program.irqs.len()],
            timers: vec![0; program.timers.len()],
            pages: vec![0; program.pages.len()],
            batches: vec![0; program.batches.len()],
            devices: vec![0; program.devices.len()],
            ..Self::default()
        };
        for (i, &role) in roles.all().iter().enumerate() {
            let mut effects = effects_of(program, role);
            if report_prints {
                effects.printk(program);
            }
            let bit = EntityId::new(i).bit();
            add(&mut reach.works, &effects.works, bit);
            add(&mut reach.irqs, &effects.irqs, bit);
            add(&mut reach.timers, &effects.timers, bit);
            if effects.softirqs {
                reach.softirqs |= bit;
            }
            if effects.prints {
                reach.prints |= bit;
            }
            add(&mut reach.completions, &effects.completions, bit);
            add(&mut reach.queues, &effects.queues, bit);
            add(&mut reach.pages, &effects.pages, bit);
            add(&mut reach.batches, &effects.batches, bit);
            add(&mut reach.devices, &effects.devices, bit);
            if effects.frees {
                reach.frees |= bit;
            }
            if effects.variables {
                reach.variables |= bit;
            }
        }
        reach
    }
}

fn add(sets: &mut [EntitySet], has: &[bool], bit: EntitySet) {
    for (set, _) in sets.iter_mut().zip(has).filter(|(_, has)| **has) {
        *set |= bit;
    }
}

fn effects_of(program: &Program, role: Role) -> Effects {
    let mut effects = Effects {
        completions: vec![false; program.completions.len()],
        queues: vec![false; program.wait_queues.len()],
        pages: vec![false; program.pages.len()],
        batches: vec![false; program.batches.len()],
        devices: vec![false; program.devices.len()],
        functions: vec![false; program.functions.len()],
        timers: vec![false; program.timers.len()],
        irqs: vec![false; program.irqs.len()],
        works: vec![false; program.works.len()],
        ..Effects::default()
    };
    match role {
        Role::Task(i) => effects.block(program, &program.tasks.0[i].body.block),
        Role::Irq(i) => effects.block(program, &program.irqs.0[i].body.block),
        Role::Softirq { cpu } => effects.softirq(program, cpu),
        Role::IrqWork { .. } | Role::Printer => effects.printk(program),
        Role::Worker { queue } | Role::Rescuer { queue } => {
            for work in program.works.iter().filter(|w| w.queue.index() == queue) {
                effects.block(program, &work.body.block);
            }
        }
        Role::WbSwitch | Role::Device { .. } => {}
        Role::Kswapd | Role::Flusher | Role::ReleaseWorker => effects.callbacks(program),
    }
    effects
}

impl Effects {
    fn block(&mut self, program: &Program, block: &Block) {
        for stmt in block {
            self.op(program, &stmt.op);
        }
    }

    fn op(&mut self, program: &Program, op: &Op) {
        match op {
            Op::Complete { completion, .. } => self.completions[completion.index()] = true,
            Op::WakeUp { queue, .. } => self.queues[queue.index()] = true,
            Op::Set(..) | Op::Count(..) => self.variables = true,
            Op::Call(function) => self.function(program, function.index()),
            // The callback's effects are those of softirqs.
            Op::CallRcu(_) | Op::RaiseSoftirq(_) => self.softirqs = true,
            Op::RaiseIrq(irq) => self.irqs[irq.index()] = true,
            Op::Work(WorkVerb::Queue, work) => self.works[work.index()] = true,
            Op::Timer(TimerVerb::Mod, timer) => self.timers[timer.index()] = true,
            Op::Do(Do::Printk | Do::LockdepPrints | Do::RebuildZonelists) | Op::Hotplug { .. } => {
                self.printk(program);
            }
            Op::Lock(_, Some(block)) => self.block(program, block),
            Op::Serve(device, b) => {
                self.devices[device.index()] = true;
                self.block(program, b);
            }
            Op::Page(PageVerb::EndWriteback, page) => self.pages[page.page.index()] = true,
            Op::Batch(BatchVerb::Submit | BatchVerb::End, batch) => {
                self.batches[batch.index()] = true;
            }
            Op::Free(_) => self.frees = true,
            Op::Scope(_, b)
            | Op::While(_, b)
            | Op::Loop(_, b)
            | Op::PageStat(_, b)
            | Op::WbStat(_, b) => {
                self.block(program, b);
            }
            Op::Invalidate(_, b) => {
                self.callbacks(program);
                self.block(program, b);
            }
            Op::Trylock {
                then, otherwise, ..
            }
            | Op::If {
                then, otherwise, ..
            } => {
                self.block(program, then);
                self.block(program, otherwise);
            }
            Op::Alloc { .. }
            | Op::Reclaim(..)
            | Op::Charge { .. }
            | Op::Page(..)
            | Op::Mapping(..)
            | Op::Mm(..) => {
                self.callbacks(program);
            }
            _ => {}
        }
    }

    fn function(&mut self, program: &Program, index: usize) {
        if std::mem::replace(&mut self.functions[index], true) {
            return;
        }
        self.block(program, &program.functions.0[index].body.block);
    }

    /// Everything that the softirqs of a CPU may run.
    fn softirq(&mut self, program: &Program, cpu: u8) {
        for softirq in program.softirqs.iter() {
            self.block(program, &softirq.body.block);
        }
        for timer in program.timers.iter().filter(|t| t.cpu == cpu) {
            self.block(program, &timer.body.block);
        }
        for (_, _, _, body) in program.bodies() {
            body.block.walk(&mut |stmt| {
                if let Op::CallRcu(function) = stmt.op {
                    self.function(program, function.index());
                }
            });
        }
    }

    /// Everything that reclaim may call.
    fn callbacks(&mut self, program: &Program) {
        if std::mem::replace(&mut self.reclaims, true) {
            return;
        }
        for (i, function) in program.functions.iter().enumerate() {
            if matches!(
                function.kind,
                FunctionKind::ReleasePage | FunctionKind::MapBlocks
            ) {
                self.function(program, i);
            }
        }
        for shrinker in program.shrinkers.iter() {
            self.block(program, &shrinker.body.block);
        }
        for notifier in program.notifiers.iter() {
            self.block(program, &notifier.body.block);
        }
    }

    fn printk(&mut self, program: &Program) {
        if std::mem::replace(&mut self.prints, true) {
            return;
        }
        for (i, function) in program.functions.iter().enumerate() {
            if function.kind == FunctionKind::Console {
                self.function(program, i);
            }
        }
    }
}
