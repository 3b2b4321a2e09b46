//! Repair of values that no text and no bytes could give, and what the generator makes.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use ksplat_harness::program::decl::{Flag, Lock, LockKind, Page, PageBit, PageBits};
use ksplat_harness::program::gfp::{Gfp, GfpBase, GfpFlag, GfpFlags};
use ksplat_harness::program::handler::{Function, FunctionKind, Irq, Task, TaskFlags};
use ksplat_harness::program::op::{
    Acquire, Flavour, LockRef, Mode, Nest, PageRef, Pick, Pressure, Source, Var,
};
use ksplat_harness::program::verb::{MapVerb, PageVerb, Scope};
use ksplat_harness::program::{
    At, Block, Body, Id, Name, Op, Program, Stmt, check, limits, parse, print, repair,
};

fn stmt(op: Op) -> Stmt {
    Stmt {
        at: At::NOWHERE,
        op,
    }
}

fn body(ops: Vec<Op>) -> Body {
    Body {
        locals: Vec::new(),
        block: Block(ops.into_iter().map(stmt).collect()),
    }
}

fn function(name: &str, ops: Vec<Op>) -> Function {
    Function {
        at: At::NOWHERE,
        name: Name::new(name).unwrap_or_default(),
        kind: FunctionKind::Plain,
        body: body(ops),
    }
}

fn lock(name: &str, kind: LockKind) -> Lock {
    Lock {
        at: At::NOWHERE,
        name: Name::new(name).unwrap_or_default(),
        kind,
        class: None,
        population: None,
    }
}

fn acquire(lock: u16) -> Acquire {
    Acquire {
        lock: LockRef {
            lock: Id::new(lock),
            pick: Pick::Only,
        },
        mode: Mode::Exclusive,
        flavour: Flavour::Plain,
        nest: Nest::None,
    }
}

/// Repairs, and requires a legal program that survives printing.
fn repaired(mut program: Program) -> Program {
    repair(&mut program);
    let problems = check(&program);
    assert!(problems.is_empty(), "{problems:?}\n{}", print(&program));
    let text = print(&program);
    assert_eq!(
        parse("repaired", &text).unwrap_or_else(|e| panic!("{}\n{text}", e)),
        program
    );
    program
}

#[test]
fn nothing_at_all_becomes_a_program_with_a_task() {
    assert_eq!(repaired(Program::default()).tasks.len(), 1);
}

#[test]
fn nesting_is_cut_and_the_cheap_part_stays() {
    let mut op = Op::Assert(ksplat_harness::program::Cond {
        join: ksplat_harness::program::cond::Join::Any,
        terms: Vec::new(),
    });
    for _ in 0..100 {
        op = Op::Scope(Scope::Nofs, Block(vec![stmt(op)]));
    }
    let mut program = Program::default();
    program.functions.0.push(function("deep", vec![op]));
    let program = repaired(program);
    let block = &program.functions.0[0].body.block;
    assert_eq!(block.depth(), limits::DEPTH);
    let mut asserts = 0;
    block.walk(&mut |s| asserts += usize::from(matches!(s.op, Op::Assert(_))));
    assert_eq!(asserts, 1, "what was too deep is still there");
}

#[test]
fn too_many_operations_and_declarations_are_cut() {
    let mut program = Program::default();
    for _ in 0..100 {
        program.flags.0.push(Flag {
            at: At::NOWHERE,
            name: Name::default(),
            on: true,
        });
    }
    let many = vec![Op::Set(Id::new(99), true); 3000];
    program.functions.0.push(function("a", many.clone()));
    program.functions.0.push(function("b", many));
    let program = repaired(program);
    assert_eq!(program.flags.len(), limits::DECLARATIONS);
    let operations: usize = program
        .functions
        .iter()
        .map(|f| f.body.block.operations())
        .sum();
    assert_eq!(operations, limits::OPERATIONS);
    assert_eq!(
        program.functions.0[0].body.block.len(),
        3000,
        "the first body is whole"
    );
}

#[test]
fn recursion_is_broken_with_few_calls_lost() {
    let call = |i| Op::Call(Id::new(i));
    let mut program = Program::default();
    program.functions.0.push(function("a", vec![call(1)]));
    program.functions.0.push(function("b", vec![call(2)]));
    program
        .functions
        .0
        .push(function("c", vec![call(0), call(2)]));
    let program = repaired(program);
    let calls: usize = program.functions.iter().map(|f| f.body.block.len()).sum();
    assert!(calls >= 2, "{}", print(&program));
}

#[test]
fn a_mutex_in_an_interrupt_goes_and_its_block_stays() {
    let mut program = Program::default();
    program.locks.0.push(lock("m", LockKind::Mutex));
    program.locks.0.push(lock("s", LockKind::Spinlock));
    let inner = Op::Lock(acquire(1), Some(Block::default()));
    let outer = Op::Lock(acquire(0), Some(Block(vec![stmt(inner.clone())])));
    program.irqs.0.push(Irq {
        at: At::NOWHERE,
        name: Name::default(),
        cpu: 77,
        times: 255,
        body: body(vec![outer]),
    });
    let program = repaired(program);
    assert_eq!(program.irqs.0[0].body.block.0, [stmt(inner)]);
}

