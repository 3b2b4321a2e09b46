//! What machines that are gone were made of, for the machines to come: fuzzing builds one for every other execution.
//!
//! Whatever is taken from here is as good as new: the same machine comes out, with less allocated for it.

use super::entity::Entity;
use super::resource::Resource;
use ksplat_lockdep::{Config, Lockdep};
use std::cell::RefCell;

/// Parts of machines.
#[derive(Default)]
pub(crate) struct Spare {
    lockdep: Option<Box<Lockdep>>,
    /// In the order of their numbers.
    entities: Vec<Entity>,
    /// The number of the first of them: those before are part of a machine.
    first_entity: usize,
    /// Empty, with room.
    resources: Vec<Resource>,
    names: Vec<String>,
}

/// Entities that are kept.
const ENTITIES: usize = 32;
/// Names that are kept.
const NAMES: usize = 512;

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

impl Spare {
    /// No resources yet, with room.
    pub(crate) fn resources() -> Vec<Resource> {
        SPARE
            .try_with(|spare| std::mem::take(&mut spare.borrow_mut().resources))
            .unwrap_or_default()
    }

    /// The first entities, at most so many, to be renewed.
    pub(crate) fn entities(count: usize) -> Vec<Entity> {
        let entities = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.first_entity != 0 {
                return Vec::new();
            }
            let mut entities = std::mem::take(&mut spare.entities);
            if entities.len() > count {
                spare.entities = entities.split_off(count);
                spare.first_entity = count;
            }
            entities
        });
        entities.unwrap_or_default()
    }

    /// An empty validator.
    pub(crate) fn lockdep(config: Config) -> Box<Lockdep> {
        match SPARE.try_with(|spare| spare.borrow_mut().lockdep.take()) {
            Ok(Some(mut lockdep)) => {
                lockdep.renew(config);
                lockdep
            }
            _ => Box::new(Lockdep::new(config)),
        }
    }

    /// An empty string with room, if there is one.
    pub(crate) fn name() -> String {
        SPARE
            .try_with(|spare| spare.borrow_mut().names.pop())
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// The parts of a machine that is gone.
    pub(crate) fn keep(
        lockdep: Box<Lockdep>,
        mut entities: Vec<Entity>,
        mut resources: Vec<Resource>,
    ) {
        // At the end of a thread nothing is kept.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            spare.lockdep = Some(lockdep);
            if entities.len() == spare.first_entity {
                entities.append(&mut spare.entities);
            }
            entities.truncate(ENTITIES);
            spare.entities = entities;
            spare.first_entity = 0;
            for resource in resources.drain(..) {
                let mut name = resource.name;
                if spare.names.len() < NAMES {
                    name.clear();
                    spare.names.push(name);
                }
            }
            spare.resources = resources;
        });
    }
}
