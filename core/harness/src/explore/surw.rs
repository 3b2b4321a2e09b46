//! SURW: selectively uniform random walk (Zhao, Wolff, Mathur, Roychoudhury, ASPLOS 2025).

use super::family::Family;
use super::rng::Rng;
use super::spread::{Place, Spread};
use ksplat_kernel::rt::{
    Decision, End, Ending, EntityId, EntitySet, MAX_CPUS, MAX_ENTITIES, Op, OpKind, ResId, Step,
    Strategy, members,
};

/// Per execution one shared object is drawn, with a weight of its accesses. The order of the accesses to it is sampled
/// uniformly, by drawing who comes next in proportion to the accesses that each entity still has to do and holding
/// the others back; everything else is ordered by random priorities.
///
/// Objects that are accessed much less may be sampled along with it, as the cells that a pointer leads to: what goes
/// wrong with a pointer needs them in an order, too. And only in half of the executions all of the accesses are
/// sampled, in the others half of each entity's: who retried in the profile had more of them than it needs, and many a
/// bug needs an order at the beginning and speed later.
///
/// Which object it is and who comes next are not drawn independently from execution to execution: an order that was
/// sampled lately comes later again (`Spread`), though each execution by itself is what it would be.
///
/// Entities that were made ready by another one count for that one until they are: what it has still to do includes
/// what they have.
///
/// Accesses are counted in a random walk: the first execution, and one in [`PROFILE_EVERY`] after it. Counts of other
/// executions would not do: those in which entities retry for long would drown the rest.
#[derive(Clone, Debug)]
pub struct Surw {
    rng: Rng,
    spread: Spread,
    profile: Profile,
    /// By object: whether the order of the accesses to it is sampled uniformly.
    selected: Vec<bool>,
    /// Accesses to these objects that each entity has yet to do.
    left: [u32; MAX_ENTITIES],
    priority: [u64; MAX_ENTITIES],
    /// Entities whose pending operation has a priority.
    drawn: EntitySet,
    held_back: EntitySet,
    /// Who retries and waits for others to do something.
    resting: EntitySet,
    intended: Option<EntityId>,
    /// Which of the accesses that the intended entity counts for is meant: one of its own, or of those it is to start.
    at: u32,
    /// What is selected, and who accessed it so far.
    place: Place,
    family: Family,
}

/// Executions for which a profile serves: one that misleads does not do so for long.
const PROFILE_EVERY: u32 = 256;
/// Random walks in a row that may end early, before what they accessed has to do.
const SHORT_PROFILES: u32 = 4;

/// Who accesses what how often.
#[derive(Clone, Debug, Default)]
struct Profile {
    /// The current execution profiles.
    runs: bool,
    /// Random walks in a row that did not run to the end.
    short: u32,
    /// Executions for which the profile serves yet.
    left: u32,
    /// Accesses of each entity to each object.
    counts: Vec<[u16; MAX_ENTITIES]>,
    /// Whether an object is accessed other than by reads.
    written: Vec<bool>,
    /// The locks that were held at every access to an object; none yet if it was not accessed.
    guards: Vec<Option<Vec<ResId>>>,
    /// The locks that each entity holds.
    held: Vec<Vec<ResId>>,
    /// The objects that may be selected, and how likely: what the counts of the last profile come to.
    weights: Vec<(usize, u64)>,
}

/// The object that an operation accesses, where the order of accesses can matter: CPUs, then resources.
fn object(op: Op) -> Option<usize> {
    match op.kind {
        OpKind::Start | OpKind::Yield | OpKind::Unlock => None,
        OpKind::Cpu => Some(op.res.index()),
        _ => Some(MAX_CPUS + op.res.index()),
    }
}

impl Profile {
    fn step(&mut self, entity: EntityId, op: Op) {
        self.count(entity, op);
        let held = &mut self.held[entity.index()];
        match op.kind {
            OpKind::Lock => held.push(op.res),
            OpKind::Unlock => held.retain(|&lock| lock != op.res),
            _ => {}
        }
    }

    fn count(&mut self, entity: EntityId, op: Op) {
        let Some(object) = object(op) else {
            return;
        };
        if object >= self.counts.len() {
            self.counts.resize(object + 1, [0; MAX_ENTITIES]);
            self.written.resize(object + 1, false);
            self.guards.resize(object + 1, None);
        }
        let held = &self.held[entity.index()];
        match &mut self.guards[object] {
            Some(guards) => guards.retain(|lock| held.contains(lock)),
            guards => *guards = Some(held.clone()),
        }
        let count = &mut self.counts[object][entity.index()];
        *count = count.saturating_add(1);
        self.written[object] |= !matches!(op.kind, OpKind::Load | OpKind::Read);
    }

    /// True if what was learnt is forgotten.
    fn begin(&mut self) -> bool {
        self.runs = self.left == 0;
        if !self.runs {
            self.left -= 1;
            return false;
        }
        if self.short == 0 {
            self.counts.fill([0; MAX_ENTITIES]);
            self.written.fill(false);
            self.guards.fill(None);
        }
        self.held.clear();
        self.held.resize(MAX_ENTITIES, Vec::new());
        self.short == 0
    }

