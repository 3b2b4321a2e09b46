//! Mutation and crossover of fuzz inputs: the program as a tree, the decisions as a list. The result is always valid.

mod bodies;
mod crossover;
mod declarations;
mod place;
mod schedule;

use super::decisions::Decisions;
use super::input::{Input, RANDOM};
use crate::explore::Rng;
use crate::program::Program;
use arbitrary::Arbitrary;

pub use crossover::crossover;

/// One of so many mutations is left to the engine, which changes bytes.
const BYTES: u32 = 8;
/// One of so many mutations changes the program, the others its schedule.
const PROGRAMS: u32 = 4;
/// One of so many mutations starts from scratch: what grows out of a corpus alone finds fewer kinds of things.
const FRESH: u32 = 8;

/// Changes the input that the first `size` bytes of `data` are, in place; at most `max_size` bytes come out. Equal
/// arguments give equal results as far as `engine`, the fuzzing engine's own mutator, does. Bytes that are no input of
/// this version are replaced by a random one.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    engine: &mut dyn FnMut(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut rng = Rng::new(u64::from(seed));
    let size = size.min(data.len());
    let max_size = max_size.min(data.len());
    let mut input = if rng.below(BYTES) == 0 && size > 1 {
        let size = engine(data, size, max_size);
        // The first byte is no business of the engine's.
        data[0] = super::input::VERSION;
        Input::decode(&data[..size]).unwrap_or_default()
    } else {
        match Input::decode(&data[..size]) {
            Ok(mut input) => {
                mutate_input(&mut input, &mut rng);
                input
            }
            Err(_) => fresh(&mut rng),
        }
    };
    let bytes = fit(&mut input, max_size, &mut rng);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

/// Changes an input here and there.
pub fn mutate_input(input: &mut Input, rng: &mut Rng) {
    if rng.below(FRESH) == 0 {
        *input = fresh(rng);
        return;
    }
    // Another schedule costs a fraction of another program, whose machine has to be built.
    if rng.below(PROGRAMS) != 0 {
        decisions(&mut input.decisions, rng);
        return;
    }
    let mut program = Program::clone(&input.program);
    repeat(rng, |rng| match rng.below(6) {
        0 => declarations::mutate(&mut program, rng),
        _ => bodies::mutate(&mut program, rng),
    });
    *input = Input::of(program, std::mem::take(&mut input.decisions));
}

/// Changes decisions here and there.
pub(super) fn decisions(decisions: &mut Decisions, rng: &mut Rng) {
    repeat(rng, |rng| schedule::mutate(decisions, rng));
}

/// Once, or a few times.
fn repeat(rng: &mut Rng, mut change: impl FnMut(&mut Rng)) {
    loop {
        change(rng);
        if rng.below(2) == 0 {
            return;
        }
    }
}

/// A random input.
fn fresh(rng: &mut Rng) -> Input {
    let mut input = Input::random(&material(rng, 600));
    schedule::mutate(&mut input.decisions, rng);
    input
}

/// A random program to take parts of.
fn stranger(rng: &mut Rng) -> Program {
    arbitrary(rng, 600)
}

/// Any value that can be made of random bytes.
fn arbitrary<T: for<'a> Arbitrary<'a> + Default>(rng: &mut Rng, length: u32) -> T {
    let bytes = material(rng, length);
    T::arbitrary(&mut arbitrary::Unstructured::new(&bytes)).unwrap_or_default()
}

fn material(rng: &mut Rng, length: u32) -> Vec<u8> {
    (0..length.div_ceil(8))
        .flat_map(|_| rng.next().to_le_bytes())
        .collect()
}

/// The bytes of an input, made smaller until they are at most `max_size`.
fn fit(input: &mut Input, max_size: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = std::mem::take(input).encode_and_remember();
    for round in 0_u32.. {
        if bytes.len() <= max_size {
            return bytes;
        }
        let mut smaller = Input::decode(&bytes).unwrap_or_default();
        match round % 4 {
            0 => drop(smaller.decisions.preemptions.pop()),
            1 => drop(smaller.decisions.data.pop()),
            _ => {
                let mut program = Program::clone(&smaller.program);
                bodies::shrink(&mut program, rng);
                smaller = Input::of(program, smaller.decisions);
            }
        }
        if round > 200 {
            break;
        }
        bytes = smaller.encode_and_remember();
    }
    // Nothing that small is a stored program: material for a random one, then.
    let mut bytes = material(rng, max_size as u32);
    bytes.truncate(max_size);
    bytes.iter_mut().take(1).for_each(|b| *b = RANDOM);
    bytes
}
