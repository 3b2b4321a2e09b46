//! `lock_acquire()` and `lock_sync()`.

use crate::engine::{ClassWord, Lockdep, Op};
use crate::key::{Acquire, ClassId, LockMap, MAX_SUBCLASSES, Read, WaitType};
use crate::report::{Detail, Outcome, Trace};
use crate::table::{Found, ROOT, Step};
use crate::task::{Held, MAX_LOCK_DEPTH, Request, TaskState};
use crate::usage::{Usage, UsageBit, UsageState};

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
    #[inline]
    pub fn acquire(&self, task: &mut TaskState, map: LockMap, how: Acquire) -> Outcome {
        let class = ClassId::of(map.key, how.subclass);
        if how.is_plain() {
            let from = if task.is_chain_head() {
                ROOT
            } else {
                task.chain
            };
            if let Some(found) = self.table.find(Step::new(from, class, how.read))
                && found.is_settled(task.contexts())
                && self.is_enabled()
                && (task.depth as usize) < MAX_LOCK_DEPTH - 1
            {
                let held = Held::plain(map, class, how.read, how.site, task, found.wait());
                task.push(held, found);
                return Ok(());
            }
        }
        self.acquire_checked(task, map, how)
    }

    #[cold]
    #[inline(never)]
    fn acquire_checked(&self, task: &mut TaskState, map: LockMap, how: Acquire) -> Outcome {
        self.acquire_or_sync(task, map, how, false)
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

impl TaskState {
    #[inline]
    fn push(&mut self, held: Held, found: Found) {
        self.held[self.depth as usize] = held;
        self.depth += 1;
        self.chain = found.node();
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
        let mut graph = self.lockdep.graph();
        if graph.classes().len() >= self.lockdep.config.limits.classes {
            self.report(
                &mut graph,
                task,
                None,
                Detail::LockdepOff {
                    message: "BUG: MAX_LOCKDEP_KEYS too low!",
                },
            );
            return None;
        }
        self.lockdep.register(&mut graph, class);
        Some(class)
    }

    /// `__lock_acquire()`.
    pub(crate) fn acquire(&mut self, task: &mut TaskState, request: &Request) -> Acquired {
        if !self.lockdep.is_enabled() {
            return Acquired::Abandoned;
        }
        if self.merge(task, request) {
            return Acquired::Merged;
        }
        let reports = self.raised;
        let word = self.lockdep.word(request.class);
        self.check_wait_context(task, request, word);
        if self.lockdep.is_enabled() {
            self.mark_usage(task, request);
        }
        if !self.lockdep.is_enabled() {
            return Acquired::Abandoned;
        }
        let head = task.is_chain_head();
        let step = Step::new(
            if head { ROOT } else { task.chain },
            request.class,
            request.read,
        );
        if let Some(nest) = request.nest {
            self.check_nest(task, request, nest);
        }
        let Some(found) = self.validate_chain(task, request, step, head, word) else {
            return Acquired::Abandoned;
        };
        self.settle(task, request, step, found, self.raised == reports);
        if !self.lockdep.is_enabled() {
            return Acquired::Abandoned;
        }
        if request.sync {
            return Acquired::Pushed;
        }
        self.push(task, request, found)
    }

    fn push(&mut self, task: &mut TaskState, request: &Request, found: Found) -> Acquired {
        if task.depth() < MAX_LOCK_DEPTH {
            task.push(Held::new(request, task, found.wait()), found);
        }
        if task.depth() >= MAX_LOCK_DEPTH {
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
        const REFERENCES: u16 = (1 << 12) - 1;
        if request.sync || request.nest.is_none() {
            return false;
        }
        let depth = task.depth();
        let Some(top) = task.held[..depth]
            .last_mut()
            .filter(|top| top.class == request.class)
        else {
            return false;
        };
        let references = request.references.max(1);
        let sum = top.references.max(1) + references;
        top.references = sum & REFERENCES;
        if sum > REFERENCES {
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
        let limit = match task.held().last() {
            Some(top) if !task.is_chain_head() => top.wait().within(context),
            _ => context,
        };
        if word.outer() <= limit {
            return;
        }
        let mut graph = self.lockdep.graph();
        let class = graph.class_ref(request.class, self.lockdep.word(request.class).usage());
        let detail = Detail::WaitContext {
            class,
            context: WaitType::from_bits(u64::from(context)),
        };
        self.report(&mut graph, task, Some(request), detail);
    }

    /// `mark_usage()`.
    fn mark_usage(&mut self, task: &TaskState, request: &Request) {
        let mut bits = [UsageBit::USED; 6];
        let mut count = 0;
        let mut want = |bit: UsageBit| {
            bits[count] = bit.with_read(request.read.is_read());
            count += 1;
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
        for bit in &bits[..count] {
            if !self.lockdep.is_enabled() {
                return;
            }
            self.mark_lock(task, request, *bit, Some(request));
        }
    }

    fn check_nest(&mut self, task: &TaskState, request: &Request, nest: LockMap) {
        if self.is_held(task, nest, None) {
            return;
        }
        let mut graph = self.lockdep.graph();
        let class = graph.class_ref(request.class, self.lockdep.word(request.class).usage());
        let nest = graph.keys[nest.key.index()].name.clone();
        self.report(
            &mut graph,
            task,
            Some(request),
            Detail::NestNotHeld { class, nest },
        );
    }

    /// `validate_chain()`: once per sequence of classes and read modes, whatever else differs.
    fn validate_chain(
        &mut self,
        task: &TaskState,
        request: &Request,
        step: Step,
        head: bool,
        word: ClassWord,
    ) -> Option<Found> {
        if !self.lockdep.is_enabled() {
            return None;
        }
        let validates = !request.trylock && request.check;
        let table = &self.lockdep.table;
        if let Some(found) = table.find(step)
            && (found.is_validated() || !validates)
        {
            return Some(found);
        }
        let mut graph = self.lockdep.graph();
        let found = match table.find(step) {
            Some(found) => found,
            None => {
                let wait = match task.held().last() {
                    Some(top) if !head => top.wait(),
                    _ => crate::table::WaitLimit::NONE,
                };
                if graph.nodes.len() as u32 >= crate::table::MAX_NODES {
                    self.report(
                        &mut graph,
                        task,
                        Some(request),
                        Detail::LockdepOff {
                            message: TOO_MANY_CHAINS,
                        },
                    );
                    return None;
                }
                table.add(
                    &mut graph.nodes,
                    step,
                    wait.then(word.inner(), word.overrides()),
                )
            }
        };
        if !validates || found.is_validated() {
            return Some(found);
        }
        if graph.validated_chains >= self.lockdep.config.limits.chains {
            self.report(
                &mut graph,
                task,
                Some(request),
                Detail::LockdepOff {
                    message: TOO_MANY_CHAINS,
                },
            );
            return None;
        }
        graph.validated_chains += 1;
        table.set_validated(step);
        self.add_dependencies(&mut graph, task, request, head);
        Some(found)
    }

    /// Lets the hot path take over for this step in this context, if the next acquisition like this one
    /// has nothing left to do.
    fn settle(
        &mut self,
        task: &TaskState,
        request: &Request,
        step: Step,
        found: Found,
        quiet: bool,
    ) {
        let plain = !request.trylock && request.check && request.nest.is_none() && !request.sync;
        // A lock acquired anew keeps the interrupt state of its first acquisition.
        let usual = request.hardirqs_off != task.hardirqs_enabled();
        if !plain || !quiet || !usual || task.contexts() == 0 || found.is_settled(task.contexts()) {
            return;
        }
        let _writers = self.lockdep.graph();
        self.lockdep.table.set_settled(step, task.contexts());
    }
}

const TOO_MANY_CHAINS: &str = "BUG: MAX_LOCKDEP_CHAINS too low!";

/// How a lock is acquired, as far as dependencies care.
pub(crate) fn trace(site: u32, task: &TaskState) -> Trace {
    Trace {
        site,
        task: task.id(),
    }
}

/// The conflict bits of a new usage bit: the opposite direction, and for writers' bits also readers.
pub(crate) fn conflicts(bit: UsageBit) -> [Option<UsageBit>; 2] {
    let opposite = bit.exclusive();
    [
        Some(opposite),
        (!bit.is_read()).then(|| opposite.with_read(true)),
    ]
}

/// Both bits that a search for a class in conflict with `bit` looks for.
pub(crate) fn conflict_mask(bit: UsageBit) -> Usage {
    Usage(bit.exclusive().mask().0 | bit.exclusive().with_read(true).mask().0)
}

/// `only_xr` of a held lock as the root of a search from it.
pub(crate) fn root_only_xr(read: Read, forwards: bool) -> bool {
    if forwards {
        read == Read::Recursive
    } else {
        read.is_read()
    }
}
