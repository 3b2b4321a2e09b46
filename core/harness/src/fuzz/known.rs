//! Findings that are expected: `known.txt`, explained in `docs/known-findings.md`.

use std::sync::LazyLock;

/// A kind of finding that needs no attention, because it is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Name of the explanation in `docs/known-findings.md`.
    pub name: &'static str,
    /// Which classes it explains; `*` stands for anything.
    pub pattern: &'static str,
    /// In which releases.
    pub scope: Scope,
}

/// Which releases an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Any,
    /// The newest, and an older one if the newest shows the same.
    IfNewestShowsIt,
    /// The newest.
    Newest,
}

/// A name and a pattern a line.
const LIST: &str = include_str!("known.txt");

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|l| !l.is_empty() && !l.starts_with('#'));
    let known = lines.filter_map(|l| {
        let (name, pattern) = l.split_once(char::is_whitespace)?;
        let scope = match name.as_bytes().first() {
            Some(b'~') => Scope::IfNewestShowsIt,
            Some(b'!') => Scope::Newest,
            _ => Scope::Any,
        };
        Some(Known {
            name: name.trim_start_matches(['~', '!']),
            pattern: pattern.trim(),
            scope,
        })
    });
    known.collect()
});

/// The explanation of a class of finding, if there is one.
#[must_use]
pub fn known(class: &str) -> Option<Known> {
    KNOWN.iter().find(|k| matches(k.pattern, class)).copied()
}

/// Whether a pattern, in which `*` stands for anything, matches a text as a whole.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut open = false;
    let mut last = "";
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
        (open, last) = (true, piece);
    }
    rest.is_empty() || open && (last.is_empty() || text.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, yes) in [
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/*", "a/", true),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/d", false),
            ("*x*", "ax", true),
            ("*x*", "ay", false),
            ("a/*b", "a/bcb", true),
            ("a/*b", "a/bc", false),
        ] {
            assert_eq!(matches(pattern, text), yes, "{pattern} {text}");
        }
    }

    #[test]
    fn every_line_is_read_and_explained() {
        let lines = LIST
            .lines()
            .filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        assert_eq!(lines.count(), KNOWN.len());
        let doc = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/known-findings.md");
        let doc = std::fs::read_to_string(doc).expect("docs/known-findings.md");
        let titles: BTreeSet<&str> = doc
            .lines()
            .filter_map(|l| l.strip_prefix("## "))
            .map(str::trim)
            .collect();
        let names: BTreeSet<&str> = KNOWN.iter().map(|k| k.name).collect();
        assert_eq!(names, titles, "the list and its explanations");
    }
}
