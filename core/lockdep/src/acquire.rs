//! `lock_acquire()` and `lock_sync()`.

use crate::engine::{ClassWord, Lockdep};
use crate::graph::Graph;
use crate::held::{Held, Request};
use crate::key::{Acquire, ClassId, LockMap, MAX_SUBCLASSES, Read, WaitType};
use crate::op::Op;
use crate::report::{Detail, Outcome};
use crate::table::{Found, MAX_NODES, Step, WaitLimit};
use crate::task::TaskState;
use crate::usage::{UsageBit, UsageState};

impl Acquire {
    #[inline]
    fn is_plain(&self) -> bool {
        !self.trylock && self.check && self.nest.is_none() && self.subclass < MAX_SUBCLASSES
    }
}

/// What became of an acquisition (the return value of `__lock_acquire()`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// 0: given up, lockdep is off.
    Abandoned,
    /// 1: pushed.
    Pushed,
    /// 2: counted on the entry below.
    Merged,
}

impl Lockdep {
    /// `lock_acquire()`: the task has taken `map`, or for a blocking lock is about to.
    ///
    /// # Errors
    /// The first new report that this raised.
    ///
    /// # Panics
    /// If the key of the lock was registered with another `Lockdep`.
    #[inline(always)]
    pub fn acquire(&self, task: &mut TaskState, map: LockMap, how: Acquire) -> Outcome {
        if how.is_plain() {
            let class = ClassId::of(map.key, how.subclass);
            let found = self.table.find(Step::new(task.chain(), class, how.read));
            if let Some(found) = found
                && found.is_settled(task.contexts())
                && self.is_enabled()
                && task.push_plain(map, class, how.read, how.site, found)
            {
                return Ok(());
            }
        }
        let flags = [
            how.subclass,
            how.trylock.into(),
            how.read as u8,
            how.check.into(),
        ];
        self.acquire_checked(task, map, u32::from_le_bytes(flags), how.nest, how.site)
    }

    /// The long way. Its arguments fit into registers: one by reference would have to be in memory on the short way too.
    #[cold]
    #[inline(never)]
    fn acquire_checked(
        &self,
        task: &mut TaskState,
        map: LockMap,
        flags: u32,
        nest: Option<LockMap>,
        site: u32,
    ) -> Outcome {
        let [subclass, trylock, read, check] = flags.to_le_bytes();
        let how = Acquire {
            subclass,
            trylock: trylock != 0,
            read: Read::from_bits(read.into()),
            check: check != 0,
            nest,
            site,
        };
        self.acquire_or_sync(task, map, how, false)
    }

    /// [`Lockdep::acquire`]'s short way for an entry that is acquired again.
    #[inline]
    pub(crate) fn reacquire_settled(&self, task: &mut TaskState, held: &Held) -> bool {
        if !held.is_plain(task) {
            return false;
        }
        let found = self
            .table
            .find(Step::new(task.chain(), held.class(), held.read()));
        found.is_some_and(|found| {
            found.is_settled(task.contexts())
                && self.is_enabled()
                && task.push_plain(held.map(), held.class(), held.read(), held.site(), found)
        })
    }

    /// `lock_sync()`: the effect of taking the lock on the dependency graph, without holding it. Such a
    /// lock is never a trylock.
    ///
    /// # Errors
    /// The first new report that this raised.
    ///
    /// # Panics
    /// If the key of the lock was registered with another `Lockdep`.
    pub fn sync(&self, task: &mut TaskState, map: LockMap, how: Acquire) -> Outcome {
        self.acquire_or_sync(
            task,
            map,
            Acquire {
                trylock: false,
                ..how
            },
            true,
        )
    }

    fn acquire_or_sync(
        &self,
        task: &mut TaskState,
        map: LockMap,
        how: Acquire,
        sync: bool,
    ) -> Outcome {
        let mut op = Op::new(self, how.site);
        if !self.is_enabled() {
            return Ok(());
        }
        let Some(class) = op.class(task, map, how.subclass) else {
            return op.outcome();
        };
        let request = Request {
            map,
            class,
            trylock: how.trylock,
            read: how.read,
            check: how.check,
            hardirqs_off: !task.hardirqs_enabled(),
            nest: how.nest,
            references: 0,
            pins: 0,
            sync,
            site: how.site,
        };
        op.acquire(task, &request);
        op.outcome()
    }
}

