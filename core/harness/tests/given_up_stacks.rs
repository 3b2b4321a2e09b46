//! Executions that stop give their bodies' stacks up as they stand. Nothing may be lost with them: as many allocations
//! live after as before. Alone in its process: it counts the process's allocations.

use ksplat_harness::explore::{Random, Rng};
use ksplat_harness::fuzz::{Decisions, Driven, Input, STEPS, mutate_input, seeds};
use ksplat_harness::program::rules_text::Release;
use ksplat_harness::program::{RulesText, parse};
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use ksplat_kernel::rt::{Deterministic, End};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Allocations that live.
static LIVE: AtomicI64 = AtomicI64::new(0);

struct Counting;

// SAFETY: the system's allocator, counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(1, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs with the same decisions leave nothing behind once the first has made what is kept. Says whether they were
/// ended before their bodies were.
fn leaves_nothing(name: &str, mut run: impl FnMut() -> End) -> bool {
    run();
    let before = LIVE.load(Relaxed);
    let end = run();
    for _ in 0..3 {
        assert_eq!(run(), end);
    }
    let lost = LIVE.load(Relaxed) - before;
    assert_eq!(lost, 0, "{name}: ended by {end:?}");
    end != End::Completed
}

/// More than fits into a body's frame, when everything stops.
const DEEP: &str = "splat deep
mutex L
task t on cpu0 {
    memalloc_nofs_save
    memalloc_nofs_save
    memalloc_nofs_save
    memalloc_nofs_save
    memalloc_nofs_save
    memalloc_nofs_save
    lock L
    lock L
}
";

/// Two tasks stop each other while a third ends the writeback of a page.
const ENDS_IO: &str = "splat ends-io
machine { cpus = 4 }
mutex L, M
completion submitted
device disk completes irq on cpu0
mapping ext4 device disk
page A in ext4 dirty
batch bio on disk
task flusher on cpu1 {
    lock_page A
    clear_page_dirty_for_io A
    set_page_writeback A
    unlock_page A
    bio_add_page bio A
    submit_bio bio
    complete_all submitted
}
task one on cpu2 {
    wait_for_completion submitted
    lock L { lock M { } }
}
task two on cpu3 {
    wait_for_completion submitted
    lock M { lock L { } }
}
";

/// How many of some executions of an input were ended before their bodies were.
fn cut_short(input: &Input, rules: &RulesText, executor: &mut Deterministic, seeds: u64) -> usize {
    let name = &input.program.name.to_string();
    let Ok(litmus) = Litmus::with_steps(&input.program, &machine_rules(rules), STEPS) else {
        return 0;
    };
    let own = leaves_nothing(name, || {
        litmus.run(executor, &mut Driven::new(&input.decisions)).end
    });
    let random = (0..seeds)
        .filter(|&seed| leaves_nothing(name, || litmus.run(executor, &mut Random::new(seed)).end));
    usize::from(own) + random.count()
}

#[test]
fn nothing_is_lost_with_a_stack() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let mut inputs: Vec<Input> = seeds(&corpus.join("litmus"))
        .unwrap()
        .into_iter()
        .map(|(_, input)| input)
        .collect();
    for file in std::fs::read_dir(corpus.join("fuzz/program")).unwrap() {
        inputs.extend(Input::decode(&std::fs::read(file.unwrap().path()).unwrap()));
    }
    let mut rng = Rng::new(1);
    for i in 0..3 * inputs.len() {
        let mut input = inputs[i].clone();
        mutate_input(&mut input, &mut rng);
        inputs.push(input);
    }
    let old = RulesText {
        release: Release::parse("v4.15"),
        ..RulesText::default()
    };
    let mut executor = Deterministic::new();
    let mut cut = 0;
    for input in &inputs {
        cut += cut_short(input, &old, &mut executor, 8);
        cut += cut_short(input, &RulesText::default(), &mut executor, 8);
    }
    for text in [DEEP, ENDS_IO] {
        let program = parse("own.splat", text).unwrap();
        let input = Input::of(program, Decisions::default());
        let cut = cut_short(&input, &old, &mut executor, 500);
        assert!(
            cut > 100,
            "{}: only {cut} were cut short",
            input.program.name
        );
    }
    assert!(cut > 1000, "only {cut} executions were cut short");
}
