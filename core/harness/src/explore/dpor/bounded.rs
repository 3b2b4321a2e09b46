//! Exhaustive search of all schedules with at most so many preemptions, up to equivalence.
//!
//! A reduction that looks for races loses schedules under such a bound: the execution that would show a race can lie
//! beyond the bound although its reversal does not (Coons, Musuvathi, McKinley, OOPSLA 2013), and the same goes for sleep
//! sets. So nothing here is inferred from races. Every choice within the bound is made, but for one thing: a prefix of a
//! schedule that is equivalent to one that was gone on from before, with the same entity running and no more preemptions
//! used up, leads to the same state with the same choices, and is not gone on from again (Musuvathi, Qadeer, PLDI 2007).
//! That rests on nothing but that independent steps commute.
//!
//! A preemption is a switch away from an entity that could go on, an interrupt's arrival included, but not where the
//! entity gives way by itself (`cond_resched`, `msleep`).

use super::foot::Dependence;
use super::trace::{Event, Trace};
use super::{Coverage, share};
use ksplat_kernel::rt::{
    Decision, End, Ending, EntityId, EntitySet, Machine, Op, OpKind, Standing, Step, Strategy,
    members,
};
use std::collections::HashMap;

/// Explores all schedules with at most so many preemptions, up to equivalence.
#[derive(Clone, Debug)]
pub struct Bounded {
    bound: u32,
    dependence: Dependence,
    stack: Vec<Node>,
    /// Nodes of the stack that the current execution has passed.
    depth: usize,
    trace: Trace,
    /// For each event, how many of its entity came before it.
    nth: Vec<u32>,
    /// What stands for the events up to each, in whatever order of independent ones.
    keys: Vec<Key>,
    /// For what was gone on from, by events and running entity: the fewest preemptions used up.
    seen: HashMap<(Key, Option<EntityId>), u32>,
    from: Standing,
    running: Option<Running>,
    /// What follows has been seen.
    known: bool,
    learnt: bool,
    /// The bound kept a choice from being made.
    refused: bool,
    done: bool,
    coverage: Coverage,
}

type Key = (u64, u64);

/// The step that is being executed.
#[derive(Clone, Copy, Debug)]
struct Running {
    entity: EntityId,
    op: Op,
    candidates: EntitySet,
    /// Number of events before it.
    event: usize,
    /// The data choices made in it.
    choices: u64,
}

#[derive(Clone, Debug)]
enum Node {
    Sched {
        chosen: EntityId,
        /// Who is still to be chosen here.
        left: EntitySet,
        explored: u32,
        /// Whom it takes a preemption not to choose.
        current: Option<EntityId>,
        /// Preemptions before it.
        used: u32,
        /// Number of events before it.
        event: usize,
    },
    Choice {
        value: u32,
        n: u32,
    },
}

impl Bounded {
    /// A search through the schedules of this machine with at most `preemptions`. What runs on it must be the same in
    /// every execution.
    #[must_use]
    pub fn new(machine: &Machine, preemptions: u32) -> Self {
        Self {
            bound: preemptions,
            dependence: Dependence::new(machine),
            stack: Vec::new(),
            depth: 0,
            trace: Trace::new(machine.entities().len()),
            nth: Vec::new(),
            keys: Vec::new(),
            seen: HashMap::new(),
            from: Standing::default(),
            running: None,
            known: false,
            learnt: false,
            refused: false,
            done: false,
            coverage: Coverage::default(),
        }
    }

    /// What was covered so far.
    #[must_use]
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The running step is over: its footprint is known.
    fn finish_step(&mut self, state: Standing, next: &[Op]) {
        let Some(running) = self.running.take() else {
            return;
        };
        if self.trace.events.len() != running.event {
            return;
        }
        let (entity, op) = (running.entity, running.op);
        let (foot, learnt) = self.dependence.executed(entity, op, self.from, state, next);
        self.learnt |= learnt;
        self.trace.events.push(Event {
            entity,
            foot,
            candidates: running.candidates,
            allowed: self.from.allowed,
        });
        self.trace.note_last(&self.dependence);
        self.name_last(running.choices);
    }

    /// Works out what stands for the events so far: the sum of what stands for each, which is who did it, what was
    /// chosen in it, and which events of others happened before it.
    fn name_last(&mut self, choices: u64) {
        let at = self.trace.events.len() - 1;
        let entity = self.trace.events[at].entity;
        let before = self.trace.events[..at]
            .iter()
            .rposition(|e| e.entity == entity);
        self.nth.truncate(at);
        self.nth.push(before.map_or(0, |b| self.nth[b] + 1));
        let mut hash = [choices, !choices];
        let mut add = |word: u64| {
            for (h, factor) in hash.iter_mut().zip(FACTORS) {
                *h = (*h ^ word).wrapping_mul(factor);
                *h ^= *h >> 29;
            }
        };
        add(entity.index() as u64);
        for (of, &last) in self.trace.clock(at).iter().enumerate() {
            let count = match last {
                0 => 0,
                last => u64::from(self.nth[last as usize - 1]) + 1,
            };
            add((of as u64) << 32 | count);
        }
        self.keys.truncate(at);
        let (a, b) = self.keys.last().copied().unwrap_or_default();
        self.keys
            .push((a.wrapping_add(hash[0]), b.wrapping_add(hash[1])));
    }