#[test]
fn a_reference_into_an_empty_table_drops_its_operation_only() {
    let mut program = Program::default();
    let ops = vec![
        Op::Set(Id::new(3), true),
        Op::Lock(acquire(9), None),
        Op::Do(Default::default()),
    ];
    program.functions.0.push(function("f", ops));
    let program = repaired(program);
    assert_eq!(
        program.functions.0[0].body.block.0,
        [stmt(Op::Do(Default::default()))]
    );
}

/// Everything an operation can be wrong about except its kind: positions and sizes. None of these may be dropped.
#[test]
fn positions_and_sizes_are_reduced_not_dropped() {
    let mut program = Program::default();
    program.locks.0.push(lock("m", LockKind::Mutex));
    program.locks.0.push(lock("map", LockKind::LockMap));
    program.flags.0.push(Flag {
        at: At::NOWHERE,
        name: Name::default(),
        on: false,
    });
    program.pages.0.push(Page {
        at: At::NOWHERE,
        name: Name::default(),
        count: 60_000,
        mapping: Some(Id::new(7)),
        bits: PageBits::default().with(PageBit::Dirty),
        memcg: None,
        mm: None,
    });
    program.functions.0.push(function("helper", Vec::new()));
    let both = GfpFlags::default().with(GfpFlag::Fs);
    let page = PageRef {
        page: Id::new(40),
        index: 999,
    };
    let ops = vec![
        Op::Alloc {
            to: Some(Var::Local(250)),
            source: Source::Pages { order: 200 },
            gfp: Gfp {
                base: GfpBase::Inherited,
                set: both,
                clear: both,
            },
            pressure: Pressure::Maybe,
        },
        Op::Free(Var::Local(250)),
        Op::Lock(
            Acquire {
                mode: Mode::Shared,
                flavour: Flavour::Irqsave,
                nest: Nest::Subclass(99),
                ..acquire(1)
            },
            None,
        ),
        Op::Map(MapVerb::Touch, Id::new(0)),
        Op::Set(Id::new(77), true),
        Op::Page(PageVerb::SetDirty, page),
        Op::Call(Id::new(12_345)),
        Op::Loop(0, Block::default()),
        Op::Loop(u16::MAX, Block::default()),
        Op::Hotplug {
            zone: 200,
            online: true,
        },
    ];
    let count = ops.len();
    program.tasks.0.push(Task {
        at: At::NOWHERE,
        name: Name::default(),
        cpu: 200,
        prio: 255,
        flags: TaskFlags::default(),
        memcg: Some(Id::new(3)),
        body: body(ops),
    });
    let program = repaired(program);
    let text = print(&program);
    assert_eq!(program.tasks.0[0].body.block.len(), count, "{text}");
    assert!(text.contains("lock m nested 2"), "{text}");
    assert!(text.contains("map_touch map"), "{text}");
}

#[test]
fn variables_that_nothing_assigns_go() {
    let mut program = Program::default();
    let copy = |to, from| Op::Copy {
        to: Var::Local(to),
        from: Var::Local(from),
    };
    program
        .functions
        .0
        .push(function("f", vec![copy(1, 0), Op::Free(Var::Local(1))]));
    assert!(repaired(program).functions.0[0].body.locals.len() <= 1);
}

/// A stream of bytes that is the same on every machine.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What an operation is, by the name of its variant.
fn variant(op: &Op) -> String {
    let text = format!("{op:?}");
    text.split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or("")
        .to_owned()
}

#[test]
fn the_generator_reaches_every_operation_and_makes_what_the_known_cases_need() {
    const OPERATIONS: usize = 49;
    let mut variants = BTreeSet::new();
    let (mut over_lock, mut two_tasks, mut callbacks_lock) = (0, 0, 0);
    let programs = 4000;
    for seed in 0..programs {
        let bytes = bytes(seed, 800);
        let program = Program::arbitrary(&mut Unstructured::new(&bytes)).expect("bytes always do");
        for (_, _, _, body) in program.bodies() {
            body.block.walk(&mut |statement| {
                variants.insert(variant(&statement.op));
            });
        }
        over_lock += usize::from(
            program
                .tasks
                .iter()
                .any(|t| allocates_over_lock(&t.body.block)),
        );
        two_tasks += usize::from(
            program
                .tasks
                .iter()
                .filter(|t| !t.body.block.is_empty())
                .count()
                > 1,
        );
        let callbacks = program.shrinkers.iter().map(|s| &s.body.block);
        let callbacks = callbacks.chain(program.functions.iter().map(|f| &f.body.block));
        callbacks_lock += usize::from(callbacks.into_iter().any(locks));
    }
    assert_eq!(variants.len(), OPERATIONS, "{variants:?}");
    let share = |count: usize| count * 100 / programs as usize;
    assert!(
        share(two_tasks) >= 60,
        "{}% with two tasks",
        share(two_tasks)
    );
    assert!(
        share(callbacks_lock) >= 25,
        "{}% with callbacks that lock",
        share(callbacks_lock)
    );
    assert!(
        share(over_lock) >= 10,
        "{}% allocate under pressure over a lock",
        share(over_lock)
    );
}

fn locks(block: &Block) -> bool {
    let mut found = false;
    block.walk(&mut |s| found |= matches!(s.op, Op::Lock(..)));
    found
}

fn allocates_over_lock(block: &Block) -> bool {
    let mut found = false;
    block.walk(&mut |statement| {
        let Op::Lock(_, Some(inner)) = &statement.op else {
            return;
        };
        inner.walk(&mut |s| {
            found |= matches!(s.op, Op::Alloc { pressure, .. } if pressure >= Pressure::Reclaim);
        });
    });
    found
}
