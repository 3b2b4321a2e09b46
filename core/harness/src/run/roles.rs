//! Who runs on the machine: the entities that a program needs, and which body each has.

use crate::program::decl::CompletesIn;
use crate::program::handler::{FunctionKind, TaskFlag};
use crate::program::op::Op;
use crate::program::verb::{Do, Scope};
use crate::program::{Id, Program};
use ksplat_kernel::mm::Pf;
use ksplat_kernel::rt::{CpuId, EntityId, EntityKind, EntitySet, EntitySpec};
use ksplat_kernel::rules::{DelegateRelease, Printk, Rules};
use std::collections::BTreeSet;

/// What an entity is in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A declared task or daemon.
    Task(usize),
    /// A declared interrupt.
    Irq(usize),
    /// A worker of a workqueue.
    Worker {
        /// The queue.
        queue: usize,
    },
    /// The rescuer of a workqueue.
    Rescuer {
        /// The queue.
        queue: usize,
    },
    /// The softirqs of a CPU: handlers, timers and RCU callbacks.
    Softirq {
        /// The CPU.
        cpu: u8,
    },
    /// The interrupt in which a CPU prints what it deferred.
    IrqWork {
        /// The CPU.
        cpu: u8,
    },
    /// The thread that prints.
    Printer,
    /// The interrupt in which a device completes IO.
    Device {
        /// The device.
        device: usize,
    },
    /// The daemon that writes dirty pages for throttled writers.
    Flusher,
    /// kswapd of node 0.
    Kswapd,
    /// The worker that switches inodes to other wbs.
    WbSwitch,
    /// The worker that runs release callbacks where they are delegated.
    ReleaseWorker,
}

/// The entities of a program in the machine's order.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    roles: Vec<Role>,
    specs: Vec<EntitySpec>,
}

