//! The oracle's operations.

use super::graph::Bit;
use super::{Attempt, Held, Instance, Oracle, Task, Verdict};
use crate::lockdep::gfp::{Gfp, PF_MEMALLOC, PF_MEMALLOC_NOFS, PF_MEMALLOC_NOIO};
use crate::lockdep::op::{How, Kind, Scope};
use ksplat_lockdep::Rcu;

fn check(fine: bool, otherwise: &'static str) -> Verdict {
    if fine { Ok(()) } else { Err(otherwise) }
}

impl Oracle<'_> {
    pub(super) fn step(&mut self, op: Kind) -> Verdict {
        match op {
            Kind::Thread(thread) => self.current = thread,
            Kind::Lock(lock, how) => self.take(lock, how, false)?,
            Kind::Sync(lock, how) => self.take(lock, how, true)?,
            Kind::Unlock(lock) => {
                self.release(Instance::Lock(lock))?;
                self.task_preempt(lock, -1);
            }
            Kind::Downgrade(lock) => {
                let at = self.change_at(lock)?;
                // Only a warning: the kernel carries on.
                let warned = check(self.task().held[at].read == 0, "warn");
                self.task().held[at].read = 1;
                let after = self.reacquire(at, at);
                warned.and(after)?;
            }
            Kind::SetSubclass(lock, subclass) => {
                let at = self.change_at(lock)?;
                check(subclass < 8, "invalid-subclass")?;
                let class = self.register(self.key(Instance::Lock(lock)), subclass);
                self.task().held[at].class = class;
                self.reacquire(at, at)?;
            }
            Kind::Pin(lock) => {
                let at = self.find_lowest(Instance::Lock(lock))?.ok_or("warn")?;
                self.task().held[at].pins += 1;
                self.cookies[lock] = 1;
            }
            Kind::Unpin(lock) => self.unpin(lock)?,
            Kind::Init(lock) | Kind::Free(lock) => {
                let is_it = |held: &Held| held.instance == Instance::Lock(lock);
                check(!self.task().held.iter().any(is_it), "held-lock-freed")?;
            }
            Kind::Exit => check(self.task().held.is_empty(), "locks-held-at-exit")?,
            Kind::SysExit => check(self.task().held.is_empty(), "held-at-sysexit")?,
            Kind::Query(lock, read) => {
                // The answer is recorded even if finding it was an error.
                let held = self.is_held(lock, read);
                self.queries.push(i64::from(held == Ok(true)));
                held?;
            }
            Kind::Assert(lock, read) => check(self.is_held(lock, read)?, "assert-held")?,
            Kind::Sleep => self.sleep()?,
            other => return self.context_step(other),
        }
        Ok(())
    }

    fn context_step(&mut self, op: Kind) -> Verdict {
        match op {
            Kind::IrqOff => self.task().irqs_off = true,
            Kind::IrqOn => self.irqs_on()?,
            Kind::BhOff => self.task().bh += 1,
            Kind::BhOn => self.bh_on()?,
            Kind::HardirqEnter { threaded } => {
                let task = self.task();
                task.irqs_off = true;
                task.hardirq += 1;
                task.threaded = threaded || task.hardirq > 1 && task.threaded;
            }
            Kind::HardirqExit => {
                let task = self.task();
                task.hardirq = task.hardirq.saturating_sub(1);
                self.irqs_on()?;
            }
            Kind::SoftirqEnter => {
                let task = self.task();
                task.bh += 1;
                task.irqs_off = true;
                task.softirq += 1;
            }
            Kind::SoftirqExit => {
                let task = self.task();
                task.softirq = task.softirq.saturating_sub(1);
                self.irqs_on()?;
                self.bh_on()?;
            }
            Kind::RcuLock(flavour) => {
                match flavour {
                    Rcu::Bh => self.task().bh += 1,
                    Rcu::Preempt | Rcu::Sched => self.task().preempt += 1,
                }
                self.rcu_lock(flavour)?;
            }
            Kind::RcuUnlock(flavour) => {
                self.release(Instance::Rcu(flavour as u8))?;
                match flavour {
                    Rcu::Bh => self.bh_on()?,
                    Rcu::Preempt | Rcu::Sched => self.task().preempt -= 1,
                }
            }
            Kind::ReclaimEnter(gfp) => self.reclaim(gfp, true)?,
            Kind::ReclaimExit(gfp) => self.reclaim(gfp, false)?,
            Kind::Alloc(gfp) => {
                self.reclaim(gfp, true)?;
                self.reclaim(gfp, false)?;
                if gfp.allows_blocking() {
                    self.sleep()?;
                }
            }
            Kind::Save(scope) => {
                let flag = match scope {
                    Scope::NoReclaim => PF_MEMALLOC,
                    Scope::NoFs => PF_MEMALLOC_NOFS,
                    Scope::NoIo => PF_MEMALLOC_NOIO,
                };
                let pf = &mut self.tasks[self.current].pf;
                self.saved.push(flag & !*pf);
                *pf |= flag;
            }
            Kind::Restore => {
                let saved = self.saved.pop().unwrap_or_default();
                self.task().pf &= !saved;
            }
            _ => unreachable!("`step` executes all others"),
        }
        Ok(())
    }

    fn take(&mut self, lock: usize, how: How, sync: bool) -> Verdict {
        check(how.subclass < 8, "invalid-subclass")?;
        let instance = Instance::Lock(lock);
        let class = self.register(self.key(instance), how.subclass);
        let irqs_off = self.task().irqs_off;
        self.acquire(how.attempt(instance, class, irqs_off, sync))?;
        if !sync {
            self.task_preempt(lock, 1);
        }
        Ok(())
    }

    fn task_preempt(&mut self, lock: usize, by: i64) {
        if self.kind(lock).disables_preemption() {
            self.task().preempt += by;
        }
    }

    fn plain(&mut self, instance: Instance, read: u8, check: bool) -> Attempt {
        let class = self.register(self.key(instance), 0);
        let held = Held {
            instance,
            class,
            read,
            trylock: false,
            check,
            hardirqs_off: self.task().irqs_off,
            context: 0,
            references: 0,
            pins: 0,
            nest: None,
        };
        Attempt { held, sync: false }
    }

    fn rcu_lock(&mut self, flavour: Rcu) -> Verdict {
        let attempt = self.plain(Instance::Rcu(flavour as u8), 2, false);
        self.acquire(attempt).map(|_| ())
    }

    fn reclaim(&mut self, gfp: Gfp, enter: bool) -> Verdict {
        if !gfp.enters_fs_reclaim(self.tasks[self.current].pf) {
            return Ok(());
        }
        if !enter {
            return self.release(Instance::FsReclaim);
        }
        let attempt = self.plain(Instance::FsReclaim, 0, true);
        self.acquire(attempt).map(|_| ())
    }

    fn change_at(&mut self, lock: usize) -> Verdict<usize> {
        check(!self.task().held.is_empty(), "debug-locks-warn")?;
        self.find_highest(Instance::Lock(lock))?.ok_or("bad-unlock")
    }

    fn unpin(&mut self, lock: usize) -> Verdict {
        let at = self.find_lowest(Instance::Lock(lock))?.ok_or("warn")?;
        let cookie = self.cookies[lock];
        let held = &mut self.task().held[at];
        check(held.pins != 0, "warn")?;
        held.pins -= cookie;
        Ok(())
    }

    fn is_held(&mut self, lock: usize, read: Option<bool>) -> Verdict<bool> {
        let at = self.find_lowest(Instance::Lock(lock))?;
        Ok(at.is_some_and(|at| read.is_none_or(|read| read == (self.task().held[at].read != 0))))
    }

    fn sleep(&mut self) -> Verdict {
        for flavour in 0..3 {
            check(
                self.find_lowest(Instance::Rcu(flavour))?.is_none(),
                "suspicious-rcu",
            )?;
        }
        let Task {
            preempt,
            bh,
            hardirq,
            irqs_off,
            ..
        } = *self.task();
        check(
            preempt == 0 && bh == 0 && hardirq == 0 && !irqs_off,
            "sleep-in-atomic",
        )
    }

    fn irqs_on(&mut self) -> Verdict {
        if !std::mem::replace(&mut self.task().irqs_off, false) {
            return Ok(());
        }
        check(self.task().hardirq == 0, "debug-locks-warn")?;
        let Task { held, bh, .. } = self.task().clone();
        for softirq in [false, true] {
            if softirq && bh != 0 {
                continue;
            }
            for held in held.iter().filter(|held| held.check) {
                let bit = Bit::Context {
                    softirq,
                    enabled: true,
                    read: held.read != 0,
                };
                self.mark(held.class, held.read, bit)?;
            }
        }
        Ok(())
    }

    fn bh_on(&mut self) -> Verdict {
        let task = self.task();
        task.irqs_off = true;
        task.bh = task.bh.saturating_sub(1);
        self.irqs_on()
    }
}
