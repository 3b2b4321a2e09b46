//! Contexts: interrupt enable, preemption and bottom-half counts, and what must hold when a context ends.

use super::entity::{Entity, EntityKind};
use super::event::{self, EventKind, Fact};
use super::ids::ResId;
use crate::lockdep_events as lockdep;
use crate::sync::{How, Irq};

/// What [`Entity::local_irq_save`] returns and [`Entity::local_irq_restore`] takes: whether interrupts were enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the state has to be restored"]
pub struct IrqFlags(pub(crate) bool);

impl IrqFlags {
    /// The flags of a context with interrupts enabled, or disabled.
    pub const fn new(enabled: bool) -> Self {
        Self(enabled)
    }
}

impl Entity {
    /// What [`Entity::local_irq_save`] would return.
    #[inline]
    pub fn irq_flags(&self) -> IrqFlags {
        IrqFlags(!self.irqs_off.get())
    }

    /// `might_sleep()`: sleeping must be legal here, whether or not it comes to it.
    #[inline]
    pub fn might_sleep(&self) {
        if self.atomic() {
            self.atomic_sleep();
        }
    }

    #[cold]
    fn atomic_sleep(&self) {
        self.machine().state_break("sleep-in-atomic", || {
            let irqs = if self.irqs_off.get() { "off" } else { "on" };
            let (preempt, bh) = (self.preempt.get(), self.bh.get());
            format!("{} may sleep with preempt_count {preempt}, bottom halves disabled {bh} times, interrupts {irqs}", self.name)
        });
    }

    /// `local_irq_disable()`.
    pub fn local_irq_disable(&self) {
        self.cpu_point();
        self.irqs_off_now();
    }

    /// `local_irq_enable()`.
    pub fn local_irq_enable(&self) {
        self.irqs_on_now();
    }

    /// `local_irq_save()`: disables interrupts, returns what they were.
    pub fn local_irq_save(&self) -> IrqFlags {
        let flags = IrqFlags(!self.irqs_off.get());
        self.local_irq_disable();
        flags
    }

    /// `local_irq_restore()`.
    #[inline]
    pub fn local_irq_restore(&self, flags: IrqFlags) {
        if flags.0 {
            self.irqs_on_now();
        } else {
            self.irqs_off_now();
        }
    }

    #[inline]
    pub(crate) fn irqs_off_now(&self) {
        if self.irqs_off.replace(true) {
            return;
        }
        self.machine().irq_state(self, true);
        lockdep::hardirqs_off(self);
        self.cpu_changed();
    }

    #[inline]
    pub(crate) fn irqs_on_now(&self) {
        if !self.irqs_off.get() {
            return;
        }
        if let Some(lock) = self.irq_lock_held() {
            self.irqs_on_under_lock(lock);
        }
        lockdep::hardirqs_on(self);
        self.irqs_off.set(false);
        self.machine().irq_state(self, false);
        self.cpu_changed();
    }

    /// What a lock operation may change of its task: locks held, `preempt_count`, bottom halves, interrupts.
    pub(crate) fn standing(&self) -> (u16, u16, u16, bool) {
        (
            self.held.get(),
            self.preempt.get(),
            self.bh.get(),
            self.irqs_off.get(),
        )
    }

    /// Invariant 41: a trylock that failed leaves no trace.
    pub(crate) fn audit_no_trace(&self, before: (u16, u16, u16, bool)) {
        if self.standing() != before {
            self.machine().state_break("trylock-trace", || {
                format!(
                    "{}: a failed trylock left locks held, preempt_count, bottom halves or interrupts changed",
                    self.name
                )
            });
        }
    }

    /// Invariant 15: whoever takes the lock in an interrupt would now spin on the task that it interrupted.
    #[cold]
    fn irqs_on_under_lock(&self, lock: ResId) {
        let m = self.machine();
        m.state_break_of("irqs-on-under-irq-lock", lock, || {
            format!(
                "{} enables interrupts while it holds {}, which it took with interrupts off",
                self.name,
                m.resource(lock).name()
            )
        });
    }

    /// `preempt_disable()`.
    #[inline]
    pub fn preempt_disable(&self) {
        let n = self.preempt.get();
        self.preempt.set(n + 1);
        if n == 0 {
            self.cpu_changed();
        }
    }

    /// `preempt_enable()`.
    #[inline]
    pub fn preempt_enable(&self) {
        let n = self.preempt.get().saturating_sub(1);
        self.preempt.set(n);
        if n == 0 {
            self.cpu_changed();
        }
    }

    /// `local_bh_disable()`.
    pub fn local_bh_disable(&self) {
        self.cpu_point();
        self.bh_off_now();
    }

    pub(crate) fn bh_off_now(&self) {
        let n = self.bh.get();
        if n == 0 && self.machine().rt() && !self.atomic() {
            self.take_bh_lock();
        }
        self.bh.set(n + 1);
        lockdep::bh_disable(self);
        self.cpu_changed();
    }

    /// PREEMPT_RT: bottom halves are off for who holds the lock of the CPU.
    fn take_bh_lock(&self) {
        if let Some(lock) = self.machine().cpu(self.cpu).bh_lock {
            self.bh_locked.set(true);
            let _ = lock.lock(How::default());
        }
    }

