//! Who runs on the machine: the entities that a program needs, and which body each has.

use crate::program::handler::TaskFlag;
use crate::program::{Id, Program};
use ksplat_kernel::mm::Pf;
use ksplat_kernel::rt::{CpuId, EntityId, EntityKind, EntitySpec};

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
    /// The entities of `program`. `release_worker`: one more worker for delegated release callbacks.
    #[must_use]
    pub fn of(program: &Program, release_worker: bool) -> Self {
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
                    ..spec(&task.name.to_string(), task.cpu, kind)
                },
            );
        }
        for (i, irq) in program.irqs.iter().enumerate() {
            // Threaded handlers of PREEMPT_RT run at the middle of the real-time priorities.
            let spec = EntitySpec {
                times: u16::from(irq.times),
                prio: 50,
                ..spec(&irq.name.to_string(), irq.cpu, EntityKind::HardIrq)
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
                        ..spec(&name, cpu, EntityKind::Daemon)
                    },
                );
            }
        }
        if let Some(cpu) = program.machine.kswapd {
            roles.add(
                Role::Kswapd,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..spec("kswapd0", cpu, EntityKind::Daemon)
                },
            );
        }
        if super::wb::switches(program) {
            roles.add(
                Role::WbSwitch,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..spec("inode_switch_wbs", cpus - 1, EntityKind::Daemon)
                },
            );
        }
        if release_worker {
            roles.add(
                Role::ReleaseWorker,
                EntitySpec {
                    pf: Pf::KTHREAD.bits(),
                    ..spec("kworker/release", 0, EntityKind::Daemon)
                },
            );
        }
        roles
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
    pub fn specs(&self) -> &[EntitySpec] {
        &self.specs
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
    pub fn workers(&self, queue: usize) -> u64 {
        let is = |r: &Role| matches!(r, Role::Worker { queue: q } if *q == queue);
        self.roles
            .iter()
            .enumerate()
            .filter(|(_, r)| is(r))
            .fold(0, |s, (i, _)| s | EntityId::new(i).bit())
    }
}

fn spec(name: &str, cpu: u8, kind: EntityKind) -> EntitySpec {
    EntitySpec {
        name: name.to_owned(),
        cpu: CpuId(cpu),
        kind,
        prio: 0,
        pf: 0,
        times: 0,
    }
}
