//! Fuzz bytes as a schedule.

use ksplat_kernel::rt::{Decision, EntityId, Strategy};

/// Few preemptions, where the bytes say; undisturbed when they run out.
///
/// From the front, pairs of bytes say how many decisions to leave alone and whom to switch to then, so a mutated byte
/// moves or redirects one preemption and leaves the rest. A first byte of 255 leaves 255 alone and has no second. Data
/// choices take bytes from the back, where zero is the undisturbed alternative. Any bytes are a schedule.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    bytes: Vec<u8>,
    front: usize,
    back: usize,
    gap: Option<u8>,
}

impl Bytes {
    /// A schedule from these bytes; every execution starts with them anew.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut new = Self {
            bytes: bytes.to_vec(),
            ..Self::default()
        };
        new.begin();
        new
    }

    /// Replaces the bytes; keeps their memory.
    pub fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    fn take_front(&mut self) -> Option<u8> {
        if self.front >= self.back {
            return None;
        }
        self.front += 1;
        Some(self.bytes[self.front - 1])
    }

    fn take_back(&mut self) -> u8 {
        if self.front >= self.back {
            return 0;
        }
        self.back -= 1;
        self.bytes[self.back]
    }
}

impl Strategy for Bytes {
    fn begin(&mut self) {
        self.front = 0;
        self.back = self.bytes.len();
        self.gap = None;
    }

    fn pick(&mut self, decision: &Decision<'_>) -> EntityId {
        let Some(gap) = self.gap.or_else(|| self.take_front()) else {
            return decision.nth(0);
        };
        self.gap = match gap {
            0 => None,
            // The last of a long gap: the next one is read.
            1 if self.front > 0 && self.bytes[self.front - 1] == u8::MAX => None,
            n => Some(n - 1),
        };
        if gap != 0 {
            return decision.nth(0);
        }
        let to = u32::from(self.take_front().unwrap_or(0));
        decision.nth(1 + to % (decision.len() - 1))
    }

    fn choose(&mut self, n: u32) -> u32 {
        let low = u32::from(self.take_back());
        if n <= 256 {
            return low % n;
        }
        (low | u32::from(self.take_back()) << 8) % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ksplat_kernel::rt::{Op, OpKind, Standing};

    fn picks(bytes: &[u8], n: usize) -> Vec<u32> {
        let next = [Op::bare(OpKind::Yield); 4];
        let mut s = Bytes::new(bytes);
        let d = Decision {
            candidates: 0b1111,
            current: Some(EntityId::new(1)),
            next: &next,
            state: &Standing::NONE,
        };
        (0..n).map(|_| d.number_of(s.pick(&d))).collect()
    }

    #[test]
    fn pairs_are_gaps_and_targets() {
        assert_eq!(picks(&[2, 0, 0, 1, 1, 5], 7), [0, 0, 1, 2, 0, 3, 0]);
        assert_eq!(picks(&[], 3), [0, 0, 0]);
        let long = picks(&[255, 0, 2], 258);
        assert_eq!(long.iter().position(|&c| c != 0), Some(255));
        assert_eq!((long[255], long[256]), (3, 0));
    }

    #[test]
    fn data_choices_come_from_the_back() {
        let mut s = Bytes::new(&[9, 9, 0, 7]);
        assert_eq!([s.choose(2), s.choose(2), s.choose(5)], [1, 0, 4]);
        assert_eq!(s.choose(1000), 9);
        assert_eq!(s.choose(1000), 0);
    }
}
