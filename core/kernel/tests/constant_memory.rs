//! Executions that each end in a deadlock, and leave nothing behind. Alone in its process: it measures the process.

use ksplat_kernel::rt::{
    Deterministic, EntityId, EntitySpec, Machine, MachineSpec, Undisturbed, World, run_in_shuttle,
};
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Lock, LockKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Two tasks that always deadlock: the second waits for what the first holds at its end, and the first for itself.
struct Stuck(Lock, Lock);

impl World for Stuck {
    fn run(&self, entity: EntityId) {
        // Something on the stack that has to be dropped: unwinding must reach it.
        let kept = vec![entity.index(); 64];
        let _ = self.0.lock(How::default());
        let _ = self.1.lock(How::default());
        let _ = self.0.lock(How::default());
        assert!(kept.is_empty(), "nobody gets here");
    }
}

fn machine() -> (Machine, Stuck) {
    let entities = vec![EntitySpec::task("T0", 0), EntitySpec::task("T1", 1)];
    let mut m = Machine::new(&MachineSpec {
        cpus: 2,
        entities,
        rules: Rules::default(),
        max_steps: 1000,
    });
    let key = LockKind::Mutex.class(&mut m, "L");
    let lock = |m: &mut Machine, name| Lock::new(m, LockKind::Mutex, name, Some(key));
    let locks = Stuck(lock(&mut m, "A"), lock(&mut m, "B"));
    (m, locks)
}

/// Resident set of this process in KiB (Linux).
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse().ok())
        .expect("a number");
    pages * 4
}

/// Slack for the allocator's own books, in KiB.
const SLACK: u64 = 4 * 1024;

#[test]
fn a_hundred_thousand_deadlocks_need_no_memory() {
    let (m, w) = machine();
    let mut det = Deterministic::new();
    let mut run =
        |n: u64| (0..n).for_each(|_| assert!(det.run(&m, &w, &mut Undisturbed).stop.is_some()));
    run(2_000);
    let before = resident();
    run(100_000);
    let after = resident();
    assert!(
        after <= before + SLACK,
        "deterministic: {before} KiB before, {after} KiB after"
    );

    let (m, w) = machine();
    let readings = Arc::new([const { AtomicU64::new(0) }; 3]);
    let seen = Arc::clone(&readings);
    let test = move || {
        let n = seen[2].fetch_add(1, Relaxed);
        if n == 2_000 {
            seen[0].store(resident(), Relaxed);
        }
        assert!(run_in_shuttle(&m, &w).stop.is_some());
        seen[1].store(
            if n.is_multiple_of(1_000) {
                resident()
            } else {
                seen[1].load(Relaxed)
            },
            Relaxed,
        );
    };
    shuttle::check_random(test, 102_000);
    let [before, after, _] = &*readings;
    let (before, after) = (before.load(Relaxed), after.load(Relaxed));
    assert!(
        before > 0 && after <= before + SLACK,
        "shuttle: {before} KiB before, {after} KiB after"
    );
}
