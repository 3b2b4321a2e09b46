//! What a reader need not see twice: pairs with nothing in between become one step, what happened before is referred to.

use super::trim::Step;

/// A line of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A step and its number.
    Step(usize, Step),
    /// The steps from the first to the second number happen again.
    Again {
        /// CPU of the first of them.
        cpu: u64,
        /// Who executes them.
        entity: u64,
        /// Numbers of the first and the last of them.
        steps: (usize, usize),
        /// How often.
        times: usize,
    },
}

/// Fewer steps are told again rather than referred to.
const LEAST: usize = 3;

/// Longer stories are told in full: looking for repetitions takes the square of the length.
const MOST: usize = 4_000;

/// Steps that belong together as one.
#[must_use]
pub fn merged(steps: Vec<Step>) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    for step in steps {
        if is_internal(&step) {
            continue;
        }
        out.push(step);
        while let Some(text) = reduced(&out) {
            let gone = text.1;
            out.truncate(out.len() - gone);
            if let Some(last) = out.last_mut() {
                last.text = text.0;
            }
        }
    }
    out
}

/// A lock of the machine's own that is free, taken and released at once. Names of declared locks have no `>`.
fn is_internal(step: &Step) -> bool {
    let quiet = step.text.starts_with("lock ") && step.text.ends_with(", unlock");
    quiet && step.text.contains("->")
}

/// What the last steps are together, and how many of them go.
fn reduced(steps: &[Step]) -> Option<(String, usize)> {
    let (last, before) = steps.split_last()?;
    let alike = |s: &&Step| {
        (s.moment.entity, s.moment.site) == (last.moment.entity, last.moment.site)
            && !matches!(s.moment.kind.as_str(), "report" | "state" | "stop")
    };
    let first = before.last().filter(alike)?;
    if first.text == "rcu_read_lock" && last.text == "rcu_read_unlock" {
        return Some(("rcu_read_lock, unlock".to_owned(), 1));
    }
    if let (Some(a), Some(b)) = (
        first.text.strip_prefix("touch "),
        last.text.strip_prefix("touch "),
    ) {
        return Some((format!("touch {a}, {b}"), 1));
    }
    if let Some(map) = last.text.strip_prefix("lock_map_release ") {
        let touched = first.text.strip_prefix("touch ")?;
        let acquired = before.iter().rev().nth(1).filter(alike)?;
        let same = acquired.text.strip_prefix("lock_map_acquire ") == Some(map);
        return same.then(|| (format!("touch {map}, {touched}"), 2));
    }
    let what = last.text.strip_prefix("ends ")?;
    let opens = |s: &Step| s.text.strip_prefix("begins ") == Some(what);
    if opens(first) {
        return Some((what.to_owned(), 1));
    }
    let opened = before.iter().rev().nth(1).filter(alike)?;
    let nothing = first.text == "rcu_read_lock, unlock";
    (nothing && opens(opened)).then(|| (what.to_owned(), 2))
}

/// The lines of a story; steps are numbered from 1, those referred to as well.
#[must_use]
pub fn folded(steps: Vec<Step>) -> Vec<Line> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < steps.len() {
        if let Some((from, length)) = earlier(&steps, at) {
            let block = &steps[from..from + length];
            let times = steps[at..]
                .chunks_exact(length)
                .take_while(|chunk| all_same(chunk, block))
                .count();
            out.push(Line::Again {
                cpu: steps[at].moment.cpu,
                entity: steps[at].moment.entity,
                steps: (from + 1, from + length),
                times,
            });
            at += length * times;
            continue;
        }
        out.push(Line::Step(at + 1, steps[at].clone()));
        at += 1;
    }
    out
}

/// The longest run of steps before `at` that happens again from there.
fn earlier(steps: &[Step], at: usize) -> Option<(usize, usize)> {
    if steps.len() > MOST {
        return None;
    }
    let length = |from: usize| {
        let most = (at - from).min(steps.len() - at);
        let pairs = steps[from..from + most].iter().zip(&steps[at..]);
        pairs.take_while(|(a, b)| same(a, b)).count()
    };
    let candidates = (0..at).map(|from| (from, length(from)));
    let best = candidates.max_by_key(|&(from, length)| (length, std::cmp::Reverse(from)))?;
    (best.1 >= LEAST).then_some(best)
}

fn all_same(some: &[Step], others: &[Step]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| same(a, b))
}

fn same(a: &Step, b: &Step) -> bool {
    (a.moment.entity, a.moment.site) == (b.moment.entity, b.moment.site)
        && a.text == b.text
        && a.context == b.context
}

#[cfg(test)]
mod tests {
    use super::super::record::Moment;
    use super::*;

    fn step(entity: u64, text: &str) -> Step {
        let moment = Moment {
            entity,
            cpu: entity,
            kind: "step".into(),
            ..Moment::default()
        };
        Step {
            moment,
            text: text.into(),
            context: String::new(),
        }
    }

    fn texts(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|s| s.text.as_str()).collect()
    }

    #[test]
    fn an_empty_transaction_is_one_step() {
        let all = [
            "begins X",
            "rcu_read_lock",
            "rcu_read_unlock",
            "ends X",
            "lock L",
        ];
        let got = merged(all.map(|t| step(0, t)).into());
        assert_eq!(texts(&got), ["X", "lock L"]);
    }

    #[test]
    fn a_transaction_of_another_is_not_closed() {
        let got = merged(vec![step(0, "begins X"), step(1, "ends X")]);
        assert_eq!(texts(&got), ["begins X", "ends X"]);
    }

    #[test]
    fn touches_are_one_step() {
        let all = [
            "lock_map_acquire a",
            "touch b",
            "lock_map_release a",
            "touch c",
        ];
        let got = merged(all.map(|t| step(0, t)).into());
        assert_eq!(texts(&got), ["touch a, b, c"]);
    }

    #[test]
    fn locks_of_programs_stay() {
        let all = [
            "lock L irq, unlock",
            "lock lruvec->lru_lock (node 0) irq, unlock",
        ];
        let got = merged(all.map(|t| step(0, t)).into());
        assert_eq!(texts(&got), ["lock L irq, unlock"]);
    }

    #[test]
    fn what_happens_again_is_referred_to() {
        let round = ["a", "b", "c"];
        let all: Vec<Step> = (0..4)
            .flat_map(|_| round)
            .chain(["d"])
            .map(|t| step(0, t))
            .collect();
        let lines = folded(all);
        assert_eq!(lines.len(), 5, "{lines:?}");
        let again = Line::Again {
            cpu: 0,
            entity: 0,
            steps: (1, 3),
            times: 3,
        };
        assert_eq!(lines[3], again);
        assert!(matches!(&lines[4], Line::Step(13, s) if s.text == "d"));
    }

    #[test]
    fn two_tasks_are_not_mixed_up() {
        let all = (0..2)
            .flat_map(|e| ["a", "b", "c"].map(|t| step(e, t)))
            .collect();
        assert_eq!(folded(all).len(), 6);
    }
}
