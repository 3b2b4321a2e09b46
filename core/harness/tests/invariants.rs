//! Programs that break an invariant of the machine, each beside its twin that does not. `docs/invariants.md` says which
//! invariant each belongs to; those that no program can break are broken inside of the kernel crate (`canaries`).

use ksplat_harness::check::{Bounds, search};
use ksplat_harness::program::parse;
use ksplat_harness::rules::machine_rules;
use ksplat_harness::run::Litmus;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Signatures of everything that 300 schedules show.
fn found(text: &str) -> Vec<String> {
    let program = parse("invariant.splat", text).unwrap_or_else(|e| panic!("{e}"));
    let litmus = Litmus::new(&program, &machine_rules(&program.rules)).expect("executable");
    let bounds = Bounds {
        schedules: 300,
        ..Bounds::default()
    };
    let found = search(&litmus, &bounds, |_| false);
    assert!(found.faults.is_empty(), "{text}: {:?}", found.faults);
    found.found.keys().map(ToString::to_string).collect()
}

/// `broken` has the signature, `sound` has no finding at all.
#[track_caller]
fn fires(signature: &str, broken: &str, sound: &str) {
    let got = found(broken);
    let has = got.iter().any(|s| s.starts_with(signature));
    assert!(has, "{signature} expected, found {got:?}");
    let got = found(sound);
    assert!(got.is_empty(), "the sound twin shows {got:?}");
}

fn in_task(declarations: &str, body: &str) -> String {
    format!("splat x\n{declarations}\ntask T on cpu0 {{\n{body}\n}}\n")
}

fn tasks(declarations: &str, first: &str, second: &str) -> String {
    format!(
        "splat x\n{declarations}\ntask T on cpu0 {{\n{first}\n}}\ntask U on cpu1 {{\n{second}\n}}\n"
    )
}

#[test]
fn interrupts_are_off_while_an_irq_lock_is_held() {
    let with = |body: &str| in_task("spinlock s", body);
    fires(
        "state/irqs-on-under-irq-lock",
        &with("lock s irqsave {\nlocal_irq_enable\nlocal_irq_disable\n}"),
        &with("lock s irqsave {\n}"),
    );
}

#[test]
fn nobody_sleeps_in_a_read_section() {
    let with = |body: &str| in_task("completion c", body);
    fires(
        "state/sleep-in-atomic",
        &with("rcu {\ncond_resched\n}"),
        &with("rcu {\ncpu_relax\n}"),
    );
    fires(
        "state/rcu-self-wait",
        &with("rcu_read_lock\nsynchronize_rcu\nrcu_read_unlock"),
        &with("rcu_read_lock\nrcu_read_unlock\nsynchronize_rcu"),
    );
}

const FILE: &str = "device disk completes irq on cpu1\nmapping file device disk\npage A in file dirty\nbatch bio on disk";
const WRITE: &str = "lock_page A\nclear_page_dirty_for_io A\nset_page_writeback A\nunlock_page A";

#[test]
fn writeback_is_set_once_under_the_page_lock_and_ended_once() {
    let with = |body: &str| in_task(FILE, body);
    let sound = with(&format!("{WRITE}\nend_page_writeback A"));
    let unlocked = with("clear_page_dirty_for_io A\nset_page_writeback A\nend_page_writeback A");
    fires("state/page-not-locked", &unlocked, &sound);
    let twice = with(&format!(
        "lock_page A\nset_page_writeback A\nset_page_writeback A\nunlock_page A\n{}",
        "end_page_writeback A"
    ));
    fires("state/writeback-set-twice", &twice, &sound);
    let ended = with(&format!(
        "{WRITE}\nend_page_writeback A\nend_page_writeback A"
    ));
    fires("state/writeback-not-set", &ended, &sound);
}

#[test]
fn what_is_under_writeback_is_submitted_and_completed() {
    let with = |end: &str| in_task(FILE, &format!("{WRITE}\nbio_add_page bio A\n{end}"));
    fires(
        "state/writeback-left",
        &with("cpu_relax"),
        &with("submit_bio bio"),
    );
    fires(
        "state/bio-submitted-twice",
        &with("submit_bio bio\nsubmit_bio bio"),
        &with("submit_bio bio"),
    );
}

#[test]
fn counters_stay_above_zero_and_equal_the_pages() {
    let with = |start: &str, end: &str| {
        tasks(
            "rules v4.15 { cgroup = v1; cgroup_v1_move_charge = on }\nmemcg G\nmemcg H\nmapping file\npage A in file dirty memcg G",
            &format!("{start}\nmove_page A to H\n{end}"),
            "cancel_dirty_page A",
        )
    };
    let sound = with("start_move_charge G", "end_move_charge G");
    fires("state/counter-negative", &with("", ""), &sound);
    fires("state/memcg-counters", &with("", ""), &sound);
}

