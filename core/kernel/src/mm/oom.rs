//! The OOM killer: who may declare it, whom it kills, and what it reports.

use super::Mm;
use super::callbacks::Callbacks;
use super::gfp::Gfp;
use crate::rt::set::AtomicSet;
use crate::rt::{EntityId, EntitySet, EventKind, current, record};
use crate::sync::{How, Irq, Lock};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What `__alloc_pages_may_oom()` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OomVerdict {
    /// Reported as progress: somebody was killed, or another task is at it, or a request that cannot enter
    /// filesystems is told to try again.
    Progress,
    /// The kernel would panic: "System is deadlocked on memory".
    NobodyToKill,
    /// The killer is not for this request.
    NotForThis,
}

/// State of the OOM killer.
#[derive(Debug)]
pub(crate) struct Oom {
    pub(crate) lock: Lock,
    victims: AtomicSet,
    declared: AtomicU32,
}

impl Oom {
    pub(crate) fn new(lock: Lock) -> Self {
        Self {
            lock,
            victims: AtomicSet::default(),
            declared: AtomicU32::new(0),
        }
    }

    pub(crate) fn reset(&self) {
        self.victims.store(0, Relaxed);
        self.declared.store(0, Relaxed);
    }

    /// `oom_lock`, never waited for: `mutex_trylock()`.
    pub(crate) fn trylock(&self) -> bool {
        self.lock.trylock(How::default()).is_some()
    }

    pub(crate) fn unlock(&self) {
        self.lock.unlock(Irq::Plain, current().irq_flags());
    }
}

impl Mm {
    /// How often OOM was declared in this execution.
    #[must_use]
    pub fn oom_declared(&self) -> u32 {
        self.oom.declared.load(Relaxed)
    }

    /// Tasks that the OOM killer chose, one bit each.
    #[must_use]
    pub fn oom_victims(&self) -> EntitySet {
        self.oom.victims.load(Relaxed)
    }

    /// Whether the OOM killer chose this task (`tsk_is_oom_victim()`).
    pub(crate) fn is_oom_victim(&self, id: EntityId) -> bool {
        self.oom_victims() & id.bit() != 0
    }

    /// `out_of_memory()`, under `oom_lock`.
    pub(crate) fn out_of_memory(&self, cb: &dyn Callbacks, gfp: Gfp) -> OomVerdict {
        if !gfp.has(Gfp::FS) {
            // No kill for those who might free much by entering filesystems if only they could; but progress is
            // reported, so small NOFS and NOIO requests try for ever.
            record(EventKind::Alloc, || {
                format!("out_of_memory: no kill for {gfp}, reported as progress")
            });
            return OomVerdict::Progress;
        }
        if self.kill(cb, None) {
            OomVerdict::Progress
        } else {
            OomVerdict::NobodyToKill
        }
    }

    /// `mem_cgroup_oom()`: whether somebody was, or already is, being killed.
    pub(crate) fn mem_cgroup_oom(&self, cb: &dyn Callbacks, memcg: usize) -> bool {
        if !self.oom.trylock() {
            return true;
        }
        let killed = self.kill(cb, Some(memcg));
        self.oom.unlock();
        killed
    }

    fn kill(&self, cb: &dyn Callbacks, memcg: Option<usize>) -> bool {
        self.oom.declared.fetch_add(1, Relaxed);
        let victim = cb.oom_victim(memcg);
        record(EventKind::Alloc, || match victim {
            Some(v) => format!(
                "out of memory: kills {}",
                current().machine().entity(v).name()
            ),
            None => "out of memory, and nobody to kill".to_owned(),
        });
        if let Some(v) = victim {
            self.oom.victims.fetch_or(v.bit(), Relaxed);
        }
        victim.is_some()
    }
}
