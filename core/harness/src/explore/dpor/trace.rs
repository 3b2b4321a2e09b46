//! The steps of one execution, which happened before which, and which races can be reversed.

use super::foot::{Dependence, Foot};
use ksplat_kernel::rt::{EntityId, EntitySet, OpKind};

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) entity: EntityId,
    pub(super) foot: Foot,
    /// Entities that could run in the state before it.
    pub(super) candidates: EntitySet,
    /// Entities that their CPU let run then.
    pub(super) allowed: EntitySet,
}

/// The steps of an execution so far, with vector clocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) events: Vec<Event>,
    /// For each event and entity, one more than the index of that entity's last event that happened before it or is it.
    clocks: Vec<u32>,
    /// Number of entities: length of a clock.
    width: usize,
    scratch: Vec<u32>,
    /// As `scratch`, but only what happened before by way of steps that could also have come after.
    covered: Vec<u32>,
}

/// Makes a clock include another.
fn join(clock: &mut [u32], other: &[u32]) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

/// A race and how it can be reversed: before `at`, one of `initials` has to run instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reversal {
    pub(super) at: usize,
    pub(super) initials: EntitySet,
    /// Whose step raced: the natural one to run instead, if it is among the initials.
    pub(super) racer: EntityId,
}

impl Trace {
    pub(super) fn new(width: usize) -> Self {
        Self {
            width,
            ..Self::default()
        }
    }

