//! Enumerations that are one word in the text.

/// A plain enumeration with one spelling per value.
///
/// Parser, printer, suggestions and repair all read the same list, so a word cannot be printed that is not parsed.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value with its spelling, in discriminant order.
    const WORDS: &'static [(Self, &'static str)];

    /// The spelling of this value.
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(value, _)| *value == self)
            .map_or("?", |(_, word)| word)
    }

    /// The value spelled `word`, if there is one.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(_, spelling)| *spelling == word)
            .map(|(value, _)| *value)
    }

    /// All spellings, for "expected one of" messages.
    fn words() -> Vec<&'static str> {
        Self::WORDS.iter().map(|(_, word)| *word).collect()
    }
}
