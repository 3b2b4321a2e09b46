//! Swarm testing: a program is about few subjects, so that what belongs together meets (Groce et al., ISSTA 2012).
//!
//! Operations drawn evenly from all of the language seldom come together: a subject that needs four of them never
//! happens. Each program therefore draws two or three subjects; it declares what these are about, and most of its
//! operations are theirs.

use arbitrary::{Result, Unstructured};
use std::cell::{Cell, RefCell};

use super::bodies as make;
use crate::program::op::Op;

/// What a program can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Allocations under pressure, shrinkers, scopes.
    Reclaim,
    /// Pages with private data, their locks and their release.
    Pages,
    /// Dirty pages and their way to a device.
    Writeback,
    /// Limits, charges and their moves.
    Memcg,
    /// Address spaces and their notifiers.
    Notifier,
    /// Inodes, and the wb that their pages are accounted to.
    Accounting,
    /// The order of zones, and what changes it.
    Zonelists,
    /// Interrupt handlers, and sections without interrupts.
    Interrupts,
    /// Completions, flags, wait queues and grace periods.
    Waits,
    /// Work items and their queues.
    Works,
}

/// All subjects.
const ALL: [Subject; 10] = [
    Subject::Reclaim,
    Subject::Pages,
    Subject::Writeback,
    Subject::Memcg,
    Subject::Notifier,
    Subject::Accounting,
    Subject::Zonelists,
    Subject::Interrupts,
    Subject::Waits,
    Subject::Works,
];

/// Makes an operation of one kind.
type Make = for<'a> fn(&mut Unstructured<'a>) -> Result<Op>;

/// A kind of operation: how it is made, and whether it may sleep.
type Kind = (Make, bool);

const SLEEPS: bool = true;
const ATOMIC: bool = false;

impl Subject {
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Reclaim => &[
                (make::alloc, ATOMIC),
                (make::reclaim, SLEEPS),
                (make::allocation_scope, ATOMIC),
            ],
            Self::Pages => &[
                (make::page_lock, SLEEPS),
                (make::page_change, SLEEPS),
                (make::alloc, ATOMIC),
            ],
            Self::Writeback => &[
                (make::mapping, SLEEPS),
                (make::mapping, SLEEPS),
                (make::page_writeback, SLEEPS),
                (make::batch, SLEEPS),
                (make::serve, SLEEPS),
            ],
            Self::Memcg => &[
                (make::charged_alloc, SLEEPS),
                (make::memcg_reclaim, SLEEPS),
                (make::charge, SLEEPS),
                (make::memcg, SLEEPS),
            ],
            Self::Notifier => &[
                (make::mm, SLEEPS),
                (make::invalidate, SLEEPS),
                (make::alloc, ATOMIC),
            ],
            Self::Accounting => &[
                (make::wb_stat, ATOMIC),
                (make::page_stat, ATOMIC),
                (make::switch_wb, SLEEPS),
                (make::irq_scope, ATOMIC),
            ],
            Self::Zonelists => &[
                (make::rebuild, SLEEPS),
                (make::hotplug, SLEEPS),
                (make::alloc, ATOMIC),
            ],
            Self::Interrupts => &[
                (make::irq_lock, ATOMIC),
                (make::irq_scope, ATOMIC),
                (make::alloc, ATOMIC),
            ],
            Self::Waits => &[
                (make::complete, ATOMIC),
                (make::wait_for, SLEEPS),
                (make::set, ATOMIC),
                (make::wait_event, SLEEPS),
                (make::wake_up, ATOMIC),
                (make::grace_period, SLEEPS),
            ],
            Self::Works => &[(make::work, SLEEPS), (make::work, SLEEPS)],
        }
    }
}

thread_local! {
    /// Kinds of the program that is being made; `Arbitrary` has no argument to pass them in.
    static KINDS: RefCell<Vec<Kind>> = const { RefCell::new(Vec::new()) };
    /// The body that is being made runs where nothing may sleep.
    static IN_ATOMIC: Cell<bool> = const { Cell::new(false) };
}

/// The subjects of the program that is being made.
pub(super) struct Swarm(Vec<Subject>);

impl Drop for Swarm {
    fn drop(&mut self) {
        KINDS.with_borrow_mut(Vec::clear);
    }
}

impl Swarm {
    /// Two or three subjects, or none: one program in eight is made of anything.
    pub(super) fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut subjects = Vec::new();
        if !u.ratio(1, 8)? {
            for _ in 0..u.int_in_range(2..=3)? {
                let subject = *u.choose(&ALL)?;
                if !subjects.contains(&subject) {
                    subjects.push(subject);
                }
            }
        }
        let kinds = subjects.iter().flat_map(|s| s.kinds()).copied();
        KINDS.with_borrow_mut(|all| {
            all.clear();
            all.extend(kinds);
        });
        Ok(Self(subjects))
    }

    /// Whether the program is about this.
    pub(super) fn has(&self, subject: Subject) -> bool {
        self.0.contains(&subject)
    }
}

/// Makes a body that runs where nothing may sleep.
pub(super) fn atomic<T>(make: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = IN_ATOMIC.replace(true);
    let made = make();
    IN_ATOMIC.set(outer);
    made
}

/// Whether the body that is being made runs where nothing may sleep.
pub(super) fn in_atomic() -> bool {
    IN_ATOMIC.get()
}

/// Whether what is being made is about nothing in particular.
pub(super) fn is_open() -> bool {
    KINDS.with_borrow(Vec::is_empty)
}

/// An operation of the program's subjects; an allocation if they have none that may be done here.
pub(super) fn operation(u: &mut Unstructured<'_>) -> Result<Op> {
    let atomic = in_atomic();
    let fits = |k: &&Kind| !atomic || k.1 == ATOMIC;
    let count = KINDS.with_borrow(|kinds| kinds.iter().filter(fits).count());
    if count == 0 {
        return make::alloc(u);
    }
    let at = u.choose_index(count)?;
    let kind = KINDS.with_borrow(|kinds| kinds.iter().filter(fits).nth(at).copied());
    match kind {
        Some((make, _)) => make(u),
        None => make::alloc(u),
    }
}
