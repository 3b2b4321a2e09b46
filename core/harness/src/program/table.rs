//! Declaration tables and the references into them.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::{At, Name, Program};

/// Something that a program declares under a name.
pub trait Declared: Sized + 'static {
    /// What an error message calls it, with its article: "a lock".
    const WHAT: &'static str;

    /// Its table in a program.
    fn table(program: &Program) -> &Table<Self>;

    /// Its table in a program, to change.
    fn table_mut(program: &mut Program) -> &mut Table<Self>;

    /// The name it is declared under.
    fn name(&self) -> &Name;

    /// The name, to change.
    fn name_mut(&mut self) -> &mut Name;

    /// Where it is declared.
    fn at(&self) -> At;
}

/// A reference to a declaration: its position in the table of its kind.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Id<T>(u16, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// The reference to position `index`.
    pub const fn new(index: u16) -> Self {
        Self(index, PhantomData)
    }

    /// The position in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> std::hash::Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> std::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}
impl<T> arbitrary::Arbitrary<'_> for Id<T> {
    fn arbitrary(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self::new(u16::from(u.arbitrary::<u8>()?)))
    }
}

/// All declarations of one kind, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Table<T>(pub Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    /// Number of declarations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing of this kind is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The declaration `id` refers to, unless the reference dangles.
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        self.0.get(id.index())
    }

    /// The declarations in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The declarations with the reference to each.
    pub fn entries(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        (0u16..).map(Id::new).zip(&self.0)
    }
}

impl<T> Index<Id<T>> for Table<T> {
    type Output = T;

    /// # Panics
    /// When the reference dangles, which [`super::check`] rules out.
    fn index(&self, id: Id<T>) -> &T {
        &self.0[id.index()]
    }
}

impl<T> IndexMut<Id<T>> for Table<T> {
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        &mut self.0[id.index()]
    }
}

impl<'a, T> IntoIterator for &'a Table<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
