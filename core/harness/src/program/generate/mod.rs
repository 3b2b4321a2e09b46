//! Programs out of bytes (`Arbitrary`).
//!
//! Small on purpose: two CPUs, up to three tasks, few locks, a page or two, allocations under pressure, callbacks that
//! lock. Most programs are about two or three subjects (see `swarm`). What the known cases need is within reach of a
//! short input; what is declared depends on the first bytes, what happens on the rest. Everything goes through
//! [`super::repair`].

mod bodies;
mod swarm;

use arbitrary::{Arbitrary, Result, Unstructured};

use super::decl::{
    Batch, CompletesIn, Completion, Counter, Device, Flag, Inode, Lock, LockKind, Mapping, Memcg,
    Mempool, Mm, Page, PageBit, PageBits, Population, Slot, WaitQueue, Wb, Workqueue,
};
use super::expect::{Expect, ReportExpect, StateExpect};
use super::handler::{
    Function, FunctionKind, Irq, Notifier, Shrinker, Softirq, Task, TaskFlag, TaskFlags, Timer,
    Work,
};
use super::machine::{Machine, Pcp, Watermarks, Zone, ZoneKind};
use super::op::Body;
use super::property::{Property, Test, What};
use super::rules_text::{GUARDS, RulesText, SWITCHES, Setting};
use super::schedule::Schedule;
use super::table::{Id, Table};
use super::{At, Block, Name, Program, repair};
use swarm::{Subject, Swarm};

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::repaired(u.arbitrary()?, "x"))
    }
}

impl<'a> Arbitrary<'a> for Body {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let block = Block::arbitrary(u)?;
        Ok(Self {
            locals: Vec::new(),
            block,
        })
    }
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut program = Self {
            rules: rules(u)?,
            machine: machine(u)?,
            ..Self::default()
        };
        let about = Swarm::draw(u)?;
        synchronisation(u, &about, &mut program)?;
        let paged = [
            Subject::Pages,
            Subject::Writeback,
            Subject::Memcg,
            Subject::Accounting,
        ];
        if paged.iter().any(|&s| about.has(s)) || u.ratio(1, 3)? {
            memory(u, &about, &mut program)?;
        } else if about.has(Subject::Notifier) {
            program.mms = mms(1)?;
            program.pages = table(1, || page(u, &about))?;
        }
        handlers(u, &about, &mut program)?;
        if u.ratio(1, 8)? {
            extras(u, &mut program)?;
        }
        let tasks = if u.ratio(1, 8)? {
            1
        } else {
            u.int_in_range(2..=3)?
        };
        program.tasks = table(tasks, || task(u, &about))?;
        repair(&mut program);
        Ok(program)
    }
}

fn table<T>(count: usize, make: impl FnMut() -> Result<T>) -> Result<Table<T>> {
    std::iter::repeat_with(make)
        .take(count)
        .collect::<Result<_>>()
        .map(Table)
}

/// One of something that the program is about, otherwise seldom one.
fn one<'a, T>(
    u: &mut Unstructured<'a>,
    about: bool,
    make: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Table<T>> {
    if about {
        let mut make = make;
        return table(1, || make(u));
    }
    if u.ratio(1, 4)? {
        some(u, 1, make)
    } else {
        Ok(Table::default())
    }
}

/// Up to `most` of something, often none.
fn some<'a, T>(
    u: &mut Unstructured<'a>,
    most: usize,
    mut make: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Table<T>> {
    let count = u.int_in_range(0..=most)?;
    table(count, || make(u))
}

fn rules(u: &mut Unstructured<'_>) -> Result<RulesText> {
    let mut rules = RulesText::default();
    if u.ratio(1, 4)? {
        rules.release = Some(u.arbitrary()?);
    }
    for _ in 0..u.int_in_range(0..=2)? {
        rules.settings.push(setting(u)?);
    }
    // What a kernel is configured or booted with, whatever its release.
    if u.ratio(1, 3)? {
        rules.settings.extend(Setting::switch("cgroup", "v1"));
    }
    Ok(rules)
}

