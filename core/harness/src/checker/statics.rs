//! What the checker knows before it reads a log.

use ksplat_kernel::rt::{EntityKind, EntitySet, Machine, ResKind};
use ksplat_lockdep::{LockType, WaitType};
use std::collections::BTreeMap;

/// What the checker knows of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityFacts {
    /// Its name.
    pub name: String,
    /// Its CPU.
    pub cpu: u8,
    /// What it is.
    pub kind: EntityKind,
    /// How often it fires by itself.
    pub times: u16,
    /// Its real-time priority.
    pub prio: u8,
    /// Who may raise it.
    pub raisers: EntitySet,
}

/// What the checker knows of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceFacts {
    /// Its name.
    pub name: String,
    /// Who may end waits for it.
    pub enders: EntitySet,
    /// A sequence count.
    pub sequence: bool,
    /// A lock whose owner inherits the priority of who waits.
    pub boosts: bool,
    /// A bit that is set when an execution begins.
    pub set_at_start: bool,
}

/// What the checker knows of a key of lockdep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// What the lock does to the context while it is held, as the number of its wait type.
    pub inner: u8,
    /// What it demands of the context.
    pub outer: u8,
    /// It is no lock but overrides the context.
    pub overrides: bool,
}

/// The static facts of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statics {
    /// PREEMPT_RT: handlers are threads.
    pub rt: bool,
    /// Entities by number.
    pub entities: Vec<EntityFacts>,
    /// Resources by number.
    pub resources: Vec<ResourceFacts>,
    /// Keys of lockdep by number.
    pub keys: Vec<KeyFacts>,
}

impl Statics {
    /// The static facts of `machine`.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let entities = machine.entities().iter().map(|e| EntityFacts {
            name: e.name().to_owned(),
            cpu: e.cpu().0,
            kind: e.kind(),
            times: e.times(),
            prio: e.prio(),
            raisers: e.raisers(),
        });
        let resources = machine.resources().iter().map(|r| ResourceFacts {
            name: r.name().to_owned(),
            enders: r.enders(),
            sequence: r.kind() == ResKind::Sequence,
            boosts: r.kind() == ResKind::PiLock,
            set_at_start: r.is_set_at_start(),
        });
        let keys = machine.lockdep().key_infos();
        let keys = keys.iter().map(|k| KeyFacts {
            inner: k.wait_type_inner as u8,
            outer: match k.wait_type_outer {
                WaitType::Inv => k.wait_type_inner as u8,
                outer => outer as u8,
            },
            overrides: k.lock_type == LockType::WaitOverride,
        });
        Self {
            rt: machine.rt(),
            entities: entities.collect(),
            resources: resources.collect(),
            keys: keys.collect(),
        }
    }

    /// What is known of a key; one without wait types if there is no such key.
    #[must_use]
    pub fn key(&self, key: u64) -> KeyFacts {
        let key = usize::try_from(key).ok();
        key.and_then(|k| self.keys.get(k).copied())
            .unwrap_or_default()
    }

    /// Name of a resource.
    #[must_use]
    pub fn resource(&self, res: u64) -> &str {
        usize::try_from(res)
            .ok()
            .and_then(|r| self.resources.get(r))
            .map_or("nothing", |r| &r.name)
    }

    /// Name of an entity.
    #[must_use]
    pub fn entity(&self, id: usize) -> &str {
        self.entities.get(id).map_or("nobody", |e| &e.name)
    }

    /// Whether the entity borrows its CPU from a task.
    #[must_use]
    pub fn is_handler(&self, id: usize) -> bool {
        !self.rt && self.is_raised(id)
    }

    /// Whether the entity runs when it is raised.
    #[must_use]
    pub fn is_raised(&self, id: usize) -> bool {
        self.entities[id].kind.is_raised()
    }

    /// The resources with their numbers by name.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&str, u64> {
        let numbered = self.resources.iter().zip(0u64..);
        numbered.map(|(r, n)| (r.name.as_str(), n)).collect()
    }
}
