//! LRU lists of a node, and the pages on them.

use super::page::{PageFlags, Pfn};
use std::collections::VecDeque;

/// A page of the page cache as callbacks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LruPage {
    /// Its frame.
    pub pfn: Pfn,
    /// The embedder's name for it ([`LruSpec::tag`]).
    pub tag: u32,
}

/// Pages that are on the LRU when the tasks start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LruSpec {
    /// Their name in stories.
    pub name: String,
    /// Number of the zone they are taken from.
    pub zone: usize,
    /// How many alike.
    pub count: u32,
    /// Their bits. [`PageFlags::LRU`] decides whether they are on the list; [`PageFlags::ACTIVE`] on which.
    pub flags: PageFlags,
    /// The memcg they are charged to.
    pub memcg: Option<usize>,
    /// The embedder's name for the first; the others count on.
    pub tag: u32,
}

/// `struct lruvec`: file pages only. Most recently used first.
#[derive(Debug, Default)]
pub(crate) struct Lru {
    pub(crate) inactive: VecDeque<u32>,
    pub(crate) active: VecDeque<u32>,
}

impl Lru {
    pub(crate) fn with_capacity(pages: usize) -> Self {
        Self {
            inactive: VecDeque::with_capacity(pages),
            active: VecDeque::with_capacity(pages),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.inactive.clear();
        self.active.clear();
    }

    pub(crate) fn add(&mut self, pfn: u32, active: bool) {
        if active {
            self.active.push_front(pfn);
        } else {
            self.inactive.push_front(pfn);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.inactive.len() + self.active.len()
    }
}
