//! Blocks, and the limit on their nesting while they are decoded.

use std::cell::Cell;

use arbitrary::{Arbitrary, Unstructured};
use serde::{Deserialize, Deserializer, Serialize};

use super::limits;
use super::op::Stmt;

/// Operations between braces.
///
/// Decoding and generating stop at [`limits::DEPTH`] blocks inside each other, so that no bytes can make a value that
/// is too deep to walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Block(pub Vec<Stmt>);

impl Block {
    /// Number of operations, without those in inner blocks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operations in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Stmt> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Block {
    type Item = &'a Stmt;
    type IntoIter = std::slice::Iter<'a, Stmt>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

thread_local! {
    /// Blocks open in the decoder or generator of this thread; serde and `Arbitrary` have no argument to pass it in.
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// One open block; closed by drop, also when decoding fails.
struct Opened;

impl Opened {
    fn new() -> Option<Self> {
        OPEN.with(|open| {
            (open.get() < limits::DEPTH).then(|| {
                open.set(open.get() + 1);
                Self
            })
        })
    }

    fn depth() -> usize {
        OPEN.with(Cell::get)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        OPEN.with(|open| open.set(open.get() - 1));
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(_opened) = Opened::new() else {
            return Err(serde::de::Error::custom(format!(
                "blocks nested deeper than {}",
                limits::DEPTH
            )));
        };
        Vec::deserialize(deserializer).map(Self)
    }
}

impl<'a> Arbitrary<'a> for Block {
    /// A short block; shorter the deeper it stands, and empty at depth 5.
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const DEEPEST: usize = 5;
        let Some(_opened) = Opened::new() else {
            return Ok(Self::default());
        };
        let longest = DEEPEST.saturating_sub(Opened::depth());
        let length = u.int_in_range(0..=longest)?;
        (0..length)
            .map(|_| u.arbitrary())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