fn setting(u: &mut Unstructured<'_>) -> Result<Setting> {
    if u.ratio(1, 5)? {
        let guard = u8::try_from(u.choose_index(GUARDS.len())?).unwrap_or(0);
        let on = false;
        return Ok(Setting::Guard { guard, on });
    }
    let switch = u.choose_index(SWITCHES.len())?;
    let value = u8::try_from(u.choose_index(SWITCHES[switch].values.len())?).unwrap_or(0);
    let switch = u8::try_from(switch).unwrap_or(0);
    Ok(Setting::Switch { switch, value })
}

fn machine(u: &mut Unstructured<'_>) -> Result<Machine> {
    let mut machine = Machine::default();
    if u.ratio(1, 4)? {
        machine.cpus = 1;
    }
    if u.ratio(1, 2)? {
        let zone = &mut machine.zones[0];
        zone.watermarks = Some(Watermarks {
            min: 2,
            low: 4,
            high: 6,
        });
        zone.free = Some(u.int_in_range(0..=12)?);
    }
    if u.ratio(1, 8)? {
        machine.zones.push(Zone::of(ZoneKind::Movable, 8));
    }
    if u.ratio(1, 8)? {
        machine.pcp = Some(Pcp { high: 4, batch: 2 });
    }
    if u.ratio(1, 4)? {
        machine.kswapd = Some(0);
    }
    Ok(machine)
}

fn synchronisation(u: &mut Unstructured<'_>, about: &Swarm, program: &mut Program) -> Result<()> {
    let locks = u.int_in_range(1..=3)?;
    program.locks = table(locks, || lock(u))?;
    if about.has(Subject::Interrupts) {
        let first = &mut program.locks.0[0];
        (first.kind, first.population) = (LockKind::Spinlock, None);
    }
    let waits = about.has(Subject::Waits);
    program.completions = one(u, waits, |_| {
        Ok(Completion {
            at: At::NOWHERE,
            name: Name::default(),
        })
    })?;
    program.flags = one(u, waits, |u| {
        Ok(Flag {
            at: At::NOWHERE,
            name: Name::default(),
            on: u.arbitrary()?,
        })
    })?;
    program.wait_queues = one(u, waits, |_| {
        Ok(WaitQueue {
            at: At::NOWHERE,
            name: Name::default(),
        })
    })?;
    program.workqueues = one(u, about.has(Subject::Works), |u| {
        Ok(Workqueue {
            at: At::NOWHERE,
            name: Name::default(),
            workers: 1,
            rescuer: u.arbitrary()?,
        })
    })?;
    Ok(())
}

fn lock(u: &mut Unstructured<'_>) -> Result<Lock> {
    let kind = match u.int_in_range(0..=7)? {
        0..=2 => LockKind::Mutex,
        3 | 4 => LockKind::Spinlock,
        5 => LockKind::Rwsem,
        _ => u.arbitrary()?,
    };
    let class = if u.ratio(1, 8)? {
        Name::new("shared_class")
    } else {
        None
    };
    let population = if u.ratio(1, 16)? {
        Some(Population {
            referenced: 1,
            unreferenced: 1,
        })
    } else {
        None
    };
    Ok(Lock {
        at: At::NOWHERE,
        name: Name::default(),
        kind,
        class,
        population,
    })
}

