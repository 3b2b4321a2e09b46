//! The locks of a program on a machine.

use super::population::Population;
use crate::program::Program;
use crate::program::decl::{Lock as Declared, LockKind as Kind};
use crate::program::op::{Flavour, Op};
use ksplat_kernel::rt::{CpuId, Machine, current};
use ksplat_kernel::sync::{Irq, Lock, LockKind, LockMap, Map, Seqlock, Srcu};
use ksplat_lockdep::{Key, KeyInfo};
use std::collections::BTreeMap;

/// What a declared lock is on the machine.
#[derive(Debug)]
pub enum Object {
    /// One lock.
    Lock(Lock),
    /// One lock a CPU.
    PerCpu(Vec<Lock>),
    /// The locks of many objects.
    Population(Population),
    /// A sequence count.
    Seq(Box<Seqlock>),
    /// A sleepable RCU domain.
    Srcu(Box<Srcu>),
    /// A lockdep map without a lock.
    Map(LockMap),
}

impl Object {
    /// The lock that the running entity means; of a population the member it holds.
    pub fn lock(&self) -> Option<&Lock> {
        match self {
            Self::Lock(lock) => Some(lock),
            Self::PerCpu(locks) => locks.get(current().cpu().index()),
            Self::Population(p) => p.member(p.held()?),
            Self::Seq(seq) => seq.lock(),
            Self::Srcu(_) | Self::Map(_) => None,
        }
    }

    /// Its identity for lockdep.
    pub fn map(&self) -> Option<Map> {
        self.lock().and_then(Lock::map)
    }

    /// Back to how an execution starts.
    pub fn reset(&self) {
        match self {
            Self::Population(p) => p.reset(),
            Self::Seq(seq) => seq.reset(),
            Self::Srcu(srcu) => srcu.reset(),
            Self::Lock(_) | Self::PerCpu(_) | Self::Map(_) => {}
        }
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

/// Makes every lock of the program; locks of one class share a key.
pub fn make(m: &mut Machine, program: &Program) -> Vec<Object> {
    let mut classes = BTreeMap::new();
    let make = |lock| make_one(m, lock, &mut classes);
    let objects: Vec<Object> = program.locks.iter().map(make).collect();
    let tried = tried(program);
    for (object, tried) in objects.iter().zip(tried) {
        if let (Object::Lock(lock), false) = (object, tried) {
            lock.never_tried(m);
        }
    }
    objects
}

/// Which locks the program tries anywhere.
fn tried(program: &Program) -> Vec<bool> {
    let mut tried = vec![false; program.locks.len()];
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |statement| {
            if let Op::Trylock { acquire, .. } = &statement.op
                && let Some(tried) = tried.get_mut(acquire.lock.lock.index())
            {
                *tried = true;
            }
        });
    }
    tried
}

type Classes = BTreeMap<String, Key>;

fn make_one(m: &mut Machine, lock: &Declared, classes: &mut Classes) -> Object {
    let name = lock.name.to_string();
    let class = lock.class_name().to_string();
    match (kind(lock.kind), lock.kind) {
        (Some(kind), _) => real(m, lock, kind, &name, &class, classes),
        (None, Kind::Seqlock) => {
            let spin = key(classes, &class, || LockKind::Spin.class(m, &class));
            let count = format!("{class}.seqcount");
            let key = key(classes, &count, || LockMap::class(m, &count));
            Object::Seq(Box::new(Seqlock::seqlock(m, &name, spin, key)))
        }
        (None, Kind::Seqcount) => {
            let key = key(classes, &class, || LockMap::class(m, &class));
            Object::Seq(Box::new(Seqlock::seqcount(m, &name, key)))
        }
        (None, Kind::Srcu) => {
            let key = key(classes, &class, || {
                m.lockdep_mut().register_key(KeyInfo::new(&*class))
            });
            Object::Srcu(Box::new(Srcu::new(m, &name, key)))
        }
        (None, _) => {
            let key = key(classes, &class, || LockMap::class(m, &class));
            Object::Map(LockMap::new(m, &name, key))
        }
    }
}

fn key(classes: &mut Classes, class: &str, make: impl FnOnce() -> Key) -> Key {
    *classes.entry(class.to_owned()).or_insert_with(make)
}

fn real(
    m: &mut Machine,
    lock: &Declared,
    kind: LockKind,
    name: &str,
    class: &str,
    classes: &mut Classes,
) -> Object {
    let key = key(classes, class, || kind.class(m, class));
    if let Some(p) = lock.population {
        let counts = (usize::from(p.referenced), usize::from(p.unreferenced));
        return Object::Population(Population::new(m, kind, name, key, counts));
    }
    if kind != LockKind::Local {
        return Object::Lock(Lock::new(m, kind, name, Some(key)));
    }
    let cpus = m.nr_cpus() as u8;
    Object::PerCpu(
        (0..cpus)
            .map(|cpu| Lock::new(m, kind, format_args!("{name}/{}", CpuId(cpu).0), Some(key)))
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
