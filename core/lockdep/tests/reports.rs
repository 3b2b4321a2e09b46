//! Reports, the mode that goes on, and the RECLAIM_FS usage state.
#![cfg(not(loom))]

use ksplat_lockdep::{
    Acquire, Config, Detail, HeldState, KeyInfo, Kind, Limits, LockMap, Lockdep, Mode, Rcu, Read,
    TaskState, WaitType, rcu_map,
};

struct World {
    lockdep: Lockdep,
    task: TaskState,
    locks: Vec<LockMap>,
}

impl World {
    fn new(config: Config) -> Self {
        let lockdep = Lockdep::new(config);
        let lock = |name: &str| {
            LockMap::new(
                lockdep.register_key(KeyInfo::waiting(name, WaitType::Sleep)),
                0,
            )
        };
        let locks = ["A", "B", "C"].map(lock).to_vec();
        Self {
            lockdep,
            task: TaskState::new(7),
            locks,
        }
    }

    fn going_on() -> Self {
        Self::new(Config {
            mode: Mode::Continue,
            ..Config::default()
        })
    }

    /// Takes locks one inside the other at sites 10, 11, … and releases them.
    fn nest(&mut self, order: &[usize]) {
        for (site, n) in (10..).zip(order) {
            let _ = self
                .lockdep
                .acquire(&mut self.task, self.locks[*n], Acquire::at(site));
        }
        for n in order.iter().rev() {
            let _ = self.lockdep.release(&mut self.task, self.locks[*n], 20);
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        self.lockdep
            .reports()
            .iter()
            .map(|report| report.kind())
            .collect()
    }
}

#[test]
fn a_circular_report_reads_like_the_kernels() {
    let mut world = World::new(Config::default());
    world.nest(&[0, 1]);
    world.nest(&[1, 2]);
    world.nest(&[2, 0]);
    let report = &world.lockdep.reports()[0];
    let text = report.render(&|site| format!("file.c:{site}")).to_string();
    let expected = "\
======================================================
WARNING: possible circular locking dependency detected
------------------------------------------------------
task 7, at: file.c:11

it acquires:
 (A){+.+.}-{4:4}, instance 0, at: file.c:11

while it holds:
 (C){+.+.}-{4:4}, instance 0, at: file.c:10

but there are dependencies the other way round.

the existing dependency chain, in reverse order:

-> #2 (C){+.+.}-{4:4}:
       taken: file.c:11, by task 7
       under: file.c:10
-> #1 (B){+.+.}-{4:4}:
       taken: file.c:11, by task 7
       under: file.c:10
-> #0 (A){+.+.}-{4:4}:
       file.c:11

other information:

there is a chain:
  A --> B --> C

 Possible unsafe locking scenario:

       CPU0                    CPU1
       ----                    ----
  lock(C);
                               lock(B);
                               lock(C);
  lock(A);

 *** DEADLOCK ***

1 lock held by task 7:
 #0: (C){+.+.}-{4:4}, instance 0, at: file.c:10
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 80));
}

#[test]
fn one_shot_is_off_after_a_report_until_reset() {
    let mut world = World::new(Config::default());
    world.nest(&[0, 1]);
    world.nest(&[1, 0]);
    assert!(!world.lockdep.is_enabled());
    world.nest(&[0, 0]);
    assert_eq!(world.kinds(), [Kind::Circular]);
    world.lockdep.reset();
    world.task.reset();
    assert!(world.lockdep.is_enabled() && world.lockdep.reports().is_empty());
    assert_eq!(
        (world.lockdep.changes(), world.lockdep.edge_count()),
        (0, 0)
    );
    world.nest(&[1, 0]);
    assert_eq!(world.kinds(), []);
    assert_eq!(world.lockdep.edge_count(), 1);
}

#[test]
fn going_on_reports_each_thing_once_and_keeps_the_stack_right() {
    let mut world = World::going_on();
    world.nest(&[0, 1]);
    for _ in 0..3 {
        world.nest(&[1, 0]);
        world.nest(&[2, 2]);
    }
    assert_eq!(world.kinds(), [Kind::Circular, Kind::Recursive]);
    assert_eq!(world.task.depth(), 0);
    // The offending dependency was left out.
    assert_eq!(world.lockdep.edge_count(), 1);
}

#[test]
fn plain_warnings_do_not_switch_off() {
    let mut world = World::new(Config::default());
    let a = world.locks[0];
    assert!(world.lockdep.assert_held(&world.task, a, None, 1).is_err());
    world.task.preempt_disable();
    assert!(world.lockdep.might_sleep(&world.task, 2).is_err());
    world.task.preempt_enable();
    assert!(world.lockdep.is_enabled());
    assert_eq!(world.kinds(), [Kind::AssertHeld, Kind::SleepInAtomic]);
}

#[test]
fn rcu_sections_are_held_and_forbid_sleeping() {
    let mut world = World::new(Config::default());
    world
        .lockdep
        .rcu_read_lock(&mut world.task, Rcu::Preempt, 1)
        .expect("fine");
    world
        .lockdep
        .rcu_read_lock(&mut world.task, Rcu::Preempt, 2)
        .expect("nests");
    let held = world
        .lockdep
        .is_held(&world.task, rcu_map(Rcu::Preempt), Some(true), 3);
    assert_eq!(held, Ok(HeldState::Held));
    assert!(world.lockdep.might_sleep(&world.task, 4).is_err());
    assert_eq!(world.kinds(), [Kind::SuspiciousRcu]);
}

