//! What makes decisions.

use super::finding::End;
use super::ids::{EntityId, ResId};
use super::op::Op;
use super::set::{EntitySet, members};

/// A point where exploration chooses who runs next: at least two candidates.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The entities that can run.
    pub candidates: EntitySet,
    /// The entity that ran last, if it can go on.
    pub current: Option<EntityId>,
    /// The pending operation of every entity, by [`EntityId::index`].
    pub next: &'a [Op],
    /// Where the machine stands; only filled in for strategies that want steps.
    pub state: &'a Standing,
}

impl Decision<'_> {
    /// Number of candidates.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.candidates.count_ones()
    }

    /// Whether there is a choice at all.
    #[must_use]
    pub(crate) const fn is_open(&self) -> bool {
        self.candidates & self.candidates.wrapping_sub(1) != 0
    }

    /// Never true: a decision has at least two candidates.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.candidates == 0
    }

    /// The candidates in choice order: the current entity first, then by id. Choice 0 is therefore "no preemption".
    pub fn in_order(&self) -> impl Iterator<Item = EntityId> {
        let current = self.current;
        let rest = self.candidates & !current.map_or(0, EntityId::bit);
        current.into_iter().chain(members(rest))
    }

    /// The candidate with this choice number, modulo their number.
    #[must_use]
    pub fn nth(&self, choice: u32) -> EntityId {
        let choice = choice % self.len().max(1);
        self.in_order()
            .nth(choice as usize)
            .unwrap_or(EntityId(self.candidates.trailing_zeros() as u8))
    }

    /// The choice number of a candidate.
    #[must_use]
    pub fn number_of(&self, entity: EntityId) -> u32 {
        match self.current {
            Some(c) if c == entity => 0,
            Some(c) => 1 + (self.candidates & !c.bit() & (entity.bit() - 1)).count_ones(),
            None => (self.candidates & (entity.bit() - 1)).count_ones(),
        }
    }

    /// The pending operation of an entity.
    #[must_use]
    pub fn op(&self, entity: EntityId) -> Op {
        self.next[entity.index()]
    }
}

/// One transition: somebody was chosen, among several or because nobody else could run, and goes on.
#[derive(Debug)]
pub struct Step<'a> {
    /// What could run, and the pending operations. Here there may be one candidate only.
    pub decision: Decision<'a>,
    /// Who goes on and executes the operation that it announced.
    pub picked: EntityId,
}

/// Locks that a step gave back without announcing it, because nobody can see them held but who waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gave {
    locks: [ResId; 4],
    /// There were more.
    more: bool,
}

impl Default for Gave {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Gave {
    /// No lock.
    pub const NOTHING: Self = Self {
        locks: [ResId::NONE; 4],
        more: false,
    };

    pub(crate) fn add(&mut self, lock: ResId) {
        match self.locks.iter_mut().find(|l| **l == ResId::NONE) {
            Some(free) => *free = lock,
            None => self.more = true,
        }
    }

    /// What either of two steps gave back.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        for lock in other.locks {
            if lock != ResId::NONE && !self.locks.contains(&lock) {
                self.add(lock);
            }
        }
        self.more |= other.more;
        self
    }

    /// Whether this lock is known to be among them.
    #[must_use]
    pub fn has(&self, lock: ResId) -> bool {
        lock != ResId::NONE && self.locks.contains(&lock)
    }

    /// Whether this lock may be among them.
    #[must_use]
    pub fn may_have(&self, lock: ResId) -> bool {
        self.more || self.has(lock)
    }
}

/// Who could get further at one moment, and what the step before it did without announcing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Entities that have something to do.
    pub ready: EntitySet,
    /// Entities that their CPU lets run.
    pub allowed: EntitySet,
    /// Entities that have not ended.
    pub live: EntitySet,
    /// The step that led here changed what [`World::check`](super::World::check) looks at.
    pub touched: bool,
    /// The step that led here changed the preemption or interrupt state of its CPU, be it for a moment.
    pub cpu: bool,
    /// Locks that the step which led here gave back without announcing it.
    pub gave: Gave,
}

impl Standing {
    /// Nobody is anywhere: what strategies that do not want steps are shown.
    pub const NONE: Self = Self {
        ready: 0,
        allowed: 0,
        live: 0,
        touched: false,
        cpu: false,
        gave: Gave::NOTHING,
    };
}

/// How an execution ended, for strategies that learn from it.
#[derive(Debug)]
pub struct Ending<'a> {
    /// Why it ended.
    pub end: End,
    /// The pending operation of every entity, by [`EntityId::index`].
    pub next: &'a [Op],
    /// Where the machine stood.
    pub state: Standing,
}

/// Makes the decisions of executions. One execution is a pure function of program and choices.
pub trait Strategy {
    /// A new execution begins.
    fn begin(&mut self) {}

    /// Who runs next, one of `decision.candidates`.
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId;

    /// A choice among `n >= 2` alternatives that is not about who runs; below `n`. 0 is the undisturbed one.
    fn choose(&mut self, n: u32) -> u32;

    /// Every transition, also where there was nothing to decide; after [`Strategy::pick`] where there was.
    fn step(&mut self, _step: &Step<'_>) {}

    /// The execution is over. Only called if [`Strategy::wants_steps`].
    fn end(&mut self, _ending: &Ending<'_>) {}

    /// Whether [`Strategy::step`] and [`Strategy::end`] want to be called. Asked once an execution.
    fn wants_steps(&self) -> bool {
        false
    }

    /// Whether another execution could show nothing new.
    fn finished(&self) -> bool {
        false
    }
}

impl<S: Strategy + ?Sized> Strategy for Box<S> {
    fn begin(&mut self) {
        (**self).begin();
    }

    #[inline]
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        (**self).pick(decision)
    }

    fn choose(&mut self, n: u32) -> u32 {
        (**self).choose(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        (**self).step(step);
    }

    fn end(&mut self, ending: &Ending<'_>) {
        (**self).end(ending);
    }

    fn wants_steps(&self) -> bool {
        (**self).wants_steps()
    }

    fn finished(&self) -> bool {
        (**self).finished()
    }
}

/// Always continues with the current entity: the schedule without preemptions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undisturbed;

impl Strategy for Undisturbed {
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        decision.nth(0)
    }

    fn choose(&mut self, _n: u32) -> u32 {
        0
    }
}
