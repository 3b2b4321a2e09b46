//! The ledger: what lockdep was told, and what that comes to: held stacks, usage bits, dependencies.

use super::statics::Statics;
use crate::story::Moment;
use ksplat_kernel::rt::{Fact, MAP_SYNC, MAP_UNCHECKED, MapContext};
use ksplat_lockdep::{UsageBit, UsageState};
use std::collections::BTreeMap;

/// A lock as lockdep was told of it: the number of its key, and which of the key's instances.
pub(super) type Map = (u64, u64);

/// An entry of a held stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) map: Map,
    /// Eight times the key, plus the subclass.
    pub(super) class: u64,
    /// Exclusive 0, shared 1, recursive 2.
    pub(super) read: u8,
    pub(super) trylock: bool,
    pub(super) checked: bool,
    /// The lock that serialises taking several of the class, as its event has it.
    pub(super) nest: u64,
    pub(super) references: u64,
    /// Bit 1: taken in a hard interrupt; bit 0: in a soft one.
    pub(super) context: u8,
    irqs_off: bool,
    pub(super) site: u64,
}

/// An acquisition, and what was held below it.
#[derive(Clone, Debug)]
pub(super) struct Acquired {
    pub(super) held: Held,
    pub(super) below: Vec<Held>,
}

/// A class got a usage bit, again or for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) class: u64,
    pub(super) bit: usize,
    pub(super) site: u64,
    pub(super) task: u64,
}

/// A lock was taken under another in the same context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) classes: (u64, u64),
    pub(super) sites: (u64, u64),
    pub(super) task: u64,
}

/// What lockdep was told last of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub(super) site: u64,
    /// Acquired by it: one, or those above a released lock anew.
    pub(super) acquired: Vec<Acquired>,
    /// A lock that it releases or lowers and that is not to be found.
    pub(super) refused: Option<Map>,
    /// What lockdep asserts and does not hold.
    pub(super) warnings: Vec<&'static str>,
    pub(super) task_exits: bool,
}

/// lockdep's share of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    pub(super) stack: Vec<Held>,
    pub(super) last: Last,
    irqs_off: bool,
    bh: u32,
    hardirq: u32,
    softirq: u32,
    reclaims: bool,
}

/// What lockdep knows, as far as a log tells.
#[derive(Clone, Debug)]
pub(super) struct Ledger<'a> {
    statics: &'a Statics,
    tasks: BTreeMap<u64, Task>,
    /// Whom a handler interrupted: it acts on the held stack of that task.
    hosts: BTreeMap<u64, u64>,
    pub(super) marks: Vec<Mark>,
    pub(super) dependencies: Vec<Dependency>,
}

const MERGED: &str = "merged";
const DEPTH_MISMATCH: &str = "curr->lockdep_depth != depth - merged";

impl Task {
    pub(super) fn context(&self) -> u8 {
        u8::from(self.hardirq != 0) << 1 | u8::from(self.softirq != 0)
    }

    /// Whether an entry stands for this lock: a counted one does for all of its class.
    fn matches(&mut self, at: usize, map: Map) -> bool {
        let held = &self.stack[at];
        if held.map == map {
            return true;
        }
        if held.references == 0 {
            return false;
        }
        if held.nest == 0 {
            self.last.warnings.push("!hlock->nest_lock");
            return false;
        }
        held.class == map.0 * 8
    }

    /// From the top down to the first change of context.
    fn find(&mut self, map: Map) -> Option<usize> {
        let context = self.stack.last()?.context;
        for at in (0..self.stack.len()).rev() {
            if self.stack[at].context != context {
                return None;
            }
            if self.matches(at, map) {
                return Some(at);
            }
        }
        None
    }
}

