//! Source-DPOR with sleep sets (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014): exhaustive search of all schedules up to
//! equivalence.
//!
//! Two schedules are equivalent if they differ only in the order of independent steps. After each execution its races
//! are looked for, and those that can be reversed become branches to explore; an entity that was explored at a
//! branch sleeps below its sisters until a dependent step wakes it. Data choices ([`Strategy::choose`]) branch fully.
//!
//! An execution that stops ends there, although the entities that are not stuck could go on. Whatever these could still
//! show is explored without the step that closed the stop, so that no stop and no broken invariant is lost; what
//! differs only in how far the innocent got before a stop is not explored. Reports of a validator that looks at the
//! order of *all* acquisitions are complete up to which report of a cycle comes first.
//!
//! Sound if shared state is only touched by steps that announce the object or hold its lock, or by waits, which may look
//! at anything.

mod bounded;
mod foot;
mod trace;

pub use bounded::Bounded;
use foot::{Dependence, Foot};
use ksplat_kernel::rt::{
    Decision, End, Ending, EntityId, EntitySet, Machine, Op, OpKind, Standing, Step, Strategy,
    members,
};
use std::fmt;
use trace::{Event, Reversal, Trace};

/// Explores all schedules up to equivalence, one representative of each class and few redundant ones.
#[derive(Clone, Debug)]
pub struct Dpor {
    dependence: Dependence,
    stack: Vec<Node>,
    /// Nodes of the stack that the current execution has passed.
    depth: usize,
    trace: Trace,
    /// Where the machine stood when the running step began.
    from: Standing,
    running: Option<Running>,
    /// Everybody who could run was asleep: what follows has been seen in another order.
    asleep: bool,
    /// Those who could not run then, and what they stood before.
    blocked: Vec<(EntityId, Op)>,
    reversals: Vec<Reversal>,
    learnt: bool,
    done: bool,
    coverage: Coverage,
}

/// The step that is being executed, its footprint not known yet.
#[derive(Clone, Copy, Debug)]
struct Running {
    entity: EntityId,
    op: Op,
    candidates: EntitySet,
    /// Its place in the stack.
    node: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Sched(Sched),
    Choice { value: u32, n: u32 },
}

/// A state in which somebody was chosen.
#[derive(Clone, Debug)]
struct Sched {
    candidates: EntitySet,
    chosen: EntityId,
    /// Who has to be explored here, the chosen one included.
    backtrack: EntitySet,
    /// Who need not be explored here, because all that follows was or will be seen elsewhere; with their step.
    sleep: Vec<(EntityId, Foot)>,
    /// Step of the chosen entity: all its variants so far.
    foot: Option<Foot>,
    /// Number of events before this state.
    event: usize,
    /// Branches that have been explored.
    explored: u32,
}

impl Sched {
    fn sleeping(&self) -> EntitySet {
        self.sleep.iter().fold(0, |set, (e, _)| set | e.bit())
    }
}

/// What an exhaustive search has covered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Executions made.
    pub executions: u64,
    /// Executions that turned out to be equivalent to others.
    pub redundant: u64,
    /// Executions that ended at the step limit or with an internal fault: what follows there was not seen.
    pub cut: u64,
    /// Nothing is left to explore.
    pub complete: bool,
    /// Schedules with more preemptions than this were left out.
    pub preemptions: Option<u32>,
    /// Estimated share of the search that is done, from 0 to 1: each branch counts as much as its sisters, including
    /// those known to be left.
    pub share: f64,
}

impl Coverage {
    /// Whether all schedules with so many preemptions were seen, up to equivalence.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        self.complete && self.cut == 0 && self.preemptions.is_some()
    }

    /// Whether all schedules were seen, up to equivalence and without a bound.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.complete && self.cut == 0 && self.preemptions.is_none()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.executions;
        let which = match self.preemptions {
            None => "all schedules up to equivalence".to_owned(),
            Some(bound) => {
                let s = if bound == 1 { "" } else { "s" };
                format!("all schedules with at most {bound} preemption{s}, up to equivalence")
            }
        };
        if self.complete && self.cut == 0 {
            return write!(f, "{which}, in {n} executions");
        }
        if self.complete {
            let cut = self.cut;
            return write!(
                f,
                "{which} and the step limit, in {n} executions of which {cut} met it"
            );
        }
        let percent = self.share * 100.0;
        write!(
            f,
            "stopped after {n} executions, about {percent:.2} % of the search"
        )
    }
}

