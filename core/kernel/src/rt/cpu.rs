//! Virtual CPUs: who may run on them, and the interrupts that borrow them.

use super::entity::{Entity, EntityKind};
use super::event::Fact;
use super::ids::{CpuId, EntityId, ResId};
use super::machine::Machine;
use super::op::OpKind;

impl Machine {
    /// An interrupt handler borrows the CPU.
    pub(crate) fn begin_irq(&self, e: &Entity) {
        let cpu = self.cpu(e.cpu);
        let below = cpu.irq_top.replace(Some(e.id));
        e.below.set(below);
        let host = match below {
            Some(irq) => Some(self.entity(irq).host.get().unwrap_or(irq)),
            None => cpu.curr.get(),
        };
        e.host.set(host);
        self.audit_irq_entry(e, below.or(cpu.curr.get()));
        if e.kind == EntityKind::SoftIrq {
            cpu.softirq_due.set(false);
            e.bh.set(1);
        } else {
            e.pending.set(e.pending.get().saturating_sub(1));
            e.irqs_off.set(true);
            e.preempt.set(1);
        }
        self.recompute(e.cpu);
    }

    /// Invariant 42: a handler does not come in over somebody who has interrupts, or for softirqs bottom halves, off.
    pub(crate) fn audit_irq_entry(&self, e: &Entity, over: Option<EntityId>) {
        let Some(over) = over.map(|id| self.entity(id)) else {
            return;
        };
        let softirq = e.kind == EntityKind::SoftIrq;
        if over.irqs_off.get() || softirq && over.bh.get() != 0 {
            self.state_break("irq-while-off", || {
                format!("{} interrupts {}, which has it disabled", e.name, over.name)
            });
        }
    }

    /// What may run on a CPU, anew; called when its interrupt or preemption state changed.
    pub(crate) fn recompute(&self, id: CpuId) {
        let cpu = self.cpu(id);
        let hardirqs = cpu.irqs & !cpu.softirqs;
        let mine = if let Some(top) = cpu.irq_top.get() {
            top.bit()
                | if self.entity(top).irqs_off.get() {
                    0
                } else {
                    hardirqs & !cpu.irq_stack.get()
                }
        } else {
            let (tasks, hard, soft) = match cpu.curr.get().map(|t| self.entity(t)) {
                None => (cpu.tasks, hardirqs, cpu.softirqs),
                Some(t) => {
                    let tasks = if t.atomic() { t.id.bit() } else { cpu.tasks };
                    let hard = if t.irqs_off.get() { 0 } else { hardirqs };
                    let soft = hard != 0 || !t.irqs_off.get();
                    let soft = if soft && t.bh.get() == 0 {
                        cpu.softirqs
                    } else {
                        0
                    };
                    (tasks, hard, soft)
                }
            };
            if cpu.softirq_due.get() && soft != 0 {
                hard | soft
            } else {
                tasks | hard | soft
            }
        };
        let allowed = self.sim.allowed.get() & !(cpu.tasks | cpu.irqs);
        self.sim.allowed.set(allowed | mine);
    }

    /// What the softirqs of a CPU have to do: `raised` ones run at the next chance, others may run at any moment.
    pub fn set_softirq(&self, id: EntityId, raised: bool, others: bool) {
        let e = self.entity(id);
        let level = u16::from(raised) | u16::from(others) << 1;
        if !self.simulated.get() {
            self.threads_softirq(e, level != 0);
            return;
        }
        e.pending.set(level);
        if e.active.get() {
            // `finish` looks at what is left to do.
            return;
        }
        let bit = if level == 0 { 0 } else { id.bit() };
        let was = self.sim.ready.get() & id.bit();
        if bit != was {
            let fact = if bit == 0 { Fact::Calms } else { Fact::Raises };
            super::event::fact_of_current(self, fact, ResId::NONE, id.bit());
        }
        self.sim.ready.set(self.sim.ready.get() & !id.bit() | bit);
    }

    /// Softirqs have something more to do, at any moment from now on.
    pub fn add_softirq(&self, id: EntityId) {
        let e = self.entity(id);
        self.set_softirq(id, e.pending.get() & 1 != 0, true);
    }

    /// The softirqs of a CPU, if it has any.
    #[must_use]
    pub fn softirq_of(&self, cpu: CpuId) -> Option<EntityId> {
        self.entities
            .iter()
            .find(|e| e.kind == EntityKind::SoftIrq && e.cpu == cpu)
            .map(|e| e.id)
    }

    /// An interrupt ended, or bottom halves are on again: softirqs that were raised run now.
    pub(crate) fn softirqs_due(&self, cpu: CpuId) {
        let cpu = self.cpu(cpu);
        if cpu.softirqs == 0 || cpu.irq_stack.get() & cpu.softirqs != 0 {
            return;
        }
        let e = self.entity(EntityId(cpu.softirqs.trailing_zeros() as u8));
        if e.pending.get() & 1 != 0 {
            cpu.softirq_due.set(true);
        }
    }

    /// Raises an interrupt: its handler runs as soon as its CPU lets it.
    pub fn raise_irq(&self, id: EntityId) {
        let e = self.entity(id);
        if !self.simulated.get() {
            self.threads_raise(e);
            return;
        }
        super::event::fact_of_current(self, Fact::Raises, ResId::NONE, id.bit());
        e.pending.set(e.pending.get().saturating_add(1));
        self.sim.ready.add(id.bit());
    }

    /// See [`Entity::start`].
    pub(crate) fn start_task(&self, id: EntityId) {
        let e = self.entity(id);
        if !self.simulated.get() {
            self.threads_start(e);
            return;
        }
        if e.unstarted.replace(false) {
            super::event::fact_of_current(self, Fact::Raises, ResId::NONE, id.bit());
            self.sim.ready.add(id.bit());
        }
    }
}

impl Entity {
    /// Sleeps for a bounded time: others run as long as exploration lets them, then it goes on.
    pub fn nap(&self) {
        self.might_sleep();
        let m = self.machine();
        if !m.simulated() {
            m.threads_point(self);
            return;
        }
        let (cpu, sim) = (m.cpu(self.cpu), &m.sim);
        let gave_way = cpu.curr.get() == Some(self.id) && !self.atomic();
        if gave_way {
            cpu.curr.set(None);
            m.recompute(self.cpu);
        }
        sim.napping.set(sim.napping.get() | self.id.bit());
        self.point(OpKind::Yield, ResId::NONE);
        sim.napping.set(sim.napping.get() & !self.id.bit());
        if gave_way && cpu.curr.get() != Some(self.id) {
            m.enter(self.id);
        }
    }

    /// A point where same-CPU tasks and interrupts may come in; nothing where the entity has its CPU to itself.
    #[inline]
    pub fn cpu_point(&self) {
        if self.shares_cpu {
            self.point(OpKind::Cpu, ResId::cpu(self.cpu));
        }
    }

    /// The interrupt or preemption state of this context changed.
    #[inline]
    pub(crate) fn cpu_changed(&self) {
        if self.shares_cpu && self.machine().simulated.get() {
            super::event::fact(self, Fact::Context, ResId::NONE, 0);
            self.machine().sim.cpu_changed.set(true);
            self.machine().recompute(self.cpu);
        }
    }
}
