//! The books: who holds, asks for and waits for what, and who has which CPU, rebuilt from a log.

use super::Rejection;
use super::statics::Statics;
use crate::story::Moment;
use ksplat_kernel::rt::{EntityKind, EntitySet, Fact, Quantity};
use std::collections::BTreeMap;

/// Number of no resource in an event.
pub(super) const NONE: u64 = u32::MAX as u64;

/// A wait that a log began and did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) res: u64,
    /// Tens: spin, sleep, idle. Units: whom it needs.
    pub(super) how: u64,
    pub(super) set: EntitySet,
    /// Somebody woke it since.
    pub(super) woken: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entity {
    pub(super) busy: bool,
    pub(super) ended: bool,
    pub(super) pending: u64,
    pub(super) wait: Option<Waiting>,
    /// A lock it stands before, and how it wants it.
    pub(super) asks: Option<(u64, u128)>,
    pub(super) atomic: bool,
    pub(super) irqs_off: bool,
    pub(super) bh_off: bool,
    /// Number of the event at which its outermost RCU section began.
    pub(super) reads: Option<usize>,
    /// Number of the event at which the grace period began that it waits for.
    pub(super) grace: Option<usize>,
    /// Whom it interrupts, if it is a handler.
    host: Option<usize>,
    /// The hold that it gave back last without having it, and as what.
    pub(super) lacks: Option<(u64, u128)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    pub(super) writer: Option<usize>,
    pub(super) readers: BTreeMap<usize, u32>,
}

#[derive(Clone, Debug, Default)]
struct Cpu {
    curr: Option<usize>,
    handlers: Vec<usize>,
}

/// State of a machine as its log tells it.
#[derive(Clone, Debug)]
pub struct Books<'a> {
    pub(super) statics: &'a Statics,
    pub(super) entities: Vec<Entity>,
    locks: BTreeMap<u64, Lock>,
    cpus: BTreeMap<u8, Cpu>,
    /// By quantity, resource and, where that is none, entity or CPU.
    quantities: BTreeMap<(u64, u64, u64), i64>,
    /// Numbers of the events at which grace periods of callbacks began.
    pub(super) graces: Vec<usize>,
    events: usize,
}

impl<'a> Books<'a> {
    /// The books before anything happened.
    #[must_use]
    pub fn new(statics: &'a Statics) -> Self {
        let entities = statics.entities.iter().map(|e| Entity {
            pending: u64::from(e.times),
            ..Entity::default()
        });
        Self {
            statics,
            entities: entities.collect(),
            locks: BTreeMap::new(),
            cpus: BTreeMap::new(),
            quantities: BTreeMap::new(),
            graces: Vec::new(),
            events: 0,
        }
    }

    /// The books after a whole log.
    ///
    /// # Errors
    /// The first event that cannot have happened.
    pub fn of(statics: &'a Statics, moments: &[Moment]) -> Result<Self, Rejection> {
        let mut books = Self::new(statics);
        for (number, m) in moments.iter().enumerate() {
            books
                .enter(m)
                .map_err(|why| Rejection(format!("event {}: {why}", number + 1)))?;
        }
        Ok(books)
    }

    /// Enters one event.
    ///
    /// # Errors
    /// Why it cannot have happened.
    pub fn enter(&mut self, m: &Moment) -> Result<(), String> {
        self.events += 1;
        let id = m.entity as usize;
        if id >= self.entities.len() {
            return Err(format!("there is no entity {id}"));
        }
        // The machine's verdict, which is what is to be checked.
        if m.kind == "stop" {
            return Ok(());
        }
        let fact = Fact::from_code(m.fact);
        if fact == Fact::Runs {
            return self.runs(id);
        }
        self.may_act(id, fact)?;
        self.entities[id].atomic = m.atomic;
        self.entities[id].irqs_off = m.irqs_off;
        self.entities[id].bh_off = m.bh_off;
        match fact {
            Fact::Begins => self.begins(id, m.set)?,
            Fact::Ends => self.ends(id)?,
            Fact::Asks => self.entities[id].asks = Some((m.res, m.set)),
            Fact::Gets => self.gets(id, m.res, m.set)?,
            Fact::Gives => self.gives(id, m.res, m.set)?,
            Fact::Lowers => self.lowers(id, m.res)?,
            Fact::Waits => self.waits(id, m)?,
            Fact::Goes => self.entities[id].wait = None,
            Fact::Wakes => self.wakes(m.res),
            Fact::Raises => self.raises(m.set)?,
            Fact::Calms => self.calms(m.set),
            Fact::Counts => self.counts(id, m),
            Fact::Reads => self.entities[id].reads = Some(self.events),
            Fact::ReadsNot => self.entities[id].reads = None,
            Fact::GraceBegins if m.set == 0 => self.entities[id].grace = Some(self.events),
            Fact::GraceBegins => self.graces.push(self.events),
            Fact::Lacks => self.entities[id].lacks = Some((m.res, m.set)),
            _ => {}
        }
        Ok(())
    }

