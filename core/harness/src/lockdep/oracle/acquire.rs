//! Acquiring, releasing, and marking, as the description of the algorithm numbers the steps.

use super::graph::{Bit, From};
use super::{Attempt, Held, Instance, Oracle, Verdict};
use ksplat_lockdep::LockType;

impl Oracle<'_> {
    fn context(&self) -> u8 {
        let task = &self.tasks[self.current];
        2 * u8::from(task.hardirq > 0) + u8::from(task.softirq > 0)
    }

    /// True if the held entry stands for the instance. A counted entry without nest lock is an error of the kernel's
    /// state as soon as a lock with a known class is looked for.
    fn stands_for(&self, held: &Held, instance: Instance) -> Verdict<bool> {
        if held.instance == instance {
            return Ok(true);
        }
        if held.references == 0 {
            return Ok(false);
        }
        match self.find_class(self.key(instance), 0) {
            None => Ok(false),
            Some(_) if held.nest.is_none() => Err("debug-locks-warn"),
            Some(class) => Ok(class == held.class),
        }
    }

    /// The lowest entry that stands for the instance.
    pub(super) fn find_lowest(&self, instance: Instance) -> Verdict<Option<usize>> {
        for (n, held) in self.tasks[self.current].held.iter().enumerate() {
            if self.stands_for(held, instance)? {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    /// The highest entry that stands for the instance, above the first change of context.
    pub(super) fn find_highest(&self, instance: Instance) -> Verdict<Option<usize>> {
        let held = &self.tasks[self.current].held;
        for n in (0..held.len()).rev() {
            if n + 1 < held.len() && held[n].context != held[n + 1].context {
                return Ok(None);
            }
            if self.stands_for(&held[n], instance)? {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    /// True if the lock was counted on the entry below.
    pub(super) fn acquire(&mut self, mut attempt: Attempt) -> Verdict<bool> {
        let new = &mut attempt.held;
        if let Some(top) = self.tasks[self.current].held.last_mut()
            && top.class == new.class
            && new.nest.is_some()
            && !attempt.sync
        {
            top.references = top.references.max(1) + new.references.max(1);
            return Ok(true);
        }
        new.context = self.context();
        self.check_wait(&attempt)?;
        self.mark_new(&attempt)?;
        let new = attempt.held;
        if let Some(nest) = new.nest
            && self.find_lowest(nest)?.is_none()
        {
            return Err("nest-not-held");
        }
        let chain = self.chain_with(&new);
        if !new.trylock && new.check && !self.chains.contains(&chain) {
            self.chains.push(chain);
            self.validate(&new)?;
        }
        if attempt.sync {
            return Ok(false);
        }
        let held = &mut self.tasks[self.current].held;
        held.push(new);
        if held.len() >= 48 {
            Err("lockdep-off")
        } else {
            Ok(false)
        }
    }

    /// The held locks from the last change of context on, if that is the new lock's context.
    fn same_context(&self, context: u8) -> &[Held] {
        let held = &self.tasks[self.current].held;
        let count = held
            .iter()
            .rev()
            .take_while(|held| held.context == context)
            .count();
        &held[held.len() - count..]
    }

    fn chain_with(&self, new: &Held) -> Vec<(usize, u8)> {
        self.same_context(new.context)
            .iter()
            .chain([new])
            .map(|held| (held.class, held.read))
            .collect()
    }

    fn check_wait(&self, attempt: &Attempt) -> Verdict {
        let new = &attempt.held;
        let (inner, outer, _) = self.wait_types(self.graph.classes[new.class].key);
        if inner == 0 || new.trylock {
            return Ok(());
        }
        let task = &self.tasks[self.current];
        let mut allowed = match (task.hardirq > 0, task.threaded, task.softirq > 0) {
            (true, false, _) => 2,
            (true, true, _) | (false, _, true) => 3,
            (false, _, false) => 5,
        };
        for held in self.same_context(new.context) {
            let (inner, _, kind) = self.wait_types(self.graph.classes[held.class].key);
            if inner != 0 {
                allowed = if kind == LockType::WaitOverride {
                    inner
                } else {
                    inner.min(allowed)
                };
            }
        }
        if outer > allowed {
            Err("wait-context")
        } else {
            Ok(())
        }
    }

    fn mark_new(&mut self, attempt: &Attempt) -> Verdict {
        let new = &attempt.held;
        let task = self.tasks[self.current].clone();
        let read = new.read != 0;
        let bit = |softirq, enabled| Bit::Context {
            softirq,
            enabled,
            read,
        };
        let mut bits = Vec::new();
        if new.check {
            if !new.trylock && task.hardirq > 0 {
                bits.push(bit(false, false));
            }
            if !new.trylock && task.softirq > 0 {
                bits.push(bit(true, false));
            }
            if !new.hardirqs_off && !attempt.sync {
                bits.push(bit(false, true));
                if task.bh == 0 {
                    bits.push(bit(true, true));
                }
            }
        }
        bits.push(Bit::Used { read });
        bits.into_iter()
            .try_for_each(|bit| self.mark(new.class, new.read, bit))
    }

    /// Sets the bit and checks it, if it is new.
    pub(super) fn mark(&mut self, class: usize, how: u8, bit: Bit) -> Verdict {
        let usage = &mut self.graph.classes[class].usage;
        if usage.contains(&bit) {
            return Ok(());
        }
        usage.push(bit);
        let Bit::Context {
            softirq,
            enabled,
            read,
        } = bit
        else {
            return Ok(());
        };
        let opposite = |read| Bit::Context {
            softirq,
            enabled: !enabled,
            read,
        };
        if usage.contains(&opposite(false)) || !read && usage.contains(&opposite(true)) {
            return Err("inconsistent-state");
        }
        let only_xr = if enabled { how != 0 } else { how == 2 };
        let from = From {
            root: (class, only_xr),
            backwards: enabled,
            locks_only: true,
        };
        let conflicts = |bit: Bit| bit == opposite(false) || bit == opposite(true);
        match self
            .graph
            .reach(from)
            .into_iter()
            .any(|reached| self.graph.visible(reached).any(conflicts))
        {
            true => Err("irq-inversion"),
            false => Ok(()),
        }
    }

    fn validate(&mut self, new: &Held) -> Verdict {
        let held = self.tasks[self.current].held.clone();
        let mut nested = false;
        for prev in &held {
            nested |= Some(prev.instance) == new.nest;
            if prev.class != new.class || new.read == 2 && prev.read != 0 {
                continue;
            }
            return if nested { Ok(()) } else { Err("recursive") };
        }
        let below = self.same_context(new.context).len();
        for (distance, prev) in (1..).zip(held.iter().rev().take(below)) {
            if !prev.check {
                continue;
            }
            self.depend(prev, new, distance)?;
            if !prev.trylock {
                break;
            }
        }
        Ok(())
    }

    fn depend(&mut self, prev: &Held, new: &Held, distance: u16) -> Verdict {
        let after = From {
            root: (new.class, new.read == 2),
            backwards: false,
            locks_only: false,
        };
        let closes =
            |(class, only_xr): (usize, bool)| class == prev.class && (prev.read == 0 || !only_xr);
        if self.graph.reach(after).into_iter().any(closes) {
            return Err(if prev.class == new.class {
                "recursive"
            } else {
                "circular"
            });
        }
        self.check_safety(
            prev,
            From {
                locks_only: true,
                ..after
            },
        )?;
        self.graph.add(
            prev.class,
            new.class,
            (prev.read != 0, new.read == 2),
            distance,
        );
        Ok(())
    }

    /// Is something used in interrupts before, and something held over the same interrupts after?
    fn check_safety(&self, prev: &Held, after: From) -> Verdict {
        let before = From {
            root: (prev.class, prev.read != 0),
            backwards: true,
            locks_only: true,
        };
        let before = self.graph.reach(before);
        let after = self.graph.reach(after);
        let has = |set: &[(usize, bool)], wanted_softirq: bool, wanted_enabled: bool| {
            set.iter().any(|reached| {
                self.graph.visible(*reached).any(|bit| {
                    matches!(bit, Bit::Context { softirq, enabled, .. } if softirq == wanted_softirq && enabled == wanted_enabled)
                })
            })
        };
        let unsafe_pair = |softirq| has(&before, softirq, false) && has(&after, softirq, true);
        if !unsafe_pair(false) && !unsafe_pair(true) {
            return Ok(());
        }
        Err(self.name_of_safety(&before, &after))
    }

    /// Which of the two states the kernel names: it looks at the first class after that has any conflict, then at the
    /// first before that conflicts with that, and there at the lowest bit that meets its opposite, of whatever direction.
    fn name_of_safety(&self, before: &[(usize, bool)], after: &[(usize, bool)]) -> &'static str {
        let opposite = |a: Bit, b: Bit| match (a, b) {
            (
                Bit::Context {
                    softirq: s,
                    enabled: e,
                    ..
                },
                Bit::Context {
                    softirq, enabled, ..
                },
            ) => s == softirq && e != enabled,
            _ => false,
        };
        let used_in = |bit: &Bit| matches!(bit, Bit::Context { enabled: false, .. });
        let enabled = |bit: &Bit| matches!(bit, Bit::Context { enabled: true, .. });
        let all_before: Vec<Bit> = before
            .iter()
            .flat_map(|r| self.graph.visible(*r))
            .filter(used_in)
            .collect();
        let conflicting = |r: &&(usize, bool)| {
            self.graph
                .visible(**r)
                .any(|bit| all_before.iter().any(|b| opposite(*b, bit)))
        };
        let Some((unsafe_class, _)) = after.iter().find(conflicting) else {
            return "debug-locks-warn";
        };
        let unsafe_usage = &self.graph.classes[*unsafe_class].usage;
        let meets = |r: &&(usize, bool)| {
            self.graph.visible(**r).any(|bit| {
                unsafe_usage
                    .iter()
                    .filter(|b| enabled(b))
                    .any(|b| opposite(*b, bit))
            })
        };
        let Some((safe_class, _)) = before.iter().find(meets) else {
            return "debug-locks-warn";
        };
        let mut usage = self.graph.classes[*safe_class].usage.clone();
        usage.sort();
        for bit in usage {
            if let Bit::Context { softirq, .. } = bit
                && unsafe_usage.iter().any(|b| opposite(*b, bit))
            {
                return if softirq {
                    "softirq-safe-unsafe"
                } else {
                    "hardirq-safe-unsafe"
                };
            }
        }
        "debug-locks-warn"
    }

    pub(super) fn release(&mut self, instance: Instance) -> Verdict {
        let Some(at) = self.find_highest(instance)? else {
            return Err("bad-unlock");
        };
        let held = &mut self.task().held[at];
        // Only a warning: the kernel carries on.
        let warned = if held.pins == 0 { Ok(()) } else { Err("warn") };
        if held.references > 1 {
            held.references -= 1;
            return warned;
        }
        let after = self.reacquire(at, at + 1);
        warned.and(after)
    }

    /// Cuts the stack at `at` and acquires what was at `first` and above again.
    pub(super) fn reacquire(&mut self, at: usize, first: usize) -> Verdict {
        let upper = self.task().held.split_off(at);
        for (n, held) in upper.into_iter().skip(first - at).enumerate() {
            if self.acquire(Attempt { held, sync: false })? && n > 0 {
                return Err("debug-locks-warn");
            }
        }
        Ok(())
    }
}