impl Roles {
    /// The entities of `program` under `rules`.
    #[must_use]
    pub fn of(program: &Program, rules: &Rules) -> Self {
        let release_worker = rules.delegate_release == DelegateRelease::Worker;
        let mut roles = Self::default();
        for (i, task) in program.tasks.iter().enumerate() {
            let daemon = task.flags.contains(TaskFlag::Daemon);
            let mut pf = 0;
            if task.flags.contains(TaskFlag::Kthread) || daemon {
                pf |= Pf::KTHREAD.bits();
            }
            if task.flags.contains(TaskFlag::Memalloc) {
                pf |= Pf::MEMALLOC.bits();
            }
            let kind = if daemon {
                EntityKind::Daemon
            } else {
                EntityKind::Task
            };
            roles.add(
                Role::Task(i),
                EntitySpec {
                    prio: task.prio,
                    pf,
                    ..EntitySpec::new(task.name.to_string(), kind, task.cpu)
                },
            );
        }
        for (i, irq) in program.irqs.iter().enumerate() {
            // Threaded handlers of PREEMPT_RT run at the middle of the real-time priorities.
            let spec = EntitySpec {
                times: u16::from(irq.times),
                prio: 50,
                ..EntitySpec::new(irq.name.to_string(), EntityKind::HardIrq, irq.cpu)
            };
            roles.add(Role::Irq(i), spec);
        }
        let cpus = program.machine.cpus.max(1);
        for (queue, q) in program.workqueues.iter().enumerate() {
            for n in 0..q.workers.max(1) {
                let name = format!("{}/{n}", q.name);
                let cpu = (n % u16::from(cpus)) as u8;
                roles.add(
                    Role::Worker { queue },
                    EntitySpec {
                        pf: Pf::KTHREAD.bits(),
                        ..EntitySpec::new(&name, EntityKind::Daemon, cpu)
                    },
                );
            }
        }
        roles.add_rescuers(program);
        roles.add_softirqs(program);
        roles.add_devices(program);
        roles.add_printers(program, rules);
        if let Some(cpu) = program.machine.kswapd {
            roles.add(
                Role::Kswapd,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..EntitySpec::new("kswapd0", EntityKind::Daemon, cpu)
                },
            );
        }
        if super::wb::switches(program) {
            roles.add(
                Role::WbSwitch,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..EntitySpec::new("inode_switch_wbs", EntityKind::Daemon, cpus - 1)
                },
            );
        }
        if release_worker {
            roles.add(
                Role::ReleaseWorker,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..EntitySpec::new("kworker/release", EntityKind::Daemon, 0)
                },
            );
        }
        roles
    }

    fn add_rescuers(&mut self, program: &Program) {
        for (queue, q) in program
            .workqueues
            .iter()
            .enumerate()
            .filter(|(_, q)| q.rescuer)
        {
            let spec = EntitySpec {
                pf: Pf::KTHREAD.bits() | Pf::MEMALLOC.bits(),
                ..EntitySpec::new(format!("{}/rescuer", q.name), EntityKind::Daemon, 0)
            };
            self.add(Role::Rescuer { queue }, spec);
        }
    }

    /// CPUs with timers have softirqs, and where anybody raises softirqs or queues RCU callbacks every CPU has.
    fn add_softirqs(&mut self, program: &Program) {
        let raises = mentions(program, |op| {
            matches!(op, Op::RaiseSoftirq(_) | Op::CallRcu(_))
        });
        for cpu in 0..program.machine.cpus {
            let busy = self.specs.iter().any(|s| s.cpu == CpuId(cpu));
            let timers = program.timers.iter().any(|t| t.cpu == cpu);
            if timers || raises && busy {
                let spec = EntitySpec::new(format!("softirq/{cpu}"), EntityKind::SoftIrq, cpu);
                self.add(Role::Softirq { cpu }, spec);
            }
        }
    }

    /// Who prints what the caller of printk does not.
    fn add_printers(&mut self, program: &Program, rules: &Rules) {
        let consoles = program
            .functions
            .iter()
            .any(|f| f.kind == FunctionKind::Console);
        if !consoles {
            return;
        }
        if rules.preempt_rt || rules.printk == Printk::Threaded {
            let spec = EntitySpec {
                pf: Pf::KTHREAD.bits(),
                ..EntitySpec::new("pr/console", EntityKind::Daemon, 0)
            };
            return self.add(Role::Printer, spec);
        }
        let deferred = mentions(program, |op| {
            matches!(
                op,
                Op::Do(Do::PrintkDeferredEnter | Do::RebuildZonelists)
                    | Op::Scope(Scope::PrintkDeferred, _)
                    | Op::Hotplug { .. }
            )
        });
        if !deferred && rules.printk != Printk::Deferred {
            return;
        }
        let used: BTreeSet<u8> = self.specs.iter().map(|e| e.cpu.0).collect();
        for cpu in used {
            let spec = EntitySpec::new(format!("irq_work/{cpu}"), EntityKind::HardIrq, cpu);
            self.add(Role::IrqWork { cpu }, spec);
        }
    }

    /// The interrupts of devices, and who writes for throttled writers.
    fn add_devices(&mut self, program: &Program) {
        for (device, d) in program.devices.iter().enumerate() {
            let CompletesIn::Irq { cpu } = d.completes else {
                continue;
            };
            let busy = super::writeback::busy_at_start(program, device);
            let spec = EntitySpec {
                times: u16::from(busy),
                prio: 50,
                ..EntitySpec::new(format!("irq/{}", d.name), EntityKind::HardIrq, cpu)
            };
            self.add(Role::Device { device }, spec);
        }
        if super::writeback::needs_flusher(program) {
            let cpu = program.machine.cpus.max(1) - 1;
            let spec = EntitySpec {
                pf: Pf::KTHREAD.bits(),
                ..EntitySpec::new("kworker/flush", EntityKind::Daemon, cpu)
            };
            self.add(Role::Flusher, spec);
        }
    }

    fn add(&mut self, role: Role, spec: EntitySpec) {
        self.roles.push(role);
        self.specs.push(spec);
    }

    /// What an entity is.
    #[must_use]
    pub fn role(&self, entity: EntityId) -> Role {
        self.roles[entity.index()]
    }

    /// All roles in the machine's order.
    #[must_use]
    pub fn all(&self) -> &[Role] {
        &self.roles
    }

    /// What the machine is built from.
    #[must_use]
    pub fn take_specs(&mut self) -> Vec<EntitySpec> {
        std::mem::take(&mut self.specs)
    }

    /// The first entity with this role.
    #[must_use]
    pub fn find(&self, role: Role) -> Option<EntityId> {
        self.roles
            .iter()
            .position(|&r| r == role)
            .map(EntityId::new)
    }

    /// The interrupt's entity.
    #[must_use]
    pub fn irq(&self, irq: Id<crate::program::handler::Irq>) -> Option<EntityId> {
        self.find(Role::Irq(irq.index()))
    }

    /// The workers of a queue, one bit each.
    #[must_use]
    pub fn workers(&self, queue: usize) -> EntitySet {
        let is = |r: &Role| matches!(r, Role::Worker { queue: q } if *q == queue);
        self.roles
            .iter()
            .enumerate()
            .filter(|(_, r)| is(r))
            .fold(0, |s, (i, _)| s | EntityId::new(i).bit())
    }
}

/// Whether any body has such an operation.
pub(super) fn mentions(program: &Program, wanted: impl Fn(&Op) -> bool) -> bool {
    let mut found = false;
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |stmt| found |= wanted(&stmt.op));
    }
    found
}