impl Op<'_> {
    /// `register_lock_class()`, which complains about a subclass that does not exist.
    pub(crate) fn class(
        &mut self,
        task: &TaskState,
        map: LockMap,
        subclass: u8,
    ) -> Option<ClassId> {
        let Some(class) = map.key.class(subclass) else {
            self.report_alone(task, Detail::InvalidSubclass { subclass });
            return None;
        };
        if self.lockdep.word(class).is_registered() {
            return Some(class);
        }
        self.locked(|op, graph| {
            // Finding a held lock may have been what went wrong; graph_lock() refuses from then on.
            if !op.lockdep.is_enabled() {
                return None;
            }
            if graph.classes().len() >= op.lockdep.config.limits.classes {
                op.report(
                    graph,
                    task,
                    None,
                    Detail::LockdepOff {
                        message: "BUG: MAX_LOCKDEP_KEYS too low!",
                    },
                );
                return None;
            }
            op.lockdep.register(graph, class);
            Some(class)
        })
    }

    /// `__lock_acquire()`.
    pub(crate) fn acquire(&mut self, task: &mut TaskState, request: &Request) -> Acquired {
        if !self.lockdep.is_enabled() {
            return Acquired::Abandoned;
        }
        if self.merge(task, request) {
            return Acquired::Merged;
        }
        let raised_before = self.raised;
        let word = self.lockdep.word(request.class);
        self.check_wait_context(task, request, word);
        self.mark_usage(task, request, word);
        let step = Step::new(task.chain(), request.class, request.read);
        if let Some(nest) = request.nest
            && self.lockdep.is_enabled()
        {
            self.check_nest(task, request, nest);
        }
        let found = self.validate_chain(task, request, step, word);
        let Some(found) = found.filter(|_| self.lockdep.is_enabled()) else {
            return Acquired::Abandoned;
        };
        if self.raised == raised_before {
            self.settle(task, request, step, found);
        }
        if request.sync {
            return Acquired::Pushed;
        }
        if !task.push(request, found) {
            self.report_alone(
                task,
                Detail::LockdepOff {
                    message: "BUG: MAX_LOCK_DEPTH too low!",
                },
            );
            return Acquired::Abandoned;
        }
        Acquired::Pushed
    }

    /// A nest lock lets locks of the class on top of the stack be counted instead of pushed.
    fn merge(&mut self, task: &mut TaskState, request: &Request) -> bool {
        /// The kernel's field has twelve bits.
        const MAX_REFERENCES: u16 = (1 << 12) - 1;
        if request.sync || request.nest.is_none() {
            return false;
        }
        let Some(top) = task
            .held_mut()
            .last_mut()
            .filter(|top| top.class() == request.class)
        else {
            return false;
        };
        let sum = top.references().max(1) + request.references.max(1);
        top.set_references(sum & MAX_REFERENCES);
        if sum > MAX_REFERENCES {
            self.warn_on(task, "hlock->references < references");
        }
        true
    }

    /// `check_wait_context()`. The kernel carries on after its report.
    fn check_wait_context(&mut self, task: &TaskState, request: &Request, word: ClassWord) {
        if word.inner() == 0 || request.trylock {
            return;
        }
        let context = task.wait_context();
        if word.outer() <= task.wait_limit().within(context) {
            return;
        }
        self.locked(|op, graph| {
            let class = graph.class_ref(request.class, word.usage());
            let detail = Detail::WaitContext {
                class,
                context: WaitType::from_bits(u64::from(context)),
            };
            op.report(graph, task, Some(request), detail);
        });
    }

    /// `mark_usage()`.
    fn mark_usage(&mut self, task: &TaskState, request: &Request, word: ClassWord) {
        let mut bits = [UsageBit::USED; 6];
        let mut count = 0;
        let mut want = |bit: UsageBit| {
            let bit = bit.with_read(request.read.is_read());
            if !word.usage().contains(bit) {
                bits[count] = bit;
                count += 1;
            }
        };
        if request.check {
            if !request.trylock && task.in_hardirq() {
                want(UsageBit::used_in(UsageState::Hardirq));
            }
            if !request.trylock && task.in_softirq() {
                want(UsageBit::used_in(UsageState::Softirq));
            }
            if !request.hardirqs_off && !request.sync {
                want(UsageBit::enabled(UsageState::Hardirq));
                if task.softirqs_enabled() {
                    want(UsageBit::enabled(UsageState::Softirq));
                }
            }
            if !request.trylock && self.lockdep.config.reclaim_fs && task.in_reclaim_fs() {
                want(UsageBit::used_in(UsageState::ReclaimFs));
            }
        }
        want(UsageBit::USED);
        if count == 0 {
            return;
        }
        self.locked(|op, graph| {
            bits[..count]
                .iter()
                .for_each(|bit| op.mark_lock(graph, task, request, *bit, Some(request)))
        });
    }

    fn check_nest(&mut self, task: &TaskState, request: &Request, nest: LockMap) {
        if self.is_held(task, nest, None) {
            return;
        }
        self.locked(|op, graph| {
            let class = graph.class_ref(request.class, op.lockdep.word(request.class).usage());
            let nest = graph.keys[nest.key.index()].name.clone();
            op.report(
                graph,
                task,
                Some(request),
                Detail::NestNotHeld { class, nest },
            );
        });
    }

    /// `validate_chain()`: once per sequence of classes and read modes, whatever else differs.
    fn validate_chain(
        &mut self,
        task: &TaskState,
        request: &Request,
        step: Step,
        word: ClassWord,
    ) -> Option<Found> {
        let validates = !request.trylock && request.check;
        if let Some(found) = self.lockdep.table.find(step)
            && (found.is_validated() || !validates)
        {
            return Some(found);
        }
        if !self.lockdep.is_enabled() {
            return None;
        }
        self.locked(|op, graph| {
            let found = match op.lockdep.table.find(step) {
                Some(found) => found,
                None => op.add_chain(graph, task, request, step, word)?,
            };
            if validates && !found.is_validated() {
                op.validate(graph, task, request, step)?;
            }
            Some(found)
        })
    }

    fn add_chain(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        request: &Request,
        step: Step,
        word: ClassWord,
    ) -> Option<Found> {
        if graph.nodes.len() as u32 >= MAX_NODES {
            self.too_many_chains(graph, task, request);
            return None;
        }
        let wait = task.wait_limit().then(word.inner(), word.overrides());
        Some(self.lockdep.table.add(&mut graph.nodes, step, wait))
    }

    fn validate(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        request: &Request,
        step: Step,
    ) -> Option<()> {
        if graph.validated_chains >= self.lockdep.config.limits.chains {
            self.too_many_chains(graph, task, request);
            return None;
        }
        graph.validated_chains += 1;
        self.lockdep.table.set_validated(step);
        self.add_dependencies(graph, task, request);
        Some(())
    }

    fn too_many_chains(&mut self, graph: &mut Graph, task: &TaskState, request: &Request) {
        let message = "BUG: MAX_LOCKDEP_CHAINS too low!";
        self.report(graph, task, Some(request), Detail::LockdepOff { message });
    }

    /// Lets the hot path take over for this step in this context, since the next acquisition like this one
    /// has nothing left to do.
    fn settle(&mut self, task: &TaskState, request: &Request, step: Step, found: Found) {
        let plain = !request.trylock && request.check && request.nest.is_none() && !request.sync;
        // A lock acquired anew keeps the interrupt state of its first acquisition.
        let usual = request.hardirqs_off != task.hardirqs_enabled();
        if !plain || !usual || task.contexts() == 0 || found.is_settled(task.contexts()) {
            return;
        }
        self.locked(|op, _| op.lockdep.table.set_settled(step, task.contexts()));
    }
}

impl TaskState {
    /// The limit that the locks held in this context put on the next one.
    fn wait_limit(&self) -> WaitLimit {
        match self.held().last() {
            Some(top) if !self.is_chain_head() => top.wait(),
            _ => WaitLimit::NONE,
        }
    }
}
