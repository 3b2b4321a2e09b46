//! Mutations of the decisions: a preemption is added, dropped, moved or redirected, and the others stay where they are.

use super::super::decisions::{Decisions, Preemption};
use crate::explore::Rng;

/// One change.
pub(super) fn mutate(decisions: &mut Decisions, rng: &mut Rng) {
    match rng.below(12) {
        0..=3 => add(decisions, rng),
        4 => drop_one(decisions, rng),
        5 | 6 => shift(decisions, rng),
        7 => redirect(decisions, rng),
        8..=10 => choose(decisions, rng),
        _ => {
            decisions.preemptions.clear();
            decisions.data.clear();
        }
    }
    decisions.trim();
}

/// A number of decisions, small ones more often.
fn gap(rng: &mut Rng) -> u32 {
    let most = 1 << rng.below(8);
    rng.below(most)
}

/// At which decision each preemption comes, counted from the start.
fn positions(preemptions: &[Preemption]) -> Vec<(u32, u8)> {
    let mut at = 0;
    let placed = preemptions.iter().map(|p| {
        at += u32::from(p.after);
        let here = (at, p.to);
        at += 1;
        here
    });
    placed.collect()
}

/// The list with preemptions at these decisions; where several meet they come one after the other.
fn placed(mut positions: Vec<(u32, u8)>) -> Vec<Preemption> {
    positions.sort_by_key(|p| p.0);
    let mut next = 0;
    let list = positions.into_iter().map(|(at, to)| {
        let after = at.saturating_sub(next);
        next = next.max(at) + 1;
        Preemption {
            after: u16::try_from(after).unwrap_or(u16::MAX),
            to,
        }
    });
    list.collect()
}

fn add(decisions: &mut Decisions, rng: &mut Rng) {
    let mut all = positions(&decisions.preemptions);
    let base = match rng.below(2) {
        0 => 0,
        _ => all
            .get(rng.below(all.len() as u32) as usize)
            .map_or(0, |p| p.0 + 1),
    };
    all.push((base + gap(rng), rng.below(4) as u8));
    decisions.preemptions = placed(all);
}

fn drop_one(decisions: &mut Decisions, rng: &mut Rng) {
    let mut all = positions(&decisions.preemptions);
    if !all.is_empty() {
        all.remove(rng.below(all.len() as u32) as usize);
    }
    decisions.preemptions = placed(all);
}

/// Moves one preemption to an earlier or later decision.
fn shift(decisions: &mut Decisions, rng: &mut Rng) {
    let mut all = positions(&decisions.preemptions);
    let n = rng.below(all.len() as u32) as usize;
    let Some(one) = all.get_mut(n) else {
        return add(decisions, rng);
    };
    let by = 1 + gap(rng);
    one.0 = if rng.below(2) == 0 {
        one.0.saturating_sub(by)
    } else {
        one.0 + by
    };
    decisions.preemptions = placed(all);
}

fn redirect(decisions: &mut Decisions, rng: &mut Rng) {
    let n = rng.below(decisions.preemptions.len() as u32) as usize;
    match decisions.preemptions.get_mut(n) {
        Some(p) => p.to = rng.below(6) as u8,
        None => add(decisions, rng),
    }
}

/// Changes one of the choices that are not about who runs.
fn choose(decisions: &mut Decisions, rng: &mut Rng) {
    let data = &mut decisions.data;
    let at = rng.below(data.len() as u32 + 4) as usize;
    match rng.below(4) {
        0 if at < data.len() => drop(data.remove(at)),
        1 if at < data.len() => data.insert(at, rng.below(4) as u8),
        _ => {
            if at >= data.len() {
                data.resize(at + 1, 0);
            }
            data[at] = if data[at] == 0 {
                1 + rng.below(3) as u8
            } else {
                0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_one_preemption_leaves_the_others_where_they_are() {
        let list = placed(vec![(3, 1), (10, 2), (40, 3)]);
        assert_eq!(positions(&list), [(3, 1), (10, 2), (40, 3)]);
        let mut rng = Rng::new(1);
        for _ in 0..1_000 {
            let mut decisions = Decisions {
                preemptions: list.clone(),
                data: vec![],
            };
            shift(&mut decisions, &mut rng);
            let now = positions(&decisions.preemptions);
            let stayed = now.iter().filter(|p| positions(&list).contains(p)).count();
            assert!(stayed >= 2 || now.iter().any(|p| (2..=41).contains(&p.0)));
            assert_eq!(now.len(), 3);
        }
    }

    #[test]
    fn preemptions_at_one_decision_follow_each_other() {
        assert_eq!(positions(&placed(vec![(5, 1), (5, 2)])), [(5, 1), (6, 2)]);
    }
}
