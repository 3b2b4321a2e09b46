//! Conditions of `if`, `while`, `wait_event`, `spin_until` and `assert`.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::decl::{Completion, Counter, Flag, PageBit};
use super::gfp::GfpFlag;
use super::op::{PageRef, Var};
use super::table::Id;
use super::word::Word;

/// How several terms are joined. A legal condition with one term says [`Join::All`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Join {
    /// `&&`.
    #[default]
    All,
    /// `||`.
    Any,
}

/// `a && !b`, `c >= 2 || dirty A`: one or more terms, joined by one operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct Cond {
    /// The operator.
    pub join: Join,
    /// The terms, at least one.
    pub terms: Vec<Term>,
}

/// One term, perhaps negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub struct Term {
    /// `!` stands before it.
    pub negated: bool,
    /// What is tested.
    pub atom: Atom,
}

/// What a term tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Atom {
    /// `maybe`: true or false, a decision of the explorer.
    Maybe,
    /// `F`: the flag is set.
    Flag(Id<Flag>),
    /// `C >= 2`.
    Counter {
        /// The counter.
        counter: Id<Counter>,
        /// The comparison.
        is: Comparison,
        /// What it is compared with.
        value: i32,
    },
    /// `p`: the variable holds memory (the allocation succeeded and it was not freed).
    Holds(Var),
    /// `dirty A`.
    Page {
        /// The bit.
        bit: PageBit,
        /// The page.
        page: PageRef,
    },
    /// `completion_done C`.
    Done(Id<Completion>),
    /// `gfp & __GFP_FS`: the mask this body was called with has the bit.
    Gfp(GfpFlag),
}

/// Comparison of a counter with a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Comparison {
    /// `==`.
    #[default]
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    AtMost,
    /// `>`.
    Greater,
    /// `>=`.
    AtLeast,
}

impl Word for Comparison {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Equal, "=="),
        (Self::NotEqual, "!="),
        (Self::Less, "<"),
        (Self::AtMost, "<="),
        (Self::Greater, ">"),
        (Self::AtLeast, ">="),
    ];
}

impl Comparison {
    /// Whether `left` compares to `right` like this.
    pub fn holds(self, left: i32, right: i32) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }
}
