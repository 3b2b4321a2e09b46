//! What is wrong with a text, and where.

use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use super::At;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one line.
    pub message: String,
    /// What was expected there, for the margin.
    pub label: String,
    /// Where; not known for programs that were never text.
    pub at: At,
    /// How to repair it, when that can be guessed.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(at: At, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: label.into(),
            at,
            help: None,
        }
    }

    /// The problem with advice, if there is any.
    #[must_use]
    pub fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one text: at least one problem, in the order of the text.
#[derive(Clone, Debug)]
pub struct TextError {
    /// The problems.
    pub problems: Vec<Problem>,
    file: String,
    source: NamedSource<Arc<str>>,
}

impl TextError {
    /// The problems of the text of `file`.
    pub fn new(file: &str, text: &str, problems: Vec<Problem>) -> Self {
        Self {
            problems,
            file: file.to_owned(),
            source: NamedSource::new(file, Arc::from(printable(text))),
        }
    }

    /// The problems, each to be rendered with the text around it.
    pub fn diagnostics(&self) -> impl Iterator<Item = impl Diagnostic> {
        self.problems.iter().map(|problem| Located {
            problem,
            source: &self.source,
        })
    }
}

/// The text with what steers terminals replaced, every byte where it was.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

impl std::fmt::Display for TextError {
    /// `FILE:LINE:COLUMN: message (what was expected; advice)`, one line per problem.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, p) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}: {} ({}", self.file, p.at, p.message, p.label)?;
            if let Some(help) = &p.help {
                write!(f, "; {help}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl std::error::Error for TextError {}

/// A problem with its text around it.
#[derive(Debug)]
struct Located<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<Arc<str>>,
}

impl std::fmt::Display for Located<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Located<'_> {}

impl Diagnostic for Located<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.problem.at;
        let span = (at.offset as usize, at.len as usize);
        let label = LabeledSpan::new_with_span(Some(self.problem.label.clone()), span);
        at.is_known()
            .then(|| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
