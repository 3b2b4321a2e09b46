//! Any value to a legal program.
//!
//! Fuzzers mutate bytes, so a decoded or generated value may be anything. This is the one place that makes it a program
//! that [`super::check`] accepts: positions are reduced, sizes clamped, names made unique, and operations that cannot
//! mean anything dropped (what their blocks contain stays). A legal program is not changed.

mod bodies;
mod declarations;
mod machine;
mod names;
mod operations;
mod variables;

use super::Program;

/// Makes `program` legal, changing as little as it can.
pub fn repair(program: &mut Program) {
    machine::repair(program);
    declarations::repair(program);
    names::repair(program);
    bodies::repair(program);
    declarations::properties(program);
}

/// `value` if it is in range, otherwise a value in range that depends on it.
fn wrap(value: u64, least: u64, most: u64) -> u64 {
    if (least..=most).contains(&value) {
        value
    } else {
        least + value % (most - least + 1)
    }
}

fn wrap_u8(value: u8, least: u64, most: u64) -> u8 {
    u8::try_from(wrap(u64::from(value), least, most)).unwrap_or(u8::MAX)
}

fn wrap_u16(value: u16, least: u64, most: u64) -> u16 {
    u16::try_from(wrap(u64::from(value), least, most)).unwrap_or(u16::MAX)
}

fn wrap_u32(value: u32, least: u64, most: u64) -> u32 {
    u32::try_from(wrap(u64::from(value), least, most)).unwrap_or(u32::MAX)
}
