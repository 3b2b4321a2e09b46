//! What the kernel's search misses.

use super::answer::Answer;
use super::row::Program;
use super::run::Runner;
use ksplat_lockdep::{ClassRef, Deps, Detail, PathStep, SearchMode};
use serde::Serialize;
use std::fmt;

/// Executes programs with both searches.
pub struct Missed {
    kernel: Runner,
    complete: Runner,
}

impl Default for Missed {
    fn default() -> Self {
        Self {
            kernel: Runner::new(SearchMode::Kernel),
            complete: Runner::new(SearchMode::Complete),
        }
    }
}

/// A program on which the two searches differ.
#[derive(Debug, Serialize)]
pub struct MissedReport {
    /// The program's name.
    pub id: String,
    /// What the kernel's search says.
    pub kernel: Answer,
    /// What the complete search says.
    pub complete: Answer,
    /// The paths behind the complete search's report, in words.
    pub paths: Vec<String>,
    #[serde(skip)]
    ops: Vec<String>,
}

impl Missed {
    /// The two answers, if they name different operations or verdicts.
    pub fn look(&mut self, program: &Program) -> Option<MissedReport> {
        let kernel = self.kernel.run(program);
        let complete = self.complete.run(program);
        if (kernel.op, kernel.verdict) == (complete.op, complete.verdict) {
            return None;
        }
        let paths = complete
            .report
            .as_ref()
            .map(|report| paths(&report.detail, report.site, program))
            .unwrap_or_default();
        Some(MissedReport {
            id: program.id.clone(),
            kernel,
            complete,
            paths,
            ops: program.op_texts.clone(),
        })
    }
}

impl fmt::Display for MissedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, answer) in [("kernel", &self.kernel), ("complete", &self.complete)] {
            match usize::try_from(answer.op)
                .ok()
                .and_then(|op| self.ops.get(op))
            {
                Some(op) => writeln!(
                    f,
                    "    {name}: {} at op {} `{op}`",
                    answer.verdict, answer.op
                )?,
                None => writeln!(f, "    {name}: ok")?,
            }
        }
        for path in &self.paths {
            writeln!(f, "    {path}")?;
        }
        Ok(())
    }
}

fn kinds(deps: Deps) -> String {
    deps.names().collect::<Vec<_>>().join(",")
}

/// `A -(SN)-> D -(EN,ER)-> B`, with the operations behind each dependency; `<-( )-` if the path goes backwards.
fn arrows(steps: &[PathStep], forwards: bool, program: &Program) -> String {
    let (open, close) = if forwards { ("-", "->") } else { ("<-", "-") };
    let mut text = String::new();
    for step in steps {
        if let Some(dependency) = step.dependency {
            let op = |site: u32| {
                program
                    .op_texts
                    .get(site as usize)
                    .map_or("?", String::as_str)
            };
            let (prev, next) = (dependency.prev.site, dependency.next.site);
            let ops = format!("{prev} `{}`, {next} `{}`", op(prev), op(next));
            text.push_str(&format!(
                " {open}({}: {ops}){close} ",
                kinds(dependency.deps)
            ));
        }
        text.push_str(&step.class.to_string());
    }
    text
}

fn paths(detail: &Detail, site: u32, program: &Program) -> Vec<String> {
    let added = |prev: &ClassRef, next: &ClassRef| format!("op {site} adds {prev} -> {next}");
    match detail {
        Detail::Circular { prev, next, path } => {
            vec![
                added(prev, next),
                format!("there is {}", arrows(path, true, program)),
            ]
        }
        Detail::IrqInversion {
            this,
            other,
            bit,
            new_bit,
            forwards,
            path,
            ..
        } => {
            let direction = if *forwards { "after" } else { "before" };
            vec![
                format!(
                    "op {site} makes {this} {new_bit}; {other}, taken {direction} it, is {bit}"
                ),
                format!("there is {}", arrows(path, *forwards, program)),
            ]
        }
        Detail::SafeUnsafe {
            prev,
            next,
            safe,
            r#unsafe,
            safe_bit,
            unsafe_bit,
            safe_path,
            unsafe_path,
            ..
        } => vec![
            added(prev, next),
            format!(
                "{safe} is {safe_bit}: backwards {}",
                arrows(safe_path, false, program)
            ),
            format!(
                "{} is {unsafe_bit}: forwards {}",
                r#unsafe,
                arrows(unsafe_path, true, program)
            ),
        ],
        _ => Vec::new(),
    }
}
