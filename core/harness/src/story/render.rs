//! Renders a story: numbered steps in a column a CPU, 80 characters wide, plain ASCII.

use super::fold::{self, Line};
use super::record::Moment;
use super::trim::{self, Step};
use crate::run::place;
use std::fmt::Write as _;

/// Width of a story in characters.
pub const WIDTH: usize = 80;
/// Number, line of the program.
const GUTTER: usize = 11;

/// Lines of a screen that the steps may take; the finding is told below them.
const SCREEN: usize = 40;

/// The steps of an execution as text: one column a CPU, where that fits a screen; otherwise one column, if that takes
/// fewer lines, and whoever begins is named with their CPU.
#[must_use]
pub fn steps(moments: &[Moment]) -> String {
    let mut cpus: Vec<u64> = moments.iter().map(|m| m.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let mut all = trim::steps(moments);
    let last = trim::last_finding(&all).unwrap_or(all.len());
    let more = all.len() - last;
    all.truncate(last);
    let lines = fold::folded(fold::merged(all));
    let several = cpus.len() > 1;
    let mut out = columns(&lines, if cpus.len() > 3 { &[] } else { &cpus }, several);
    if several && out.lines().count() > SCREEN {
        let narrow = columns(&lines, &[], true);
        if narrow.lines().count() < out.lines().count() {
            out = narrow;
        }
    }
    if more > 0 {
        let _ = writeln!(out, "{more:>4} more steps show nothing new");
    }
    out
}

/// One column for each of `cpus`, or one for all where there are none.
fn columns(lines: &[Line], cpus: &[u64], several: bool) -> String {
    let count = cpus.len().max(1);
    let width = (WIDTH - GUTTER) / count - 1;
    let heads: Vec<String> = cpus.iter().map(|c| format!("CPU {c}")).collect();
    let heads: Vec<String> = heads.iter().map(|h| format!("{h:<width$}")).collect();
    let head = if count > 1 {
        heads.join(" ")
    } else {
        "what happens".to_owned()
    };
    let mut out = String::new();
    let _ = writeln!(out, "{:>4} {:<5} {}", "step", "line", head.trim_end());
    let mut last_task = None;
    for line in lines {
        let (cpu, entity) = match line {
            Line::Step(_, step) => (step.moment.cpu, step.moment.entity),
            Line::Again { cpu, entity, .. } => (*cpu, *entity),
        };
        let (head, mut text) = match line {
            Line::Step(number, step) => (gutter(*number, &step.moment), with_context(step)),
            Line::Again { steps, times, .. } => (" ".repeat(GUTTER), again(*steps, *times)),
        };
        if let Line::Step(_, step) = line
            && last_task != Some(entity)
        {
            text = format!("{}{text}", whose(&step.moment, count > 1 || !several));
            last_task = Some(entity);
        }
        let column = cpus.iter().position(|&c| c == cpu).unwrap_or(0);
        let indent = " ".repeat(if count > 1 { column * (width + 1) } else { 0 });
        for (i, part) in wrap(&ascii(&text), width).iter().enumerate() {
            let blank = " ".repeat(GUTTER);
            let head = if i == 0 { &head } else { &blank };
            let _ = writeln!(out, "{}", format!("{head}{indent}{part}").trim_end());
        }
    }
    out
}

fn gutter(number: usize, m: &Moment) -> String {
    let line = place(m.site as u32).map_or(String::new(), |(line, _)| line.to_string());
    format!("{number:>4} {line:<5} ")
}

fn again((first, last): (usize, usize), times: usize) -> String {
    match times {
        1 => format!("steps {first} to {last} again"),
        2 => format!("steps {first} to {last} again, twice"),
        _ => format!("steps {first} to {last} again, {times} times"),
    }
}

fn whose(m: &Moment, one_cpu_a_column: bool) -> String {
    if one_cpu_a_column {
        format!("[{}] ", m.task)
    } else {
        format!("[{} cpu{}] ", m.task, m.cpu)
    }
}

fn with_context(step: &Step) -> String {
    if step.context.is_empty() {
        step.text.clone()
    } else {
        format!("{} {{{}}}", step.text, step.context)
    }
}

fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() {
                c
            } else {
                '?'
            }
        })
        .collect()
}

/// Breaks a text into lines of at most `width` characters, at spaces where that is possible.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        } else if !lines.is_empty() {
            line.push_str("  ");
        }
        while line.len() + word.len() > width {
            let (head, tail) = word.split_at(cut(word, width - line.len()));
            lines.push(std::mem::take(&mut line) + head);
            line.push_str("  ");
            word = tail;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Where a word that is too long is cut: behind a `|` or `_` where there is one.
fn cut(word: &str, room: usize) -> usize {
    let fits = &word.as_bytes()[..room];
    let behind = |sign: u8| fits.iter().rposition(|b| *b == sign).map(|at| at + 1);
    behind(b'|').or_else(|| behind(b'_')).unwrap_or(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit() {
        let m = |cpu, text: &str| Moment {
            cpu,
            entity: cpu,
            task: "kswapd0".into(),
            kind: "step".into(),
            text: text.into(),
            ..Moment::default()
        };
        let long = "alloc_pages GFP_KERNEL|__GFP_NOMEMALLOC|__GFP_NOWARN (effective GFP_NOFS) order 0 a_very_long_name".repeat(2);
        let text = steps(&[m(0, &long), m(1, "lock L"), m(2, &long)]);
        assert!(
            text.lines().all(|l| l.len() <= WIDTH && l.is_ascii()),
            "{text}"
        );
        assert!(text.contains("CPU 2"));
    }
}