    fn drop_bh_lock(&self) {
        if !self.bh_locked.replace(false) {
            return;
        }
        if let Some(lock) = self.machine().cpu(self.cpu).bh_lock {
            lock.unlock(Irq::Plain, IrqFlags(true));
        }
    }

    /// How deep bottom halves are disabled in this context by its nature.
    fn bh_base(&self) -> u16 {
        let thread = self.kind == EntityKind::HardIrq && self.machine().rt();
        u16::from(self.kind == EntityKind::SoftIrq || thread)
    }

    /// `local_bh_enable()`.
    pub fn local_bh_enable(&self) {
        if self.bh.get() <= self.bh_base() {
            self.machine().state_break("bh-count", || {
                format!("{}: local_bh_enable without local_bh_disable", self.name)
            });
            return;
        }
        if self.irqs_off.get() && !self.in_hardirq() {
            self.machine().state_break("bh-enable-irqs-off", || {
                format!("{}: local_bh_enable with interrupts off", self.name)
            });
        }
        self.bh_on_now();
    }

    fn bh_on_now(&self) {
        lockdep::bh_enable(self);
        let n = self.bh.get() - 1;
        self.bh.set(n);
        if n == 0 {
            self.drop_bh_lock();
            if self.machine().simulated() && !self.irqs_off.get() && !self.kind.is_raised() {
                self.machine().softirqs_due(self.cpu);
            }
        }
        self.cpu_changed();
    }

    /// An entity starts: an interrupt handler enters its context.
    pub(crate) fn begin_context(&self) {
        self.active.set(true);
        let host = self.host.get();
        let set = host.map_or(0, |h| h.bit());
        event::tell(
            self,
            EventKind::Begin,
            Fact::Begins,
            ResId::NONE,
            set,
            || {
                host.map_or_else(String::new, |host| {
                    format!("interrupts {}", self.machine().entity(host).name)
                })
            },
        );
        if self.in_hardirq() {
            self.irqs_off.set(true);
            lockdep::irq_enter(self);
        } else if self.in_softirq() {
            self.bh.set(1);
            lockdep::softirq_enter(self);
        } else if self.bh_base() != 0 {
            // Threads of interrupts and softirqs run with bottom halves off.
            self.bh_off_now();
        }
    }

    /// An entity ends: what it promised to restore is checked (invariants 13, 14, 16).
    pub(crate) fn end_context(&self) {
        let m = self.machine();
        self.leave_bh_thread();
        if self.kind == EntityKind::SoftIrq && self.pending.get() != 0 {
            // There is more to do already.
            event::fact(self, Fact::Raises, ResId::NONE, self.id.bit());
        }
        if self.held.get() != 0 {
            m.state_break("lock-held-at-exit", || {
                format!("{} ends with {} locks held", self.name, self.held.get())
            });
        }
        if self.rcu.get() != 0 {
            m.state_break("rcu-held-at-exit", || {
                format!("{} ends inside an RCU read section", self.name)
            });
        }
        let hardirq = self.in_hardirq();
        let (preempt, irqs_off) = if hardirq && m.simulated() {
            (1, true)
        } else {
            (0, hardirq)
        };
        if self.preempt.get() != preempt && (m.simulated() || !hardirq) {
            m.state_break("preempt-count", || {
                format!(
                    "{} ends with preempt_count {}",
                    self.name,
                    self.preempt.get()
                )
            });
        }
        if self.bh.get() != self.bh_base() {
            m.state_break("bh-count", || {
                format!(
                    "{} ends with bottom halves disabled {} times, {} expected",
                    self.name,
                    self.bh.get(),
                    self.bh_base()
                )
            });
        }
        if self.irqs_off.get() != irqs_off {
            let state = if self.irqs_off.get() {
                "disabled"
            } else {
                "enabled"
            };
            m.state_break("irqs-at-exit", || {
                format!("{} ends with interrupts {state}", self.name)
            });
        }
        if hardirq {
            lockdep::irq_exit(self);
        } else if self.in_softirq() {
            lockdep::softirq_exit(self);
        } else {
            lockdep::exit(self);
            if self.pf.get() != self.spec_pf {
                m.state_break("pf-flags", || {
                    format!(
                        "{} ends with PF flags {:#x}, began with {:#x}",
                        self.name,
                        self.pf.get(),
                        self.spec_pf
                    )
                });
            }
        }
        event::tell(
            self,
            EventKind::End,
            Fact::Ends,
            ResId::NONE,
            0,
            String::new,
        );
        self.clear_context();
    }

    /// The end of what `begin_context` began on PREEMPT_RT. The count is put back, for the checks that follow.
    fn leave_bh_thread(&self) {
        if self.machine().rt() && self.bh_base() != 0 && self.bh.get() == 1 {
            self.bh_on_now();
            self.bh.set(1);
        }
    }

    /// What a context left behind does not outlive it: the CPU goes on.
    fn clear_context(&self) {
        self.preempt.set(0);
        self.bh.set(0);
        if !self.in_hardirq() {
            self.irqs_off.set(false);
        }
        self.bh_locked.set(false);
    }
}

impl super::Machine {
    #[inline]
    fn irq_state(&self, e: &Entity, off: bool) {
        if !self.simulated() {
            self.threads_irqs(e, off);
        }
    }
}