impl Dpor {
    /// A search through the schedules of this machine. What runs on it must be the same in every execution.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        Self {
            dependence: Dependence::new(machine),
            stack: Vec::new(),
            depth: 0,
            trace: Trace::new(machine.entities().len()),
            from: Standing::default(),
            running: None,
            asleep: false,
            blocked: Vec::new(),
            reversals: Vec::new(),
            learnt: false,
            done: false,
            coverage: Coverage::default(),
        }
    }

    /// Whether [`World::check`](ksplat_kernel::rt::World::check) may depend on the order of steps that touch different
    /// objects (it may, unless told otherwise). If not, steps that touch what it looks at are not taken for dependent.
    #[must_use]
    pub const fn checks_observe(mut self, observe: bool) -> Self {
        self.dependence.checks_observe = observe;
        self
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
        let (entity, op) = (running.entity, running.op);
        let (foot, learnt) = self.dependence.executed(entity, op, self.from, state, next);
        self.learnt |= learnt;
        if let Node::Sched(node) = &mut self.stack[running.node] {
            node.foot = Some(node.foot.map_or(foot, |known| known.or(foot)));
            if self.trace.events.len() == node.event {
                self.trace.events.push(Event {
                    entity: running.entity,
                    foot,
                    candidates: running.candidates,
                    allowed: self.from.allowed,
                });
            }
        }
    }

    /// The state that follows the last scheduling node: who sleeps there.
    fn sleepers(&self) -> Vec<(EntityId, Foot)> {
        let last = self.stack.iter().rev().find_map(|n| match n {
            Node::Sched(node) => Some(node),
            Node::Choice { .. } => None,
        });
        let Some((node, foot)) = last.and_then(|n| n.foot.as_ref().map(|f| (n, f))) else {
            return Vec::new();
        };
        let awake = |(e, f): &&(EntityId, Foot)| {
            !self.dependence.depends(*e, f, node.chosen, foot) && !foot.changes(*e)
        };
        node.sleep.iter().filter(awake).copied().collect()
    }

    /// Who goes on, among at least one candidate.
    fn next(&mut self, decision: &Decision<'_>) -> EntityId {
        self.finish_step(*decision.state, decision.next);
        self.from = *decision.state;
        if self.asleep {
            return decision.nth(0);
        }
        if self.depth == self.stack.len() && !self.push(decision) {
            self.fall_asleep(decision);
            return decision.nth(0);
        }
        let at = self.depth;
        self.depth += 1;
        let Node::Sched(node) = &self.stack[at] else {
            return decision.nth(0);
        };
        self.running = Some(Running {
            entity: node.chosen,
            op: decision.op(node.chosen),
            candidates: decision.candidates,
            node: at,
        });
        node.chosen
    }

    /// Nothing new follows; only what the blocked stand before is still to be compared with what happened.
    fn fall_asleep(&mut self, decision: &Decision<'_>) {
        self.asleep = true;
        self.coverage.redundant += 1;
        let blocked = decision.state.live & !decision.candidates;
        self.note_blocked(blocked, *decision.state, decision.next);
    }

    fn note_blocked(&mut self, set: EntitySet, state: Standing, next: &[Op]) {
        self.blocked.clear();
        for e in members(set) {
            let op = next[e.index()];
            // A waiter that nobody wakes and an interrupt that does not fire could do nothing earlier either.
            let rests = matches!(op.kind, OpKind::Wait | OpKind::Start);
            if !rests || state.ready & e.bit() != 0 {
                self.blocked.push((e, op));
            }
        }
    }

    /// A state not seen before; false if everybody who could run is asleep.
    fn push(&mut self, decision: &Decision<'_>) -> bool {
        let sleep = self.sleepers();
        let awake = sleep
            .iter()
            .fold(decision.candidates, |set, (e, _)| set & !e.bit());
        let Some(chosen) = decision.in_order().find(|e| awake & e.bit() != 0) else {
            return false;
        };
        self.stack.push(Node::Sched(Sched {
            candidates: decision.candidates,
            chosen,
            backtrack: chosen.bit(),
            sleep,
            foot: None,
            event: self.trace.events.len(),
            explored: 0,
        }));
        true
    }

    /// Every race of the execution becomes a branch where it could have gone the other way.
    fn add_branches(&mut self, from: usize, ending: &Ending<'_>) {
        let mut found = std::mem::take(&mut self.reversals);
        found.clear();
        self.trace.analyse(from, &self.dependence, &mut found);
        if !self.asleep {
            self.note_blocked(ending.state.live, ending.state, ending.next);
        }
        for &(e, op) in &self.blocked {
            self.trace
                .analyse_pending(e, &Foot::pending(op), &self.dependence, &mut found);
        }
        // Ascending, so that one walk over the stack finds the states.
        found.sort_by_key(|r| r.at);
        let mut nodes = self.stack.iter_mut().filter_map(|n| match n {
            Node::Sched(node) => Some(node),
            Node::Choice { .. } => None,
        });
        let mut node = nodes.next();
        for r in &found {
            while node.as_ref().is_some_and(|n| n.event < r.at) {
                node = nodes.next();
            }
            let Some(node) = &mut node else {
                break;
            };
            if r.initials & node.backtrack == 0 {
                let racer = r.initials & r.racer.bit();
                node.backtrack |= if racer != 0 {
                    racer
                } else {
                    r.initials & r.initials.wrapping_neg()
                };
            }
        }
        self.reversals = found;
    }

    /// After a stop, the others are to be seen going on without the step that closed it.
    fn go_on_without_stop(&mut self) {
        let last = self.stack.iter_mut().rev().find_map(|n| match n {
            Node::Sched(node) => Some(node),
            Node::Choice { .. } => None,
        });
        if let Some(node) = last {
            node.backtrack |= node.candidates;
        }
    }

    /// Goes to the next branch, deepest first.
    fn backtrack(&mut self) {
        while let Some(top) = self.stack.last_mut() {
            match top {
                Node::Choice { value, n } if *value + 1 < *n => {
                    *value += 1;
                    self.trace.truncate(events_before(&self.stack));
                    return;
                }
                Node::Choice { .. } => {}
                Node::Sched(node) => {
                    let foot = node.foot.take();
                    node.sleep.push((
                        node.chosen,
                        foot.unwrap_or(Foot::pending(Op::bare(OpKind::Yield))),
                    ));
                    node.explored += 1;
                    let left = node.backtrack & node.candidates & !node.sleeping();
                    if let Some(next) = members(left).next() {
                        node.chosen = next;
                        let event = node.event;
                        self.trace.truncate(event);
                        return;
                    }
                }
            }
            self.stack.pop();
        }
        self.trace.truncate(0);
        self.done = true;
    }

    /// A lock turned out to be taken shared, so that steps taken for independent are not: from the beginning.
    fn restart(&mut self) {
        self.stack.clear();
        self.trace.truncate(0);
    }

    fn estimate(&self) -> f64 {
        if self.done {
            return 1.0;
        }
        share(self.stack.iter().map(|node| match node {
            Node::Choice { value, n } => (*value, *n),
            Node::Sched(node) => {
                let left = node.backtrack & node.candidates & !node.sleeping();
                (node.explored, node.explored + left.count_ones().max(1))
            }
        }))
    }
}