/// Pages, their mapping and what hangs on it.
fn memory(u: &mut Unstructured<'_>, about: &Swarm, program: &mut Program) -> Result<()> {
    let writeback = about.has(Subject::Writeback);
    program
        .functions
        .0
        .push(function(u, FunctionKind::ReleasePage)?);
    program.memcgs = one(u, about.has(Subject::Memcg), |u| {
        Ok(Memcg {
            at: At::NOWHERE,
            name: Name::default(),
            limit: Some(u.int_in_range(0..=4)?),
            usage: u.int_in_range(0..=4)?,
            moving: u.arbitrary()?,
            stock: u.int_in_range(0..=2)?,
        })
    })?;
    program.devices = one(u, writeback, |u| {
        Ok(Device {
            at: At::NOWHERE,
            name: Name::default(),
            depth: 1,
            completes: completes(u)?,
        })
    })?;
    program.batches = some(u, 1, |_| {
        Ok(Batch {
            at: At::NOWHERE,
            name: Name::default(),
            device: Id::new(0),
        })
    })?;
    let mapped = about.has(Subject::Notifier) || u.ratio(1, 8)?;
    program.mms = mms(usize::from(mapped))?;
    let attached = about.has(Subject::Accounting) || u.ratio(1, 8)?;
    if attached {
        inode(u, program)?;
    }
    let maps_blocks = writeback && u.ratio(3, 4)?;
    if maps_blocks {
        let body = function(u, FunctionKind::MapBlocks)?;
        program.functions.0.push(body);
    }
    program.mappings.0.push(Mapping {
        at: At::NOWHERE,
        name: Name::default(),
        inode: if attached { Some(Id::new(0)) } else { None },
        device: Some(Id::new(0)),
        gfp: None,
        release: Some(Id::new(0)),
        map_blocks: if maps_blocks { Some(Id::new(1)) } else { None },
        may_deadlock: u.ratio(1, 8)?,
    });
    let pages = u.int_in_range(1..=3)?;
    program.pages = table(pages, || page(u, about))?;
    Ok(())
}

fn mms(count: usize) -> Result<Table<Mm>> {
    table(count, || {
        Ok(Mm {
            at: At::NOWHERE,
            name: Name::default(),
        })
    })
}

/// An inode and the wb that its writeback is accounted to.
fn inode(u: &mut Unstructured<'_>, program: &mut Program) -> Result<()> {
    let (at, name) = (At::NOWHERE, Name::default);
    for _ in 0..u.int_in_range(1..=2)? {
        program.wbs.0.push(Wb {
            at,
            name: name(),
            device: Some(u.arbitrary()?),
            memcg: Some(u.arbitrary()?),
        });
    }
    program.inodes.0.push(Inode {
        at,
        name: name(),
        wb: Some(Id::new(0)),
        switching: u.arbitrary()?,
    });
    Ok(())
}

fn completes(u: &mut Unstructured<'_>) -> Result<CompletesIn> {
    Ok(match u.int_in_range(0..=3)? {
        0 | 1 => CompletesIn::Irq { cpu: 0 },
        2 => CompletesIn::Worker { queue: Id::new(0) },
        _ => CompletesIn::Daemon,
    })
}

fn page(u: &mut Unstructured<'_>, about: &Swarm) -> Result<Page> {
    let none = PageBits::default();
    let bits = match u.int_in_range(0..=5)? {
        0..=2 if about.has(Subject::Writeback) => none.with(PageBit::Dirty),
        0..=2 => none.with(PageBit::Private),
        3 => none.with(PageBit::Dirty),
        4 => none.with(PageBit::Isolated),
        _ => u.arbitrary()?,
    };
    let charged = about.has(Subject::Memcg) || u.ratio(1, 2)?;
    let mapped = about.has(Subject::Notifier) || u.ratio(1, 2)?;
    Ok(Page {
        at: At::NOWHERE,
        name: Name::default(),
        count: u.int_in_range(1..=2)?,
        mapping: Some(Id::new(0)),
        bits,
        memcg: charged.then_some(Id::new(0)),
        mm: mapped.then_some(Id::new(0)),
    })
}

fn function(u: &mut Unstructured<'_>, kind: FunctionKind) -> Result<Function> {
    Ok(Function {
        at: At::NOWHERE,
        name: Name::default(),
        kind,
        body: u.arbitrary()?,
    })
}

