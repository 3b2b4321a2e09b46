//! Declarations: sizes, and references among them.

use super::super::check::{pages_declared, pages_of_machine};
use super::super::decl::{CompletesIn, Lock, LockKind, PageBit};
use super::super::gfp::GfpBase;
use super::super::handler::{Function, FunctionKind, Task, TaskFlags};
use super::super::property::What;
use super::super::table::{Declared, Id, Table};
use super::super::{At, Body, Name, Program, limits};
use super::{wrap_u8, wrap_u16, wrap_u32};

pub(super) fn repair(program: &mut Program) {
    lengths(program);
    locks(&mut program.locks.0);
    sizes(program);
    references(program);
    pages(program);
    handlers(program);
}

fn lengths(program: &mut Program) {
    fn cut<T>(table: &mut Table<T>) {
        table.0.truncate(limits::DECLARATIONS);
    }
    cut(&mut program.locks);
    cut(&mut program.flags);
    cut(&mut program.counters);
    cut(&mut program.completions);
    cut(&mut program.wait_queues);
    cut(&mut program.slots);
    cut(&mut program.workqueues);
    cut(&mut program.mempools);
    cut(&mut program.mms);
    cut(&mut program.memcgs);
    cut(&mut program.devices);
    cut(&mut program.wbs);
    cut(&mut program.inodes);
    cut(&mut program.mappings);
    cut(&mut program.pages);
    cut(&mut program.batches);
    cut(&mut program.functions);
    cut(&mut program.shrinkers);
    cut(&mut program.notifiers);
    cut(&mut program.properties);
    cut(&mut program.irqs);
    cut(&mut program.softirqs);
    cut(&mut program.timers);
    cut(&mut program.works);
    program.tasks.0.truncate(limits::TASKS);
    if program.tasks.is_empty() {
        program.tasks.0.push(idle());
    }
    // What cannot exist without something that is not declared.
    if program.devices.is_empty() {
        program.batches.0.clear();
    }
    if program.mms.is_empty() {
        program.notifiers.0.clear();
    }
    if program.workqueues.is_empty() {
        program.works.0.clear();
    }
}

/// A task that does nothing.
fn idle() -> Task {
    Task {
        at: At::NOWHERE,
        name: Name::default(),
        cpu: 0,
        prio: 0,
        flags: TaskFlags::default(),
        memcg: None,
        body: Body::default(),
    }
}

fn locks(locks: &mut [Lock]) {
    for lock in locks.iter_mut() {
        lock.class = lock.class.take().filter(Name::is_free);
        if matches!(lock.kind, LockKind::LocalLock | LockKind::Seqcount) || !lock.kind.has_writers()
        {
            lock.population = None;
        }
        if let Some(population) = &mut lock.population {
            population.referenced = wrap_u16(population.referenced, 1, limits::INSTANCES);
            population.unreferenced = wrap_u16(population.unreferenced, 1, limits::INSTANCES);
        }
    }
}

/// A class has locks of one kind. Called when names are final: a name is a class too.
pub(super) fn classes(locks: &mut [Lock]) {
    for i in 0..locks.len() {
        let class = locks[i].class_name().clone();
        let kind = locks[i].kind;
        if locks
            .iter()
            .any(|l| *l.class_name() == class && l.kind != kind)
        {
            locks[i].class = None;
        }
    }
}

fn sizes(program: &mut Program) {
    let most = i32::try_from(limits::COUNTER).unwrap_or(i32::MAX);
    for counter in &mut program.counters.0 {
        counter.start = counter.start.clamp(-most, most);
    }
    for queue in &mut program.workqueues.0 {
        queue.workers = wrap_u16(queue.workers, 1, limits::INSTANCES);
    }
    for pool in &mut program.mempools.0 {
        pool.size = wrap_u16(pool.size, 1, limits::INSTANCES);
    }
    for memcg in &mut program.memcgs.0 {
        memcg.limit = memcg
            .limit
            .map(|limit| wrap_u32(limit, 0, limits::ZONE_PAGES));
        let most = memcg.limit.map_or(limits::ZONE_PAGES, u64::from);
        memcg.usage = wrap_u32(memcg.usage, 0, most);
        memcg.stock = wrap_u32(memcg.stock, 0, limits::ZONE_PAGES);
    }
    for device in &mut program.devices.0 {
        device.depth = wrap_u16(device.depth, 1, limits::INSTANCES);
    }
    for mapping in &mut program.mappings.0 {
        mapping.gfp = mapping
            .gfp
            .filter(|g| !matches!(g, GfpBase::Inherited | GfpBase::Zero));
    }
}

/// The reference reduced to the length of its table; `None` when there is nothing to refer to.
pub(super) fn reduced<T: Declared>(program: &Program, id: Id<T>) -> Option<Id<T>> {
    reduced_where(program, id, |_| true)
}

/// The reference, if what it refers to fits; otherwise one of those that fit.
pub(super) fn reduced_where<T: Declared>(
    program: &Program,
    id: Id<T>,
    fits: impl Fn(&T) -> bool,
) -> Option<Id<T>> {
    let table = T::table(program);
    if table.get(id).is_some_and(&fits) {
        return Some(id);
    }
    let fitting: Vec<Id<T>> = table
        .entries()
        .filter(|(_, x)| fits(x))
        .map(|(id, _)| id)
        .collect();
    let choice = id.index().checked_rem(fitting.len())?;
    Some(fitting[choice])
}

