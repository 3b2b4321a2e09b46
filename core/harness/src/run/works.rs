//! Workqueues: items, the workers and the rescuer that run them, flushes.

use ksplat_kernel::rt::{
    EntityId, EntitySet, EventKind, Machine, Needs, OpKind, ResKind, WaitHow, current, record,
};
use ksplat_kernel::sync::{Late, LockMap, WaitQueue};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// One work item.
#[derive(Debug)]
pub struct WorkItem {
    /// Which queue it is queued on.
    pub queue: usize,
    name: String,
    /// Held while it runs, touched by who flushes it.
    map: Option<LockMap>,
    /// Those who wait for it to have run.
    done: WaitQueue,
    /// Times queued and times run; pending where they differ.
    queued: AtomicU64,
    run: AtomicU64,
    /// When it was queued last: queues are served in this order.
    ticket: AtomicU64,
    /// Number of who runs it plus one; 0 if nobody does.
    runner: AtomicU64,
    /// Callers inside of `cancel_work_sync`: it cannot be queued.
    cancelling: AtomicU64,
}

/// One workqueue.
#[derive(Debug)]
pub struct Queue {
    map: Option<LockMap>,
    /// Idle workers.
    idle: WaitQueue,
    /// Workers and rescuer, one bit each.
    servers: EntitySet,
    limit: u64,
    rescuer: bool,
    /// Who may queue something, one bit each.
    queuers: EntitySet,
    /// Workers that run an item; the rescuer does not count.
    busy: AtomicU64,
}

/// What a queue is made from.
#[derive(Debug)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// Its workers, one bit each.
    pub workers: EntitySet,
    /// Its rescuer, one bit, or nothing.
    pub rescuer: EntitySet,
    /// Who may queue something on it, one bit each.
    pub queuers: EntitySet,
}

/// All workqueues of a program.
#[derive(Debug, Default)]
pub struct Works {
    /// By queue.
    pub queues: Vec<Queue>,
    /// By item.
    pub items: Vec<WorkItem>,
    tickets: AtomicU64,
    late: Late,
}

impl Queue {
    /// A queue. `maps`: lockdep knows queues and items.
    pub fn new(m: &mut Machine, spec: &QueueSpec, maps: bool) -> Self {
        let idle = WaitQueue::new(m, ResKind::Idle, format_args!("work on {}", spec.name), 0);
        let map = maps.then(|| {
            let class = format!("(wq_completion){}", spec.name);
            let key = LockMap::class(m, &class);
            LockMap::new(m, &class, key)
        });
        Self {
            map,
            idle,
            servers: spec.workers | spec.rescuer,
            limit: u64::from(spec.workers.count_ones()),
            rescuer: spec.rescuer != 0,
            queuers: spec.queuers,
            busy: AtomicU64::new(0),
        }
    }

    /// Flushing an item of such a queue from inside of the queue is a deadlock, so the flush counts as using the queue.
    fn flush_uses_queue(&self) -> bool {
        self.limit == 1 || self.rescuer
    }
}

impl WorkItem {
    /// An item of queue number `queue`.
    pub fn new(m: &mut Machine, name: &str, queue: usize, maps: bool) -> Self {
        let done = WaitQueue::new(m, ResKind::Work, format_args!("work item {name}"), 0);
        let map = maps.then(|| {
            let class = format!("(work_completion)({name})");
            let key = LockMap::class(m, &class);
            LockMap::new(m, &class, key)
        });
        let zero = || AtomicU64::new(0);
        Self {
            queue,
            name: name.to_owned(),
            map,
            done,
            queued: zero(),
            run: zero(),
            ticket: zero(),
            runner: zero(),
            cancelling: zero(),
        }
    }

    fn pending(&self) -> bool {
        self.queued.load(SeqCst) != self.run.load(SeqCst)
    }

    fn running(&self) -> bool {
        self.runner.load(SeqCst) != 0
    }

    fn reset(&self) {
        let all = [
            &self.queued,
            &self.run,
            &self.ticket,
            &self.runner,
            &self.cancelling,
        ];
        for zero in all {
            zero.store(0, SeqCst);
        }
    }
}

impl Works {
    /// All workqueues of a program.
    pub fn new(queues: Vec<Queue>, items: Vec<WorkItem>) -> Self {
        Self {
            queues,
            items,
            tickets: AtomicU64::new(0),
            late: Late::default(),
        }
    }

    /// Nothing queued.
    pub fn reset(&self) {
        self.tickets.store(0, SeqCst);
        self.late.reset();
        self.items.iter().for_each(WorkItem::reset);
        for queue in &self.queues {
            queue.busy.store(0, SeqCst);
        }
    }

    /// `queue_work()`. Once all tasks have ended each item is queued at most once more: what queues itself ends with
    /// its program.
    pub fn queue(&self, index: usize) {
        let e = current();
        let item = &self.items[index];
        let queue = &self.queues[item.queue];
        e.point(OpKind::Wake, queue.idle.res());
        record(EventKind::Wake, || format!("queue_work {}", item.name));
        if item.pending() || item.cancelling.load(SeqCst) != 0 || !self.late.may_queue(index) {
            return;
        }
        item.ticket
            .store(self.tickets.fetch_add(1, SeqCst) + 1, SeqCst);
        item.queued.fetch_add(1, SeqCst);
        e.machine().changed(&e, true);
        queue.idle.wake_up_quietly();
    }

    /// `queue_work()` where no decision can be made.
    pub fn queue_quietly(&self, index: usize) {
        let item = &self.items[index];
        if item.pending() {
            return;
        }
        item.ticket
            .store(self.tickets.fetch_add(1, SeqCst) + 1, SeqCst);
        item.queued.fetch_add(1, SeqCst);
        self.queues[item.queue].idle.wake_up_quietly();
    }

