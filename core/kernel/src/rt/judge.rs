//! Judges waits: who can still get further, and which cycle holds the others.
//!
//! An entity can get further if it can run, or if those who can end its wait can. What is left when nothing more can
//! be added is stuck, whatever the innocent others do. Over-approximating who can end a wait is safe: it can only
//! delay a finding until those have ended.

use super::entity::{Entity, Needs, Wait, WaitHow};
use super::finding::{Stop, StopKind, StuckWait};
use super::ids::EntityId;
use super::machine::Machine;
use super::resource::ResKind;
use super::sched::unwind;
use super::set::{EntitySet, MAX_ENTITIES, members};
use std::sync::atomic::Ordering::Relaxed;

/// Who waits for what at one moment.
pub(crate) struct Waits<'a> {
    pub(crate) machine: &'a Machine,
    /// Entities that have not ended.
    pub(crate) live: EntitySet,
    /// Entities that could run, or look again at what they wait for, if their CPU let them.
    pub(crate) ready: EntitySet,
    /// Entities that run or can be chosen now.
    pub(crate) running: EntitySet,
    /// The waits as they were at one moment; those of the entities themselves if nothing else runs.
    pub(crate) snapshot: Option<&'a [Option<Wait>; MAX_ENTITIES]>,
}

impl Machine {
    /// The common case of a wait: it is for holders of a lock who can run.
    #[inline]
    pub(crate) fn holders_run(&self, wait: Wait, candidates: EntitySet) -> bool {
        let holders = match wait.needs {
            Needs::Holders => self.resource(wait.res).holders(),
            _ => 0,
        };
        holders != 0 && holders & !candidates == 0
    }

    /// Ends the execution if the wait that `e` just began leaves entities stuck.
    #[inline(never)]
    pub(crate) fn judge(&self, e: &Entity, candidates: EntitySet) {
        if let Some(stop) = self.waits(candidates).judge(e.id)
            && !self.last_look(&stop)
        {
            self.stop(stop);
            unwind();
        }
    }

    /// Whether the end of `e` leaves entities stuck that counted on it.
    pub(crate) fn judge_end(&self, e: &Entity) -> Option<Stop> {
        if self.sim.live.get() & !self.sim.ready.get() == 0 {
            return None;
        }
        self.waits(self.candidates()).judge(e.id)
    }

    /// A retry loop that waits for memory looks at more than what wakes it. It is stuck only if it looked in vain
    /// since anybody else last ran: before that it looks once more. True: it is about to, the stop is not certain.
    #[cold]
    pub(crate) fn last_look(&self, stop: &Stop) -> bool {
        let retries = members(stop.stuck).filter(|&id| {
            self.entity(id).waits_for().is_some_and(|w| {
                w.needs == Needs::Anyone && self.resource(w.res).kind == ResKind::Memory
            })
        });
        let retries = retries.fold(0, |s, id| s | id.bit());
        let looked = self.sim.looked.replace(retries);
        if retries & !looked == 0 {
            return false;
        }
        self.sim.ready.add(retries);
        self.candidates() != 0
    }

    #[cold]
    fn waits(&self, candidates: EntitySet) -> Waits<'_> {
        Waits {
            machine: self,
            live: self.sim.live.get(),
            ready: self.sim.ready.get(),
            running: candidates,
            snapshot: None,
        }
    }
}

