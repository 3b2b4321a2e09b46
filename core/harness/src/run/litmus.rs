//! A program on a machine, ready to run as often as one likes.

use super::locks::{self, Object};
use super::reach::Reach;
use super::roles::{Role, Roles};
use super::unsupported::{Unsupported, unsupported};
use super::vars::{Variable, Variables};
use super::works::{Queue, WorkItem, Works};
use crate::program::Program;
use ksplat_kernel::rt::{
    Deterministic, EntityId, MAX_ENTITIES, Machine, MachineSpec, Outcome, ResKind, Strategy,
    run_in_shuttle, run_on_threads,
};
use ksplat_kernel::rules::{DelegateRelease, Rules};
use ksplat_kernel::sync::{Completion, Rcu, WaitQueue};
use ksplat_kernel::writeback::Accounting;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Steps after which an execution is given up where the program does not say.
pub const MAX_STEPS: u32 = 100_000;

/// A program on a machine.
#[derive(Debug)]
pub struct Litmus {
    machine: Machine,
    world: World,
}

/// What the entities of a program do.
#[derive(Debug)]
pub struct World {
    pub(super) program: Program,
    pub(super) roles: Roles,
    pub(super) locks: Vec<Object>,
    pub(super) vars: Variables,
    pub(super) completions: Vec<Completion>,
    pub(super) queues: Vec<WaitQueue>,
    pub(super) works: Works,
    pub(super) rcu: Rcu,
    pub(super) memory: super::memory::Memory,
    pub(super) accounting: Accounting,
    /// Bodies active inside each other, by entity.
    pub(super) depth: [AtomicU8; MAX_ENTITIES],
}

impl Litmus {
    /// Puts a program on a machine under these rules.
    ///
    /// # Errors
    /// The constructs of the program that cannot be executed, with their places.
    pub fn new(program: &Program, rules: &Rules) -> Result<Self, Vec<Unsupported>> {
        let missing = unsupported(program);
        if !missing.is_empty() {
            return Err(missing);
        }
        let roles = Roles::of(program, rules.delegate_release == DelegateRelease::Worker);
        let mut m = Machine::new(&MachineSpec {
            cpus: program.machine.cpus,
            entities: roles.specs().to_vec(),
            rules: rules.clone(),
            max_steps: program.machine.steps.unwrap_or(MAX_STEPS),
        });
        let world = World::new(&mut m, program, roles);
        Ok(Self { machine: m, world })
    }

    /// The machine.
    #[must_use]
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.world.program
    }

    /// The world, for drivers that run it on the machine themselves.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Everything back to how an execution starts. The `run` methods do it.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// One execution on the deterministic runtime.
    pub fn run(&self, executor: &mut Deterministic, strategy: &mut dyn Strategy) -> Outcome {
        self.reset();
        executor.run(&self.machine, &self.world, strategy)
    }

    /// One execution under shuttle, inside the closure that shuttle calls.
    #[track_caller]
    #[must_use]
    pub fn run_in_shuttle(&self) -> Outcome {
        self.reset();
        run_in_shuttle(&self.machine, &self.world)
    }

    /// One execution on OS threads.
    #[must_use]
    pub fn run_on_threads(&self, seed: u64) -> Outcome {
        self.reset();
        run_on_threads(&self.machine, &self.world, seed)
    }
}

impl World {
    fn new(m: &mut Machine, program: &Program, roles: Roles) -> Self {
        let reach = Reach::of(program, &roles);
        let locks = locks::make(m, program);
        let flags = program
            .flags
            .iter()
            .map(|f| Variable::new(m, &f.name.to_string(), i64::from(f.on)))
            .collect();
        let counters = program
            .counters
            .iter()
            .map(|c| Variable::new(m, &c.name.to_string(), i64::from(c.start)))
            .collect();
        let vars = Variables::new(m, flags, counters, reach.variables);
        let completions = program.completions.iter().zip(&reach.completions);
        let completions = completions
            .map(|(c, &enders)| Completion::new(m, &c.name.to_string(), enders))
            .collect();
        let queues = program.wait_queues.iter().zip(&reach.queues);
        let queues = queues
            .map(|(q, &enders)| WaitQueue::new(m, ResKind::WaitQueue, &q.name.to_string(), enders))
            .collect();
        let works = works(m, program, &roles);
        let rcu = Rcu::new(m);
        let memory = super::memory::Memory::new(m, program, &roles);
        let accounting = Accounting::new(m, &super::wb::spec(program, &roles));
        Self {
            program: program.clone(),
            roles,
            locks,
            vars,
            completions,
            queues,
            works,
            rcu,
            memory,
            accounting,
            depth: [const { AtomicU8::new(0) }; MAX_ENTITIES],
        }
    }

    fn reset(&self) {
        self.vars.reset();
        self.completions.iter().for_each(Completion::reset);
        self.works.reset();
        self.rcu.reset();
        self.memory.reset();
        self.reset_accounting();
        self.depth.iter().for_each(|d| d.store(0, Relaxed));
    }
}

fn works(m: &mut Machine, program: &Program, roles: &Roles) -> Works {
    let maps = m.rules().work_maps;
    let queues = program.workqueues.iter().enumerate();
    let queues = queues
        .map(|(i, q)| Queue::new(m, &q.name.to_string(), roles.workers(i), maps))
        .collect();
    let items = program.works.iter().map(|w| {
        let queue = w.queue.index();
        WorkItem::new(m, &w.name.to_string(), queue, roles.workers(queue), maps)
    });
    Works {
        queues,
        items: items.collect(),
    }
}

impl ksplat_kernel::rt::World for World {
    fn run(&self, entity: EntityId) {
        match self.roles.role(entity) {
            Role::Task(i) => self.task(i),
            Role::Irq(i) => self.body(&self.program.irqs.0[i].body, 0),
            Role::Worker { queue } => self
                .works
                .serve(queue, |item| self.body(&self.program.works.0[item].body, 0)),
            Role::Kswapd => self.kswapd(),
            Role::WbSwitch => self.switch_worker(),
            Role::ReleaseWorker => self.release_worker(),
        }
    }

    fn check(&self, machine: &Machine) {
        self.memory.check(machine);
        self.check_accounting(machine);
    }
}

impl World {
    fn task(&self, index: usize) {
        use crate::program::handler::TaskFlag;
        let task = &self.program.tasks.0[index];
        if !task.flags.contains(TaskFlag::Daemon) {
            return self.body(&task.body, 0);
        }
        loop {
            self.body(&task.body, 0);
        }
    }
}
