//! Declarations.

use std::collections::BTreeMap;

use super::super::decl::{
    Batch, CompletesIn, Completion, Counter, Device, Flag, Inode, Lock, LockKind, Mapping, Memcg,
    Mempool, Mm, Page, PageBit, Slot, WaitQueue, Wb, Workqueue,
};
use super::super::error::Problem;
use super::super::gfp::GfpBase;
use super::super::handler::{
    Function, FunctionKind, Irq, Notifier, Shrinker, Softirq, Task, Timer, Work,
};
use super::super::property::{Property, What};
use super::super::table::{Declared, Id};
use super::super::word::Word;
use super::super::{At, Name, Program, limits};
use super::get;
use super::machine::cpu_label;

type Checked = Result<(), Problem>;

/// What is declared: the kind, the name, the place; in the order of the tables.
pub fn all_names(program: &Program) -> Vec<(&'static str, &Name, At)> {
    fn add<'p, T: Declared>(program: &'p Program, names: &mut Vec<(&'static str, &'p Name, At)>) {
        names.extend(
            T::table(program)
                .iter()
                .map(|item| (T::WHAT, item.name(), item.at())),
        );
    }
    let mut names = Vec::new();
    add::<Lock>(program, &mut names);
    add::<Flag>(program, &mut names);
    add::<Counter>(program, &mut names);
    add::<Completion>(program, &mut names);
    add::<WaitQueue>(program, &mut names);
    add::<Slot>(program, &mut names);
    add::<Workqueue>(program, &mut names);
    add::<Mempool>(program, &mut names);
    add::<Mm>(program, &mut names);
    add::<Memcg>(program, &mut names);
    add::<Device>(program, &mut names);
    add::<Wb>(program, &mut names);
    add::<Inode>(program, &mut names);
    add::<Mapping>(program, &mut names);
    add::<Page>(program, &mut names);
    add::<Batch>(program, &mut names);
    add::<Function>(program, &mut names);
    add::<Shrinker>(program, &mut names);
    add::<Notifier>(program, &mut names);
    add::<Property>(program, &mut names);
    add::<Irq>(program, &mut names);
    add::<Softirq>(program, &mut names);
    add::<Timer>(program, &mut names);
    add::<Work>(program, &mut names);
    add::<Task>(program, &mut names);
    names
}

/// Pages of all declared populations.
pub fn pages_declared(program: &Program) -> u64 {
    program.pages.iter().map(|page| u64::from(page.count)).sum()
}

/// Pages of all zones.
pub fn pages_of_machine(program: &Program) -> u64 {
    program
        .machine
        .zones
        .iter()
        .map(|zone| u64::from(zone.pages))
        .sum()
}

pub(super) fn check(program: &Program, problems: &mut Vec<Problem>) {
    names(program, problems);
    let results = (program.locks.iter().map(|x| lock(program, x)))
        .chain(program.counters.iter().map(counter))
        .chain(
            program
                .workqueues
                .iter()
                .map(|x| instances(x.workers, x.at)),
        )
        .chain(program.mempools.iter().map(|x| instances(x.size, x.at)))
        .chain(program.memcgs.iter().map(memcg))
        .chain(program.properties.iter().map(|x| property(program, x)))
        .chain(program.devices.iter().map(|x| device(program, x)))
        .chain(program.wbs.iter().map(|x| wb(program, x)))
        .chain(program.inodes.iter().map(|x| exists(program, x.wb, x.at)))
        .chain(program.mappings.iter().map(|x| mapping(program, x)))
        .chain(program.pages.iter().map(|x| page(program, x)))
        .chain(
            program
                .batches
                .iter()
                .map(|x| exists(program, Some(x.device), x.at)),
        )
        .chain(program.shrinkers.iter().map(shrinker))
        .chain(
            program
                .notifiers
                .iter()
                .map(|x| exists(program, Some(x.mm), x.at)),
        )
        .chain(program.irqs.iter().map(|x| irq(program, x)))
        .chain(program.timers.iter().map(|x| cpu(program, x.cpu, x.at)))
        .chain(
            program
                .works
                .iter()
                .map(|x| exists(program, Some(x.queue), x.at)),
        )
        .chain(program.tasks.iter().map(|x| task(program, x)));
    problems.extend(results.filter_map(Result::err));
    if pages_declared(program) > pages_of_machine(program) {
        let at = program.pages.0.last().map_or(At::NOWHERE, |page| page.at);
        let message = format!("{} pages are declared", pages_declared(program));
        let label = format!(
            "expected at most the {} of the machine",
            pages_of_machine(program)
        );
        problems.push(Problem::new(at, message, label));
    }
}

