//! Names of declared things.

use serde::{Deserialize, Serialize};

use super::limits;

/// Words that could not be told from the language where a name may stand.
pub(super) const RESERVED: &[&str] = &[
    "maybe",
    "gfp",
    "timeout",
    "alloc_pages",
    "kmalloc",
    "mempool_alloc",
    "page_cache_alloc",
];

/// A name: a letter or `_`, then letters, digits, `_`, and `-` or `.` between two of these; at most
/// [`limits::NAME`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The name spelled `text`, unless the spelling is not a name.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        is_name(&text).then_some(Self(text))
    }

    /// The nearest legal name to `text`, or `fallback` when nothing of it can be kept.
    pub(super) fn repaired(text: &str, fallback: &str) -> Self {
        if is_name(text) {
            return Self(text.to_owned());
        }
        let kept: String = text
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .skip_while(char::is_ascii_digit)
            .take(limits::NAME)
            .collect();
        Self(if kept.is_empty() {
            fallback.to_owned()
        } else {
            kept
        })
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether something may be declared under it: legal, and no word that the language reads first.
    pub fn is_free(&self) -> bool {
        self.is_legal() && !RESERVED.contains(&self.as_str())
    }

    /// Whether the value keeps the rule for names; only a decoded value can break it.
    pub fn is_legal(&self) -> bool {
        is_name(&self.0)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else {
        return false;
    };
    if !is_start(*first) || bytes.len() > limits::NAME {
        return false;
    }
    (1..bytes.len()).all(|i| is_part(bytes, i))
}

/// Whether the byte can begin a name.
pub(super) fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether the byte at `i > 0` continues the name that stands before it.
pub(super) fn is_part(bytes: &[u8], i: usize) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match bytes.get(i) {
        Some(b) if plain(b) => true,
        Some(b'-' | b'.') => bytes.get(i + 1).is_some_and(plain) && plain(&bytes[i - 1]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rule() {
        for good in ["a", "_x9", "io-done", "i_pages.lock", "fs-reclaim-2"] {
            assert!(Name::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "9a",
            "a-",
            "-a",
            "a--b",
            "a.-b",
            "é",
            "a b",
            &"x".repeat(limits::NAME + 1),
        ] {
            assert!(Name::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn repair_gives_a_name() {
        for text in ["", "9 lives", "a--b", "é", &"y".repeat(100)] {
            assert!(Name::repaired(text, "x").is_legal(), "{text}");
        }
        assert_eq!(Name::repaired("9 lives!", "x").as_str(), "lives");
    }
}
