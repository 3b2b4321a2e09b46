//! Walking over operations.

use super::block::Block;
use super::cond::{Atom, Cond};
use super::op::{Op, Stmt, Var};

impl Op {
    /// The blocks of this operation, in the order of the text.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let (first, second) = match self {
            Self::Lock(_, block) => (block.as_ref(), None),
            Self::Trylock {
                then, otherwise, ..
            }
            | Self::If {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Self::Scope(_, block)
            | Self::While(_, block)
            | Self::Loop(_, block)
            | Self::Serve(_, block)
            | Self::PageStat(_, block)
            | Self::WbStat(_, block)
            | Self::Invalidate(_, block) => (Some(block), None),
            Self::Do(_)
            | Self::Unlock { .. }
            | Self::Downgrade(_)
            | Self::Map(..)
            | Self::Population(..)
            | Self::Call(_)
            | Self::Assert(_)
            | Self::Alloc { .. }
            | Self::Free(_)
            | Self::MightAlloc(_)
            | Self::Reclaim(..)
            | Self::Charge { .. }
            | Self::Uncharge { .. }
            | Self::Set(..)
            | Self::Count(..)
            | Self::Complete { .. }
            | Self::WaitFor { .. }
            | Self::WaitEvent { .. }
            | Self::WakeUp { .. }
            | Self::SpinUntil(_)
            | Self::Work(..)
            | Self::FlushWorkqueue(_)
            | Self::Timer(..)
            | Self::RaiseIrq(_)
            | Self::RaiseSoftirq(_)
            | Self::CallRcu(_)
            | Self::SynchronizeSrcu(_)
            | Self::Page(..)
            | Self::MapPage(..)
            | Self::BioAddPage(..)
            | Self::Batch(..)
            | Self::Mapping(..)
            | Self::SwitchWb(..)
            | Self::Memcg(..)
            | Self::Mm(..)
            | Self::Hotplug { .. }
            | Self::Copy { .. }
            | Self::MovePage(..)
            | Self::OfflineMemcg { .. } => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The blocks of this operation, to change.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        let (first, second) = match self {
            Self::Lock(_, block) => (block.as_mut(), None),
            Self::Trylock {
                then, otherwise, ..
            }
            | Self::If {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Self::Scope(_, block)
            | Self::While(_, block)
            | Self::Loop(_, block)
            | Self::Serve(_, block)
            | Self::PageStat(_, block)
            | Self::WbStat(_, block)
            | Self::Invalidate(_, block) => (Some(block), None),
            Self::Do(_)
            | Self::Unlock { .. }
            | Self::Downgrade(_)
            | Self::Map(..)
            | Self::Population(..)
            | Self::Call(_)
            | Self::Assert(_)
            | Self::Alloc { .. }
            | Self::Free(_)
            | Self::MightAlloc(_)
            | Self::Reclaim(..)
            | Self::Charge { .. }
            | Self::Uncharge { .. }
            | Self::Set(..)
            | Self::Count(..)
            | Self::Complete { .. }
            | Self::WaitFor { .. }
            | Self::WaitEvent { .. }
            | Self::WakeUp { .. }
            | Self::SpinUntil(_)
            | Self::Work(..)
            | Self::FlushWorkqueue(_)
            | Self::Timer(..)
            | Self::RaiseIrq(_)
            | Self::RaiseSoftirq(_)
            | Self::CallRcu(_)
            | Self::SynchronizeSrcu(_)
            | Self::Page(..)
            | Self::MapPage(..)
            | Self::BioAddPage(..)
            | Self::Batch(..)
            | Self::Mapping(..)
            | Self::SwitchWb(..)
            | Self::Memcg(..)
            | Self::Mm(..)
            | Self::Hotplug { .. }
            | Self::Copy { .. }
            | Self::MovePage(..)
            | Self::OfflineMemcg { .. } => (None, None),
        };
        first.into_iter().chain(second)
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