fn references(program: &mut Program) {
    for i in 0..program.devices.len() {
        program.devices.0[i].completes = completes(program, program.devices.0[i].completes);
    }
    for i in 0..program.wbs.len() {
        let wb = &program.wbs.0[i];
        let device = wb.device.and_then(|id| reduced(program, id));
        let memcg = wb.memcg.and_then(|id| reduced(program, id));
        (program.wbs.0[i].device, program.wbs.0[i].memcg) = (device, memcg);
    }
    for i in 0..program.inodes.len() {
        program.inodes.0[i].wb = program.inodes.0[i].wb.and_then(|id| reduced(program, id));
    }
    for i in 0..program.mappings.len() {
        let mapping = &program.mappings.0[i];
        let inode = mapping.inode.and_then(|id| reduced(program, id));
        let device = mapping.device.and_then(|id| reduced(program, id));
        let release = callback(program, mapping.release, FunctionKind::ReleasePage);
        let map_blocks = callback(program, mapping.map_blocks, FunctionKind::MapBlocks);
        let mapping = &mut program.mappings.0[i];
        mapping.inode = inode;
        mapping.device = device;
        mapping.release = release;
        mapping.map_blocks = map_blocks;
    }
    for i in 0..program.batches.len() {
        let device = program.batches.0[i].device;
        program.batches.0[i].device = reduced(program, device).unwrap_or(device);
    }
    for i in 0..program.notifiers.len() {
        let mm = program.notifiers.0[i].mm;
        program.notifiers.0[i].mm = reduced(program, mm).unwrap_or(mm);
    }
    for i in 0..program.works.len() {
        let queue = program.works.0[i].queue;
        program.works.0[i].queue = reduced(program, queue).unwrap_or(queue);
    }
    for i in 0..program.tasks.len() {
        program.tasks.0[i].memcg = program.tasks.0[i].memcg.and_then(|id| reduced(program, id));
    }
}

fn completes(program: &Program, completes: CompletesIn) -> CompletesIn {
    let elsewhere = CompletesIn::Irq { cpu: 0 };
    match completes {
        CompletesIn::Irq { cpu } => CompletesIn::Irq {
            cpu: cpu % program.machine.cpus,
        },
        CompletesIn::Worker { queue } => {
            reduced(program, queue).map_or(elsewhere, |queue| CompletesIn::Worker { queue })
        }
        CompletesIn::Handler { irq } => {
            reduced(program, irq).map_or(elsewhere, |irq| CompletesIn::Handler { irq })
        }
        CompletesIn::Daemon => CompletesIn::Daemon,
    }
}

fn callback(
    program: &Program,
    id: Option<Id<Function>>,
    kind: FunctionKind,
) -> Option<Id<Function>> {
    id.and_then(|id| reduced_where(program, id, |f| f.kind == kind))
}

fn pages(program: &mut Program) {
    for i in 0..program.pages.len() {
        let page = &program.pages.0[i];
        let mapping = page.mapping.and_then(|id| reduced(program, id));
        let memcg = page.memcg.and_then(|id| reduced(program, id));
        let mm = page.mm.and_then(|id| reduced(program, id));
        let page = &mut program.pages.0[i];
        (page.mapping, page.memcg, page.mm) = (mapping, memcg, mm);
        page.count = wrap_u16(page.count, 1, limits::INSTANCES);
        if mapping.is_none() {
            for bit in [PageBit::Dirty, PageBit::Writeback, PageBit::Private] {
                page.bits = page.bits.without(bit);
            }
        }
    }
    let room = pages_of_machine(program);
    if pages_declared(program) > room {
        for page in &mut program.pages.0 {
            page.count = 1;
        }
        program
            .pages
            .0
            .truncate(usize::try_from(room).unwrap_or(usize::MAX));
    }
}

fn handlers(program: &mut Program) {
    let cpus = program.machine.cpus;
    for shrinker in &mut program.shrinkers.0 {
        shrinker.objects = wrap_u16(shrinker.objects, 0, limits::INSTANCES);
    }
    for irq in &mut program.irqs.0 {
        irq.cpu %= cpus;
        irq.times = wrap_u8(irq.times, 0, limits::IRQ_TIMES);
    }
    for timer in &mut program.timers.0 {
        timer.cpu %= cpus;
    }
    for task in &mut program.tasks.0 {
        task.cpu %= cpus;
        task.prio = wrap_u8(task.prio, 0, limits::PRIORITY);
        task.flags = task.flags.known();
    }
}

/// Tests that mean nothing are dropped, and properties without tests.
pub(super) fn properties(program: &mut Program) {
    let mut all = std::mem::take(&mut program.properties.0);
    for property in &mut all {
        for test in &mut property.never {
            test.what = match test.what {
                What::Held(lock) => What::Held(reduced(program, lock).unwrap_or(lock)),
                What::In(function) => What::In(reduced(program, function).unwrap_or(function)),
                other => other,
            };
        }
        let event = property.event;
        property.never.retain(|test| {
            let exists = match test.what {
                What::Held(lock) => program.locks.get(lock).is_some_and(|l| l.kind.is_held()),
                What::In(function) => program.functions.get(function).is_some(),
                What::Gfp(_) | What::Plain(_) => true,
            };
            exists && test.what.only_at().is_none_or(|only| only == event)
        });
        property.never.truncate(limits::TERMS);
    }
    all.retain(|property| !property.never.is_empty());
    program.properties.0 = all;
}
