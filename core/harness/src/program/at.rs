//! Places in the text.

/// Where a declaration or an operation stands in the text it was read from.
///
/// All places are equal to each other: two programs are the same program when they say the same, wherever they say
/// it. A value that was built rather than parsed has the place [`At::NOWHERE`].
#[derive(Clone, Copy, Debug, Default)]
pub struct At {
    /// Byte offset of the first character.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
    /// Line, from 1; 0 when the place is not known.
    pub line: u32,
    /// Column in characters, from 1; 0 when the place is not known.
    pub column: u32,
}

impl At {
    /// The place of something that was never text.
    pub const NOWHERE: Self = Self {
        offset: 0,
        len: 0,
        line: 0,
        column: 0,
    };

    /// Whether the place is known.
    pub fn is_known(self) -> bool {
        self.line > 0
    }

    /// The place that covers this one and everything up to the end of `last`.
    pub fn to(self, last: Self) -> Self {
        let end = (last.offset + last.len).max(self.offset + self.len);
        Self {
            len: end - self.offset,
            ..self
        }
    }
}

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for At {}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_known() {
            write!(f, "{}:{}", self.line, self.column)
        } else {
            f.write_str("(no place)")
        }
    }
}
