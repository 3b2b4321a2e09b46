//! The decisions of a fuzz input: a list of preemptions, and answers to what else can go several ways.

use ksplat_kernel::rt::{Decision, EntityId, Strategy};

/// One departure from the undisturbed schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preemption {
    /// Decisions left alone since the preemption before, or since the start.
    pub after: u16,
    /// Whom to switch to: 0 is the first candidate that the undisturbed schedule would not take, and so on around.
    pub to: u8,
}

/// Most preemptions of one input.
pub const PREEMPTIONS: usize = 64;
/// Most data choices of one input.
pub const DATA: usize = 256;
/// Bytes of one preemption.
const WIDTH: usize = 3;

/// What happens in an execution that is not in the program. Nothing at all is the undisturbed execution.
///
/// As bytes: how many preemptions, three bytes each (`after` with the low byte first, `to`), then the data choices, one
/// byte each. Any bytes are decisions; what is missing is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// The preemptions, in order.
    pub preemptions: Vec<Preemption>,
    /// Choices that are not about who runs, in order; 0 is the undisturbed one, also when the list is over.
    pub data: Vec<u8>,
}

impl Decisions {
    /// The decisions that bytes stand for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((&count, rest)) = bytes.split_first() else {
            return Self::default();
        };
        let count = usize::from(count).min(rest.len() / WIDTH).min(PREEMPTIONS);
        let (pairs, data) = rest.split_at(count * WIDTH);
        let preemption = |b: &[u8]| Preemption {
            after: u16::from_le_bytes([b[0], b[1]]),
            to: b[2],
        };
        let mut out = Self {
            preemptions: pairs.chunks_exact(WIDTH).map(preemption).collect(),
            data: data[..data.len().min(DATA)].to_vec(),
        };
        out.trim();
        out
    }

    /// The bytes: [`Decisions::from_bytes`] gives the same decisions again. None for the undisturbed execution.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.preemptions.is_empty() && self.data.is_empty() {
            return;
        }
        let count = self.preemptions.len().min(PREEMPTIONS);
        out.push(u8::try_from(count).unwrap_or(u8::MAX));
        for p in &self.preemptions[..count] {
            out.extend_from_slice(&p.after.to_le_bytes());
            out.push(p.to);
        }
        out.extend_from_slice(&self.data[..self.data.len().min(DATA)]);
    }

    /// Takes off what makes no difference.
    pub(super) fn trim(&mut self) {
        self.preemptions.truncate(PREEMPTIONS);
        self.data.truncate(DATA);
        while self.data.last() == Some(&0) {
            self.data.pop();
        }
    }
}

/// Makes the decisions of a list; every execution starts at its head.
#[derive(Clone, Debug, Default)]
pub struct Driven<'a> {
    decisions: &'a [Preemption],
    data: &'a [u8],
    /// Position in `decisions`, and how many more decisions its head leaves alone.
    at: usize,
    left: u16,
    used: usize,
}

impl<'a> Driven<'a> {
    /// A strategy that follows these decisions.
    #[must_use]
    pub fn new(decisions: &'a Decisions) -> Self {
        let mut new = Self {
            decisions: &decisions.preemptions,
            data: &decisions.data,
            ..Self::default()
        };
        new.begin();
        new
    }

    fn load(&mut self) {
        self.left = self.decisions.get(self.at).map_or(0, |p| p.after);
    }

    fn byte(&mut self) -> u32 {
        let byte = self.data.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        u32::from(byte)
    }
}

impl Strategy for Driven<'_> {
    fn begin(&mut self) {
        self.at = 0;
        self.used = 0;
        self.load();
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let Some(preemption) = self.decisions.get(self.at) else {
            return decision.nth(0);
        };
        if self.left > 0 {
            self.left -= 1;
            return decision.nth(0);
        }
        let others = decision.len().saturating_sub(1).max(1);
        let to = 1 + u32::from(preemption.to) % others;
        self.at += 1;
        self.load();
        decision.nth(to)
    }

    fn choose(&mut self, n: u32) -> u32 {
        let low = self.byte();
        if n <= 256 {
            return low % n.max(1);
        }
        (low | self.byte() << 8) % n
    }
}

/// Plays choice numbers, as [`Machine::choices`](ksplat_kernel::rt::Machine::choices) gives them, and writes them down
/// as [`Decisions`].
#[derive(Clone, Debug, Default)]
pub(super) struct Transcriber {
    choices: Vec<u32>,
    at: usize,
    gap: u16,
    /// What was made so far.
    pub(super) made: Decisions,
}

impl Transcriber {
    pub(super) fn new(choices: Vec<u32>) -> Self {
        Self {
            choices,
            ..Self::default()
        }
    }

    fn next(&mut self) -> u32 {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice
    }
}

impl Strategy for Transcriber {
    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let number = self.next() % decision.len().max(1);
        if number == 0 {
            self.gap = self.gap.saturating_add(1);
        } else {
            self.made.preemptions.push(Preemption {
                after: std::mem::take(&mut self.gap),
                to: u8::try_from(number - 1).unwrap_or(0),
            });
        }
        decision.nth(number)
    }

    fn choose(&mut self, n: u32) -> u32 {
        let choice = self.next() % n.max(1);
        self.made.data.push(choice as u8);
        if n > 256 {
            self.made.data.push((choice >> 8) as u8);
        }
        choice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Rng;
    use ksplat_kernel::rt::{Op, OpKind, Standing};

    fn picks(decisions: &Decisions, n: usize) -> Vec<u32> {
        let next = [Op::bare(OpKind::Yield); 4];
        let mut driven = Driven::new(decisions);
        let d = Decision {
            candidates: 0b1111,
            current: Some(EntityId::new(1)),
            next: &next,
            state: &Standing::NONE,
        };
        (0..n).map(|_| d.number_of(driven.pick(&d))).collect()
    }

    #[test]
    fn preemptions_come_where_the_bytes_say() {
        let of = Decisions::from_bytes;
        let two = of(&[2, 2, 0, 0, 1, 0, 4]);
        assert_eq!(picks(&two, 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(picks(&of(&[]), 3), [0, 0, 0]);
        let late = picks(&of(&[1, 0, 1, 2]), 258);
        assert_eq!(late.iter().position(|&c| c != 0), Some(256));
        assert_eq!(late[256], 3);
    }

    #[test]
    fn data_choices_come_after_the_preemptions() {
        let decisions = Decisions::from_bytes(&[1, 0, 0, 0, 7, 0, 9, 9, 1]);
        let mut s = Driven::new(&decisions);
        assert_eq!([s.choose(2), s.choose(2), s.choose(5)], [1, 0, 4]);
        assert_eq!(s.choose(1000), 0x109);
        assert_eq!(s.choose(1000), 0);
    }

    #[test]
    fn any_bytes_are_decisions_and_what_is_written_is_read() {
        let mut rng = Rng::new(3);
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            let decisions = Decisions::from_bytes(&bytes);
            let mut written = Vec::new();
            decisions.write(&mut written);
            assert_eq!(Decisions::from_bytes(&written), decisions);
        }
    }
}