#[test]
fn a_charge_is_given_back_once() {
    let with = |more: &str| {
        in_task(
            "memcg G limit 4",
            &format!("try_charge G GFP_KERNEL\nuncharge G\n{more}"),
        )
    };
    fires("state/memcg-underflow", &with("uncharge G"), &with(""));
    fires(
        "state/moving-account",
        &in_task(
            "rules v4.15 { cgroup = v1; cgroup_v1_move_charge = on }\nmemcg G",
            "end_move_charge G",
        ),
        &in_task(
            "rules v4.15 { cgroup = v1; cgroup_v1_move_charge = on }\nmemcg G",
            "start_move_charge G\nend_move_charge G",
        ),
    );
}

#[test]
fn writers_of_a_sequence_do_not_nest_and_readers_see_none_of_it() {
    let with = |body: &str| in_task("seqcount s", &format!("preempt_off {{\n{body}\n}}"));
    fires(
        "state/seqcount-nested-writer",
        &with("write s {\nwrite s {\n}\n}"),
        &with("write s {\n}\nwrite s {\n}"),
    );
    let copies = |open: &str, close: &str| {
        tasks(
            "seqlock s\ncounter a\ncounter b\nflag torn",
            &format!("{open}\ninc a\ninc b\n{close}"),
            "read s {\nclear torn\nif a == 1 && b == 0 {\nset torn\n}\n}\nassert !torn",
        )
    };
    fires(
        "state/assertion",
        &copies("", ""),
        &copies("write s {", "}"),
    );
}

#[test]
fn a_wait_has_somebody_who_can_end_it() {
    let with = |waker: &str| tasks("completion c", "wait_for_completion c", waker);
    fires("stop/no-ender", &with("cpu_relax"), &with("complete c"));
}

#[test]
fn an_element_goes_back_to_its_pool_once() {
    let with = |more: &str| {
        in_task(
            "mempool pool size 1",
            &format!("p = mempool_alloc pool GFP_NOIO pressure no_progress\nq = p\nfree p\n{more}"),
        )
    };
    fires("state/", &with("free q"), &with(""));
}

#[test]
fn reclaim_leaves_flags_and_maps_as_they_were() {
    let with = |body: &str| {
        format!(
            "splat x\nshrinker s {{\n{body}\n}}\ntask T on cpu0 {{\ntry_to_free_pages GFP_KERNEL\n}}\n"
        )
    };
    fires(
        "state/",
        &with("memalloc_nofs_save"),
        &with("memalloc_nofs_save\nmemalloc_nofs_restore"),
    );
}

#[test]
fn what_the_kernel_defers_is_deferred() {
    let with = |rules: &str| {
        format!(
            "splat x\nrules v6.12 {{ printk = sync; {rules} }}\nspinlock port\nconsole uart {{\nlock port irqsave {{\n}}\n}}\n\
             task T on cpu0 {{\nrebuild_zonelists\n}}\n"
        )
    };
    fires(
        "state/printk-not-deferred",
        &with("guard printk_deferral off"),
        &with("zonelist_seq = Z3"),
    );
}

#[test]
fn a_frozen_gate_lets_nobody_in() {
    let with = |guard: &str| {
        tasks(
            &format!("rules v6.12 {{ {guard} }}\npercpu_rwsem gate"),
            "write gate {\ncond_resched\n}",
            "read gate {\n}",
        )
    };
    fires(
        "state/freeze-passed",
        &with("guard freeze_protocol off"),
        &with("lockdep = on"),
    );
}

#[test]
fn who_spins_is_counted_as_waiting() {
    let with = |other: &str| tasks("flag go", "spin_until go", other);
    fires("stop/livelock", &with("clear go"), &with("set go"));
}

/// Every row of the table names a kind that its file checks and a planted break that exists.
#[test]
fn the_table_of_invariants_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let table = read("docs/invariants.md");
    let tests = read("core/harness/tests/invariants.rs");
    let rows = table
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| no"));
    let mut numbers = BTreeSet::new();
    for row in rows.filter(|l| !l.starts_with("| ---")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, kind, place, planted] = cells.as_slice() else {
            panic!("{row}");
        };
        numbers.insert(number.parse::<u32>().expect("a number"));
        let word = |cell: &str| cell.split('`').nth(1).expect(row).to_owned();
        let (kind, planted) = (word(kind), word(planted));
        let source = read(&format!("core/{}", word(place)));
        if cells[2].starts_with('`') {
            assert!(source.contains(&format!("\"{kind}\"")), "{row}");
        }
        let shown = if planted.contains('/') {
            let planting = read(&planted);
            planting.contains(&kind) || planting.contains(&kind.replace('-', "_"))
        } else {
            tests.contains(&format!("fn {planted}()"))
        };
        assert!(shown, "{row}");
    }
    for number in [15].into_iter().chain(18..=33).chain(37..=45) {
        assert!(
            numbers.contains(&number) || number == 39,
            "{number} is missing"
        );
    }
}
