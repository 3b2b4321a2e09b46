//! Real-time priorities (`SCHED_FIFO`): the highest of a CPU's tasks runs, unless one that it outranks may not be
//! preempted.

use super::entity::{Entity, EntityKind, Needs, WaitHow};
use super::ids::EntityId;
use super::machine::{Cpu, Machine};
use super::resource::ResKind;
use super::set::{EntitySet, members};

impl Machine {
    /// Whether tasks of one CPU differ in priority.
    pub(crate) fn ranks(&self) -> bool {
        self.cpus.iter().any(|cpu| {
            let mut prios = members(cpu.tasks).map(|e| self.entity(e).prio);
            let first = prios.next();
            prios.any(|prio| Some(prio) != first)
        })
    }

    /// Of several tasks that could run on one CPU, one with the highest priority runs. A spinner counts: it
    /// keeps the CPU. Who sleeps for a bounded time may wake at any moment, and an interrupt thread that has not begun may
    /// begin at any moment: they preempt whom they outrank, and are in nobody's way.
    pub(crate) fn highest_prio(&self, set: EntitySet) -> EntitySet {
        let on = |cpu: &Cpu| set & cpu.irqs | self.highest_on(cpu, set & cpu.tasks);
        self.cpus.iter().map(on).fold(0, |out, cpu| out | cpu)
    }

    /// [`Machine::highest_prio`] of one CPU's tasks.
    fn highest_on(&self, cpu: &Cpu, ready: EntitySet) -> EntitySet {
        if ready == 0 {
            return 0;
        }
        let spinners = self.spinners(cpu.tasks);
        if spinners == 0 && ready & (ready - 1) == 0 {
            return ready;
        }
        let naps = ready & (self.sim.napping.get() | self.unbegun(ready));
        let (mut top, mut out) = (None, 0);
        for e in members(ready & !naps | spinners) {
            let prio = Some(self.prio_of(e));
            if prio > top {
                (top, out) = (prio, 0);
            }
            if prio == top {
                out |= e.bit() & ready;
            }
        }
        members(naps)
            .filter(|&e| Some(self.prio_of(e)) >= top)
            .fold(out, |s, e| s | e.bit())
    }

    /// Of `set` the interrupt threads that have not begun.
    fn unbegun(&self, set: EntitySet) -> EntitySet {
        members(set)
            .filter(|&e| {
                let e = self.entity(e);
                e.kind == EntityKind::HardIrq && !e.active.get()
            })
            .fold(0, |s, e| s | e.bit())
    }

    /// Of `tasks` those that spin.
    fn spinners(&self, tasks: EntitySet) -> EntitySet {
        members(tasks & self.sim.live.get() & !self.sim.ready.get())
            .filter(|&e| {
                let wait = self.entity(e).waits_for();
                wait.is_some_and(|w| w.how == WaitHow::Spin)
            })
            .fold(0, |s, e| s | e.bit())
    }

    /// The priority in force: that of the highest waiter for a lock with priority inheritance that it holds, if that is
    /// higher.
    pub(crate) fn prio_of(&self, id: EntityId) -> u8 {
        let mut heirs = id.bit();
        let mut prio = self.entity(id).prio;
        let mut newest = heirs;
        // Who holds nothing inherits nothing.
        while self.sim.inherits.get() && members(newest).any(|e| self.entity(e).held.get() != 0) {
            let more = members(self.sim.live.get() & !heirs).filter(|&w| {
                self.entity(w).waits_for().is_some_and(|wait| {
                    wait.needs == Needs::Holders
                        && self.resource(wait.res).kind() == ResKind::PiLock
                        && self.resource(wait.res).holders() & heirs != 0
                })
            });
            let more = more.fold(0, |s, w| s | w.bit());
            prio = members(more)
                .map(|w| self.entity(w).prio)
                .max()
                .unwrap_or(0)
                .max(prio);
            heirs |= more;
            newest = more;
        }
        prio
    }

    /// A spinner of higher priority that keeps `e` from its CPU.
    pub(crate) fn outranked_by(&self, e: &Entity) -> EntitySet {
        let cpu = self.cpu(e.cpu);
        if !self.sim.prio.get() || cpu.tasks & e.bit == 0 {
            return 0;
        }
        let prio = self.prio_of(e.id);
        members(self.spinners(cpu.tasks & !e.bit))
            .find(|&s| self.prio_of(s) > prio)
            .map_or(0, EntityId::bit)
    }
}
