//! What a new usage bit or a new dependency is checked against.

use crate::graph::{Deps, Graph, Slot};
use crate::held::{Held, Request};
use crate::key::Read;
use crate::op::Op;
use crate::report::{Detail, Trace};
use crate::search::{Direction, Search};
use crate::task::TaskState;
use crate::usage::{Usage, UsageBit};

/// The verdict of `check_deadlock()`.
enum SameClass {
    Fine,
    /// Nested under a lock that serialises: no dependency is added.
    Nested,
    Deadlock,
}

impl Op<'_> {
    /// `mark_lock()`: sets a usage bit, then checks what it means. The bit stays set after a report.
    pub(crate) fn mark_lock(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        lock: &Request,
        bit: UsageBit,
        acquiring: Option<&Request>,
    ) {
        if !self.lockdep.is_enabled() {
            return;
        }
        let Some(slot) = graph.slot(lock.class) else {
            return;
        };
        let set = self
            .lockdep
            .set_usage(graph, slot, bit, trace(self.site, task));
        // Without any class that has the opposite bit there is nothing to search for.
        if set && bit.state().is_some() && graph.usage.intersects(conflict_mask(bit)) {
            self.check_usage(graph, task, lock, slot, bit, acquiring);
        }
    }

    /// `mark_lock_irq()`.
    fn check_usage(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        lock: &Request,
        slot: Slot,
        bit: UsageBit,
        acquiring: Option<&Request>,
    ) {
        for conflict in conflicts(bit).into_iter().flatten() {
            if graph.class(slot).usage.contains(conflict) {
                let registered = graph.class(slot).traces[conflict.index()];
                let class = graph.describe(slot);
                let detail = Detail::InconsistentState {
                    class,
                    from: conflict,
                    to: bit,
                    registered,
                };
                return self.report(graph, task, acquiring, detail);
            }
        }
        self.check_inversion(graph, task, lock, slot, bit, acquiring);
    }

    /// `check_usage_forwards()` and `check_usage_backwards()`.
    fn check_inversion(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        lock: &Request,
        slot: Slot,
        bit: UsageBit,
        acquiring: Option<&Request>,
    ) {
        let forwards = !bit.is_enabled();
        let direction = if forwards {
            Direction::Forwards
        } else {
            Direction::Backwards
        };
        let search = self.usage_search(slot, root_only_xr(lock.read, forwards), direction);
        let Some(found) = graph.find_usage(search, conflict_mask(bit)) else {
            return;
        };
        let target = graph.matched(found);
        let write = bit.exclusive();
        let conflict = write.with_read(!graph.class(target).usage.contains(write));
        let detail = Detail::IrqInversion {
            this: graph.describe(slot),
            other: graph.describe(target),
            bit: conflict,
            new_bit: bit,
            forwards,
            path: graph.path(found, direction),
            registered: graph.class(target).traces[conflict.index()],
        };
        self.report(graph, task, acquiring, detail);
    }

    fn usage_search(&self, root: Slot, only_xr: bool, direction: Direction) -> Search {
        Search {
            mode: self.lockdep.config.search,
            root,
            only_xr,
            direction,
            skip: true,
        }
    }

    /// The body of `validate_chain()` for a sequence that was not seen before.
    pub(crate) fn add_dependencies(&mut self, graph: &mut Graph, task: &TaskState, next: &Request) {
        match self.check_deadlock(graph, task, next) {
            SameClass::Fine if !task.is_chain_head() => self.check_prevs_add(graph, task, next),
            SameClass::Fine | SameClass::Nested | SameClass::Deadlock => {}
        }
    }

    /// `check_deadlock()`: the same class among all held locks, of whatever context.
    fn check_deadlock(&mut self, graph: &mut Graph, task: &TaskState, next: &Request) -> SameClass {
        let mut nested = false;
        for held in task.held() {
            nested |= next.nest == Some(held.map());
            if held.class() != next.class {
                continue;
            }
            if next.read == Read::Recursive && held.read().is_read() {
                continue;
            }
            if nested {
                return SameClass::Nested;
            }
            self.report_recursive(graph, task, held, next);
            return SameClass::Deadlock;
        }
        SameClass::Fine
    }

    fn report_recursive(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        prev: &Held,
        next: &Request,
    ) {
        let detail = Detail::Recursive {
            class: graph.class_ref(next.class, self.lockdep.word(next.class).usage()),
            same_instance: prev.map() == next.map,
            prev_read: prev.read(),
            next_read: next.read,
        };
        self.report(graph, task, Some(next), detail);
    }

    /// `check_prevs_add()`: dependencies from the held locks of this context down to the first that was not
    /// a trylock; those below it have theirs through it.
    fn check_prevs_add(&mut self, graph: &mut Graph, task: &TaskState, next: &Request) {
        let context = task.irq_context();
        let same_context = task
            .held()
            .iter()
            .rev()
            .take_while(|held| held.irq_context() == context);
        for (above, prev) in same_context.enumerate() {
            if !prev.check() {
                continue;
            }
            self.check_prev_add(graph, task, prev, next, above as u16 + 1);
            if !prev.trylock() || !self.lockdep.is_enabled() {
                break;
            }
        }
    }

    /// `check_prev_add()`.
    fn check_prev_add(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        prev: &Held,
        next: &Request,
        distance: u16,
    ) {
        let (Some(from), Some(to)) = (graph.slot(prev.class()), graph.slot(next.class)) else {
            return;
        };
        if self.closes_cycle(graph, task, prev, next, [from, to]) {
            return;
        }
        if self.connects_safe_to_unsafe(graph, task, prev, next, [from, to]) {
            return;
        }
        if graph.edges.len() * 2 >= self.lockdep.config.limits.entries && !graph.has_edge(from, to)
        {
            let message = "BUG: MAX_LOCKDEP_ENTRIES too low!";
            return self.report(graph, task, Some(next), Detail::LockdepOff { message });
        }
        let traces = [trace(prev.site(), task), trace(next.site, task)];
        if graph.add_edge(from, to, Deps::of(prev.read(), next.read), distance, traces) {
            self.lockdep.changed();
        }
    }

    /// `check_noncircular()`.
    fn closes_cycle(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        prev: &Held,
        next: &Request,
        [from, to]: [Slot; 2],
    ) -> bool {
        let search = Search {
            mode: self.lockdep.config.search,
            root: to,
            only_xr: root_only_xr(next.read, true),
            direction: Direction::Forwards,
            skip: false,
        };
        let exclusive = !prev.read().is_read();
        let Some(found) = graph.search(search, |_, class, only_xr| {
            class == from && (exclusive || !only_xr)
        }) else {
            return false;
        };
        if from == to {
            self.report_recursive(graph, task, prev, next);
            return true;
        }
        let detail = Detail::Circular {
            prev: graph.describe(from),
            next: graph.describe(to),
            path: graph.path(found, Direction::Forwards),
        };
        self.report(graph, task, Some(next), detail);
        true
    }

    /// `check_irq_usage()`: is anything used in interrupts at or before `prev`, and anything held over the same
    /// interrupts at or after `next`?
    fn connects_safe_to_unsafe(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        prev: &Held,
        next: &Request,
        [from, to]: [Slot; 2],
    ) -> bool {
        if !graph.usage.intersects(Usage::USED_IN) || !graph.usage.intersects(Usage::ENABLED) {
            return false;
        }
        let back = self.usage_search(from, root_only_xr(prev.read(), false), Direction::Backwards);
        let forth = self.usage_search(to, root_only_xr(next.read, true), Direction::Forwards);
        let mut usage = Usage::EMPTY;
        graph.search(back, |graph, class, only_xr| {
            usage.0 |= graph.class(class).usage.visible(only_xr).0;
            false
        });
        let used_in = Usage(usage.0 & Usage::USED_IN.0);
        if used_in.is_empty() {
            return false;
        }
        let Some(found) = graph.find_usage(forth, used_in.exclusive()) else {
            return false;
        };
        let r#unsafe = graph.matched(found);
        let unsafe_path = graph.path(found, Direction::Forwards);
        let enabled = Usage(graph.class(r#unsafe).usage.0 & Usage::ENABLED.0);
        let Some(found) = graph.find_usage(back, enabled.exclusive()) else {
            self.report(
                graph,
                task,
                Some(next),
                Detail::DebugLocksWarn {
                    condition: "ret == BFS_RNOMATCH",
                },
            );
            return true;
        };
        let safe = graph.matched(found);
        let safe_path = graph.path(found, Direction::Backwards);
        let Some((safe_bit, unsafe_bit)) = graph
            .class(safe)
            .usage
            .exclusive_match(graph.class(r#unsafe).usage)
        else {
            self.report(
                graph,
                task,
                Some(next),
                Detail::DebugLocksWarn {
                    condition: "ret == -1",
                },
            );
            return true;
        };
        let registered = [
            graph.class(safe).traces[safe_bit.index()],
            graph.class(r#unsafe).traces[unsafe_bit.index()],
        ];
        let detail = Detail::SafeUnsafe {
            prev: graph.describe(from),
            next: graph.describe(to),
            safe: graph.describe(safe),
            r#unsafe: graph.describe(r#unsafe),
            safe_bit,
            unsafe_bit,
            safe_path,
            unsafe_path,
            registered,
        };
        self.report(graph, task, Some(next), detail);
        true
    }
}

impl Graph {
    /// `find_usage_forwards()` and `find_usage_backwards()`.
    fn find_usage(&mut self, search: Search, wanted: Usage) -> Option<crate::search::Match> {
        self.search(search, |graph, class, only_xr| {
            graph.class(class).usage.visible(only_xr).intersects(wanted)
        })
    }
}

fn trace(site: u32, task: &TaskState) -> Trace {
    Trace {
        site,
        task: task.id(),
    }
}

/// The conflict bits of a new usage bit: the opposite direction, and for writers' bits also readers.
fn conflicts(bit: UsageBit) -> [Option<UsageBit>; 2] {
    let opposite = bit.exclusive();
    [
        Some(opposite),
        (!bit.is_read()).then(|| opposite.with_read(true)),
    ]
}

/// Both bits that a search for a class in conflict with `bit` looks for.
fn conflict_mask(bit: UsageBit) -> Usage {
    Usage(bit.exclusive().mask().0 | bit.exclusive().with_read(true).mask().0)
}

/// `only_xr` of a held lock as the root of a search from it.
fn root_only_xr(read: Read, forwards: bool) -> bool {
    if forwards {
        read == Read::Recursive
    } else {
        read.is_read()
    }
}