    /// Only an entity that has a CPU and does not wait does anything.
    fn may_act(&self, id: usize, fact: Fact) -> Result<(), String> {
        let e = &self.entities[id];
        let name = self.statics.entity(id);
        // What must hold after every step is looked at when the end was the last one.
        if e.ended && fact != Fact::Breaks {
            return Err(format!("{name} acts after its end"));
        }
        // What must hold after every step is looked at when a wait has just begun.
        let still = !matches!(fact, Fact::Goes | Fact::Breaks);
        if let Some(wait) = e.wait.filter(|_| still) {
            return Err(format!(
                "{name} acts while it waits for {}",
                self.statics.resource(wait.res)
            ));
        }
        if let Some(other) = self.has_cpu(id) {
            return Err(format!(
                "{name} acts while {} has its CPU",
                self.statics.entity(other)
            ));
        }
        Ok(())
    }

    /// Somebody else who has the entity's CPU.
    fn has_cpu(&self, id: usize) -> Option<usize> {
        let cpu = self.cpus.get(&self.statics.entities[id].cpu)?;
        let holder = cpu.handlers.last().copied().or(cpu.curr)?;
        (holder != id && !cpu.handlers.contains(&id)).then_some(holder)
    }

    /// The entity gets its CPU, if whoever had it lets go.
    fn runs(&mut self, id: usize) -> Result<(), String> {
        if let Some(obstacle) = self.obstacle(id) {
            return Err(format!(
                "{} gets the CPU that {} keeps",
                self.statics.entity(id),
                self.statics.entity(obstacle)
            ));
        }
        let handler = self.statics.is_handler(id);
        let cpu = self.cpus.entry(self.statics.entities[id].cpu).or_default();
        if !handler {
            cpu.curr = Some(id);
        } else if !cpu.handlers.contains(&id) {
            cpu.handlers.push(id);
        }
        Ok(())
    }

    /// Who has to leave the CPU before the entity can have it.
    pub(super) fn obstacle(&self, id: usize) -> Option<usize> {
        if let Some(spinner) = self.outranked(id) {
            return Some(spinner);
        }
        let cpu = self.cpus.get(&self.statics.entities[id].cpu)?;
        let handler = self.statics.is_handler(id);
        if let Some(&top) = cpu.handlers.last() {
            let hardirq = handler && self.statics.entities[id].kind == EntityKind::HardIrq;
            let nests = hardirq && !cpu.handlers.contains(&id) && !self.entities[top].irqs_off;
            return (top != id && !nests).then_some(top);
        }
        let curr = cpu.curr.filter(|&c| c != id)?;
        let e = &self.entities[curr];
        let keeps = if handler {
            let softirq = self.statics.entities[id].kind == EntityKind::SoftIrq;
            e.irqs_off || softirq && e.bh_off
        } else {
            e.atomic || e.irqs_off
        };
        keeps.then_some(curr)
    }

    /// A spinner of higher priority on the entity's CPU.
    fn outranked(&self, id: usize) -> Option<usize> {
        if self.statics.is_handler(id) {
            return None;
        }
        let mine = self.prio(id);
        let cpu = self.statics.entities[id].cpu;
        let spins = |e: &Entity| e.wait.is_some_and(|w| w.how < 10 && !w.woken);
        (0..self.entities.len()).find(|&s| {
            s != id
                && !self.entities[s].ended
                && !self.statics.is_handler(s)
                && self.statics.entities[s].cpu == cpu
                && spins(&self.entities[s])
                && self.prio(s) > mine
        })
    }

