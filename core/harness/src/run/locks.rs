//! The locks of a program on a machine.

use crate::program::Program;
use crate::program::decl::{Lock as Declared, LockKind as Kind};
use crate::program::op::Flavour;
use ksplat_kernel::rt::{CpuId, Machine, current};
use ksplat_kernel::sync::{Irq, Lock, LockKind, LockMap, Map};
use ksplat_lockdep::Key;
use std::collections::BTreeMap;

/// What a declared lock is on the machine.
#[derive(Debug)]
pub enum Object {
    /// One lock.
    Lock(Lock),
    /// One lock a CPU.
    PerCpu(Vec<Lock>),
    /// A lockdep map without a lock.
    Map(LockMap),
}

impl Object {
    /// The lock that the running entity means.
    pub fn lock(&self) -> Option<&Lock> {
        match self {
            Self::Lock(lock) => Some(lock),
            Self::PerCpu(locks) => locks.get(current().cpu().index()),
            Self::Map(_) => None,
        }
    }

    /// Its identity for lockdep.
    pub fn map(&self) -> Option<Map> {
        self.lock().and_then(Lock::map)
    }
}

/// The machine's kind of a declared kind; `None` where it is no lock of its own.
fn kind(kind: Kind) -> Option<LockKind> {
    Some(match kind {
        Kind::RawSpinlock => LockKind::RawSpin,
        Kind::Spinlock => LockKind::Spin,
        Kind::Rwlock => LockKind::RwLock,
        Kind::Mutex => LockKind::Mutex,
        Kind::Rwsem => LockKind::RwSem,
        Kind::PercpuRwsem => LockKind::PercpuRwSem,
        Kind::RtMutex => LockKind::RtMutex,
        Kind::LocalLock => LockKind::Local,
        Kind::BitLock => LockKind::Bit,
        Kind::Seqlock | Kind::Seqcount | Kind::Srcu | Kind::LockMap => return None,
    })
}

/// Whether the machine can have such a lock.
#[must_use]
pub fn supported(lock: &Declared) -> bool {
    lock.population.is_none() && (kind(lock.kind).is_some() || lock.kind == Kind::LockMap)
}

/// Makes every lock of the program; locks of one class share a key.
///
/// # Panics
/// On a lock that is not [`supported`].
pub fn make(m: &mut Machine, program: &Program) -> Vec<Object> {
    let mut classes: BTreeMap<String, Key> = BTreeMap::new();
    program
        .locks
        .iter()
        .map(|lock| make_one(m, lock, &mut classes))
        .collect()
}

fn make_one(m: &mut Machine, lock: &Declared, classes: &mut BTreeMap<String, Key>) -> Object {
    let name = lock.name.to_string();
    let class = lock
        .class
        .as_ref()
        .map_or_else(|| name.clone(), ToString::to_string);
    let Some(kind) = kind(lock.kind) else {
        assert_eq!(lock.kind, Kind::LockMap, "only supported locks are made");
        let key = *classes
            .entry(class.clone())
            .or_insert_with(|| LockMap::class(m, &class));
        return Object::Map(LockMap::new(m, &name, key));
    };
    let key = *classes
        .entry(class.clone())
        .or_insert_with(|| kind.class(m, &class));
    if kind != LockKind::Local {
        return Object::Lock(Lock::new(m, kind, &name, Some(key)));
    }
    let cpus = m.nr_cpus() as u8;
    Object::PerCpu(
        (0..cpus)
            .map(|cpu| Lock::new(m, kind, &format!("{name}/{}", CpuId(cpu).0), Some(key)))
            .collect(),
    )
}

/// The flavour as the machine has it.
#[must_use]
pub const fn irq(flavour: Flavour) -> Irq {
    match flavour {
        Flavour::Plain => Irq::Plain,
        Flavour::Irq => Irq::Irq,
        Flavour::Irqsave => Irq::Save,
        Flavour::Bh => Irq::Bh,
    }
}