fn handlers(u: &mut Unstructured<'_>, about: &Swarm, program: &mut Program) -> Result<()> {
    let reclaims = about.has(Subject::Reclaim) && u.ratio(2, 3)?;
    program.shrinkers = one(u, reclaims, |u| {
        Ok(Shrinker {
            at: At::NOWHERE,
            name: Name::default(),
            objects: u.int_in_range(0..=3)?,
            needs_fs: u.ratio(1, 4)?,
            body: u.arbitrary()?,
        })
    })?;
    let interrupts = about.has(Subject::Interrupts);
    program.irqs = one(u, interrupts, |u| {
        Ok(Irq {
            at: At::NOWHERE,
            name: Name::default(),
            cpu: 0,
            times: 1,
            body: swarm::atomic(|| u.arbitrary())?,
        })
    })?;
    program.works = one(u, about.has(Subject::Works), |u| {
        Ok(Work {
            at: At::NOWHERE,
            name: Name::default(),
            queue: Id::new(0),
            body: u.arbitrary()?,
        })
    })?;
    program.notifiers = one(u, about.has(Subject::Notifier), |u| {
        Ok(Notifier {
            at: At::NOWHERE,
            name: Name::default(),
            mm: Id::new(0),
            body: u.arbitrary()?,
        })
    })?;
    Ok(())
}

/// What few programs have, so that all of the language is met now and then.
fn extras(u: &mut Unstructured<'_>, program: &mut Program) -> Result<()> {
    let at = At::NOWHERE;
    let name = Name::default;
    program.counters.0.push(Counter {
        at,
        name: name(),
        start: u.arbitrary()?,
    });
    program.wait_queues.0.push(WaitQueue { at, name: name() });
    program.slots.0.push(Slot { at, name: name() });
    program.mempools.0.push(Mempool {
        at,
        name: name(),
        size: u.arbitrary()?,
    });
    inode(u, program)?;
    for kind in [FunctionKind::Plain, FunctionKind::Console] {
        program.functions.0.push(function(u, kind)?);
    }
    program.softirqs.0.push(Softirq {
        at,
        name: name(),
        body: swarm::atomic(|| u.arbitrary())?,
    });
    program.timers.0.push(Timer {
        at,
        name: name(),
        cpu: u.arbitrary()?,
        body: swarm::atomic(|| u.arbitrary())?,
    });
    program.schedule = Some(Schedule {
        at,
        seed: u.arbitrary()?,
        strategy: u.arbitrary()?,
        decisions: u.arbitrary()?,
    });
    program.expects = some(u, 3, expect)?.0;
    program.properties = some(u, 2, property)?;
    Ok(())
}

fn property(u: &mut Unstructured<'_>) -> Result<Property> {
    Ok(Property {
        at: At::NOWHERE,
        name: Name::default(),
        event: u.arbitrary()?,
        never: some(u, 3, test)?.0,
    })
}

fn test(u: &mut Unstructured<'_>) -> Result<Test> {
    let what = match u.int_in_range(0..=3)? {
        0 => What::Gfp(u.arbitrary()?),
        1 => What::Held(u.arbitrary()?),
        2 => What::In(u.arbitrary()?),
        _ => What::Plain(u.arbitrary()?),
    };
    Ok(Test {
        negated: u.arbitrary()?,
        what,
    })
}

fn expect(u: &mut Unstructured<'_>) -> Result<Expect> {
    Ok(Expect {
        at: At::NOWHERE,
        under: rules(u)?,
        stop: u.arbitrary()?,
        report: match u.int_in_range(0..=3)? {
            0 => None,
            1 => Some(ReportExpect::None),
            _ => Some(ReportExpect::Some {
                headline: u.arbitrary()?,
                subject: u.arbitrary()?,
            }),
        },
        state: match u.int_in_range(0..=2)? {
            0 => None,
            1 => Some(StateExpect::Ok),
            _ => Some(StateExpect::Broken(u.arbitrary()?)),
        },
        verdict: u.arbitrary()?,
    })
}

fn task(u: &mut Unstructured<'_>, about: &Swarm) -> Result<Task> {
    let flags = match u.int_in_range(0..=7)? {
        0 => TaskFlags::default().with(TaskFlag::Daemon),
        1 => u.arbitrary()?,
        _ => TaskFlags::default(),
    };
    Ok(Task {
        at: At::NOWHERE,
        name: Name::default(),
        cpu: u8::from(u.ratio(1, 3)?),
        prio: if u.ratio(1, 8)? { 1 } else { 0 },
        flags,
        memcg: (about.has(Subject::Memcg) || u.ratio(1, 4)?).then_some(Id::new(0)),
        body: u.arbitrary()?,
    })
}