fn names(program: &Program, problems: &mut Vec<Problem>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen: BTreeMap<&str, At> = BTreeMap::new();
    for (what, name, at) in all_names(program) {
        let count = counts.entry(what).or_insert(0);
        *count += 1;
        let most = if what == Task::WHAT {
            limits::TASKS
        } else {
            limits::DECLARATIONS
        };
        if *count == most + 1 {
            let message = "too many declarations of one kind";
            problems.push(Problem::new(
                at,
                message,
                format!("expected at most {most}"),
            ));
        }
        if !name.is_free() {
            let message = format!("`{name}` cannot be a name");
            problems.push(Problem::new(at, message, "expected another name"));
        }
        if let Some(first) = seen.insert(name.as_str(), at) {
            let message = format!("`{name}` is declared twice");
            let problem = Problem::new(at, message, "expected a name of its own");
            problems.push(problem.with_help(Some(format!("first declared at {first}"))));
        }
    }
    if program.tasks.is_empty() {
        let start = At {
            line: 1,
            column: 1,
            ..At::NOWHERE
        };
        let label = "expected at least one `task NAME on cpu0 { … }`";
        problems.push(Problem::new(start, "the program has no task", label));
    }
}

fn exists<T: Declared>(program: &Program, id: Option<Id<T>>, at: At) -> Checked {
    id.map_or(Ok(()), |id| get(program, id, at).map(|_| ()))
}

fn instances(count: u16, at: At) -> Checked {
    if (1..=limits::INSTANCES).contains(&u64::from(count)) {
        return Ok(());
    }
    let label = format!("expected 1 to {}", limits::INSTANCES);
    Err(Problem::new(at, format!("{count} is out of range"), label))
}

fn cpu(program: &Program, cpu: u8, at: At) -> Checked {
    if cpu < program.machine.cpus {
        return Ok(());
    }
    let message = format!("the machine has no cpu{cpu}");
    let more = u64::from(cpu) + 1;
    let help =
        (more <= limits::CPUS).then(|| format!("for more CPUs: `machine {{ cpus = {more} }}`"));
    let problem = Problem::new(at, message, cpu_label(program.machine.cpus));
    Err(problem.with_help(help))
}

fn lock(program: &Program, lock: &Lock) -> Checked {
    if let Some(class) = &lock.class
        && !class.is_free()
    {
        let message = format!("`{class}` cannot be a class");
        return Err(Problem::new(lock.at, message, "expected another name"));
    }
    if let Some(population) = lock.population {
        instances(population.referenced, lock.at)?;
        instances(population.unreferenced, lock.at)?;
        let alone = matches!(lock.kind, LockKind::LocalLock | LockKind::Seqcount);
        if alone || !lock.kind.has_writers() {
            let message = format!("a {} has no population", lock.kind.word());
            let label = "expected a lock that objects have: spinlock, mutex, rwsem, …";
            return Err(Problem::new(lock.at, message, label));
        }
    }
    let before = program
        .locks
        .iter()
        .take_while(|before| !std::ptr::eq(*before, lock));
    let other = before
        .into_iter()
        .find(|l| l.class_name() == lock.class_name() && l.kind != lock.kind);
    let Some(other) = other else {
        return Ok(());
    };
    let message = format!(
        "class `{}` is of a {} and of a {}",
        lock.class_name(),
        lock.kind.word(),
        other.kind.word()
    );
    Err(Problem::new(
        lock.at,
        message,
        "expected one kind of lock in a class",
    ))
}

fn counter(counter: &Counter) -> Checked {
    if i64::from(counter.start).abs() <= limits::COUNTER {
        return Ok(());
    }
    let label = format!("expected at most {}", limits::COUNTER);
    Err(Problem::new(
        counter.at,
        format!("{} is out of range", counter.start),
        label,
    ))
}

fn property(program: &Program, property: &Property) -> Checked {
    if property.never.is_empty() || property.never.len() > limits::TERMS {
        let label = format!("expected 1 to {}", limits::TERMS);
        return Err(Problem::new(
            property.at,
            format!("{} tests", property.never.len()),
            label,
        ));
    }
    for test in &property.never {
        if let Some(event) = test.what.only_at().filter(|event| *event != property.event) {
            let what = match test.what {
                What::Plain(plain) => plain.word(),
                What::Gfp(_) | What::Held(_) | What::In(_) => "gfp",
            };
            let label = format!("expected `at {}`", event.word());
            let message = format!("`{what}` means nothing at {}", property.event.word());
            return Err(Problem::new(property.at, message, label));
        }
        match test.what {
            What::Held(lock) => holdable(get(program, lock, property.at)?, property.at)?,
            What::In(function) => exists(program, Some(function), property.at)?,
            What::Gfp(_) | What::Plain(_) => {}
        }
    }
    Ok(())
}

