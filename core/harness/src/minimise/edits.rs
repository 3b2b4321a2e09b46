//! Edits that take something out of a program's text.

use std::collections::BTreeSet;

/// Texts without everything that speaks of one name: its declaration and every line that mentions it. Blocks that
/// mention it in their head keep what they contain.
pub(super) fn without_names(lines: &[String]) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let declared = lines.iter().filter(|l| indent(l) == 0).filter_map(|l| {
        let mut words = words(l);
        let kind = words.next()?;
        let name = words.next()?;
        (!matches!(kind, "splat" | "rules" | "machine")).then(|| name.to_owned())
    });
    let names: Vec<String> = declared.filter(|n| seen.insert(n.clone())).collect();
    let mut out = Vec::new();
    for name in names {
        let mentions = |l: &String| words(l).any(|w| w == name);
        let mut kept = Vec::new();
        let mut dropped_frames = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let line = &lines[at];
            let body = opens(line).then(|| end_of(lines, at)).flatten();
            match body {
                Some(end) if mentions(line) && indent(line) == 0 => at = end,
                Some(end) if mentions(line) => dropped_frames.push(end),
                _ if dropped_frames.contains(&at) => {}
                _ if mentions(line) && !opens(line) => {}
                _ => kept.push(line.clone()),
            }
            at += 1;
        }
        out.push(kept);
    }
    out
}

/// Texts without one declaration, one body or one operation with all it contains; the biggest first.
pub(super) fn without_units(lines: &[String]) -> Vec<Vec<String>> {
    let mut units: Vec<(usize, usize)> = (0..lines.len())
        .filter(|&at| !closes(&lines[at]) && words(&lines[at]).next().is_some())
        .filter_map(|at| {
            if opens(&lines[at]) {
                end_of(lines, at).map(|end| (at, end))
            } else {
                Some((at, at))
            }
        })
        .filter(|&(at, _)| {
            !matches!(
                words(&lines[at]).next(),
                Some("splat" | "machine" | "rules")
            )
        })
        .collect();
    units.sort_by_key(|&(at, end)| (std::cmp::Reverse(end - at), at));
    let cut = |(at, end): (usize, usize)| [&lines[..at], &lines[end + 1..]].concat();
    units.into_iter().map(cut).collect()
}

/// Texts in which one operation with a block is only its block, or only one of its two blocks.
pub(super) fn without_frames(lines: &[String]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for at in 0..lines.len() {
        if !opens(&lines[at]) || closes(&lines[at]) || indent(&lines[at]) == 0 {
            continue;
        }
        let Some(end) = end_of(lines, at) else {
            continue;
        };
        let middle = otherwise(lines, at, end);
        let parts = match middle {
            Some(middle) => vec![at + 1..middle, middle + 1..end],
            None => std::iter::once(at + 1..end).collect(),
        };
        for part in parts {
            out.push([&lines[..at], &lines[part], &lines[end + 1..]].concat());
        }
        if let Some(middle) = middle {
            // Without the else block, and with the condition's block empty.
            let closing = &lines[end..];
            out.push([&lines[..middle], closing].concat());
        }
    }
    out
}

/// Texts without two operations of one body that belong together: they share a word, as a lock and its unlock do.
pub(super) fn without_pairs(lines: &[String]) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let single = |l: &String| indent(l) > 0 && !opens(l) && !closes(l);
    for i in 0..lines.len() {
        if !single(&lines[i]) {
            continue;
        }
        for j in i + 1..lines.len() {
            if indent(&lines[j]) == 0 {
                break;
            }
            if single(&lines[j]) && related(&lines[i], &lines[j]) {
                out.push([&lines[..i], &lines[i + 1..j], &lines[j + 1..]].concat());
            }
        }
    }
    out
}

/// They mention the same name, or are `x_save` and `x_restore`, `x_lock` and `x_unlock` and the like.
fn related(a: &str, b: &str) -> bool {
    let names = |l| words(l).skip(1).collect::<BTreeSet<&str>>();
    if !names(a).is_disjoint(&names(b)) {
        return true;
    }
    let stem = |l| {
        words(l)
            .next()
            .and_then(|w: &str| w.rsplit_once('_'))
            .map(|(stem, _)| stem)
    };
    stem(a).is_some() && stem(a) == stem(b)
}

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

pub(super) fn opens(line: &str) -> bool {
    line.ends_with('{')
}

pub(super) fn closes(line: &str) -> bool {
    line.trim_start().starts_with('}')
}

/// The words of a line: what is between spaces and punctuation.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    line.split(apart).filter(|w| !w.is_empty())
}

/// The line that closes what this line opens. Canonical text: it has the same indentation.
fn end_of(lines: &[String], at: usize) -> Option<usize> {
    let depth = indent(&lines[at]);
    let same = |l: &String| indent(l) == depth && closes(l) && !opens(l);
    lines[at + 1..].iter().position(same).map(|n| at + 1 + n)
}

/// The line `} else {` of a block.
fn otherwise(lines: &[String], at: usize, end: usize) -> Option<usize> {
    let depth = indent(&lines[at]);
    let same = |l: &String| indent(l) == depth && closes(l) && opens(l);
    lines[at + 1..end].iter().position(same).map(|n| at + 1 + n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_goes_with_everything_that_mentions_it() {
        let text = lines(
            "splat x\nmutex a\nmutex b\ntask t on cpu0 {\n    lock a {\n        lock b {\n        }\n    }\n}",
        );
        let out = without_names(&text);
        let expected = lines("splat x\nmutex b\ntask t on cpu0 {\n        lock b {\n        }\n}");
        assert!(out.contains(&expected), "{out:#?}");
        assert!(out.contains(&lines("splat x\nmutex a\nmutex b")));
    }

    #[test]
    fn frames_leave_their_blocks() {
        let text = lines(
            "task t on cpu0 {\n    if f {\n        set f\n    } else {\n        clear f\n    }\n}",
        );
        let out = without_frames(&text);
        assert!(out.contains(&lines("task t on cpu0 {\n        set f\n}")));
        assert!(out.contains(&lines("task t on cpu0 {\n        clear f\n}")));
        assert!(out.contains(&lines(
            "task t on cpu0 {\n    if f {\n        set f\n    }\n}"
        )));
    }

    #[test]
    fn pairs_share_a_name() {
        assert!(related("    lock a irq", "    unlock a irq"));
        assert!(related("    local_irq_save", "    local_irq_restore"));
        assert!(!related("    lock a", "    lock b"));
    }
}