impl Waits<'_> {
    fn wait(&self, id: EntityId) -> Option<Wait> {
        match self.snapshot {
            Some(waits) => waits[id.index()],
            None => self.machine.entity(id).waits_for(),
        }
    }

    /// Everything that is stuck, told from `teller` if that is among it.
    pub(crate) fn judge(&self, teller: EntityId) -> Option<Stop> {
        let mut progress = self.running;
        loop {
            let more = members(self.live & !progress)
                .filter(|&x| self.can_end(x, progress))
                .fold(0, |s, x| s | x.bit());
            if more == 0 {
                break;
            }
            progress |= more;
        }
        let blocked = self.live & !progress;
        let stuck = members(blocked)
            .filter(|&x| self.counts(x))
            .fold(0, |s, x| s | x.bit());
        (stuck != 0).then(|| self.describe(teller, stuck, blocked))
    }

    /// Whether being stuck matters: a daemon without work and an interrupt that does not fire are at rest.
    fn counts(&self, id: EntityId) -> bool {
        // Who was woken has something to do.
        match self.wait(id).filter(|_| self.ready & id.bit() == 0) {
            Some(w) => w.how != WaitHow::Idle,
            None => !self.machine.entity(id).kind.is_raised() || self.ready & id.bit() != 0,
        }
    }

    fn can_end(&self, id: EntityId, progress: EntitySet) -> bool {
        let e = self.machine.entity(id);
        let ended = self.ready & id.bit() != 0
            || e.kind.is_raised() && e.raisers() & !id.bit() & progress != 0
            || self.wait(id).is_some_and(|w| {
                let needs = self.needed(e, w);
                match w.needs {
                    // On OS threads the lock was let go since the waiter last looked.
                    Needs::Holders if needs == 0 => !self.machine.simulated(),
                    Needs::Holders | Needs::All(_) => needs & !progress == 0 && needs != 0,
                    Needs::Enders | Needs::AnyOf(_) | Needs::Anyone => needs & progress != 0,
                }
            });
        ended && self.cpu_obstacle(e) & !progress == 0
    }

    /// Those who must, or may, end a wait.
    fn needed(&self, e: &Entity, w: Wait) -> EntitySet {
        let r = self.machine.resource(w.res);
        match w.needs {
            // A reader of a free lock stays behind writers that have found it taken and did not look again yet.
            Needs::Holders => match r.holders() {
                0 => r.queued_writers.load(Relaxed) & !e.bit,
                holders => holders,
            },
            Needs::All(set) => set,
            Needs::Enders => r.enders.load(Relaxed) & self.live & !e.bit,
            Needs::AnyOf(set) => set & self.live & !e.bit,
            Needs::Anyone => self.live & !e.bit,
        }
    }

    /// Who is to be blamed for a wait that does not end: those who could end it, or, if there is nobody else, the
    /// waiter itself where it could have. An interrupt that nobody raised is not to blame, but those who raise it are.
    fn blamed(&self, e: &Entity, w: Wait) -> EntitySet {
        let needs = match w.needs {
            // A lock is not let go because its holder is raised again.
            Needs::Holders | Needs::All(_) => self.needed(e, w),
            Needs::Enders | Needs::AnyOf(_) | Needs::Anyone => {
                self.with_raisers(self.needed(e, w), e.id)
            }
        };
        let could = match w.needs {
            Needs::Enders => self.machine.resource(w.res).enders.load(Relaxed),
            Needs::AnyOf(set) => set,
            _ => 0,
        };
        if needs == 0 { could & e.bit } else { needs }
    }

    /// These, and who raises those of them that are at rest, `but` the waiter itself.
    fn with_raisers(&self, mut set: EntitySet, but: EntityId) -> EntitySet {
        let at_rest = self.at_rest();
        loop {
            let raisers = members(set & at_rest)
                .fold(0, |s, id| s | self.machine.entity(id).raisers())
                & self.live
                & !but.bit();
            if raisers & !set == 0 {
                return set;
            }
            set |= raisers;
        }
    }

    /// Who has to leave the CPU before `e` gets it.
    fn cpu_obstacle(&self, e: &Entity) -> EntitySet {
        if !self.machine.simulated() {
            return 0;
        }
        let outranked = self.machine.outranked_by(e);
        if outranked != 0 {
            return outranked;
        }
        let cpu = self.machine.cpu(e.cpu);
        if cpu.irq_stack.get() & e.bit != 0 {
            return cpu
                .irq_top
                .get()
                .filter(|&t| t != e.id)
                .map_or(0, EntityId::bit);
        }
        if let Some(top) = cpu.irq_top.get() {
            let hardirq = (cpu.irqs & !cpu.softirqs) & e.bit != 0;
            let lets_in = hardirq && !self.machine.entity(top).irqs_off.get();
            return if lets_in { 0 } else { top.bit() };
        }
        let Some(curr) = cpu
            .curr
            .get()
            .filter(|&c| c != e.id)
            .map(|c| self.machine.entity(c))
        else {
            return 0;
        };
        let blocks = if cpu.softirqs & e.bit != 0 {
            curr.irqs_off.get() || curr.bh.get() != 0
        } else if cpu.irqs & e.bit != 0 {
            curr.irqs_off.get()
        } else {
            curr.atomic()
        };
        if blocks { curr.id.bit() } else { 0 }
    }

    /// The stop, told from the entity whose wait closed it.
    fn describe(&self, teller: EntityId, stuck: EntitySet, blocked: EntitySet) -> Stop {
        let first = if stuck & teller.bit() != 0 {
            teller
        } else {
            EntityId(stuck.trailing_zeros() as u8)
        };
        let (path, closes) = self.follow(first, blocked & !self.at_rest());
        let waits: Vec<StuckWait> = path.iter().map(|&id| self.stuck_wait(id)).collect();
        let kind = if waits
            .iter()
            .any(|w| w.wait.is_some_and(|w| self.is_retry(w)))
        {
            StopKind::Livelock
        } else if closes {
            StopKind::Deadlock
        } else {
            StopKind::NoEnder
        };
        Stop { kind, waits, stuck }
    }

    /// A spin or retry loop that reads until something changes, not a wait for a lock's holder.
    fn is_retry(&self, w: Wait) -> bool {
        let lock = matches!(w.needs, Needs::Holders | Needs::All(_));
        let sequence = self.machine.resource(w.res).kind == ResKind::Sequence;
        w.needs == Needs::Anyone || (w.how == WaitHow::Spin && (sequence || !lock))
    }

    /// Interrupts and softirqs that nobody raised: no links of a chain of waits.
    fn at_rest(&self) -> EntitySet {
        members(self.live & !self.ready)
            .filter(|&id| self.machine.entity(id).kind.is_raised() && self.wait(id).is_none())
            .fold(0, |s, id| s | id.bit())
    }

    /// Follows the waits from `first` until one repeats (the cycle, from its start) or nobody is left to blame.
    fn follow(&self, first: EntityId, blocked: EntitySet) -> (Vec<EntityId>, bool) {
        let mut path = vec![first];
        let mut at = first;
        loop {
            let on = self.stuck_wait(at).needs & blocked;
            if on == 0 {
                return (path, false);
            }
            // Prefer closing the cycle where it began.
            at = if on & first.bit() != 0 {
                first
            } else {
                EntityId(on.trailing_zeros() as u8)
            };
            if let Some(start) = path.iter().position(|&p| p == at) {
                path.drain(..start);
                return (path, true);
            }
            path.push(at);
        }
    }

    fn stuck_wait(&self, id: EntityId) -> StuckWait {
        let e = self.machine.entity(id);
        let wait = self.wait(id).filter(|_| self.ready & id.bit() == 0);
        let needs = wait.map_or(0, |w| self.blamed(e, w)) | self.cpu_obstacle(e);
        StuckWait {
            waiter: id,
            wait,
            needs,
            site: e.site.get(),
        }
    }
}
