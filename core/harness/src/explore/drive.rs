//! The loop around executions: how many, how long, and why it ended.

use ksplat_kernel::rt::Strategy;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Bounds of a search. The clock bounds the search only, it never influences an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most executions.
    pub schedules: u64,
    /// Most time, looked at between executions.
    pub time: Option<Duration>,
}

impl Limits {
    /// At most so many executions.
    #[must_use]
    pub const fn schedules(schedules: u64) -> Self {
        Self {
            schedules,
            time: None,
        }
    }
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The strategy has nothing new to show.
    Finished,
    /// Whoever looks at the outcomes had seen enough.
    Enough,
    /// [`Limits::schedules`].
    Schedules,
    /// [`Limits::time`].
    Time,
}

/// What a search did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    /// Executions made.
    pub schedules: u64,
    /// Why there were no more.
    pub ended: Ended,
}

/// Executions between two looks at the clock.
const CLOCK_EVERY: u64 = 64;

/// Executes until the limits, the strategy or `execute` say that it is enough.
///
/// `execute` brings the world back to its initial state, runs one execution with the strategy on whichever runtime, and
/// looks at the outcome.
pub fn explore<S: Strategy + ?Sized>(
    strategy: &mut S,
    limits: Limits,
    mut execute: impl FnMut(&mut S) -> ControlFlow<()>,
) -> Explored {
    let deadline = limits.time.map(|time| Instant::now() + time);
    let mut schedules = 0;
    let ended = loop {
        if strategy.finished() {
            break Ended::Finished;
        }
        if schedules >= limits.schedules {
            break Ended::Schedules;
        }
        let look = schedules.is_multiple_of(CLOCK_EVERY);
        if look && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break Ended::Time;
        }
        schedules += 1;
        if execute(strategy).is_break() {
            break Ended::Enough;
        }
    };
    Explored { schedules, ended }
}