    /// The priority in force: waiters for a lock with priority inheritance lend theirs to who holds it.
    fn prio(&self, id: usize) -> u8 {
        let mut heirs: EntitySet = 1 << id;
        loop {
            let lends = |e: &Entity| {
                let wait = e.wait.filter(|w| w.how == 10);
                wait.is_some_and(|w| self.boosts(w.res) && self.holders(w.res) & heirs != 0)
            };
            let all = self.entities.iter().enumerate();
            let more = all
                .filter(|(_, e)| !e.ended && lends(e))
                .fold(heirs, |s, (i, _)| s | 1 << i);
            if more == heirs {
                break;
            }
            heirs = more;
        }
        let all = self.statics.entities.iter().enumerate();
        all.filter(|(i, _)| heirs & 1 << i != 0)
            .map(|(_, e)| e.prio)
            .max()
            .unwrap_or(0)
    }

    fn boosts(&self, res: u64) -> bool {
        let res = usize::try_from(res).ok();
        res.and_then(|r| self.statics.resources.get(r))
            .is_some_and(|r| r.boosts)
    }

    fn begins(&mut self, id: usize, over: EntitySet) -> Result<(), String> {
        let irq = self.statics.entities[id].kind == EntityKind::HardIrq;
        let softirq = self.statics.entities[id].kind == EntityKind::SoftIrq;
        let e = &mut self.entities[id];
        if e.busy {
            return Err(format!("{} begins twice", self.statics.entity(id)));
        }
        if irq && e.pending == 0 {
            return Err(format!(
                "{} fires without being raised",
                self.statics.entity(id)
            ));
        }
        e.busy = true;
        e.host = (over != 0).then_some(over.trailing_zeros() as usize);
        e.pending = if softirq {
            0
        } else {
            e.pending.saturating_sub(u64::from(irq))
        };
        Ok(())
    }

    fn ends(&mut self, id: usize) -> Result<(), String> {
        let e = &mut self.entities[id];
        if !e.busy {
            return Err(format!(
                "{} ends without having begun",
                self.statics.entity(id)
            ));
        }
        e.busy = false;
        e.ended = !self.statics.is_raised(id);
        (e.atomic, e.irqs_off, e.bh_off) = (false, false, false);
        let cpu = self.cpus.entry(self.statics.entities[id].cpu).or_default();
        if cpu.handlers.last() == Some(&id) {
            cpu.handlers.pop();
        } else if cpu.curr == Some(id) {
            cpu.curr = None;
        }
        Ok(())
    }

    pub(super) fn lock(&self, res: u64) -> Option<&Lock> {
        self.locks.get(&res)
    }

    /// Writers that wait for a lock: readers that come later stay behind them.
    pub(super) fn queued_writers(&self, res: u64) -> impl Iterator<Item = usize> {
        let waits =
            move |e: &Entity| e.asks == Some((res, 0)) && e.wait.is_some_and(|w| w.res == res);
        let all = self.entities.iter().enumerate();
        all.filter(move |(_, e)| waits(e)).map(|(id, _)| id)
    }

    /// Whether the entity holds a lock to write (0), or to read.
    pub(super) fn holds_so(&self, id: usize, res: u64, mode: u128) -> bool {
        self.lock(res).is_some_and(|lock| match mode {
            0 => lock.writer == Some(id),
            _ => lock.readers.contains_key(&id),
        })
    }

    /// Whether a sequence is being written.
    pub(super) fn writes_sequence(&self) -> bool {
        let all = self.statics.resources.iter().zip(0u64..);
        let mut sequences = all.filter(|(r, _)| r.sequence);
        sequences.any(|(_, res)| self.holders(res) != 0)
    }

    /// Who holds a lock.
    pub(super) fn holders(&self, res: u64) -> EntitySet {
        let Some(lock) = self.locks.get(&res) else {
            return 0;
        };
        let readers = lock.readers.keys().copied();
        lock.writer
            .into_iter()
            .chain(readers)
            .fold(0, |s, h| s | 1 << h)
    }

