//! Claimed stops: who cannot go on, according to the books, and whether the claim says the same.

use super::books::{Books, Waiting};
use super::statics::Statics;
use super::{Basis, Rejection};
use crate::story::Moment;
use ksplat_kernel::rt::{EntitySet, Stop, StopKind, StuckWait, wait_code};

/// Checks a claimed stop against the log of its execution.
pub(super) fn check(
    statics: &Statics,
    moments: &[Moment],
    claim: &Stop,
) -> Result<Basis, Rejection> {
    let books = Books::of(statics, moments)?;
    let blocked = books.blocked();
    let stuck = books.stuck(blocked);
    if claim.waits.is_empty() || claim.stuck == 0 {
        return Err(Rejection("the claim names nobody".to_owned()));
    }
    if claim.stuck != stuck {
        return Err(Rejection(format!(
            "stuck are {}, not {}",
            books.names(stuck),
            books.names(claim.stuck)
        )));
    }
    for wait in &claim.waits {
        books.agrees(blocked, wait)?;
    }
    chain(&books, blocked, claim)?;
    Ok(Basis::Recomputed)
}

/// The waits must lead from one to the next, and around if a cycle is claimed.
fn chain(books: &Books<'_>, blocked: EntitySet, claim: &Stop) -> Result<(), Rejection> {
    for pair in claim.waits.windows(2) {
        if pair[0].needs & 1 << pair[1].waiter.index() == 0 {
            return Err(Rejection(format!(
                "{} does not wait for {}",
                books.statics.entity(pair[0].waiter.index()),
                books.statics.entity(pair[1].waiter.index())
            )));
        }
    }
    let (first, last) = (&claim.waits[0], &claim.waits[claim.waits.len() - 1]);
    let closes = last.needs & 1 << first.waiter.index() != 0;
    let retries = claim.waits.iter().any(|w| books.is_retry(w));
    let fits = match claim.kind {
        StopKind::Deadlock => closes && !retries,
        StopKind::Livelock => retries,
        StopKind::NoEnder => !retries && last.needs & blocked & !books.at_rest() == 0,
    };
    if fits {
        Ok(())
    } else {
        Err(Rejection(format!("this is no {:?}", claim.kind)))
    }
}

