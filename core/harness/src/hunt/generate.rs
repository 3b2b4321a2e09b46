//! Programs by number.

use crate::explore::Rng;
use crate::fuzz::Input;
use crate::program::rules_text::Setting;
use crate::program::{Name, Program, RulesText, binary, parse, print};
use crate::rules::laid_over;
use std::sync::Arc;

/// What a kernel of any release is booted with: varied also where the rules are given.
const BOOTED: [&str; 1] = ["cgroup"];

/// Program number `number` of a seed: made from random bytes, or a mutated program of the corpus. `None` where the
/// bytes mean nothing.
#[must_use]
pub fn generate(
    seed: u64,
    number: u64,
    corpus: &[Program],
    rules: Option<&RulesText>,
) -> Option<Program> {
    let mut rng = Rng::new(seed.rotate_left(32) ^ number.wrapping_mul(0x9e6c_63d0_876a_9a63));
    let input = if corpus.is_empty() || rng.below(2) == 0 {
        let length = 100 + rng.below(700);
        let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
        Input::random(&bytes)
    } else {
        Input::decode(&mutated(&mut rng, corpus)).ok()?
    };
    let mut program = Arc::unwrap_or_clone(input.program);
    // Rules that nobody stated are violated by everybody.
    program.properties.0.clear();
    program.name = Name::new(format!("hunt-{seed}-{number}")).unwrap_or_default();
    match rules {
        Some(rules) => {
            program
                .rules
                .settings
                .retain(|s| BOOTED.contains(&s.name()));
            let configured = program.rules.settings.clone();
            program.rules = laid_over(
                &RulesText {
                    settings: configured,
                    ..RulesText::default()
                },
                rules,
            );
        }
        // No kernel is without its guards.
        None => program
            .rules
            .settings
            .retain(|s| matches!(s, Setting::Switch { .. })),
    }
    // With the places of its operations.
    let text = print(&program);
    Some(parse("", &text).unwrap_or(program))
}

/// The binary form of a program of the corpus with some bytes changed, and perhaps a piece of another in it.
fn mutated(rng: &mut Rng, corpus: &[Program]) -> Vec<u8> {
    let pick = |rng: &mut Rng| {
        let mut program = corpus[rng.below(corpus.len() as u32) as usize].clone();
        program.schedule = None;
        program.expects.clear();
        binary::to_bytes(&program)
    };
    let mut bytes = pick(rng);
    if rng.below(4) == 0 {
        let other = pick(rng);
        let from = rng.below(other.len() as u32) as usize;
        let length = (rng.below(24) as usize).min(other.len() - from);
        let at = rng.below(bytes.len() as u32) as usize;
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, other[from..from + length].iter().copied());
    }
    for _ in 0..=rng.below(4) {
        if bytes.len() < 2 {
            break;
        }
        // The first byte is the version of the form.
        let at = 1 + rng.below(bytes.len() as u32 - 1) as usize;
        match rng.below(4) {
            0 => bytes[at] = rng.below(256) as u8,
            1 => bytes[at] = rng.below(8) as u8,
            2 => bytes[at] = bytes[at].wrapping_add(1),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}
