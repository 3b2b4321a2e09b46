//! Which table holds what.

use super::decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, Mapping, Memcg, Mempool, Mm, Page, Slot,
    WaitQueue, Wb, Workqueue,
};
use super::handler::{Function, Irq, Notifier, Shrinker, Softirq, Task, Timer, Work};
use super::{At, Declared, Name, Program, Table};

impl Declared for Lock {
    const WHAT: &'static str = "a lock";

    fn table(program: &Program) -> &Table<Self> {
        &program.locks
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.locks
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

impl Declared for Flag {
    const WHAT: &'static str = "a flag";

    fn table(program: &Program) -> &Table<Self> {
        &program.flags
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.flags
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

impl Declared for Counter {
    const WHAT: &'static str = "a counter";

    fn table(program: &Program) -> &Table<Self> {
        &program.counters
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.counters
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

impl Declared for Completion {
    const WHAT: &'static str = "a completion";

    fn table(program: &Program) -> &Table<Self> {
        &program.completions
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.completions
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

impl Declared for WaitQueue {
    const WHAT: &'static str = "a wait queue";

    fn table(program: &Program) -> &Table<Self> {
        &program.wait_queues
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.wait_queues
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

impl Declared for Slot {
    const WHAT: &'static str = "a slot";

    fn table(program: &Program) -> &Table<Self> {
        &program.slots
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.slots
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

impl Declared for Workqueue {
    const WHAT: &'static str = "a workqueue";

    fn table(program: &Program) -> &Table<Self> {
        &program.workqueues
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.workqueues
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

impl Declared for Mempool {
    const WHAT: &'static str = "a mempool";

    fn table(program: &Program) -> &Table<Self> {
        &program.mempools
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.mempools
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

impl Declared for Mm {
    const WHAT: &'static str = "an mm";

    fn table(program: &Program) -> &Table<Self> {
        &program.mms
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.mms
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

impl Declared for Memcg {
    const WHAT: &'static str = "a memcg";

    fn table(program: &Program) -> &Table<Self> {
        &program.memcgs
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.memcgs
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

impl Declared for Device {
    const WHAT: &'static str = "a device";

    fn table(program: &Program) -> &Table<Self> {
        &program.devices
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.devices
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

impl Declared for Wb {
    const WHAT: &'static str = "a wb";

    fn table(program: &Program) -> &Table<Self> {
        &program.wbs
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.wbs
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

impl Declared for Inode {
    const WHAT: &'static str = "an inode";

    fn table(program: &Program) -> &Table<Self> {
        &program.inodes
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.inodes
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

impl Declared for Mapping {
    const WHAT: &'static str = "a mapping";

    fn table(program: &Program) -> &Table<Self> {
        &program.mappings
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.mappings
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

impl Declared for Page {
    const WHAT: &'static str = "a page";

    fn table(program: &Program) -> &Table<Self> {
        &program.pages
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.pages
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

impl Declared for Batch {
    const WHAT: &'static str = "a batch";

    fn table(program: &Program) -> &Table<Self> {
        &program.batches
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.batches
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

impl Declared for Function {
    const WHAT: &'static str = "a function";

    fn table(program: &Program) -> &Table<Self> {
        &program.functions
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.functions
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

impl Declared for Shrinker {
    const WHAT: &'static str = "a shrinker";

    fn table(program: &Program) -> &Table<Self> {
        &program.shrinkers
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.shrinkers
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

impl Declared for Notifier {
    const WHAT: &'static str = "an mmu notifier";

    fn table(program: &Program) -> &Table<Self> {
        &program.notifiers
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.notifiers
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

impl Declared for Irq {
    const WHAT: &'static str = "an irq handler";

    fn table(program: &Program) -> &Table<Self> {
        &program.irqs
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.irqs
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

impl Declared for Softirq {
    const WHAT: &'static str = "a softirq handler";

    fn table(program: &Program) -> &Table<Self> {
        &program.softirqs
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.softirqs
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

impl Declared for Timer {
    const WHAT: &'static str = "a timer";

    fn table(program: &Program) -> &Table<Self> {
        &program.timers
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.timers
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

impl Declared for Work {
    const WHAT: &'static str = "a work item";

    fn table(program: &Program) -> &Table<Self> {
        &program.works
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.works
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

impl Declared for Task {
    const WHAT: &'static str = "a task";

    fn table(program: &Program) -> &Table<Self> {
        &program.tasks
    }

    fn table_mut(program: &mut Program) -> &mut Table<Self> {
        &mut program.tasks
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