impl<'a> Ledger<'a> {
    pub(super) fn new(statics: &'a Statics) -> Self {
        Self {
            statics,
            tasks: BTreeMap::new(),
            hosts: BTreeMap::new(),
            marks: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    /// Whose held stack an event is about.
    pub(super) fn task_of(&self, m: &Moment) -> u64 {
        self.hosts.get(&m.entity).copied().unwrap_or(m.entity)
    }

    pub(super) fn task(&self, id: u64) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// Enters one event.
    pub(super) fn enter(&mut self, m: &Moment) {
        let fact = Fact::from_code(m.fact);
        if fact == Fact::Begins && self.statics.is_handler(m.entity as usize) {
            self.hosts.remove(&m.entity);
            if m.set != 0 {
                let host = u64::from(m.set.trailing_zeros());
                self.hosts.insert(m.entity, host);
            }
        }
        let told = matches!(
            fact,
            Fact::MapGets | Fact::MapGives | Fact::MapLowers | Fact::MapContext
        );
        if !told {
            return;
        }
        let id = self.task_of(m);
        let mut task = self.tasks.remove(&id).unwrap_or_default();
        task.last = Last {
            site: m.site,
            ..Last::default()
        };
        match fact {
            Fact::MapGets => self.gets(id, &mut task, m),
            Fact::MapGives => self.gives(id, &mut task, map_of(m)),
            Fact::MapLowers => self.lowers(id, &mut task, map_of(m)),
            _ => self.context(id, &mut task, m.set),
        }
        self.tasks.insert(id, task);
    }

    fn gets(&mut self, id: u64, task: &mut Task, m: &Moment) {
        let map = map_of(m);
        let held = Held {
            map,
            class: map.0 * 8 + (m.set >> 3 & 7) as u64,
            read: (m.set & 3) as u8,
            trylock: m.set & 4 != 0,
            checked: m.set & MAP_UNCHECKED == 0,
            nest: m.how,
            references: 0,
            context: task.context(),
            irqs_off: task.irqs_off,
            site: m.site,
        };
        self.acquire(id, task, held, m.set & MAP_SYNC != 0);
    }

    /// Acquires; true if it was only counted on the entry below.
    fn acquire(&mut self, id: u64, task: &mut Task, mut held: Held, only_touched: bool) -> bool {
        held.context = task.context();
        if let Some(top) = task.stack.last_mut()
            && held.nest != 0
            && !only_touched
            && top.class == held.class
        {
            top.references = top.references.max(1) + held.references.max(1);
            return true;
        }
        let acquired = Acquired {
            held: held.clone(),
            below: task.stack.clone(),
        };
        task.last.acquired.push(acquired);
        if held.checked {
            self.use_of(id, task, &held, only_touched);
        }
        if held.checked && !held.trylock {
            let next = (held.class, held.site);
            self.dependencies
                .extend(direct(&task.stack, held.context).map(|prev| Dependency {
                    classes: (prev.class, next.0),
                    sites: (prev.site, next.1),
                    task: id,
                }));
        }
        if !only_touched {
            task.stack.push(held);
        }
        false
    }

    fn use_of(&mut self, id: u64, task: &Task, held: &Held, only_touched: bool) {
        let blocks = !held.trylock;
        let on = !held.irqs_off && !only_touched;
        let bits = [
            (
                blocks && task.hardirq != 0,
                UsageBit::used_in(UsageState::Hardirq),
            ),
            (
                blocks && task.softirq != 0,
                UsageBit::used_in(UsageState::Softirq),
            ),
            (
                blocks && task.reclaims,
                UsageBit::used_in(UsageState::ReclaimFs),
            ),
            (on, UsageBit::enabled(UsageState::Hardirq)),
            (on && task.bh == 0, UsageBit::enabled(UsageState::Softirq)),
        ];
        for (_, bit) in bits.into_iter().filter(|(applies, _)| *applies) {
            self.mark(id, held, bit, task.last.site);
        }
    }

    fn mark(&mut self, task: u64, held: &Held, bit: UsageBit, site: u64) {
        self.marks.push(Mark {
            class: held.class,
            bit: bit.with_read(held.read != 0).index(),
            site,
            task,
        });
    }

    fn mark_held(&mut self, id: u64, task: &Task, state: UsageState) {
        for held in task.stack.iter().filter(|held| held.checked) {
            self.mark(id, held, UsageBit::enabled(state), task.last.site);
        }
    }

    fn gives(&mut self, id: u64, task: &mut Task, map: Map) {
        let Some(at) = task.find(map) else {
            task.last.refused = Some(map);
            return;
        };
        let held = &mut task.stack[at];
        held.references = held.references.saturating_sub(1);
        if held.references == 0 {
            self.acquire_anew(id, task, at, at + 1, DEPTH_MISMATCH);
        }
    }

    fn lowers(&mut self, id: u64, task: &mut Task, map: Map) {
        if task.stack.is_empty() {
            task.last.warnings.push("!depth");
            return;
        }
        let Some(at) = task.find(map) else {
            task.last.refused = Some(map);
            return;
        };
        let held = &mut task.stack[at];
        if held.read != 0 {
            task.last.warnings.push("downgrading a read lock");
        }
        (held.read, held.site) = (1, task.last.site);
        self.acquire_anew(id, task, at, at, MERGED);
    }

    /// What is on the stack from `first` on is acquired again on top of what is below `at`, in the present context.
    fn acquire_anew(
        &mut self,
        id: u64,
        task: &mut Task,
        at: usize,
        first: usize,
        asserts: &'static str,
    ) {
        let above = task.stack.split_off(at).split_off(first - at);
        let mut merged = above
            .into_iter()
            .map(|held| self.acquire(id, task, held, false))
            .collect::<Vec<bool>>()
            .into_iter();
        let first = merged.next().unwrap_or(false);
        if merged.any(|m| m) || first && asserts == MERGED {
            task.last.warnings.push(asserts);
        }
    }

    fn context(&mut self, id: u64, task: &mut Task, code: u128) {
        let Some(change) = MapContext::from_code(code) else {
            return;
        };
        match change {
            MapContext::HardirqsOff => task.irqs_off = true,
            MapContext::HardirqsOn => self.irqs_on(id, task),
            MapContext::BhDisable => task.bh += 1,
            MapContext::BhEnable => {
                task.irqs_off = true;
                task.bh = task.bh.saturating_sub(1);
                self.irqs_on(id, task);
            }
            MapContext::HardirqEnter => task.hardirq += 1,
            MapContext::HardirqExit => task.hardirq = task.hardirq.saturating_sub(1),
            MapContext::SoftirqEnter => task.softirq += 1,
            MapContext::SoftirqExit => task.softirq = task.softirq.saturating_sub(1),
            MapContext::ReclaimEnter => task.reclaims = true,
            MapContext::ReclaimLeave => task.reclaims = false,
            MapContext::HeldOverReclaim if task.irqs_off => {
                task.last.warnings.push("irqs_disabled_flags(flags)");
            }
            MapContext::HeldOverReclaim => self.mark_held(id, task, UsageState::ReclaimFs),
            MapContext::TaskExit => task.last.task_exits = true,
        }
    }

    fn irqs_on(&mut self, id: u64, task: &mut Task) {
        if !std::mem::replace(&mut task.irqs_off, false) {
            return;
        }
        if task.hardirq != 0 {
            task.last.warnings.push("lockdep_hardirq_context()");
            return;
        }
        self.mark_held(id, task, UsageState::Hardirq);
        if task.bh == 0 {
            self.mark_held(id, task, UsageState::Softirq);
        }
    }

    /// The wait types that the locks held in the present context leave to the next one.
    pub(super) fn wait_limit(&self, below: &[Held], context: u8) -> u8 {
        let (mut limit, mut absolute) = (5, false);
        let from = below.iter().rposition(|h| h.context != context);
        for held in &below[from.map_or(0, |at| at + 1)..] {
            let key = self.statics.key(held.map.0);
            match (key.inner, key.overrides) {
                (0, _) => {}
                (inner, true) => (limit, absolute) = (inner, true),
                (inner, false) => limit = limit.min(inner),
            }
        }
        if absolute {
            limit
        } else {
            limit.min(wait_context(context))
        }
    }

    /// Whether a lock that an event names is held, in whatever context.
    pub(super) fn holds_nest(below: &[Held], nest: u64) -> bool {
        let nest = nest.wrapping_sub(1);
        let (key, instance) = (nest >> 32, nest & 0xffff_ffff);
        below.iter().any(|h| {
            h.map == (key, instance) || (h.references != 0 && h.nest != 0 && h.class == key * 8)
        })
    }
}

/// What a context itself allows who waits: anything in a task; what PREEMPT_RT threads in the handlers of the model.
pub(super) const fn wait_context(context: u8) -> u8 {
    if context == 0 { 5 } else { 3 }
}

/// The locks that an acquisition on top of these depends on directly: down to the first that was not a trylock.
pub(super) fn direct(stack: &[Held], context: u8) -> impl Iterator<Item = &Held> {
    let same = stack.iter().rev().take_while(move |h| h.context == context);
    let mut done = false;
    same.filter(|h| h.checked).take_while(move |h| {
        let more = !done;
        done |= !h.trylock;
        more
    })
}

fn map_of(m: &Moment) -> Map {
    ((m.set >> 8) as u64, m.res)
}