    /// Queued before the tasks start.
    pub fn queued_at_start(&self, index: usize) {
        self.items[index].queued.store(1, SeqCst);
    }

    /// `flush_work()`: waits until what is queued now has run.
    pub fn flush(&self, index: usize) {
        let item = &self.items[index];
        let queue = &self.queues[item.queue];
        record(EventKind::Block, || format!("flush_work {}", item.name));
        if let Some(map) = item.map {
            map.touch();
        }
        if let Some(map) = queue.map.filter(|_| queue.flush_uses_queue()) {
            map.touch();
        }
        self.wait_for(item, item.queued.load(SeqCst));
    }

    /// `flush_workqueue()`: waits for every item that is queued now.
    pub fn flush_queue(&self, queue: usize) {
        record(EventKind::Block, || "flush_workqueue".to_owned());
        current().might_sleep();
        if let Some(map) = self.queues[queue].map {
            map.touch();
        }
        let items = || self.items.iter().filter(|item| item.queue == queue);
        current().must_unwind();
        let targets: Vec<u64> = items().map(|item| item.queued.load(SeqCst)).collect();
        for (item, target) in items().zip(targets) {
            self.wait_for(item, target);
        }
    }

    /// `cancel_work_sync()`: takes it back, or waits if it runs. Meanwhile it cannot be queued.
    pub fn cancel_sync(&self, index: usize) {
        let e = current();
        let item = &self.items[index];
        e.point(OpKind::Wake, self.queues[item.queue].idle.res());
        record(EventKind::Step, || {
            format!("cancel_work_sync {}", item.name)
        });
        if item.pending() {
            item.run.store(item.queued.load(SeqCst), SeqCst);
            e.machine().changed(&e, true);
            e.machine().wake(item.done.res());
        }
        if let Some(map) = item.map {
            map.touch();
        }
        item.cancelling.fetch_add(1, SeqCst);
        self.wait_for(item, 0);
        item.cancelling.fetch_sub(1, SeqCst);
    }

    /// Waits until an item was run or taken back `target` times, and does not run.
    fn wait_for(&self, item: &WorkItem, target: u64) {
        let e = current();
        let res = item.done.res();
        e.might_sleep();
        e.point(OpKind::Wait, res);
        let servers = self.queues[item.queue].servers;
        loop {
            let runner = item.runner.load(SeqCst);
            if item.run.load(SeqCst) >= target && runner == 0 {
                return;
            }
            e.block(ksplat_kernel::rt::Wait {
                res,
                how: WaitHow::Sleep,
                needs: Needs::AnyOf(match runner {
                    0 => servers,
                    n => EntityId::new(n as usize - 1).bit(),
                }),
            });
        }
    }

    /// Life of a worker: runs items one by one, for ever.
    pub fn serve(&self, queue: usize, run: impl Fn(usize)) {
        let q = &self.queues[queue];
        loop {
            let index = self.take(queue, Needs::AnyOf(q.queuers), || true);
            let Some(index) = index else { continue };
            q.busy.fetch_add(1, SeqCst);
            // The rescuer looks whether it is needed now.
            q.idle.wake_up_quietly();
            self.process(queue, index, &run);
            q.busy.fetch_sub(1, SeqCst);
        }
    }

    /// Life of a rescuer: runs items while every worker is busy.
    pub fn rescue(&self, queue: usize, run: impl Fn(usize)) {
        let q = &self.queues[queue];
        loop {
            let needed = || q.busy.load(SeqCst) >= q.limit;
            let Some(index) = self.take(queue, Needs::AnyOf(q.queuers | q.servers), needed) else {
                continue;
            };
            self.process(queue, index, &run);
        }
    }

    fn process(&self, queue: usize, index: usize, run: &impl Fn(usize)) {
        let e = current();
        let item = &self.items[index];
        let queue_map = self.queues[queue].map;
        for map in [queue_map, item.map].into_iter().flatten() {
            map.acquire(ksplat_lockdep::Read::Exclusive);
        }
        run(index);
        for map in [item.map, queue_map].into_iter().flatten() {
            map.release();
        }
        if e.locks_held() != 0 || e.atomic() {
            e.machine().state_break("work-leaked-context", || {
                let held = e.locks_held();
                format!(
                    "work item {} ends with {held} locks held, or atomic",
                    item.name
                )
            });
        }
        e.point(OpKind::Wake, item.done.res());
        item.runner.store(0, SeqCst);
        e.machine().changed(&e, true);
        e.machine().wake(item.done.res());
    }

    /// The next item of a queue; waits while there is none or it is not `needed`. `None`: another was faster.
    fn take(&self, queue: usize, needs: Needs, needed: impl Fn() -> bool) -> Option<usize> {
        let ready = |item: &WorkItem| item.queue == queue && item.pending() && !item.running();
        let first = || {
            let ready = self
                .items
                .iter()
                .enumerate()
                .filter(|(_, item)| ready(item));
            ready.min_by_key(|(_, item)| item.ticket.load(SeqCst))
        };
        let q = &self.queues[queue];
        q.idle
            .wait_event(WaitHow::Idle, needs, || needed() && first().is_some());
        let (index, item) = first()?;
        let me = current().id().index() as u64 + 1;
        if item.runner.compare_exchange(0, me, SeqCst, SeqCst).is_err() {
            return None;
        }
        item.run.store(item.queued.load(SeqCst), SeqCst);
        record(EventKind::Begin, || format!("runs work item {}", item.name));
        Some(index)
    }
}
