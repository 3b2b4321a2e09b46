//! What the machine cannot execute: such programs are refused, with the place.

use crate::program::handler::FunctionKind;
use crate::program::op::{Mode, Op, Source};
use crate::program::verb::{Do, MemcgVerb, PageVerb, Scope};
use crate::program::{At, Block, Program, repair};

/// A construct that cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub what: String,
}

/// Everything in a program that cannot be executed.
#[must_use]
pub fn unsupported(program: &Program) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut no = |at: At, what: &str| {
        found.push(Unsupported {
            at,
            what: what.to_owned(),
        })
    };
    program.mempools.iter().for_each(|x| no(x.at, "a mempool"));
    program
        .mms
        .iter()
        .for_each(|x| no(x.at, "an address space"));
    program.devices.iter().for_each(|x| no(x.at, "a device"));
    let console = |f: &&crate::program::handler::Function| f.kind == FunctionKind::MapBlocks;
    program
        .functions
        .iter()
        .filter(console)
        .for_each(|f| no(f.at, "this kind of callback"));
    for (_, _, _, body) in program.bodies() {
        block(&body.block, program, &mut found);
    }
    found
}

fn block(b: &Block, program: &Program, found: &mut Vec<Unsupported>) {
    for stmt in b {
        if let Some(what) = operation(&stmt.op, program) {
            found.push(Unsupported {
                at: stmt.at,
                what: what.to_owned(),
            });
        }
        for inner in inner_blocks(&stmt.op) {
            block(inner, program, found);
        }
    }
}

/// The blocks inside an operation.
fn inner_blocks(op: &Op) -> Vec<&Block> {
    match op {
        Op::Lock(_, Some(b))
        | Op::Scope(_, b)
        | Op::While(_, b)
        | Op::Loop(_, b)
        | Op::Serve(_, b)
        | Op::PageStat(_, b)
        | Op::WbStat(_, b)
        | Op::Invalidate(_, b) => vec![b],
        Op::Trylock {
            then, otherwise, ..
        }
        | Op::If {
            then, otherwise, ..
        } => vec![then, otherwise],
        _ => vec![],
    }
}

fn operation(op: &Op, program: &Program) -> Option<&'static str> {
    Some(match op {
        Op::Do(Do::BlkStartPlug | Do::BlkFinishPlug) => "this operation",
        Op::Scope(Scope::Plug, _) => "this scope",
        Op::Lock(a, _) | Op::Trylock { acquire: a, .. }
            if a.mode == Mode::Shared
                && program
                    .locks
                    .get(a.lock.lock)
                    .is_none_or(|l| !l.kind.has_readers()) =>
        {
            "reading a lock without readers"
        }
        Op::Alloc {
            source: Source::Mempool(_) | Source::PageCache(_),
            ..
        } => "this kind of allocation",
        Op::Page(
            PageVerb::LockPage
            | PageVerb::UnlockPage
            | PageVerb::Release
            | PageVerb::SetDirty
            | PageVerb::ClearDirtyForIo
            | PageVerb::CancelDirty
            | PageVerb::Redirty
            | PageVerb::SetWriteback
            | PageVerb::EndWriteback,
            _,
        ) => return None,
        Op::Page(..) | Op::MapPage(..) => "this page operation",
        Op::BioAddPage(..) | Op::Batch(..) | Op::Serve(..) => "IO batches",
        Op::Mapping(..) => "writeback",
        Op::Memcg(MemcgVerb::DrainStock, _) => "charge stocks",
        Op::Mm(..) | Op::Invalidate(..) => "mmu notifiers",
        _ => return None,
    })
}

/// Makes a program executable: what the machine cannot execute is taken out, or replaced by what it can.
///
/// For programs that nobody wrote: fuzz inputs. What a person wrote is refused instead.
pub fn executable(program: &mut Program) {
    for function in &mut program.functions.0 {
        if function.kind == FunctionKind::MapBlocks {
            function.kind = FunctionKind::Plain;
        }
    }
    few_enough(program);
    program.mempools.0.clear();
    program.notifiers.0.clear();
    program.mms.0.clear();
    program.batches.0.clear();
    for page in &mut program.pages.0 {
        page.mm = None;
    }
    for mapping in &mut program.mappings.0 {
        (mapping.device, mapping.map_blocks) = (None, None);
    }
    for wb in &mut program.wbs.0 {
        wb.device = None;
    }
    program.devices.0.clear();
    let snapshot = program.clone();
    for (_, body) in program.bodies_mut() {
        keep_executable(&mut body.block, &snapshot);
    }
    repair(program);
}

/// No more entities than a machine can have: see `Roles::of`.
fn few_enough(program: &mut Program) {
    program.irqs.0.truncate(16);
    program.workqueues.0.truncate(3);
    for queue in &mut program.workqueues.0 {
        queue.workers = queue.workers.clamp(1, 3);
    }
}

fn keep_executable(block: &mut Block, program: &Program) {
    block
        .0
        .retain(|stmt| operation(&stmt.op, program).is_none());
    for stmt in &mut block.0 {
        match &mut stmt.op {
            Op::Lock(_, Some(b))
            | Op::Scope(_, b)
            | Op::While(_, b)
            | Op::Loop(_, b)
            | Op::PageStat(_, b)
            | Op::WbStat(_, b) => keep_executable(b, program),
            Op::Trylock {
                then, otherwise, ..
            }
            | Op::If {
                then, otherwise, ..
            } => {
                keep_executable(then, program);
                keep_executable(otherwise, program);
            }
            _ => {}
        }
    }
}
