//! Replay: the decisions of an earlier execution once more.

use ksplat_kernel::rt::{Decision, EntityId, Strategy};

/// Makes recorded choices again, then continues undisturbed.
///
/// Every execution starts at the head of the list. A number that is too big for its decision means that the program is
/// not the one the list was recorded from: it is taken modulo, and [`Replay::diverged`] says so.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    choices: Vec<u32>,
    used: usize,
    diverged: Option<usize>,
    begun: bool,
}

impl Replay {
    /// Replays these choice numbers, as [`Machine::choices`](ksplat_kernel::rt::Machine::choices) returns them.
    #[must_use]
    pub const fn new(choices: Vec<u32>) -> Self {
        Self {
            choices,
            used: 0,
            diverged: None,
            begun: false,
        }
    }

    /// Replaces the list; keeps its memory.
    pub fn set(&mut self, choices: &[u32]) {
        self.begun = false;
        self.choices.clear();
        self.choices.extend_from_slice(choices);
    }

    /// Position of the first choice that was impossible in the last execution.
    #[must_use]
    pub const fn diverged(&self) -> Option<usize> {
        self.diverged
    }

    /// Choices that the last execution ended too early to use.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.choices.len().saturating_sub(self.used)
    }

    fn next(&mut self, n: u32) -> u32 {
        let at = self.used;
        self.used += 1;
        let Some(&choice) = self.choices.get(at) else {
            return 0;
        };
        if choice >= n && self.diverged.is_none() {
            self.diverged = Some(at);
        }
        choice % n
    }
}

impl Strategy for Replay {
    fn begin(&mut self) {
        self.used = 0;
        self.diverged = None;
        self.begun = true;
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        decision.nth(self.next(decision.len()))
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.next(n)
    }

    fn finished(&self) -> bool {
        self.begun
    }
}