    fn gets(&mut self, id: usize, res: u64, mode: u128) -> Result<(), String> {
        let holders = self.holders(res);
        let lock = self.locks.entry(res).or_default();
        let free = if mode == 0 {
            holders == 0
        } else {
            lock.writer.is_none()
        };
        if !free {
            return Err(format!(
                "{} gets {}, which is held",
                self.statics.entity(id),
                self.statics.resource(res)
            ));
        }
        if mode == 0 {
            lock.writer = Some(id);
        } else {
            *lock.readers.entry(id).or_default() += 1;
        }
        self.entities[id].asks = None;
        Ok(())
    }

    fn gives(&mut self, id: usize, res: u64, mode: u128) -> Result<(), String> {
        let lock = self.locks.entry(res).or_default();
        let held = if mode == 0 {
            lock.writer.take_if(|w| *w == id).is_some()
        } else {
            match lock.readers.get_mut(&id) {
                Some(n) if *n > 1 => {
                    *n -= 1;
                    true
                }
                Some(_) => lock.readers.remove(&id).is_some(),
                None => false,
            }
        };
        if held {
            return Ok(());
        }
        Err(format!(
            "{} gives back {}, which it does not hold",
            self.statics.entity(id),
            self.statics.resource(res)
        ))
    }

    fn lowers(&mut self, id: usize, res: u64) -> Result<(), String> {
        self.gives(id, res, 0)?;
        self.gets(id, res, 1)
    }

    fn waits(&mut self, id: usize, m: &Moment) -> Result<(), String> {
        let holders = self.holders(m.res);
        let lock = self.entities[id].asks.is_some_and(|(res, _)| res == m.res);
        if m.how.is_multiple_of(10)
            && lock
            && holders == 0
            && self.queued_writers(m.res).next().is_none()
        {
            return Err(format!(
                "{} waits for the holders of {}, which is free",
                self.statics.entity(id),
                self.statics.resource(m.res)
            ));
        }
        self.entities[id].wait = Some(Waiting {
            res: m.res,
            how: m.how,
            set: m.set,
            woken: false,
        });
        let cpu = self.cpus.entry(self.statics.entities[id].cpu).or_default();
        if m.how >= 10 && cpu.curr == Some(id) {
            cpu.curr = None;
        }
        Ok(())
    }

    fn wakes(&mut self, res: u64) {
        let waiting = self.entities.iter_mut().filter_map(|e| e.wait.as_mut());
        for wait in waiting.filter(|w| w.res == res) {
            wait.woken = true;
        }
    }

    fn counts(&mut self, id: usize, m: &Moment) {
        let by = i64::try_from(m.set.cast_signed()).unwrap_or(0);
        let count = self.quantities.entry(self.key(id, m.how, m.res));
        *count.or_default() += by;
    }

    /// Quantities of no resource belong to the task, those of functions to the entity, those of printk to the CPU.
    fn key(&self, id: usize, what: u64, res: u64) -> (u64, u64, u64) {
        let whose = match res {
            NONE if what == Quantity::PrintkDeferred as u64 => self.statics.entities[id].cpu.into(),
            NONE if what == Quantity::ReclaimDepth as u64 => {
                self.entities[id].host.unwrap_or(id) as u64
            }
            NONE => id as u64,
            _ => 0,
        };
        (what, res, whose)
    }

    /// What a quantity comes to, of a resource or for an entity.
    pub(super) fn quantity(&self, id: usize, what: Quantity, res: u64) -> i64 {
        let key = self.key(id, what as u64, res);
        let resource = self.statics.resources.get(res as usize);
        let at_start = i64::from(resource.is_some_and(|r| r.set_at_start));
        at_start + self.quantities.get(&key).copied().unwrap_or(0)
    }

    fn calms(&mut self, set: EntitySet) {
        if let Some(e) = self.entities.get_mut(set.trailing_zeros() as usize) {
            e.pending = 0;
        }
    }

    fn raises(&mut self, set: EntitySet) -> Result<(), String> {
        let id = set.trailing_zeros() as usize;
        match self.entities.get_mut(id) {
            Some(e) if set.is_power_of_two() => {
                e.pending += 1;
                Ok(())
            }
            _ => Err("an interrupt is raised that does not exist".to_owned()),
        }
    }
}
