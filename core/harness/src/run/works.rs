//! Workqueues: items, the workers that run them, and flushes.

use ksplat_kernel::rt::{EventKind, Machine, Needs, OpKind, ResKind, WaitHow, current, record};
use ksplat_kernel::sync::{LockMap, WaitQueue};
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
    running: AtomicU64,
}

/// One workqueue.
#[derive(Debug)]
pub struct Queue {
    map: Option<LockMap>,
    /// Idle workers.
    idle: WaitQueue,
    workers: u64,
}

/// All workqueues of a program.
#[derive(Debug, Default)]
pub struct Works {
    /// By queue.
    pub queues: Vec<Queue>,
    /// By item.
    pub items: Vec<WorkItem>,
}

impl Queue {
    /// A queue with these workers, one bit each. `maps`: lockdep knows queues and items.
    pub fn new(m: &mut Machine, name: &str, workers: u64, maps: bool) -> Self {
        let idle = WaitQueue::new(m, ResKind::Idle, &format!("work on {name}"), 0);
        let map = maps.then(|| {
            let class = format!("(wq_completion){name}");
            let key = LockMap::class(m, &class);
            LockMap::new(m, &class, key)
        });
        Self { map, idle, workers }
    }
}

impl WorkItem {
    /// An item of queue number `queue`.
    pub fn new(m: &mut Machine, name: &str, queue: usize, workers: u64, maps: bool) -> Self {
        let done = WaitQueue::new(m, ResKind::Work, &format!("work item {name}"), workers);
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
            running: zero(),
        }
    }

    fn pending(&self) -> bool {
        self.queued.load(SeqCst) != self.run.load(SeqCst)
    }
}

impl Works {
    /// Nothing queued.
    pub fn reset(&self) {
        for item in &self.items {
            item.queued.store(0, SeqCst);
            item.run.store(0, SeqCst);
            item.running.store(0, SeqCst);
        }
    }

    /// `queue_work()`.
    pub fn queue(&self, index: usize) {
        let item = &self.items[index];
        let queue = &self.queues[item.queue];
        current().point(OpKind::Wake, queue.idle.res());
        record(EventKind::Wake, || format!("queue_work {}", item.name));
        if !item.pending() {
            item.queued.fetch_add(1, SeqCst);
            queue.idle.wake_up_quietly();
        }
    }

    /// `flush_work()`: waits until what is queued now has run.
    pub fn flush(&self, index: usize) {
        let item = &self.items[index];
        let queue = &self.queues[item.queue];
        record(EventKind::Block, || format!("flush_work {}", item.name));
        for map in [item.map, queue.map].into_iter().flatten() {
            map.touch();
        }
        let target = item.queued.load(SeqCst);
        let done = || item.run.load(SeqCst) >= target && item.running.load(SeqCst) == 0;
        item.done
            .wait_event(WaitHow::Sleep, Needs::AnyOf(queue.workers), done);
    }

    /// `flush_workqueue()`: waits for every item of the queue.
    pub fn flush_queue(&self, queue: usize) {
        for (i, _) in self
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.queue == queue)
        {
            self.flush(i);
        }
    }

    /// `cancel_work_sync()`: takes it back, or waits if it runs.
    pub fn cancel_sync(&self, index: usize) {
        let item = &self.items[index];
        current().point(OpKind::Wake, self.queues[item.queue].idle.res());
        record(EventKind::Step, || {
            format!("cancel_work_sync {}", item.name)
        });
        if let Some(map) = item.map {
            map.touch();
        }
        item.run.store(item.queued.load(SeqCst), SeqCst);
        let workers = self.queues[item.queue].workers;
        item.done
            .wait_event(WaitHow::Sleep, Needs::AnyOf(workers), || {
                item.running.load(SeqCst) == 0
            });
    }

    /// Life of a worker: runs items one by one, for ever.
    pub fn serve(&self, queue: usize, run: impl Fn(usize)) {
        loop {
            let Some(index) = self.take(queue) else {
                continue;
            };
            let item = &self.items[index];
            let maps: Vec<LockMap> = [self.queues[queue].map, item.map]
                .into_iter()
                .flatten()
                .collect();
            for map in &maps {
                map.acquire(ksplat_lockdep::Read::Exclusive);
            }
            run(index);
            for map in maps.iter().rev() {
                map.release();
            }
            item.running.fetch_sub(1, SeqCst);
            item.done.wake_up();
        }
    }

    /// The next item of a queue; waits while there is none. `None`: another worker was faster.
    fn take(&self, queue: usize) -> Option<usize> {
        let ready = |item: &WorkItem| {
            item.queue == queue && item.pending() && item.running.load(SeqCst) == 0
        };
        let q = &self.queues[queue];
        q.idle.wait_event(WaitHow::Idle, Needs::Anyone, || {
            self.items.iter().any(ready)
        });
        let index = self.items.iter().position(ready)?;
        let item = &self.items[index];
        if item.running.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
            return None;
        }
        item.run.store(item.queued.load(SeqCst), SeqCst);
        record(EventKind::Begin, || format!("runs work item {}", item.name));
        Some(index)
    }
}
