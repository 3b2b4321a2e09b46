//! What an entity is about to do: the information that POS, SURW and partial-order reduction need.

use super::ids::ResId;

/// Kind of a visible operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OpKind {
    /// First step of an entity.
    Start,
    /// Takes a lock exclusively; not enabled while it is held.
    Lock,
    /// Takes a lock shared; not enabled while a writer holds it.
    Read,
    /// Tries to take a lock; always enabled.
    TryLock,
    /// Releases a lock, whichever way it was held.
    Unlock,
    /// Reads shared state.
    Load,
    /// Writes shared state.
    Store,
    /// Waits for a condition; enabled when woken.
    Wait,
    /// Wakes waiters or changes what they wait for.
    Wake,
    /// Changes what may run on this CPU (interrupt enable, preemption).
    Cpu,
    /// A point that nothing else can observe, but where other entities may run.
    Yield,
}

/// A pending operation: kind and the resource it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// What it does.
    pub kind: OpKind,
    /// What it does it to; meaningless for [`OpKind::Start`], [`OpKind::Yield`]; for [`OpKind::Cpu`] the CPU's number.
    pub res: ResId,
}

impl Op {
    /// An operation on `res`.
    #[must_use]
    pub const fn new(kind: OpKind, res: ResId) -> Self {
        Self { kind, res }
    }

    /// An operation on nothing that is shared.
    #[must_use]
    pub const fn bare(kind: OpKind) -> Self {
        Self {
            kind,
            res: ResId::NONE,
        }
    }

    /// Whether the order of the two operations, by different entities, can matter.
    ///
    /// Lock acquisitions of one lock conflict; shared acquisitions and loads do not conflict with their like.
    /// An unlock conflicts with trylocks, which see the lock held or free.
    #[must_use]
    pub fn conflicts(self, other: Self) -> bool {
        use OpKind::{Load, Read, Start, Yield};
        if matches!(self.kind, Start | Yield) || matches!(other.kind, Start | Yield) {
            return false;
        }
        if (self.kind == OpKind::Cpu) != (other.kind == OpKind::Cpu) || self.res != other.res {
            return false;
        }
        !matches!((self.kind, other.kind), (Load, Load) | (Read, Read))
    }
}