/// See [`Coverage::share`]: of the branches explored, and of all that are known, from the first node on.
fn share(nodes: impl Iterator<Item = (u32, u32)>) -> f64 {
    let (mut share, mut weight) = (0.0, 1.0);
    for (explored, branches) in nodes {
        weight /= f64::from(branches);
        share += weight * f64::from(explored);
    }
    share
}

/// Number of events before the step in which the last node of the stack, a data choice, happens.
fn events_before(stack: &[Node]) -> usize {
    let last = stack.iter().rev().find_map(|n| match n {
        Node::Sched(node) => Some(node.event),
        Node::Choice { .. } => None,
    });
    last.unwrap_or(0)
}

impl Strategy for Dpor {
    fn begin(&mut self) {
        self.depth = 0;
        self.running = None;
        self.asleep = false;
        self.learnt = false;
        self.coverage.executions += 1;
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        self.next(decision)
    }

    fn choose(&mut self, n: u32) -> u32 {
        if self.asleep {
            return 0;
        }
        let at = self.depth;
        self.depth += 1;
        match self.stack.get(at) {
            Some(Node::Choice { value, .. }) => *value,
            Some(Node::Sched(_)) => 0,
            None => {
                self.stack.push(Node::Choice { value: 0, n });
                0
            }
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        if step.decision.len() == 1 {
            self.next(&step.decision);
        }
    }

    fn end(&mut self, ending: &Ending<'_>) {
        let from = self.trace.clocks_known();
        self.finish_step(ending.state, ending.next);
        if self.learnt {
            self.restart();
            return;
        }
        self.add_branches(from, ending);
        match ending.end {
            End::Stopped if !self.asleep => self.go_on_without_stop(),
            End::StepLimit | End::Internal => self.coverage.cut += 1,
            End::Stopped | End::Completed => {}
        }
        self.backtrack();
        self.coverage.complete = self.done;
        self.coverage.share = self.estimate();
    }

    fn wants_steps(&self) -> bool {
        true
    }

    fn finished(&self) -> bool {
        self.done
    }
}
