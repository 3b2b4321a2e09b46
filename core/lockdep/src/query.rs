//! Questions and assertions about what is held: queries, pins, sleeping, ends of tasks and of locks.

use crate::engine::Lockdep;
use crate::key::{Acquire, Key, LockMap, Read};
use crate::op::Op;
use crate::report::{Detail, Outcome, Rcu};
use crate::task::TaskState;

/// The answer of [`Lockdep::is_held`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldState {
    /// Lockdep is off (`LOCK_STATE_UNKNOWN`).
    Unknown,
    /// Not held, or not in that mode.
    NotHeld,
    /// Held.
    Held,
}

/// What [`Lockdep::pin`] gave and [`Lockdep::unpin`] wants back (`struct pin_cookie`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "the lock stays pinned until its cookie is handed back"]
pub struct PinCookie(u16);

/// All cookies are worth the same: the kernel's are random, so that mixing them up is noticed by chance, and chance
/// has no place here.
const COOKIE: u16 = 1;

impl Lockdep {
    /// `lock_is_held_type()`: does the task hold the lock as a reader (`Some(true)`), writer (`Some(false)`) or
    /// anyhow (`None`)?
    ///
    /// # Errors
    /// The first new report that this raised (a counted entry without nest lock).
    pub fn is_held(
        &self,
        task: &TaskState,
        map: LockMap,
        read: Option<bool>,
        site: u32,
    ) -> Outcome<HeldState> {
        if !self.is_enabled() {
            return Ok(HeldState::Unknown);
        }
        let mut op = Op::new(self, site);
        let held = op.is_held(task, map, read);
        op.outcome()?;
        Ok(if held {
            HeldState::Held
        } else {
            HeldState::NotHeld
        })
    }

    /// `lockdep_assert_held()` and its variants for readers and writers.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn assert_held(
        &self,
        task: &TaskState,
        map: LockMap,
        read: Option<bool>,
        site: u32,
    ) -> Outcome {
        let mut op = Op::new(self, site);
        if self.is_enabled() && !op.is_held(task, map, read) && self.is_enabled() {
            op.locked(|op, graph| {
                let lock = graph.keys[map.key.index()].name.clone();
                op.report(graph, task, None, Detail::AssertHeld { map, lock, read });
            });
        }
        op.outcome()
    }

    /// `lock_pin_lock()`: releasing the lock before [`Lockdep::unpin`] is reported.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn pin(&self, task: &mut TaskState, map: LockMap, site: u32) -> Outcome<PinCookie> {
        if !self.is_enabled() {
            return Ok(PinCookie::default());
        }
        let mut op = Op::new(self, site);
        match op.find_anywhere(task, map) {
            Some(at) => {
                let held = &mut task.held_mut()[at];
                held.set_pins(held.pins().saturating_add(COOKIE));
            }
            None => op.report_alone(
                task,
                Detail::Warn {
                    message: "pinning an unheld lock",
                },
            ),
        }
        op.outcome().map(|()| PinCookie(COOKIE))
    }

    /// `lock_unpin_lock()`.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn unpin(
        &self,
        task: &mut TaskState,
        map: LockMap,
        cookie: PinCookie,
        site: u32,
    ) -> Outcome {
        if !self.is_enabled() {
            return Ok(());
        }
        let mut op = Op::new(self, site);
        match op.find_anywhere(task, map) {
            Some(at) if task.held()[at].pins() == 0 => {
                op.report_alone(
                    task,
                    Detail::Warn {
                        message: "unpinning an unpinned lock",
                    },
                );
            }
            Some(at) => {
                let held = &mut task.held_mut()[at];
                held.set_pins(held.pins().saturating_sub(cookie.0));
            }
            None => op.report_alone(
                task,
                Detail::Warn {
                    message: "unpinning an unheld lock",
                },
            ),
        }
        op.outcome()
    }

    /// `might_sleep()`: reported inside RCU read-side sections, and where preemption or interrupts are off.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn might_sleep(&self, task: &TaskState, site: u32) -> Outcome {
        let atomic = task.preempt_count() != 0 || !task.hardirqs_enabled();
        if task.depth() == 0 && !atomic {
            return Ok(());
        }
        let mut op = Op::new(self, site);
        for flavour in [Rcu::Preempt, Rcu::Bh, Rcu::Sched] {
            if self.is_enabled() && op.is_held(task, rcu_map(flavour), None) && self.is_enabled() {
                op.report_alone(task, Detail::SuspiciousRcu { flavour });
            }
        }
        if atomic {
            let (preempt_count, irqs_disabled) = (task.preempt_count(), !task.hardirqs_enabled());
            op.report_alone(
                task,
                Detail::SleepInAtomic {
                    preempt_count,
                    irqs_disabled,
                },
            );
        }
        op.outcome()
    }

    /// `debug_check_no_locks_held()`: the task ends.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn check_no_locks_held(&self, task: &TaskState, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        if task.depth() != 0 {
            op.report_alone(
                task,
                Detail::LocksHeldAtExit {
                    depth: task.depth(),
                },
            );
        }
        op.outcome()
    }

    /// `lockdep_sys_exit()`: the task returns to user space.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn sys_exit(&self, task: &TaskState, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        if task.depth() != 0 {
            op.report_alone(
                task,
                Detail::HeldAtSysexit {
                    depth: task.depth(),
                },
            );
        }
        op.outcome()
    }

    /// `debug_check_no_locks_freed()`: the memory of this instance is freed or initialised anew.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn check_no_locks_freed(&self, task: &TaskState, map: LockMap, site: u32) -> Outcome {
        let mut op = Op::new(self, site);
        if let Some(held) = task.held().iter().find(|held| held.map() == map) {
            op.locked(|op, graph| {
                let class = graph.class_ref(held.class(), self.word(held.class()).usage());
                op.report(graph, task, None, Detail::HeldLockFreed { class });
            });
        }
        op.outcome()
    }

    /// `rcu_lock_acquire()`: enters a read-side section. Preemption and soft interrupts are the caller's.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn rcu_read_lock(&self, task: &mut TaskState, flavour: Rcu, site: u32) -> Outcome {
        self.acquire(
            task,
            rcu_map(flavour),
            Acquire::at(site).read(Read::Recursive).unchecked(),
        )
    }

    /// `rcu_lock_release()`.
    ///
    /// # Errors
    /// The first new report that this raised.
    pub fn rcu_read_unlock(&self, task: &mut TaskState, flavour: Rcu, site: u32) -> Outcome {
        self.release(task, rcu_map(flavour), site)
    }
}

/// The lockdep map of an RCU flavour, known to every engine.
pub fn rcu_map(flavour: Rcu) -> LockMap {
    LockMap {
        key: Key(flavour as u16),
        instance: 0,
    }
}

impl Op<'_> {
    /// `__lock_is_held()`: the lowest entry that matches decides.
    pub(crate) fn is_held(&mut self, task: &TaskState, map: LockMap, read: Option<bool>) -> bool {
        self.find_anywhere(task, map)
            .is_some_and(|at| read.is_none_or(|read| read == task.held()[at].read().is_read()))
    }

    /// The lowest matching entry, in whatever context.
    fn find_anywhere(&mut self, task: &TaskState, map: LockMap) -> Option<usize> {
        task.held()
            .iter()
            .position(|held| self.matches(held, map, task))
    }
}