    fn end(&mut self, end: End) {
        if !self.runs {
            return;
        }
        self.weigh();
        if end == End::Completed || self.short == SHORT_PROFILES {
            self.left = PROFILE_EVERY;
            self.short = 0;
        } else {
            self.short += 1;
        }
    }

    /// How likely an object is selected; 0 if entities do not share it, or if the order of the accesses to it is that
    /// of the accesses to a lock.
    fn weight(&self, object: usize) -> u64 {
        let row = &self.counts[object];
        let users = row.iter().filter(|&&n| n != 0).count();
        let guarded = self.guards[object].as_ref().is_some_and(|g| !g.is_empty());
        if users < 2 || !self.written[object] || guarded {
            return 0;
        }
        row.iter().map(|&n| u64::from(n)).sum()
    }

    fn weigh(&mut self) {
        self.weights.clear();
        for object in 0..self.counts.len() {
            let weight = self.weight(object);
            if weight != 0 {
                self.weights.push((object, weight));
            }
        }
    }

    /// All weights together.
    fn sum(&self) -> u64 {
        self.weights.iter().map(|&(_, weight)| weight).sum()
    }

    /// The object that a number below [`sum`](Self::sum) means, and its weight.
    fn object_at(&self, mut at: u64) -> Option<(usize, u64)> {
        let drawn = self.weights.iter().find(|&&(_, weight)| {
            let here = at < weight;
            at = at.wrapping_sub(weight);
            here
        });
        drawn.copied()
    }

    /// Selects the object at `at`, and with it some of those that are accessed at most half as often: the likelier the
    /// more often they are, as long as they together are not accessed more often than it. The object.
    fn select(&self, at: u64, rng: &mut Rng, selected: &mut Vec<bool>) -> Option<usize> {
        selected.clear();
        selected.resize(self.counts.len(), false);
        let (first, weight) = self.object_at(at)?;
        selected[first] = true;
        let n = self.weights.len();
        let from = rng.below(n as u32) as usize;
        let mut room = weight;
        for &(object, theirs) in self.weights.iter().cycle().skip(from).take(n) {
            if theirs <= room.min(weight / 2) && rng.next() % weight < 2 * theirs {
                selected[object] = true;
                room -= theirs;
            }
        }
        Some(first)
    }

    /// Accesses of each entity to the selected objects.
    fn accesses(&self, selected: &[bool]) -> [u32; MAX_ENTITIES] {
        let mut sums = [0; MAX_ENTITIES];
        let rows = self.counts.iter().zip(selected);
        for (row, _) in rows.filter(|&(_, &selected)| selected) {
            for (sum, &n) in sums.iter_mut().zip(row) {
                *sum += u32::from(n);
            }
        }
        sums
    }
}

impl Surw {
    /// Equal seeds decide equally.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            spread: Spread::default(),
            profile: Profile::default(),
            selected: Vec::new(),
            left: [0; MAX_ENTITIES],
            priority: [0; MAX_ENTITIES],
            drawn: 0,
            held_back: 0,
            resting: 0,
            intended: None,
            at: 0,
            place: Place::default(),
            family: Family::default(),
        }
    }

    /// Looks who was made ready by the last step.
    fn look(&mut self, decision: &Decision<'_>) {
        let born = self.family.born(decision);
        if self.profile.runs {
            self.family.learn(born);
            return;
        }
        for child in members(born) {
            self.leave_home(child);
        }
    }

    /// What an entity has to do is no longer its parent's.
    fn leave_home(&mut self, child: EntityId) {
        let Some((parent, theirs)) = self.family.leave_home(child, &mut self.left) else {
            return;
        };
        if self.intended != Some(parent) {
            return;
        }
        match self.at.checked_sub(theirs) {
            Some(at) => self.at = at,
            None => self.intended = Some(child),
        }
    }

    fn highest(&self, candidates: EntitySet) -> EntityId {
        members(candidates)
            .max_by_key(|e| self.priority[e.index()])
            .unwrap_or(EntityId::new(0))
    }

    /// Draws who is to access a selected object next.
    fn draw_intended(&mut self, candidates: EntitySet) -> EntityId {
        let sum: u64 = members(candidates)
            .map(|e| u64::from(self.left[e.index()]))
            .sum();
        let mut at = self.spread.below(self.place, sum, &mut self.rng);
        for e in self.family.in_order(candidates) {
            let weight = u64::from(self.left[e.index()]);
            if at < weight {
                self.at = at as u32;
                return e;
            }
            at -= weight;
        }
        self.at = 0;
        self.rng.member(candidates)
    }

    /// Who retries accesses nothing new before somebody else has: the others need not wait for him.
    fn give_up(&mut self, entity: EntityId) {
        self.resting |= entity.bit();
        if self.intended == Some(entity) {
            self.held_back = 0;
            self.intended = None;
        }
    }

    fn is_selected(&self, op: Op) -> bool {
        object(op).is_some_and(|object| self.selected.get(object) == Some(&true))
    }

    /// Decides whose order is sampled in this execution, and how much of it.
    fn select(&mut self) {
        let sum = self.profile.sum();
        let at = self.spread.below(Place::root(0), sum, &mut self.rng);
        let first = self.profile.select(at, &mut self.rng, &mut self.selected);
        self.place = Place::root(first.map_or(0, |object| 1 + object as u64));
        self.left = self.profile.accesses(&self.selected);
        if self.rng.below(2) == 0 {
            for left in &mut self.left {
                *left = left.div_ceil(2);
            }
        }
        self.family.gather(&mut self.left);
    }
}