    /// Who goes on, among at least one candidate.
    fn next(&mut self, decision: &Decision<'_>) -> EntityId {
        self.finish_step(*decision.state, decision.next);
        self.from = *decision.state;
        if self.known {
            return decision.nth(0);
        }
        if self.depth == self.stack.len() && !self.push(decision) {
            self.known = true;
            self.coverage.redundant += 1;
            return decision.nth(0);
        }
        let at = self.depth;
        self.depth += 1;
        let Node::Sched { chosen, event, .. } = self.stack[at] else {
            return decision.nth(0);
        };
        self.running = Some(Running {
            entity: chosen,
            op: decision.op(chosen),
            candidates: decision.candidates,
            event,
            choices: 0,
        });
        chosen
    }

    /// A state not gone on from before; false if it was, with no fewer preemptions left.
    fn push(&mut self, decision: &Decision<'_>) -> bool {
        let used = self.used();
        let gives_way = |c: &EntityId| decision.op(*c).kind == OpKind::Yield;
        let current = decision.current.filter(|c| !gives_way(c));
        let event = self.trace.events.len();
        let is_open = decision.len() > 1;
        if is_open && !self.is_new(event, current, used) {
            return false;
        }
        let mut may = decision.candidates;
        if let Some(c) = current.filter(|_| used == self.bound) {
            self.refused |= is_open;
            may = c.bit();
        }
        let chosen = decision.in_order().find(|e| may & e.bit() != 0);
        let chosen = chosen.unwrap_or(decision.nth(0));
        self.stack.push(Node::Sched {
            chosen,
            left: may & !chosen.bit(),
            explored: 0,
            current,
            used,
            event,
        });
        true
    }

    /// Preemptions used up when the step after the last node begins.
    fn used(&self) -> u32 {
        let last = self.stack.iter().rev().find_map(|n| match n {
            Node::Sched {
                chosen,
                current,
                used,
                ..
            } => Some(used + u32::from(current.is_some_and(|c| c != *chosen))),
            Node::Choice { .. } => None,
        });
        last.unwrap_or(0)
    }

    /// Whether nothing equivalent was gone on from with as few preemptions; notes it.
    fn is_new(&mut self, events: usize, current: Option<EntityId>, used: u32) -> bool {
        let key = match events {
            0 => Key::default(),
            n => self.keys[n - 1],
        };
        match self.seen.get_mut(&(key, current)) {
            Some(fewest) if *fewest <= used => false,
            Some(fewest) => {
                *fewest = used;
                true
            }
            None => {
                self.seen.insert((key, current), used);
                true
            }
        }
    }

    /// Goes to the next choice, deepest first.
    fn backtrack(&mut self) {
        while let Some(top) = self.stack.last_mut() {
            match top {
                Node::Choice { value, n } if *value + 1 < *n => {
                    *value += 1;
                    let step = self.stack.iter().rev().find_map(|n| match n {
                        Node::Sched { event, .. } => Some(*event),
                        Node::Choice { .. } => None,
                    });
                    self.trace.truncate(step.unwrap_or(0));
                    return;
                }
                Node::Sched {
                    chosen,
                    left,
                    explored,
                    event,
                    ..
                } if *left != 0 => {
                    if let Some(next) = members(*left).next() {
                        *chosen = next;
                        *left &= !next.bit();
                    }
                    *explored += 1;
                    let event = *event;
                    self.trace.truncate(event);
                    return;
                }
                Node::Choice { .. } | Node::Sched { .. } => {}
            }
            self.stack.pop();
        }
        self.done = true;
    }

    /// A lock turned out to be taken shared, so that steps taken for independent are not: from the beginning.
    fn restart(&mut self) {
        self.stack.clear();
        self.seen.clear();
        self.trace.truncate(0);
        self.refused = false;
    }

    fn estimate(&self) -> f64 {
        if self.done {
            return 1.0;
        }
        share(self.stack.iter().map(|node| match node {
            Node::Choice { value, n } => (*value, *n),
            Node::Sched { left, explored, .. } => (*explored, explored + 1 + left.count_ones()),
        }))
    }
}

const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd134_2543_de82_ef95];

impl Strategy for Bounded {
    fn begin(&mut self) {
        self.depth = 0;
        self.running = None;
        self.known = false;
        self.learnt = false;
        self.coverage.executions += 1;
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.next(decision)
    }

    fn choose(&mut self, n: u32) -> u32 {
        if self.known {
            return 0;
        }
        let at = self.depth;
        self.depth += 1;
        let value = match self.stack.get(at) {
            Some(Node::Choice { value, .. }) => *value,
            Some(Node::Sched { .. }) => 0,
            None => {
                self.stack.push(Node::Choice { value: 0, n });
                0
            }
        };
        if let Some(running) = &mut self.running {
            running.choices = (running.choices ^ u64::from(value + 1)).wrapping_mul(FACTORS[0]);
        }
        value
    }

    fn step(&mut self, step: &Step<'_>) {
        if step.decision.len() == 1 {
            self.next(&step.decision);
        }
    }

    fn end(&mut self, ending: &Ending<'_>) {
        self.finish_step(ending.state, ending.next);
        if self.learnt {
            self.restart();
            return;
        }
        if matches!(ending.end, End::StepLimit | End::Internal) {
            self.coverage.cut += 1;
        }
        self.backtrack();
        self.coverage.complete = self.done;
        self.coverage.preemptions = self.refused.then_some(self.bound);
        self.coverage.share = self.estimate();
    }

    fn wants_steps(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        self.done
    }
}
