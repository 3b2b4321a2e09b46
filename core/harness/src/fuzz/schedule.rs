//! Inputs of the target `schedule`: a case of a corpus, and decisions.
//!
//! Bytes: the version, two of a hash of the case's name with the low one first, then [`Decisions`]. The name and not a
//! position, so that an input means the same when cases are added; one that names no case is refused.

use super::decisions::Decisions;
use super::input::{Input, VERSION};
use super::mutate;
use crate::explore::Rng;
use crate::program::Program;
use std::collections::BTreeMap;

/// The cases, by the hashes of their names.
#[derive(Clone, Debug, Default)]
pub struct Cases(BTreeMap<u16, Input>);

/// Why bytes are no input of the target `schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// There are less than three.
    #[error("{0} bytes; expected a version byte ({VERSION}) and two that name a case")]
    Short(usize),
    /// Another version wrote them.
    #[error(
        "schedule input of version {0}, expected version {VERSION}: convert it with the ksplat that wrote it"
    )]
    Version(u8),
    /// There is no such case.
    #[error(
        "the case that it was made for (0x{0:04x}) is not in the corpus; expected the corpus that it was fuzzed with"
    )]
    Case(u16),
}

const HEAD: usize = 3;

fn hash(name: &str) -> u16 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 16) as u16 ^ hash as u16
}

impl Cases {
    /// These cases, with their names.
    ///
    /// # Errors
    /// The names of two cases that cannot be told apart.
    pub fn new(
        cases: impl IntoIterator<Item = (String, Program)>,
    ) -> Result<Self, (String, String)> {
        let mut names: BTreeMap<u16, String> = BTreeMap::new();
        let mut inputs = BTreeMap::new();
        for (name, program) in cases {
            if let Some(other) = names.insert(hash(&name), name.clone()) {
                return Err((other, name));
            }
            inputs.insert(hash(&name), Input::of(program, Decisions::default()));
        }
        Ok(Self(inputs))
    }

    /// The input that bytes are.
    ///
    /// # Errors
    /// If they are too short, of another version, or name no case.
    pub fn decode(&self, bytes: &[u8]) -> Result<Input, ScheduleError> {
        let [version, low, high, decisions @ ..] = bytes else {
            return Err(ScheduleError::Short(bytes.len()));
        };
        if *version != VERSION {
            return Err(ScheduleError::Version(*version));
        }
        let case = u16::from_le_bytes([*low, *high]);
        let mut input = self.0.get(&case).ok_or(ScheduleError::Case(case))?.clone();
        input.decisions = Decisions::from_bytes(decisions);
        Ok(input)
    }

    /// Bytes for every case, undisturbed.
    pub fn seeds(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0
            .keys()
            .map(|&case| encode(case, &Decisions::default()))
    }

    /// Changes the decisions of an input, and now and then its case, in place; at most `max_size` bytes come out. What is
    /// no input becomes one.
    pub fn mutate(&self, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
        const ANOTHER_CASE: u32 = 16;
        let mut rng = Rng::new(u64::from(seed));
        let max_size = max_size.min(data.len());
        let old = &data[..size.min(data.len())];
        let stays = self.decode(old).is_ok() && rng.below(ANOTHER_CASE) != 0;
        let nth = rng.below(self.0.len().max(1) as u32) as usize;
        let other = self.0.keys().nth(nth).copied().unwrap_or(0);
        let case = if stays {
            u16::from_le_bytes([old[1], old[2]])
        } else {
            other
        };
        let mut decisions = Decisions::from_bytes(old.get(HEAD..).unwrap_or(&[]));
        mutate::decisions(&mut decisions, &mut rng);
        let mut bytes = encode(case, &decisions);
        while bytes.len() > max_size && decisions != Decisions::default() {
            decisions.data.pop();
            decisions.preemptions.pop();
            bytes = encode(case, &decisions);
        }
        let length = bytes.len().min(max_size);
        data[..length].copy_from_slice(&bytes[..length]);
        length
    }
}

fn encode(case: u16, decisions: &Decisions) -> Vec<u8> {
    let [low, high] = case.to_le_bytes();
    let mut bytes = vec![VERSION, low, high];
    decisions.write(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::seeds;
    use std::path::Path;

    fn cases() -> Cases {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/litmus");
        let all = seeds(&corpus).expect("the corpus").into_iter();
        Cases::new(all.map(|(name, input)| (name, Program::clone(&input.program))))
            .expect("names that differ")
    }

    #[test]
    fn an_input_is_of_the_case_that_it_names_or_of_none() {
        let cases = cases();
        assert!(cases.0.len() > 100);
        for seed in cases.seeds() {
            assert_eq!(
                cases.decode(&seed).expect("a case").decisions,
                Decisions::default()
            );
        }
        assert_eq!(cases.decode(&[VERSION]), Err(ScheduleError::Short(1)));
        assert_eq!(
            cases.decode(&[VERSION + 1, 0, 0]),
            Err(ScheduleError::Version(VERSION + 1))
        );
        let nobody = (0..=u16::MAX)
            .find(|h| !cases.0.contains_key(h))
            .expect("a hash without a case");
        let [low, high] = nobody.to_le_bytes();
        assert_eq!(
            cases.decode(&[VERSION, low, high, 1, 2, 3]),
            Err(ScheduleError::Case(nobody))
        );
    }

    #[test]
    fn mutation_makes_inputs_of_anything_and_changes_them() {
        let cases = cases();
        let (mut data, mut size) = (vec![7; 64], 0);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            size = cases.mutate(&mut data, size, 64, seed);
            assert!(cases.decode(&data[..size]).is_ok());
            seen.insert(data[..size].to_vec());
        }
        assert!(seen.len() > 500, "{} different inputs", seen.len());
    }
}
