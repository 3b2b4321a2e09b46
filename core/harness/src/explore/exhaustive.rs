//! Plain depth-first enumeration of all schedules: the yardstick that reductions are compared with.

use ksplat_kernel::rt::{Decision, EntityId, Strategy};

/// Every schedule once, in lexicographic order of choice numbers. Grows exponentially: for small programs and tests.
#[derive(Clone, Debug, Default)]
pub struct Exhaustive {
    /// Choice made and number of choices at each decision of the current execution.
    path: Vec<(u32, u32)>,
    depth: usize,
    begun: bool,
}

impl Exhaustive {
    /// At the first schedule, the undisturbed one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&mut self, n: u32) -> u32 {
        let depth = self.depth;
        self.depth += 1;
        if let Some(&(choice, _)) = self.path.get(depth) {
            return choice;
        }
        self.path.push((0, n));
        0
    }
}

impl Strategy for Exhaustive {
    fn begin(&mut self) {
        self.depth = 0;
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        while let Some((choice, n)) = self.path.pop() {
            if choice + 1 < n {
                self.path.push((choice + 1, n));
                break;
            }
        }
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        decision.nth(self.next(decision.len()))
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.next(n)
    }

    fn finished(&self) -> bool {
        self.begun && self.path.iter().all(|&(choice, n)| choice + 1 == n)
    }
}