/// Somebody can hold it, as far as the lock itself knows.
fn holdable(lock: &Lock, at: At) -> Checked {
    if lock.kind.is_held() {
        return Ok(());
    }
    let message = format!("nobody holds `{}`: it is a {}", lock.name, lock.kind.word());
    Err(Problem::new(at, message, "expected a lock"))
}

fn memcg(memcg: &Memcg) -> Checked {
    let most = memcg.limit.unwrap_or(0).max(memcg.usage).max(memcg.stock);
    if u64::from(most) > limits::ZONE_PAGES {
        let label = format!("expected at most {} pages", limits::ZONE_PAGES);
        return Err(Problem::new(
            memcg.at,
            format!("{most} is out of range"),
            label,
        ));
    }
    if memcg.limit.is_some_and(|limit| memcg.usage > limit) {
        let message = "the memcg uses more than its limit";
        return Err(Problem::new(memcg.at, message, "expected usage <= limit"));
    }
    Ok(())
}

fn device(program: &Program, device: &Device) -> Checked {
    instances(device.depth, device.at)?;
    match device.completes {
        CompletesIn::Irq { cpu: on } => cpu(program, on, device.at),
        CompletesIn::Worker { queue } => exists(program, Some(queue), device.at),
        CompletesIn::Handler { irq } => exists(program, Some(irq), device.at),
        CompletesIn::Daemon => Ok(()),
    }
}

fn wb(program: &Program, wb: &Wb) -> Checked {
    exists(program, wb.device, wb.at)?;
    exists(program, wb.memcg, wb.at)
}

fn mapping(program: &Program, mapping: &Mapping) -> Checked {
    exists(program, mapping.inode, mapping.at)?;
    exists(program, mapping.device, mapping.at)?;
    callback(
        program,
        mapping.release,
        FunctionKind::ReleasePage,
        mapping.at,
    )?;
    callback(
        program,
        mapping.map_blocks,
        FunctionKind::MapBlocks,
        mapping.at,
    )?;
    if matches!(mapping.gfp, Some(GfpBase::Inherited | GfpBase::Zero)) {
        let message = "a mapping needs a gfp mask of its own";
        return Err(Problem::new(
            mapping.at,
            message,
            "expected a mask such as `GFP_NOFS`",
        ));
    }
    Ok(())
}

fn callback(program: &Program, id: Option<Id<Function>>, kind: FunctionKind, at: At) -> Checked {
    let Some(id) = id else {
        return Ok(());
    };
    let function = get(program, id, at)?;
    if function.kind == kind {
        return Ok(());
    }
    let message = format!("`{}` is a `{}`", function.name, function.kind.word());
    Err(Problem::new(
        at,
        message,
        format!("expected a `{}`", kind.word()),
    ))
}

fn page(program: &Program, page: &Page) -> Checked {
    exists(program, page.mapping, page.at)?;
    exists(program, page.memcg, page.at)?;
    exists(program, page.mm, page.at)?;
    instances(page.count, page.at)?;
    let of_a_file = [PageBit::Dirty, PageBit::Writeback, PageBit::Private];
    let bit = of_a_file.into_iter().find(|bit| page.bits.contains(*bit));
    match (bit, page.mapping) {
        (Some(bit), None) => {
            let message = format!("a page without a mapping cannot be {}", bit.word());
            Err(Problem::new(page.at, message, "expected `in MAPPING`"))
        }
        _ => Ok(()),
    }
}

fn shrinker(shrinker: &Shrinker) -> Checked {
    if u64::from(shrinker.objects) <= limits::INSTANCES {
        return Ok(());
    }
    let label = format!("expected at most {}", limits::INSTANCES);
    Err(Problem::new(
        shrinker.at,
        format!("{} is out of range", shrinker.objects),
        label,
    ))
}

fn irq(program: &Program, irq: &Irq) -> Checked {
    if u64::from(irq.times) > limits::IRQ_TIMES {
        let label = format!("expected at most {}", limits::IRQ_TIMES);
        return Err(Problem::new(
            irq.at,
            format!("{} is out of range", irq.times),
            label,
        ));
    }
    cpu(program, irq.cpu, irq.at)
}

fn task(program: &Program, task: &Task) -> Checked {
    exists(program, task.memcg, task.at)?;
    if u64::from(task.prio) > limits::PRIORITY {
        let label = format!("expected at most {}", limits::PRIORITY);
        return Err(Problem::new(
            task.at,
            format!("priority {} is out of range", task.prio),
            label,
        ));
    }
    if task.flags != task.flags.known() {
        return Err(Problem::new(
            task.at,
            "the task has a flag that means nothing",
            "expected known flags",
        ));
    }
    cpu(program, task.cpu, task.at)
}
