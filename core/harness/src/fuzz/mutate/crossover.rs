//! Crossover: parts of two inputs together.

use super::super::input::{DecodeError, Input};
use super::place::{put, some_operation};
use super::{declarations, fit, fresh, mutate_input};
use crate::explore::Rng;
use crate::program::Program;

/// One of so many crossovers has two parents; the others are mutations.
const CROSSED: u32 = 4;

/// Writes an input that has parts of both others to `out`; returns its size, at most that of `out`. Deterministic in
/// its arguments.
pub fn crossover(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut rng = Rng::new(u64::from(seed) ^ 0xc705_50fe);
    // The engine crosses every second time, which is more than there is to gain.
    let alone = rng.below(CROSSED) != 0;
    let mut input = match (Input::decode(one), decode_unless(alone, other)) {
        (Ok(a), Ok(b)) => crossed(a, &b, &mut rng),
        (Ok(mut a), Err(_)) => {
            mutate_input(&mut a, &mut rng);
            a
        }
        (Err(_), Ok(b)) => b,
        (Err(_), Err(_)) => fresh(&mut rng),
    };
    let bytes = fit(&mut input, out.len(), &mut rng);
    out[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

fn decode_unless(alone: bool, bytes: &[u8]) -> Result<Input, DecodeError> {
    if alone {
        return Err(DecodeError::Empty);
    }
    Input::decode(bytes)
}

/// The first input with something of the second.
fn crossed(mut a: Input, b: &Input, rng: &mut Rng) -> Input {
    let change = match rng.below(6) {
        0 => {
            a.decisions = b.decisions.clone();
            return a;
        }
        1 => {
            head_and_tail(&mut a, b, rng);
            return a;
        }
        2 => declarations::take,
        3 => body,
        _ => operations,
    };
    let mut program = Program::clone(&a.program);
    change(&mut program, &b.program, rng);
    Input::of(program, a.decisions)
}

/// A few operations of the second, somewhere in the first.
fn operations(a: &mut Program, b: &Program, rng: &mut Rng) {
    let mut b = b.clone();
    let Some((block, at)) = some_operation(&mut b, rng) else {
        return;
    };
    let end = (at + 1 + rng.below(4) as usize).min(block.len());
    let taken = block.0[at..end].to_vec();
    put(a, taken, rng);
}

/// A whole body of the second in the place of one of the first.
fn body(a: &mut Program, b: &Program, rng: &mut Rng) {
    let bodies = b.bodies().count() as u32;
    let Some((_, _, _, theirs)) = b.bodies().nth(rng.below(bodies) as usize) else {
        return;
    };
    let bodies = a.bodies().count() as u32;
    if let Some((_, ours)) = a.bodies_mut().nth(rng.below(bodies) as usize) {
        ours.clone_from(theirs);
    }
}

/// The first preemptions of one, then those of the other.
fn head_and_tail(a: &mut Input, b: &Input, rng: &mut Rng) {
    let keep = rng.below(a.decisions.preemptions.len() as u32 + 1) as usize;
    a.decisions.preemptions.truncate(keep);
    let theirs = b.decisions.preemptions.iter().skip(keep).copied();
    a.decisions.preemptions.extend(theirs);
    a.decisions.trim();
}
