//! The dependency graph as a value, for output and for feedback.

use crate::engine::Lockdep;
use crate::graph::{Deps, Graph};
use crate::key::ClassId;
use crate::report::ClassRef;
use crate::usage::Usage;
use alloc::vec::Vec;

/// An edge of the dependency graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The class held.
    pub from: ClassId,
    /// The class acquired under it.
    pub to: ClassId,
    /// In which modes.
    pub deps: Deps,
    /// How far apart the two were on the held stack, at the least: 1 if adjacent once.
    pub distance: u16,
}

/// A registered class.
pub type ClassInfo = ClassRef;

/// The classes and edges at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphInfo {
    /// Classes in the order of registration; RCU's maps are left out.
    pub classes: Vec<ClassInfo>,
    /// Edges by class in the order of registration, then in the order in which they were added.
    pub edges: Vec<Edge>,
}

impl Lockdep {
    /// The dependency graph.
    pub fn graph_info(&self) -> GraphInfo {
        let graph = self.graph();
        let slots = 0..graph.classes().len() as u16;
        let classes = slots
            .map(|slot| graph.describe(slot))
            .filter(|class| !crate::engine::is_rcu(class.id))
            .collect();
        let edges = graph.classes().iter().flat_map(|class| {
            class.after.iter().map(|link| Edge {
                from: class.id,
                to: graph.class(link.to).id,
                deps: link.deps,
                distance: link.distance,
            })
        });
        GraphInfo {
            classes,
            edges: edges.collect(),
        }
    }

    /// Number of edges.
    pub fn edge_count(&self) -> usize {
        self.graph().edges.len()
    }

    /// Calls `visit` with the ends of every edge added after the first `count`, in order. Together with
    /// [`Lockdep::changes`] and [`Lockdep::edge_count`] this costs only what is new.
    pub fn edges_since(&self, count: usize, mut visit: impl FnMut(ClassId, ClassId)) {
        let graph = self.graph();
        for (from, to) in graph.edges.iter().skip(count) {
            visit(graph.class(*from).id, graph.class(*to).id);
        }
    }

    /// Calls `visit` with every registered class and its usage bits.
    pub fn usages(&self, mut visit: impl FnMut(ClassId, Usage)) {
        for class in self.graph().classes() {
            visit(class.id, class.usage);
        }
    }
}

impl Graph {
    pub(crate) fn has_edge(&self, from: u16, to: u16) -> bool {
        self.class(from).after.iter().any(|link| link.to == to)
    }
}