impl Books<'_> {
    /// Interrupts and softirqs that nobody raised.
    fn at_rest(&self) -> EntitySet {
        let rests = |id: usize| {
            let e = &self.entities[id];
            self.statics.is_raised(id) && !e.busy && e.pending == 0
        };
        let ids = 0..self.entities.len();
        ids.filter(|&id| rests(id)).fold(0, |s, id| s | 1 << id)
    }

    /// Everybody who cannot go on whatever the others do, those at rest included.
    pub(super) fn blocked(&self) -> EntitySet {
        let all = self.entities.iter().enumerate();
        // Who ended with something held never lets go of it.
        let ended = all
            .filter(|(_, e)| e.ended)
            .fold(0, |s, (id, _)| s | 1 << id);
        let mut blocked = (0..self.entities.len()).fold(0, |s, id| s | 1 << id);
        loop {
            let ids = 0..self.entities.len();
            let freed = ids
                .filter(|&id| blocked & !ended & 1 << id != 0 && self.can_go(id, blocked))
                .fold(0, |s, id| s | 1 << id);
            if freed == 0 {
                return blocked & !ended;
            }
            blocked &= !freed;
        }
    }

    /// Those of the blocked whom it hurts: a daemon without work and an interrupt that does not fire are at rest.
    fn stuck(&self, blocked: EntitySet) -> EntitySet {
        let hurts = |id: usize| {
            let e = &self.entities[id];
            match e.wait.filter(|w| !w.woken) {
                Some(wait) => wait.how < 20,
                None => !self.statics.is_raised(id) || e.busy || e.pending > 0,
            }
        };
        let ids = 0..self.entities.len();
        ids.filter(|&id| blocked & 1 << id != 0 && hurts(id))
            .fold(0, |s, id| s | 1 << id)
    }

    /// Whether the entity goes on while those of `blocked` do not.
    fn can_go(&self, id: usize, blocked: EntitySet) -> bool {
        if self.obstacle(id).is_some_and(|o| blocked & 1 << o != 0) {
            return false;
        }
        let e = &self.entities[id];
        if let Some(wait) = e.wait {
            return wait.woken && !self.is_lock_wait(&wait) || self.wait_ends(id, &wait, blocked);
        }
        // Writers that queued up since are seen only when it looks.
        if let Some((res, mode)) = e.asks.filter(|&(res, mode)| self.is_held(res, mode)) {
            return self.lock_frees(id, res, mode, blocked);
        }
        let raised = self.statics.entities[id].raisers & !blocked & !(1 << id) != 0;
        e.busy || !self.statics.is_raised(id) || e.pending > 0 || raised
    }

    fn is_lock_wait(&self, wait: &Waiting) -> bool {
        wait.how.is_multiple_of(10)
    }

    fn wait_ends(&self, id: usize, wait: &Waiting, blocked: EntitySet) -> bool {
        let needs = self.needs(id, wait);
        match wait.how % 10 {
            0 => {
                let asks = self.entities[id].asks.filter(|(res, _)| *res == wait.res);
                let Some((res, mode)) = asks else {
                    // No lock: something that nobody holds never becomes free.
                    return needs != 0 && needs & (blocked | self.ended()) == 0;
                };
                self.available(res, mode) || self.lock_frees(id, res, mode, blocked)
            }
            1 => needs != 0 && needs & (blocked | self.ended()) == 0,
            _ => needs & !blocked != 0,
        }
    }

    fn ended(&self) -> EntitySet {
        let all = self.entities.iter().enumerate();
        all.filter(|(_, e)| e.ended)
            .fold(0, |s, (id, _)| s | 1 << id)
    }

    fn available(&self, res: u64, mode: u128) -> bool {
        !self.is_held(res, mode) && (mode != 1 || self.queued_writers(res).next().is_none())
    }

    /// Whether somebody holds a lock so that it cannot be taken.
    fn is_held(&self, res: u64, mode: u128) -> bool {
        match mode {
            0 => self.holders(res) != 0,
            _ => self.lock(res).is_some_and(|l| l.writer.is_some()),
        }
    }

    /// Whether those in the way of a lock let go of it.
    fn lock_frees(&self, id: usize, res: u64, mode: u128, blocked: EntitySet) -> bool {
        let holders = self.holders(res);
        if holders != 0 {
            // Who ended with a lock held never lets go of it.
            return holders & (blocked | self.ended()) == 0;
        }
        mode == 1
            && self
                .queued_writers(res)
                .any(|w| w != id && blocked & 1 << w == 0)
    }

    /// Whom a wait needs, by the rule that its event names.
    fn needs(&self, id: usize, wait: &Waiting) -> EntitySet {
        let ended = |e: usize| self.entities[e].ended;
        let live = (0..self.entities.len()).filter(|&e| !ended(e) && e != id);
        let others = live.fold(0, |s, e| s | 1 << e);
        match wait.how % 10 {
            0 if self.holders(wait.res) == 0 => {
                let queued = self.queued_writers(wait.res).filter(|&w| w != id);
                queued.fold(0, |s, w| s | 1 << w)
            }
            0 => self.holders(wait.res),
            1 => wait.set,
            2 => self.statics.resources[wait.res as usize].enders & others,
            3 => wait.set & others,
            _ => others,
        }
    }

    /// Those whom a wait needs and who raises the interrupts among them that nobody raised, or, if there is nobody
    /// else, the waiter itself where it could have ended it.
    fn blamed(&self, id: usize, wait: &Waiting) -> EntitySet {
        let mut needs = self.needs(id, wait);
        if wait.how % 10 > 1 {
            needs = self.with_raisers(needs, id);
        }
        let could = match wait.how % 10 {
            2 => self.statics.resources[wait.res as usize].enders,
            3 => wait.set,
            _ => 0,
        };
        if needs == 0 { could & 1 << id } else { needs }
    }

    /// Adds to those at rest in `set` the live ones who raise them, other than `but`.
    fn with_raisers(&self, mut set: EntitySet, but: usize) -> EntitySet {
        let at_rest = self.at_rest();
        let live = !self.ended() & !(1 << but);
        for _ in 0..self.entities.len() {
            for (id, facts) in self.statics.entities.iter().enumerate() {
                if set & at_rest & 1 << id != 0 {
                    set |= facts.raisers & live;
                }
            }
        }
        set
    }

    /// Whether the books know of this claimed wait.
    fn agrees(&self, blocked: EntitySet, claim: &StuckWait) -> Result<(), Rejection> {
        let id = claim.waiter.index();
        let name = self.statics.entity(id);
        let reject = |why: String| Err(Rejection(format!("{name} {why}")));
        if blocked & 1 << id == 0 {
            return reject("can go on".to_owned());
        }
        let cpu = self.obstacle(id).map_or(0, |o| 1 << o);
        let e = &self.entities[id];
        let known = e.wait.filter(|w| !w.woken || self.is_lock_wait(w));
        let (res, needs) = match (&claim.wait, known) {
            (Some(wait), Some(known)) => {
                if wait.res.index() as u64 != known.res || wait_code(*wait) != known.how {
                    return reject(format!("waits for {}", self.statics.resource(known.res)));
                }
                (Some(known.res), self.blamed(id, &known))
            }
            // It stands before a lock that somebody else took: it has not even looked yet.
            (Some(wait), None) => match e.asks {
                Some((res, mode))
                    if res == wait.res.index() as u64 && !self.available(res, mode) =>
                {
                    (Some(res), self.holders(res))
                }
                _ => return reject("waits for nothing".to_owned()),
            },
            (None, _) => (None, 0),
        };
        if res.is_none() && cpu == 0 {
            return reject("has its CPU to itself".to_owned());
        }
        if claim.needs != needs | cpu {
            return reject(format!(
                "needs {}, not {}",
                self.names(needs | cpu),
                self.names(claim.needs)
            ));
        }
        Ok(())
    }

    /// A spin or retry loop that reads until something changes.
    fn is_retry(&self, claim: &StuckWait) -> bool {
        let Some(wait) = claim.wait else {
            return false;
        };
        let code = wait_code(wait);
        let sequence = self
            .statics
            .resources
            .get(wait.res.index())
            .is_some_and(|r| r.sequence);
        code % 10 == 4 || (code < 10 && (sequence || code > 1))
    }

    fn names(&self, set: EntitySet) -> String {
        let names: Vec<&str> = (0..self.entities.len())
            .filter(|id| set & 1 << id != 0)
            .map(|id| self.statics.entity(id))
            .collect();
        if names.is_empty() {
            "nobody".to_owned()
        } else {
            names.join(" and ")
        }
    }
}
