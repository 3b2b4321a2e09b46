//! The operation that is being executed, and how it reports.

use crate::engine::Lockdep;
use crate::graph::Graph;
use crate::held::{Held, Request};
use crate::key::{ClassId, LockMap};
use crate::report::{Detail, HeldLock, Kind, Outcome, Report, ReportId};
use crate::sync::GraphGuard;
use crate::task::TaskState;
use core::num::NonZeroU32;

/// Who does what, where. Takes the graph lock when it is first needed and keeps it to the end.
pub(crate) struct Op<'a> {
    pub(crate) lockdep: &'a Lockdep,
    pub(crate) site: u32,
    /// The first new report of this operation.
    pub(crate) raised: Option<ReportId>,
    graph: Option<GraphGuard<'a, Graph>>,
}

impl<'a> Op<'a> {
    pub(crate) fn new(lockdep: &'a Lockdep, site: u32) -> Self {
        Self {
            lockdep,
            site,
            raised: None,
            graph: None,
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        self.raised.map_or(Ok(()), Err)
    }

    /// Does `f` with the graph lock held. `f` must not call this again.
    pub(crate) fn locked<T>(&mut self, f: impl FnOnce(&mut Self, &mut Graph) -> T) -> T {
        let mut graph = self.graph.take().unwrap_or_else(|| self.lockdep.graph());
        let result = f(self, &mut graph);
        self.graph = Some(graph);
        result
    }

    /// Makes a report, unless lockdep is off or the same report was made before.
    #[cold]
    pub(crate) fn report(
        &mut self,
        graph: &mut Graph,
        task: &TaskState,
        acquiring: Option<&Request>,
        detail: Detail,
    ) {
        let lockdep = self.lockdep;
        if !lockdep.is_enabled() {
            return;
        }
        let kind = detail.kind();
        if kind == Kind::LockdepOff
            || kind.switches_off() && lockdep.config.mode == crate::Mode::OneShot
        {
            lockdep.switch_off();
        }
        if !graph.seen.insert(detail.identity(self.site)) {
            return;
        }
        let id = ReportId(NonZeroU32::MIN.saturating_add(graph.reports.len() as u32));
        let held = task
            .held()
            .iter()
            .map(|held| held_lock(lockdep, graph, &held.request(), held.irq_context()));
        let report = Report {
            id,
            detail,
            task: task.id(),
            site: self.site,
            acquiring: acquiring
                .map(|request| held_lock(lockdep, graph, request, task.irq_context())),
            held: held.collect(),
            reclaim_fs: lockdep.config.reclaim_fs,
        };
        graph.reports.push(report);
        self.raised.get_or_insert(id);
    }

    /// [`Op::report`] for those that need nothing of the graph.
    #[cold]
    pub(crate) fn report_alone(&mut self, task: &TaskState, detail: Detail) {
        self.locked(|op, graph| op.report(graph, task, None, detail));
    }

    pub(crate) fn warn_on(&mut self, task: &TaskState, condition: &'static str) {
        self.report_alone(task, Detail::DebugLocksWarn { condition });
    }

    pub(crate) fn unlock_imbalance(&mut self, task: &TaskState, map: LockMap) {
        self.locked(|op, graph| {
            let lock = graph.keys[map.key.index()].name.clone();
            op.report(
                graph,
                task,
                None,
                Detail::BadUnlock {
                    map,
                    lock,
                    depth: task.depth(),
                },
            );
        });
    }

    /// `match_held_lock()`. The warning for a counted entry without nest lock comes before classes are
    /// compared, whatever the lock asked for.
    pub(crate) fn matches(&mut self, held: &Held, map: LockMap, task: &TaskState) -> bool {
        if held.map() == map {
            return true;
        }
        if held.references() == 0 {
            return false;
        }
        let class = ClassId::of(map.key, 0);
        if !self.lockdep.word(class).is_registered() {
            return false;
        }
        if held.nest().is_none() {
            self.warn_on(task, "!hlock->nest_lock");
            return false;
        }
        held.class() == class
    }
}

fn held_lock(lockdep: &Lockdep, graph: &Graph, request: &Request, irq_context: u8) -> HeldLock {
    HeldLock {
        class: graph.class_ref(request.class, lockdep.word(request.class).usage()),
        map: request.map,
        read: request.read,
        trylock: request.trylock,
        irq_context,
        references: request.references,
        site: request.site,
    }
}
