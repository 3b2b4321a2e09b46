//! The oracle's graph: edges as a list, searches as the description of the algorithm has them.

use super::Key;
use ksplat_lockdep::SearchMode;
use std::collections::VecDeque;
use std::fmt;

/// A usage bit, spelt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bit {
    Context {
        softirq: bool,
        enabled: bool,
        read: bool,
    },
    Used {
        read: bool,
    },
}

impl fmt::Display for Bit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Used { read } => f.write_str(if read { "USED-READ" } else { "USED" }),
            Self::Context {
                softirq,
                enabled,
                read,
            } => {
                let state = if softirq { "SOFTIRQ" } else { "HARDIRQ" };
                let end = if read { "R" } else { "W" };
                match enabled {
                    true => write!(f, "{state}-ON-{end}"),
                    false => write!(f, "IN-{state}-{end}"),
                }
            }
        }
    }
}

pub(super) struct Class {
    pub(super) key: Key,
    pub(super) subclass: u8,
    pub(super) usage: Vec<Bit>,
    /// False for per-CPU locks and wait overrides, which interrupts do not care about.
    pub(super) is_lock: bool,
}

/// An edge with its kinds: (the holder shares, the taker reads recursively).
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) pairs: Vec<(bool, bool)>,
    pub(super) distance: u16,
}

impl Edge {
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let all = [
            ((true, true), "SR"),
            ((false, true), "ER"),
            ((true, false), "SN"),
            ((false, false), "EN"),
        ];
        all.iter()
            .filter(|(pair, _)| self.pairs.contains(pair))
            .map(|(_, name)| *name)
            .collect()
    }
}

pub(super) struct Graph {
    search: SearchMode,
    pub(super) classes: Vec<Class>,
    pub(super) edges: Vec<Edge>,
}

/// A class as a search reaches it, and whether only through recursive readers (forwards) or shared holders (backwards).
pub(super) type Reached = (usize, bool);

/// A class in the queue, with the edge that led to it and how its other end was reached.
type Queued = (usize, Option<(Vec<(bool, bool)>, bool)>);

/// Where a search begins, where it goes, and whether classes that are no locks are out of bounds.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) root: Reached,
    pub(super) backwards: bool,
    pub(super) locks_only: bool,
}

impl Graph {
    pub(super) fn new(search: SearchMode) -> Self {
        Self {
            search,
            classes: Vec::new(),
            edges: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, from: usize, to: usize, pair: (bool, bool), distance: u16) {
        match self
            .edges
            .iter_mut()
            .find(|edge| edge.from == from && edge.to == to)
        {
            Some(edge) => {
                if !edge.pairs.contains(&pair) {
                    edge.pairs.push(pair);
                }
                if distance == 1 {
                    edge.distance = 1;
                }
            }
            None => self.edges.push(Edge {
                from,
                to,
                pairs: vec![pair],
                distance,
            }),
        }
    }

    /// Everything that the search comes by, in the order in which it does.
    pub(super) fn reach(&self, from: From) -> Vec<Reached> {
        match self.search {
            SearchMode::Kernel => self.kernel_order(from),
            SearchMode::Complete => self.closure(from),
        }
    }

    /// The neighbours of a class and what an edge to them demands and leaves: a list of (shared, recursive) as
    /// seen in the direction of the search.
    fn steps(
        &self,
        class: usize,
        backwards: bool,
    ) -> impl Iterator<Item = (usize, Vec<(bool, bool)>)> {
        let leads = move |edge: &&Edge| {
            if backwards {
                edge.to == class
            } else {
                edge.from == class
            }
        };
        self.edges
            .iter()
            .filter(leads)
            .map(move |edge| match backwards {
                false => (edge.to, edge.pairs.clone()),
                true => (
                    edge.from,
                    edge.pairs
                        .iter()
                        .map(|(shared, recursive)| (*recursive, *shared))
                        .collect(),
                ),
            })
    }

    /// `None` if no kind of the edge can follow.
    fn follow(pairs: &[(bool, bool)], only_xr: bool) -> Option<bool> {
        let mut left = pairs
            .iter()
            .filter(|(shared, _)| !(only_xr && *shared))
            .peekable();
        left.peek()?;
        Some(left.all(|(_, recursive)| *recursive))
    }

    /// First in, first out; a class is done with once it leaves the queue, come what may.
    fn kernel_order(&self, from: From) -> Vec<Reached> {
        let mut done = vec![false; self.classes.len()];
        let mut order = Vec::new();
        let mut queue: VecDeque<Queued> = VecDeque::from([(from.root.0, None)]);
        while let Some((class, edge)) = queue.pop_front() {
            if std::mem::replace(&mut done[class], true) {
                continue;
            }
            let only_xr = match edge {
                None => Some(from.root.1),
                Some((pairs, parent)) => Self::follow(&pairs, parent),
            };
            let Some(only_xr) = only_xr else { continue };
            if from.locks_only && !self.classes[class].is_lock {
                continue;
            }
            order.push((class, only_xr));
            queue.extend(
                self.steps(class, from.backwards)
                    .map(|(to, pairs)| (to, Some((pairs, only_xr)))),
            );
        }
        order
    }

    /// The least set that contains the root and whatever a single kind of an edge leads to from a member.
    fn closure(&self, from: From) -> Vec<Reached> {
        let allowed = |class: usize| !from.locks_only || self.classes[class].is_lock;
        let mut set = Vec::new();
        if allowed(from.root.0) {
            set.push(from.root);
        }
        loop {
            let size = set.len();
            for (class, only_xr) in set.clone() {
                for (to, pairs) in self.steps(class, from.backwards) {
                    for (shared, recursive) in pairs {
                        let member = (to, recursive);
                        if allowed(to) && !(only_xr && shared) && !set.contains(&member) {
                            set.push(member);
                        }
                    }
                }
            }
            if set.len() == size {
                return set;
            }
        }
    }

    /// The context bits of a class that count when it is reached so.
    pub(super) fn visible(&self, (class, only_xr): Reached) -> impl Iterator<Item = Bit> {
        let counts = move |bit: &Bit| match bit {
            Bit::Context { read, .. } => !(only_xr && *read),
            Bit::Used { .. } => false,
        };
        self.classes[class].usage.iter().copied().filter(counts)
    }
}