impl Strategy for Surw {
    fn begin(&mut self) {
        self.drawn = 0;
        self.held_back = 0;
        self.resting = 0;
        self.intended = None;
        self.family.begin();
        if self.profile.begin() {
            self.family.forget();
        }
        if self.profile.runs {
            self.selected.clear();
        } else {
            self.select();
        }
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.look(decision);
        if self.profile.runs {
            return self.rng.member(decision.candidates);
        }
        for e in members(decision.candidates & !self.drawn) {
            self.priority[e.index()] = self.rng.next();
        }
        self.drawn |= decision.candidates;
        loop {
            let mut free = decision.candidates & !self.held_back;
            if free & !self.resting != 0 {
                free &= !self.resting;
            }
            if free == 0 {
                // Whoever was intended cannot run now.
                self.held_back = 0;
                self.intended = None;
                continue;
            }
            let top = self.highest(free);
            if !self.is_selected(decision.op(top)) {
                return top;
            }
            self.left[top.index()] = self.left[top.index()].max(1);
            let intended = match self.intended {
                Some(intended) => intended,
                None => self.draw_intended(free),
            };
            self.intended = Some(intended);
            if top == intended {
                return top;
            }
            self.held_back |= top.bit();
        }
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.rng.below(n)
    }

    fn step(&mut self, step: &Step<'_>) {
        self.look(&step.decision);
        let (entity, op) = (step.picked, step.decision.op(step.picked));
        self.family.step(entity);
        if self.profile.runs {
            self.profile.step(entity, op);
        }
        self.drawn &= !entity.bit();
        if op.kind == OpKind::Yield {
            self.give_up(entity);
        } else {
            self.resting = 0;
        }
        if self.is_selected(op) {
            let left = &mut self.left[entity.index()];
            *left = left.saturating_sub(1);
            self.held_back = 0;
            self.intended = None;
            self.place = self.place.branch(entity.index() as u64);
        }
    }

    fn end(&mut self, ending: &Ending<'_>) {
        if self.profile.runs {
            self.family.arrange();
        }
        self.profile.end(ending.end);
    }

    fn wants_steps(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_used_objects_come_along_by_their_weight() {
        let profile = Profile {
            counts: vec![[0; MAX_ENTITIES]; 5],
            weights: vec![(0, 30), (1, 10), (2, 16), (3, 15), (4, 3)],
            ..Profile::default()
        };
        let weight = |object: usize| profile.weights[object].1;
        let (mut rng, mut selected, mut seen) = (Rng::new(1), Vec::new(), [0_u32; 5]);
        let mut firsts = 0;
        for _ in 0..74_000 {
            let at = rng.next() % profile.sum();
            profile.select(at, &mut rng, &mut selected);
            let set: Vec<usize> = (0..5).filter(|&object| selected[object]).collect();
            let most = set.iter().copied().max_by_key(|&object| weight(object));
            let first = most.expect("an object");
            let along = set.iter().filter(|&&object| object != first);
            let weights: Vec<u64> = along.map(|&object| weight(object)).collect();
            assert!(weights.iter().all(|w| 2 * w <= weight(first)), "{set:?}");
            assert!(weights.iter().sum::<u64>() <= weight(first), "{set:?}");
            if first == 0 {
                firsts += 1;
                set.iter().for_each(|&object| seen[object] += 1);
            }
        }
        // 30 of 74 draws; 10 of 15, never, always, 3 of 15.
        assert!((29_000..31_000).contains(&firsts), "{firsts}");
        let share = seen.map(|n| f64::from(n) / f64::from(firsts));
        assert_eq!((share[2], share[3]), (0.0, 1.0));
        assert!((share[1] - 2.0 / 3.0).abs() < 0.02, "{share:?}");
        assert!((share[4] - 0.2).abs() < 0.02, "{share:?}");
    }

    #[test]
    fn without_shared_objects_nothing_is_selected() {
        let (mut rng, mut selected) = (Rng::new(1), vec![true]);
        let first = Profile::default().select(0, &mut rng, &mut selected);
        assert_eq!(first, None);
        assert!(selected.is_empty());
    }
}
