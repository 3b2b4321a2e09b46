//! What an entity may come to do: which completions it may complete, which queues it may wake, which variables it may
//! change. Waits are judged by it: an over-approximation, which can only delay a finding.

use super::roles::{Role, Roles};
use crate::program::handler::FunctionKind;
use crate::program::op::Op;
use crate::program::verb::Do;
use crate::program::{Block, Program};
use ksplat_kernel::rt::EntityId;

/// Effects of a body and all that it may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    completions: Vec<bool>,
    queues: Vec<bool>,
    variables: bool,
    /// It may enter reclaim, and with it any callback.
    reclaims: bool,
    prints: bool,
    functions: Vec<bool>,
}

/// Who may end which wait, one bit an entity.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// By completion.
    pub completions: Vec<u64>,
    /// By wait queue.
    pub queues: Vec<u64>,
    /// Flags and counters, all together.
    pub variables: u64,
}

impl Reach {
    /// Who of `roles` may do what in `program`.
    #[must_use]
    pub fn of(program: &Program, roles: &Roles) -> Self {
        let mut reach = Self {
            completions: vec![0; program.completions.len()],
            queues: vec![0; program.wait_queues.len()],
            variables: 0,
        };
        for (i, &role) in roles.all().iter().enumerate() {
            let effects = effects_of(program, role);
            let bit = EntityId::new(i).bit();
            add(&mut reach.completions, &effects.completions, bit);
            add(&mut reach.queues, &effects.queues, bit);
            if effects.variables {
                reach.variables |= bit;
            }
        }
        reach
    }
}

fn add(sets: &mut [u64], has: &[bool], bit: u64) {
    for (set, _) in sets.iter_mut().zip(has).filter(|(_, has)| **has) {
        *set |= bit;
    }
}

fn effects_of(program: &Program, role: Role) -> Effects {
    let mut effects = Effects {
        completions: vec![false; program.completions.len()],
        queues: vec![false; program.wait_queues.len()],
        functions: vec![false; program.functions.len()],
        ..Effects::default()
    };
    match role {
        Role::Task(i) => effects.block(program, &program.tasks.0[i].body.block),
        Role::Irq(i) => effects.block(program, &program.irqs.0[i].body.block),
        Role::Worker { queue } => {
            for work in program.works.iter().filter(|w| w.queue.index() == queue) {
                effects.block(program, &work.body.block);
            }
        }
        Role::WbSwitch => {}
        Role::Kswapd | Role::ReleaseWorker => effects.callbacks(program),
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
            Op::Call(function) | Op::CallRcu(function) => self.function(program, function.index()),
            Op::Do(Do::Printk | Do::LockdepPrints) => self.printk(program),
            Op::Lock(_, Some(block)) => self.block(program, block),
            Op::Scope(_, b)
            | Op::While(_, b)
            | Op::Loop(_, b)
            | Op::Serve(_, b)
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
