//! The drawings in reports: what two CPUs, or one and its interrupt, have to do to hang.

use crate::key::Read;
use crate::report::{ClassRef, PathStep, Report};
use crate::usage::{UsageBit, UsageState};
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Formatter};

const TITLE: &str = " Possible unsafe locking scenario:";
const DEADLOCK: &str = "\n *** DEADLOCK ***";

/// Column of the second CPU.
const SECOND: usize = 31;

fn columns(f: &mut Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(
        f,
        "\n{title}\n\n       CPU0{:20}CPU1\n       ----{:20}----",
        "", ""
    )
}

fn first(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    writeln!(f, "  {text}")
}

fn second(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    writeln!(f, "{:SECOND$}{text}", "")
}

fn lock(class: &ClassRef, read: Read) -> String {
    match read.is_read() {
        true => format!("rlock({class});"),
        false => format!("lock({class});"),
    }
}

fn chain(f: &mut Formatter<'_>, classes: [&ClassRef; 3]) -> fmt::Result {
    let [a, b, c] = classes;
    writeln!(f, "\nthere is a chain:\n  {a} --> {b} --> {c}")
}

/// `print_circular_lock_scenario()`.
pub(crate) fn circular(
    f: &mut Formatter<'_>,
    prev: &ClassRef,
    next: &ClassRef,
    path: &[PathStep],
    report: &Report,
) -> fmt::Result {
    let parent = match path {
        [.., parent, _] => &parent.class,
        _ => next,
    };
    if parent.id != next.id {
        chain(f, [next, parent, prev])?;
    }
    let held = report
        .held
        .iter()
        .rev()
        .find(|held| held.class.id == prev.id);
    let prev_read = held.map_or(Read::Exclusive, |held| held.read);
    let next_read = report
        .acquiring
        .as_ref()
        .map_or(Read::Exclusive, |lock| lock.read);
    columns(f, TITLE)?;
    first(f, &lock(prev, prev_read))?;
    second(f, &lock(parent, Read::Exclusive))?;
    second(f, &lock(prev, Read::Exclusive))?;
    first(f, &lock(next, next_read))?;
    writeln!(f, "{DEADLOCK}")
}

/// `print_deadlock_scenario()`.
pub(crate) fn recursive(
    f: &mut Formatter<'_>,
    class: &ClassRef,
    prev: Read,
    next: Read,
) -> fmt::Result {
    writeln!(f, "\n{TITLE}\n\n       CPU0\n       ----")?;
    first(f, &lock(class, prev))?;
    first(f, &lock(class, next))?;
    writeln!(
        f,
        "{DEADLOCK}\n\n (or the nesting is meant and lacks its annotation)"
    )
}

/// What interrupts the first CPU.
fn intrusion(bit: UsageBit) -> &'static str {
    match bit.state() {
        Some(UsageState::ReclaimFs) => "<memory reclaim>",
        _ => "<Interrupt>",
    }
}

/// `print_usage_bug_scenario()`.
pub(crate) fn usage(f: &mut Formatter<'_>, class: &ClassRef, bit: UsageBit) -> fmt::Result {
    writeln!(f, "\n{TITLE}\n\n       CPU0\n       ----")?;
    first(f, &lock(class, Read::Exclusive))?;
    first(f, intrusion(bit))?;
    first(f, &format!("  {}", lock(class, Read::Exclusive)))?;
    writeln!(f, "{DEADLOCK}")
}

/// `print_irq_lock_scenario()`.
pub(crate) fn irq(
    f: &mut Formatter<'_>,
    safe: &ClassRef,
    middle: &ClassRef,
    r#unsafe: &ClassRef,
    bit: UsageBit,
) -> fmt::Result {
    if middle.id != r#unsafe.id && middle.id != safe.id {
        chain(f, [safe, middle, r#unsafe])?;
    }
    let middle = if middle.id == safe.id {
        r#unsafe
    } else {
        middle
    };
    let is_reclaim = bit.state() == Some(UsageState::ReclaimFs);
    let title = if is_reclaim {
        TITLE
    } else {
        " Possible interrupt unsafe locking scenario:"
    };
    columns(f, title)?;
    first(f, &lock(r#unsafe, Read::Exclusive))?;
    if !is_reclaim {
        second(f, "local_irq_disable();")?;
    }
    second(f, &lock(safe, Read::Exclusive))?;
    second(f, &lock(middle, Read::Exclusive))?;
    first(f, intrusion(bit))?;
    first(f, &format!("  {}", lock(safe, Read::Exclusive)))?;
    writeln!(f, "{DEADLOCK}")
}
