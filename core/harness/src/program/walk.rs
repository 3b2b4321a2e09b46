//! Walking over operations.

use super::block::Block;
use super::cond::{Atom, Cond};
use super::op::{Op, Stmt, Var};

/// The blocks of an operation, of which there are at most two. A macro, since no function takes `&` and `&mut` alike; every
/// operation is named, so that a new one is not forgotten.
macro_rules! blocks {
    ($op:expr, $borrowed:ident) => {{
        let (first, second) = match $op {
            Op::Lock(_, block) => (block.$borrowed(), None),
            Op::Trylock {
                then, otherwise, ..
            }
            | Op::If {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Op::Scope(_, block)
            | Op::While(_, block)
            | Op::Loop(_, block)
            | Op::Serve(_, block)
            | Op::PageStat(_, block)
            | Op::WbStat(_, block)
            | Op::Invalidate(_, block) => (Some(block), None),
            Op::Do(_)
            | Op::Unlock { .. }
            | Op::Downgrade(_)
            | Op::Map(..)
            | Op::Population(..)
            | Op::Call(_)
            | Op::Assert(_)
            | Op::Alloc { .. }
            | Op::Free(_)
            | Op::MightAlloc(_)
            | Op::Reclaim(..)
            | Op::Charge { .. }
            | Op::Uncharge { .. }
            | Op::Set(..)
            | Op::Count(..)
            | Op::Complete { .. }
            | Op::WaitFor { .. }
            | Op::WaitEvent { .. }
            | Op::WakeUp { .. }
            | Op::SpinUntil(_)
            | Op::Work(..)
            | Op::FlushWorkqueue(_)
            | Op::Timer(..)
            | Op::RaiseIrq(_)
            | Op::RaiseSoftirq(_)
            | Op::CallRcu(_)
            | Op::SynchronizeSrcu(_)
            | Op::Page(..)
            | Op::MapPage(..)
            | Op::BioAddPage(..)
            | Op::Batch(..)
            | Op::Mapping(..)
            | Op::SwitchWb(..)
            | Op::Memcg(..)
            | Op::Mm(..)
            | Op::Hotplug { .. }
            | Op::Copy { .. }
            | Op::MovePage(..)
            | Op::OfflineMemcg { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }};
}

impl Op {
    /// The blocks of this operation, in the order of the text.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        blocks!(self, as_ref)
    }

    /// The blocks of this operation, to change.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        blocks!(self, as_mut)
    }

    /// The condition of this operation.
    pub fn cond(&self) -> Option<&Cond> {
        match self {
            Self::If { cond, .. }
            | Self::While(cond, _)
            | Self::Assert(cond)
            | Self::SpinUntil(cond)
            | Self::WaitEvent { until: cond, .. } => Some(cond),
            _ => None,
        }
    }

    /// The condition of this operation, to change.
    pub fn cond_mut(&mut self) -> Option<&mut Cond> {
        match self {
            Self::If { cond, .. }
            | Self::While(cond, _)
            | Self::Assert(cond)
            | Self::SpinUntil(cond)
            | Self::WaitEvent { until: cond, .. } => Some(cond),
            _ => None,
        }
    }

    /// The variable that this operation assigns.
    pub fn assigned(&self) -> Option<Var> {
        match self {
            Self::Alloc { to, .. } => *to,
            Self::Copy { to, .. } => Some(*to),
            _ => None,
        }
    }

    /// Variables of this operation, without those of its blocks, to change; in the order of the text.
    pub fn vars_mut(&mut self) -> Vec<&mut Var> {
        match self {
            Self::Alloc { to, .. } => to.iter_mut().collect(),
            Self::Free(var) => vec![var],
            Self::Copy { to, from } => vec![to, from],
            op => op.cond_mut().map_or_else(Vec::new, |cond| {
                cond.terms
                    .iter_mut()
                    .filter_map(|term| match &mut term.atom {
                        Atom::Holds(var) => Some(var),
                        _ => None,
                    })
                    .collect()
            }),
        }
    }

    /// Variables of this operation, without those of its blocks, in the order of the text.
    pub fn vars(&self) -> Vec<Var> {
        match self {
            Self::Alloc { to, .. } => to.iter().copied().collect(),
            Self::Free(var) => vec![*var],
            Self::Copy { to, from } => vec![*to, *from],
            op => op.cond().map_or_else(Vec::new, |cond| {
                cond.terms
                    .iter()
                    .filter_map(|term| match term.atom {
                        Atom::Holds(var) => Some(var),
                        _ => None,
                    })
                    .collect()
            }),
        }
    }
}

impl Block {
    /// Calls `visit` for every operation in here, each before those in its blocks.
    pub fn walk<'b>(&'b self, visit: &mut dyn FnMut(&'b Stmt)) {
        for statement in self {
            visit(statement);
            for block in statement.op.blocks() {
                block.walk(visit);
            }
        }
    }

    /// As [`Self::walk`], to change.
    pub fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Stmt)) {
        for statement in &mut self.0 {
            visit(statement);
            for block in statement.op.blocks_mut() {
                block.walk_mut(visit);
            }
        }
    }

    /// Operations in here, those in inner blocks included.
    pub fn operations(&self) -> usize {
        let mut count = 0;
        self.walk(&mut |_| count += 1);
        count
    }

    /// Blocks inside each other, this one included.
    pub fn depth(&self) -> usize {
        let inner = self
            .iter()
            .flat_map(|s| s.op.blocks())
            .map(Self::depth)
            .max();
        1 + inner.unwrap_or(0)
    }
}
