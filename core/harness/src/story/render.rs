//! Renders a story: numbered steps in a column a CPU, 80 characters wide, plain ASCII.

use super::record::Moment;
use super::trim::{self, Step};
use crate::run::place;
use std::fmt::Write as _;

/// Width of a story in characters.
pub const WIDTH: usize = 80;
/// Number, line of the program.
const GUTTER: usize = 11;

/// The steps of an execution as text. One column a CPU; more CPUs than fit share one column and are named.
#[must_use]
pub fn steps(moments: &[Moment]) -> String {
    let mut cpus: Vec<u64> = moments.iter().map(|m| m.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    let columns = if cpus.len() > 3 { 1 } else { cpus.len().max(1) };
    let width = (WIDTH - GUTTER) / columns - 1;
    let mut out = String::new();
    if columns > 1 {
        let heads: Vec<String> = cpus
            .iter()
            .map(|c| format!("{:<width$}", format!("CPU {c}")))
            .collect();
        let _ = writeln!(
            out,
            "{:>4} {:<5} {}",
            "step",
            "line",
            heads.join(" ").trim_end()
        );
    } else {
        let _ = writeln!(out, "{:>4} {:<5} what happens", "step", "line");
    }
    let mut last_task = None;
    let mut all = trim::steps(moments);
    let more = all.len() - trim::last_finding(&all).unwrap_or(all.len());
    all.truncate(all.len() - more);
    for (number, step) in all.iter().enumerate() {
        let m = &step.moment;
        let column = if columns > 1 {
            cpus.iter().position(|&c| c == m.cpu).unwrap_or(0)
        } else {
            0
        };
        let whose = if last_task == Some(m.entity) {
            String::new()
        } else {
            whose(m, columns > 1 || cpus.len() == 1)
        };
        last_task = Some(m.entity);
        let line = place(m.site as u32).map_or(String::new(), |(line, _)| line.to_string());
        let text = ascii(&format!("{whose}{}", with_context(step)));
        for (i, part) in wrap(&text, width).iter().enumerate() {
            let head = if i == 0 {
                format!("{:>4} {line:<5} ", number + 1)
            } else {
                " ".repeat(GUTTER)
            };
            let indent = " ".repeat(column * (width + 1));
            let _ = writeln!(out, "{}", format!("{head}{indent}{part}").trim_end());
        }
    }
    if more > 0 {
        let _ = writeln!(out, "{:>4} more steps show nothing new", more);
    }
    out
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
            let (head, tail) = word.split_at(width - line.len());
            lines.push(std::mem::take(&mut line) + head);
            line.push_str("  ");
            word = tail;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
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
