//! Which table holds what: 25 times the same five answers, hence the macro.

use super::decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, Mapping, Memcg, Mempool, Mm, Page, Slot,
    WaitQueue, Wb, Workqueue,
};
use super::handler::{Function, Irq, Notifier, Shrinker, Softirq, Task, Timer, Work};
use super::property::Property;
use super::{At, Declared, Name, Program, Table};

macro_rules! declared {
    ($($kind:ty: $table:ident, $what:literal;)*) => {$(
        impl Declared for $kind {
            const WHAT: &'static str = $what;

            fn table(program: &Program) -> &Table<Self> {
                &program.$table
            }

            fn table_mut(program: &mut Program) -> &mut Table<Self> {
                &mut program.$table
            }

            fn name(&self) -> &Name {
                &self.name
            }

            fn name_mut(&mut self) -> &mut Name {
                &mut self.name
            }

            fn at(&self) -> At {
                self.at
            }
        }
    )*};
}

declared! {
    Lock: locks, "a lock";
    Flag: flags, "a flag";
    Counter: counters, "a counter";
    Completion: completions, "a completion";
    WaitQueue: wait_queues, "a wait queue";
    Slot: slots, "a slot";
    Workqueue: workqueues, "a workqueue";
    Mempool: mempools, "a mempool";
    Mm: mms, "an mm";
    Memcg: memcgs, "a memcg";
    Device: devices, "a device";
    Wb: wbs, "a wb";
    Inode: inodes, "an inode";
    Mapping: mappings, "a mapping";
    Page: pages, "a page";
    Batch: batches, "a batch";
    Function: functions, "a function";
    Shrinker: shrinkers, "a shrinker";
    Notifier: notifiers, "an mmu notifier";
    Irq: irqs, "an irq handler";
    Softirq: softirqs, "a softirq handler";
    Timer: timers, "a timer";
    Work: works, "a work item";
    Task: tasks, "a task";
    Property: properties, "a property";
}
