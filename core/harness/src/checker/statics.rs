//! What the checker knows before it reads a log.

use ksplat_kernel::rt::{EntityKind, EntitySet, Machine, ResKind};
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
        });
        Self {
            rt: machine.rt(),
            entities: entities.collect(),
            resources: resources.collect(),
        }
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