    /// Forgets all events from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.events.truncate(len);
        self.clocks.truncate(len * self.width);
    }

    /// Number of events whose clocks and races are known.
    pub(super) fn clocks_known(&self) -> usize {
        self.clocks.len().checked_div(self.width).unwrap_or(0)
    }

    pub(super) fn clock(&self, event: usize) -> &[u32] {
        &self.clocks[event * self.width..(event + 1) * self.width]
    }

    /// Whether event `a` happened before event `b`, or is it.
    fn before(&self, a: usize, b: usize) -> bool {
        self.clock(b)[self.events[a].entity.index()] as usize > a
    }

    fn last_of(&self, entity: EntityId, before: usize) -> Option<usize> {
        self.events[..before]
            .iter()
            .rposition(|e| e.entity == entity)
    }

    /// Works out the clocks of all events from `from` on and adds the reversible races that they are in to `found`.
    pub(super) fn analyse(
        &mut self,
        from: usize,
        dependence: &Dependence,
        found: &mut Vec<Reversal>,
    ) {
        self.clocks.truncate(from * self.width);
        for at in from..self.events.len() {
            let event = self.events[at];
            self.races_of(at, event.entity, &event.foot, dependence, found);
            let entity = event.entity.index();
            self.scratch[entity] = at as u32 + 1;
            self.clocks.extend_from_slice(&self.scratch);
        }
    }

    /// Works out the clock of the last event, those of all others being known.
    pub(super) fn note_last(&mut self, dependence: &Dependence) {
        let at = self.events.len() - 1;
        let event = self.events[at];
        self.clocks.truncate(at * self.width);
        self.scratch.clear();
        self.scratch.resize(self.width, 0);
        if let Some(own) = self.last_of(event.entity, at) {
            let range = own * self.width..(own + 1) * self.width;
            self.scratch.copy_from_slice(&self.clocks[range]);
        }
        for i in (0..at).rev() {
            let e = self.events[i];
            let known = self.scratch[e.entity.index()] as usize > i;
            if !known && dependence.depends(e.entity, &e.foot, event.entity, &event.foot) {
                let clock = &self.clocks[i * self.width..(i + 1) * self.width];
                join(&mut self.scratch, clock);
            }
        }
        self.scratch[event.entity.index()] = at as u32 + 1;
        self.clocks.extend_from_slice(&self.scratch);
    }

    /// The reversible races of a step that the execution ended too early to execute.
    pub(super) fn analyse_pending(
        &mut self,
        entity: EntityId,
        foot: &Foot,
        dependence: &Dependence,
        found: &mut Vec<Reversal>,
    ) {
        self.races_of(self.events.len(), entity, foot, dependence, found);
    }

    /// Leaves in `scratch` the clock of a step that comes after the first `at` events.
    fn races_of(
        &mut self,
        at: usize,
        entity: EntityId,
        foot: &Foot,
        dependence: &Dependence,
        found: &mut Vec<Reversal>,
    ) {
        self.scratch.clear();
        self.scratch.resize(self.width, 0);
        if let Some(own) = self.last_of(entity, at) {
            let range = own * self.width..(own + 1) * self.width;
            self.scratch.copy_from_slice(&self.clocks[range]);
        }
        self.covered.clear();
        self.covered.extend_from_slice(&self.scratch);
        for i in (0..at).rev() {
            let e = self.events[i];
            if self.covered[e.entity.index()] as usize > i
                || !dependence.depends(e.entity, &e.foot, entity, foot)
            {
                continue;
            }
            let clock = &self.clocks[i * self.width..(i + 1) * self.width];
            join(&mut self.scratch, clock);
            // A step that only made this one possible does not hide the race with what had made it impossible.
            if !self.reversible(i, entity, foot, dependence) {
                continue;
            }
            let initials = self.initials(i, at, entity);
            if initials != 0 {
                let clock = &self.clocks[i * self.width..(i + 1) * self.width];
                join(&mut self.covered, clock);
                found.push(Reversal {
                    at: i,
                    initials,
                    racer: entity,
                });
            }
        }
    }

    /// Whether the step could come before event `i` at all, as far as that is certain.
    fn reversible(&self, i: usize, entity: EntityId, foot: &Foot, dependence: &Dependence) -> bool {
        let e = &self.events[i];
        // Only who blocks a CPU can free it.
        if dependence.same_cpu(e.entity, entity) && e.allowed & entity.bit() == 0 {
            return false;
        }
        let takes = matches!(foot.op.kind, OpKind::Lock | OpKind::Read);
        let same = e.foot.op.res == foot.op.res;
        if takes && same && e.foot.op.kind == OpKind::Unlock {
            return !self.held_exclusively(i);
        }
        // A step that both takes a lock and gives it back unannounced can come after as well as before.
        same || !takes || !e.foot.gave.has(foot.op.res)
    }

    /// Whether the lock that event `i` releases was taken exclusively by what took it, and nothing else since.
    fn held_exclusively(&self, i: usize) -> bool {
        let e = &self.events[i];
        let same = |x: &&Event| x.entity == e.entity && x.foot.op.res == e.foot.op.res;
        self.events[..i]
            .iter()
            .rev()
            .filter(same)
            .find(|x| x.foot.op.kind != OpKind::Cpu)
            .is_some_and(|x| x.foot.op.kind == OpKind::Lock)
    }

    /// Who could run first instead of event `e`, so that a step by `racer` after the first `at` events comes before it:
    /// entities whose first step among those that did not happen after `e` has nothing there that it happened after.
    fn initials(&self, e: usize, at: usize, racer: EntityId) -> EntitySet {
        let (mut seen, mut initials) = (0, 0);
        let mut earlier: Vec<usize> = Vec::new();
        for k in e + 1..at {
            if self.before(e, k) {
                continue;
            }
            let bit = self.events[k].entity.bit();
            if seen & bit == 0 {
                seen |= bit;
                if !earlier.iter().any(|&g| self.before(g, k)) {
                    initials |= bit;
                }
            }
            earlier.push(k);
        }
        if seen & racer.bit() == 0 {
            let after = |&g: &usize| self.scratch[self.events[g].entity.index()] as usize > g;
            if !earlier.iter().any(after) {
                initials |= racer.bit();
            }
        }
        initials & self.events[e].candidates
    }
}
