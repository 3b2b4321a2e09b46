//! A program on a machine, ready to run as often as one likes.

use super::frame::Frame;
use super::locks::{self, Object};
use super::property::Inside;
use super::reach::Reach;
use super::roles::{Role, Roles};
use super::unsupported::Unsupported;
use super::vars::{Variable, Variables};
use super::works::{Queue, QueueSpec, WorkItem, Works};
use crate::program::decl::CompletesIn;
use crate::program::handler::{FunctionKind, TaskFlag};
use crate::program::{At, Program};
use ksplat_kernel::rt::{
    CpuId, Deterministic, EntityId, MAX_ENTITIES, Machine, MachineSpec, Outcome, ResKind, Strategy,
    Teardown, current, run_in_shuttle, run_on_threads,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{Completion, Consoles, Rcu, SoftWork, Softirqs, WaitQueue};
use ksplat_kernel::writeback::Accounting;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Steps after which an execution is given up where the program does not say.
pub const MAX_STEPS: u32 = 100_000;

/// A program on a machine.
#[derive(Debug)]
pub struct Litmus {
    machine: Box<Machine>,
    world: Box<World>,
}

/// What the entities of a program do.
#[derive(Debug)]
pub struct World {
    pub(super) program: Arc<Program>,
    pub(super) roles: Roles,
    pub(super) locks: Vec<Object>,
    pub(super) vars: Variables,
    pub(super) completions: Vec<Completion>,
    pub(super) queues: Vec<WaitQueue>,
    pub(super) works: Works,
    pub(super) rcu: Rcu,
    pub(super) softirqs: Softirqs,
    pub(super) consoles: Consoles,
    pub(super) memory: super::memory::Memory,
    pub(super) io: super::writeback::Io,
    pub(super) accounting: Accounting,
    pub(super) inside: Inside,
    /// Bodies active inside each other, by entity.
    pub(super) depth: [AtomicU8; MAX_ENTITIES],
}

impl Litmus {
    /// Puts a program on a machine under these rules.
    ///
    /// # Errors
    /// The constructs of the program that cannot be executed, with their places.
    pub fn new(program: &Program, rules: &Rules) -> Result<Self, Vec<Unsupported>> {
        let steps = program.machine.steps.unwrap_or(MAX_STEPS);
        Self::with_steps(&Arc::new(program.clone()), rules, steps)
    }

    /// As [`Litmus::new`], with the number of steps after which an execution is given up.
    ///
    /// # Errors
    /// As [`Litmus::new`].
    pub fn with_steps(
        program: &Arc<Program>,
        rules: &Rules,
        steps: u32,
    ) -> Result<Self, Vec<Unsupported>> {
        let mut roles = Roles::of(program, rules);
        if roles.all().len() > MAX_ENTITIES {
            let what = format!("more than {MAX_ENTITIES} tasks, handlers and workers together");
            return Err(vec![Unsupported {
                at: program.tasks.iter().next().map_or(At::NOWHERE, |t| t.at),
                what,
            }]);
        }
        let mut machine = Box::new(Machine::new(&MachineSpec {
            cpus: program.machine.cpus,
            entities: roles.take_specs(),
            rules: rules.clone(),
            max_steps: steps,
        }));
        let world = Box::new(World::new(&mut machine, program, roles));
        Ok(Self { machine, world })
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.world.program
    }

    /// The world, for drivers that run it on the machine themselves.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Everything back to how an execution starts. The `run` methods do it.
    pub fn reset(&self) {
        self.world.reset(&self.machine);
    }

    /// One execution on the deterministic runtime.
    pub fn run(&self, executor: &mut Deterministic, strategy: &mut dyn Strategy) -> Outcome {
        self.reset();
        let outcome = executor.run(&self.machine, &*self.world, strategy);
        self.world.left_behind(&self.machine, outcome)
    }

    /// One execution under shuttle, inside the closure that shuttle calls.
    #[track_caller]
    #[must_use]
    pub fn run_in_shuttle(&self) -> Outcome {
        self.reset();
        self.world
            .left_behind(&self.machine, run_in_shuttle(&self.machine, &*self.world))
    }

    /// One execution on OS threads.
    #[must_use]
    pub fn run_on_threads(&self, seed: u64) -> Outcome {
        self.reset();
        self.world.left_behind(
            &self.machine,
            run_on_threads(&self.machine, &*self.world, seed),
        )
    }
}

impl World {
    fn new(m: &mut Machine, program: &Arc<Program>, roles: Roles) -> Self {
        let reach = Reach::of(program, &roles, m.rules().report_prints);
        set_raisers(m, program, &roles, &reach);
        let locks = locks::make(m, program);
        let flags = program
            .flags
            .iter()
            .map(|f| Variable::new(m, f.name.as_str(), i64::from(f.on)))
            .collect();
        let counters = program
            .counters
            .iter()
            .map(|c| Variable::new(m, c.name.as_str(), i64::from(c.start)))
            .collect();
        let vars = Variables::new(m, flags, counters, reach.variables);
        let completions = program.completions.iter().zip(&reach.completions);
        let completions = completions
            .map(|(c, &enders)| Completion::new(m, c.name.as_str(), enders))
            .collect();
        let queues = program.wait_queues.iter().zip(&reach.queues);
        let queues = queues
            .map(|(q, &enders)| WaitQueue::new(m, ResKind::WaitQueue, &q.name, enders))
            .collect();
        let works = works(m, program, &roles, &reach);
        let rcu = Rcu::new(m);
        let softirqs = softirqs(m, program);
        let consoles = consoles(m, program, &roles);
        let memory = super::memory::Memory::new(m, program, &roles, &reach);
        let io = super::writeback::Io::new(m, program, &roles, &reach);
        let accounting = Accounting::new(m, &super::wb::spec(program, &roles));
        Self {
            program: Arc::clone(program),
            roles,
            locks,
            vars,
            completions,
            queues,
            works,
            rcu,
            softirqs,
            consoles,
            memory,
            io,
            accounting,
            inside: Inside::new(program),
            depth: [const { AtomicU8::new(0) }; MAX_ENTITIES],
        }
    }

    fn reset(&self, m: &Machine) {
        self.vars.reset();
        self.completions.iter().for_each(Completion::reset);
        self.works.reset();
        self.rcu.reset();
        self.locks.iter().for_each(Object::reset);
        self.softirqs.reset();
        self.consoles.reset();
        self.memory.reset();
        self.reset_accounting();
        self.reset_io(m);
        self.inside.reset();
        self.depth.iter().for_each(|d| d.store(0, Relaxed));
    }
}

/// Who may raise which interrupt and which softirqs.
fn set_raisers(m: &Machine, program: &Program, roles: &Roles, reach: &Reach) {
    for (i, role) in roles.all().iter().enumerate() {
        let raisers = match *role {
            Role::Irq(irq) => reach.irqs[irq],
            Role::IrqWork { .. } => reach.prints,
            Role::Softirq { cpu } => {
                let timers = program.timers.iter().zip(&reach.timers);
                let timers = timers.filter(|(t, _)| t.cpu == cpu);
                timers.fold(reach.softirqs, |s, (_, &who)| s | who)
            }
            _ => continue,
        };
        m.set_raisers(EntityId::new(i), raisers);
    }
}

fn works(m: &mut Machine, program: &Program, roles: &Roles, reach: &Reach) -> Works {
    let maps = m.rules().work_maps;
    let mut queues = Vec::new();
    for (i, q) in program.workqueues.iter().enumerate() {
        let on = program
            .works
            .iter()
            .zip(&reach.works)
            .filter(|(w, _)| w.queue.index() == i);
        let spec = QueueSpec {
            name: q.name.to_string(),
            workers: roles.workers(i),
            rescuer: roles
                .find(Role::Rescuer { queue: i })
                .map_or(0, EntityId::bit),
            queuers: on.fold(super::writeback::queuers(program, i), |s, (_, &who)| {
                s | who
            }),
        };
        queues.push(Queue::new(m, &spec, maps));
    }
    let items = program
        .works
        .iter()
        .map(|w| WorkItem::new(m, &w.name.to_string(), w.queue.index(), maps));
    let mut items: Vec<WorkItem> = items.collect();
    for d in program.devices.iter() {
        let queue = match d.completes {
            CompletesIn::Worker { queue } => queue.index(),
            _ => usize::MAX,
        };
        items.push(WorkItem::new(
            m,
            &format!("completion of {}", d.name),
            queue,
            maps,
        ));
    }
    Works::new(queues, items)
}

fn softirqs(m: &mut Machine, program: &Program) -> Softirqs {
    let mut softirqs = Softirqs::new(m);
    for timer in program.timers.iter() {
        softirqs.add_timer(m, timer.name.as_str(), CpuId(timer.cpu));
    }
    softirqs
}

fn consoles(m: &mut Machine, program: &Program, roles: &Roles) -> Consoles {
    let present = program
        .functions
        .iter()
        .any(|f| f.kind == FunctionKind::Console);
    let irq_work = (0..program.machine.cpus).map(|cpu| roles.find(Role::IrqWork { cpu }));
    Consoles::new(m, present, irq_work.collect())
}

impl ksplat_kernel::rt::World for World {
    fn run(&self, entity: EntityId) {
        match self.roles.role(entity) {
            Role::Task(i) => self.task(i),
            Role::Irq(i) => self.body(&self.program.irqs.0[i].body, 0),
            Role::Worker { queue } => self.works.serve(queue, |item| self.run_work(item)),
            Role::Rescuer { queue } => self.works.rescue(queue, |item| self.run_work(item)),
            Role::Softirq { cpu } => {
                let work = |work| self.soft_work(work);
                self.softirqs.run(&self.rcu, CpuId(cpu), work);
            }
            Role::IrqWork { .. } => self.consoles.irq_work(|| self.write_consoles()),
            Role::Printer => self.consoles.thread(|| self.write_consoles()),
            Role::Device { device } => self.device_irq(device),
            Role::Flusher => self.flusher(),
            Role::Kswapd => self.kswapd(),
            Role::WbSwitch => self.switch_worker(),
            Role::ReleaseWorker => self.release_worker(),
        }
    }

    fn about_to_sleep(&self, entity: EntityId) {
        self.io
            .writeback
            .about_to_sleep(self, self.memory.mm(), entity);
    }

    fn check(&self, machine: &Machine) {
        self.memory.check(machine);
        self.check_accounting(machine);
    }

    fn teardown(&self) -> Teardown {
        // SAFETY: what bodies keep over a visible operation is references and plain values. The exceptions say so:
        // frames that outgrow themselves, flushes of workqueues, and completions of batches.
        unsafe { Teardown::abandon() }
    }

    fn report_prints(&self) {
        self.printk();
    }
}

impl World {
    fn task(&self, index: usize) {
        let task = &self.program.tasks.0[index];
        if !task.flags.contains(TaskFlag::Daemon) {
            return self.body(&task.body, 0);
        }
        loop {
            let mut frame = Frame::new(0, task.body.locals.len());
            frame.begin_round();
            self.block(&task.body.block, &mut frame);
            // A daemon that only sleeps now and then ends with the tasks.
            if !frame.idled() && !current().machine().tasks_live() {
                return;
            }
        }
    }

    fn soft_work(&self, work: SoftWork) {
        match work {
            SoftWork::Handler(i) => self.body(&self.program.softirqs.0[i].body, 0),
            SoftWork::Timer(i) => self.body(&self.program.timers.0[i].body, 0),
            SoftWork::Callback(i) => self.function(i, 0),
        }
    }
}