#[test]
fn reclaim_fs_conflict_on_one_class() {
    let mut world = World::new(Config {
        reclaim_fs: true,
        ..Config::default()
    });
    let (a, task) = (world.locks[0], &mut world.task);
    world
        .lockdep
        .acquire(task, a, Acquire::at(1))
        .expect("fine");
    world.lockdep.mark_held_reclaim_fs(task, 2).expect("fine");
    world.lockdep.release(task, a, 3).expect("fine");
    task.set_reclaim_fs_context(true);
    assert!(world.lockdep.acquire(task, a, Acquire::at(4)).is_err());
    let report = &world.lockdep.reports()[0];
    assert_eq!(report.kind(), Kind::InconsistentState);
    let text = report.render(&()).to_string();
    assert!(
        text.contains("inconsistent {RECLAIM_FS-ON-W} -> {IN-RECLAIM_FS-W} usage."),
        "{text}"
    );
    assert!(text.contains("(A){+.+.?.}-{4:4}"), "{text}");
    assert!(text.contains("<memory reclaim>"), "{text}");
}

#[test]
fn reclaim_fs_conflict_the_other_way_round_and_along_dependencies() {
    let mut world = World::new(Config {
        reclaim_fs: true,
        mode: Mode::Continue,
        ..Config::default()
    });
    world.task.set_reclaim_fs_context(true);
    world.nest(&[0]);
    world.task.set_reclaim_fs_context(false);
    // B is held over an allocation, then taken under A, which reclaim takes.
    let (lockdep, task, b) = (&world.lockdep, &mut world.task, world.locks[1]);
    lockdep.acquire(task, b, Acquire::at(1)).expect("fine");
    lockdep.mark_held_reclaim_fs(task, 2).expect("fine");
    lockdep.release(task, b, 3).expect("fine");
    world.nest(&[0, 1]);
    assert_eq!(world.kinds(), [Kind::ReclaimFsSafeUnsafe]);
    assert_eq!(
        world.lockdep.reports()[0].title(),
        "RECLAIM_FS-safe -> RECLAIM_FS-unsafe lock order detected"
    );
    let (lockdep, task, a) = (&world.lockdep, &mut world.task, world.locks[0]);
    lockdep.acquire(task, a, Acquire::at(4)).expect("fine");
    assert!(lockdep.mark_held_reclaim_fs(task, 5).is_err());
    let Detail::InconsistentState { from, to, .. } = &lockdep.reports()[1].detail else {
        panic!("{:?}", lockdep.reports()[1]);
    };
    assert_eq!(
        (from.name(), to.name()),
        ("IN-RECLAIM_FS-W", "RECLAIM_FS-ON-W")
    );
}

#[test]
fn without_the_switch_there_is_no_reclaim_fs() {
    let mut world = World::new(Config::default());
    world.task.set_reclaim_fs_context(true);
    world.nest(&[0]);
    let (lockdep, task, a) = (&world.lockdep, &mut world.task, world.locks[0]);
    lockdep.acquire(task, a, Acquire::at(1)).expect("fine");
    lockdep.mark_held_reclaim_fs(task, 2).expect("no effect");
    assert!(
        lockdep.graph_info().classes[0]
            .usage
            .bits()
            .all(|bit| !bit.name().contains("RECLAIM"))
    );
}

#[test]
fn a_full_table_switches_off_in_either_mode() {
    let limits = |limits: Limits| Config {
        mode: Mode::Continue,
        limits,
        ..Config::default()
    };
    for (limit, message) in [
        (
            Limits {
                classes: 4,
                ..Limits::default()
            },
            "BUG: MAX_LOCKDEP_KEYS too low!",
        ),
        (
            Limits {
                entries: 2,
                ..Limits::default()
            },
            "BUG: MAX_LOCKDEP_ENTRIES too low!",
        ),
        (
            Limits {
                chains: 2,
                ..Limits::default()
            },
            "BUG: MAX_LOCKDEP_CHAINS too low!",
        ),
    ] {
        let mut world = World::new(limits(limit));
        world.nest(&[0, 1, 2]);
        assert_eq!(world.lockdep.reports()[0].title(), message);
        assert!(!world.lockdep.is_enabled());
    }
}

#[test]
fn the_stack_has_room_for_47() {
    let mut world = World::going_on();
    for n in 0..47 {
        let map = LockMap::new(world.locks[0].key, n);
        world
            .lockdep
            .acquire(&mut world.task, map, Acquire::at(n).read(Read::Recursive))
            .expect("room");
    }
    assert!(
        world
            .lockdep
            .acquire(&mut world.task, world.locks[1], Acquire::at(47))
            .is_err()
    );
    assert_eq!(world.kinds(), [Kind::LockdepOff]);
}

#[test]
fn references_are_counted_to_twelve_bits() {
    let mut world = World::going_on();
    let [outer, inner, _] = world.locks[..] else {
        panic!("three locks")
    };
    world
        .lockdep
        .acquire(&mut world.task, outer, Acquire::at(0))
        .expect("fine");
    let results: Vec<bool> = (0..4096)
        .map(|n| {
            world
                .lockdep
                .acquire(&mut world.task, inner, Acquire::at(n).nest(outer))
                .is_ok()
        })
        .collect();
    assert!(results[..4095].iter().all(|fine| *fine));
    assert!(!results[4095]);
    assert_eq!(world.kinds(), [Kind::DebugLocksWarn]);
    assert_eq!(world.task.depth(), 2);
}
