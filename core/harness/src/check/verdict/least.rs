//! The least that a finding needs, all together: rules, guards and injected events, delta-debugged.

use super::prerequisites::value_now;
use crate::check::probe::{persists, with};
use crate::finding::Signature;
use crate::program::op::{Op, Pressure};
use crate::program::rules_text::{GUARDS, SWITCHES, Setting};
use crate::program::{Program, RulesText};
use crate::rules::machine_rules;

/// One thing that a finding may need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A switch at another value than its first, or a guard that is off; and what it is set to where it is not needed.
    Rule {
        /// What is in force.
        now: Setting,
        /// What is in force without it.
        neutral: Setting,
    },
    /// This interrupt, by its place in the program, comes by itself.
    Interrupt(usize),
    /// Memory is short at this request, by its place among those where pressure is forced.
    Pressure(usize),
}

/// What a finding needs together. Without any one of [`Least::needs`] it is not found any more; all the others are
/// absent at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Least {
    /// What is needed, in words.
    pub needs: Vec<String>,
    /// What was taken away, in words.
    pub absent: Vec<String>,
}

/// The least that the finding needs; `None` if the program does not show it.
#[must_use]
pub fn least(
    program: &Program,
    text: &RulesText,
    signature: &Signature,
    choices: &[u32],
) -> Option<Least> {
    let all = candidates(program, text);
    let shows = |kept: &[bool]| {
        let changed = reduced(program, text, &all, kept);
        persists(&changed, &changed.rules, signature, choices)
    };
    let mut kept = vec![true; all.len()];
    if !shows(&kept) {
        return None;
    }
    let mut size = all.len().div_ceil(2);
    while size > 0 {
        let mut fewer = false;
        for start in (0..all.len()).step_by(size) {
            let mut tried = kept.clone();
            tried[start..all.len().min(start + size)].fill(false);
            if tried != kept && shows(&tried) {
                kept = tried;
                fewer = true;
            }
        }
        // Smaller pieces; single ones until none can go.
        size = match size {
            1 => usize::from(fewer),
            _ => size.div_ceil(2),
        };
    }
    let told = |wanted: bool| {
        let some = all.iter().zip(&kept).filter(move |(_, k)| **k == wanted);
        some.map(|(need, _)| words(program, need)).collect()
    };
    Some(Least {
        needs: told(true),
        absent: told(false),
    })
}

/// Everything that can be absent.
fn candidates(program: &Program, text: &RulesText) -> Vec<Need> {
    let mut out = Vec::new();
    for spec in SWITCHES.iter().filter(|s| s.name != "lockdep") {
        let of = |value| Setting::switch(spec.name, value);
        let Some(neutral) = of(spec.values[0]) else {
            continue;
        };
        if let Some(now) = of(value_now(text, neutral)).filter(|now| *now != neutral) {
            out.push(Need::Rule { now, neutral });
        }
    }
    for (name, _) in GUARDS {
        let of = |on| Setting::guard(name, on);
        let (Some(now), Some(neutral)) = (of(false), of(true)) else {
            continue;
        };
        if machine_rules(&with(text, now)) == machine_rules(text) {
            out.push(Need::Rule { now, neutral });
        }
    }
    let irqs = program.irqs.iter().enumerate();
    out.extend(
        irqs.filter(|(_, irq)| irq.times > 0)
            .map(|(n, _)| Need::Interrupt(n)),
    );
    let mut pressed = 0;
    for (_, _, _, body) in program.bodies() {
        body.block
            .walk(&mut |stmt| pressed += usize::from(pressure(&stmt.op) != Pressure::None));
    }
    out.extend((0..pressed).map(Need::Pressure));
    out
}

fn pressure(op: &Op) -> Pressure {
    match op {
        Op::Alloc { pressure, .. } | Op::Charge { pressure, .. } => *pressure,
        _ => Pressure::None,
    }
}

/// The program with only what is kept; every rule that can be absent is spelled out.
fn reduced(program: &Program, text: &RulesText, all: &[Need], kept: &[bool]) -> Program {
    let mut out = program.clone();
    out.rules = text.clone();
    let mut silenced = Vec::new();
    for (need, &kept) in all.iter().zip(kept) {
        match *need {
            Need::Rule { now, neutral } => {
                out.rules = with(&out.rules, if kept { now } else { neutral });
            }
            Need::Interrupt(n) if !kept => out.irqs.0[n].times = 0,
            Need::Pressure(n) if !kept => silenced.push(n),
            _ => {}
        }
    }
    let mut at = 0;
    for (_, body) in out.bodies_mut() {
        body.block.walk_mut(&mut |stmt| {
            if pressure(&stmt.op) == Pressure::None {
                return;
            }
            if silenced.contains(&at)
                && let Op::Alloc { pressure, .. } | Op::Charge { pressure, .. } = &mut stmt.op
            {
                *pressure = Pressure::None;
            }
            at += 1;
        });
    }
    out
}

fn words(program: &Program, need: &Need) -> String {
    match need {
        Need::Rule {
            now: Setting::Guard { .. },
            neutral,
        } => format!("guard {} off", neutral.name()),
        Need::Rule { now, .. } => format!("{} = {}", now.name(), now.value()),
        Need::Interrupt(n) => format!("the interrupt {}", program.irqs.0[*n].name),
        Need::Pressure(n) => {
            let mut lines = Vec::new();
            for (_, _, _, body) in program.bodies() {
                body.block.walk(&mut |stmt| {
                    if pressure(&stmt.op) != Pressure::None {
                        lines.push(stmt.at.line);
                    }
                });
            }
            format!("memory pressure in line {}", lines[*n])
        }
    }
}
