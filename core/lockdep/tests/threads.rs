//! Many threads on one engine. Under ThreadSanitizer, on nightly, this is the race test:
//!
//! ```text
//! RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//! TSAN_OPTIONS=suppressions=$PWD/ci/tsan.suppressions \
//! cargo +nightly test -p ksplat-lockdep --test threads --target x86_64-unknown-linux-gnu
//! ```
//!
//! Without `-Zbuild-std` std itself is not instrumented. What it does inside (threads, the barrier, the test
//! harness's channel) is therefore invisible and suppressed; the engine's own lock and tables are not std's, so all that
//! happens in the engine is seen.
#![cfg(not(loom))]

use ksplat_lockdep::{
    Acquire, Config, KeyInfo, LockMap, Lockdep, Mode, Outcome, TaskState, WaitType,
};
use std::sync::Barrier;
use std::thread;

const THREADS: u32 = 4;
const LOCKS: usize = 40;

fn locks(lockdep: &Lockdep) -> Vec<LockMap> {
    let lock = |n| {
        LockMap::new(
            lockdep.register_key(KeyInfo::waiting(format!("{n}"), WaitType::Config)),
            0,
        )
    };
    (0..LOCKS).map(lock).collect()
}

/// Takes ever other ascending sequences of locks, in and out of interrupts.
fn ascend(lockdep: &Lockdep, locks: &[LockMap], id: u32) -> Outcome {
    let mut task = TaskState::new(id);
    task.hardirqs_off();
    for step in 1..12 {
        for start in 0..LOCKS {
            let order: Vec<LockMap> = locks
                .iter()
                .copied()
                .skip(start)
                .step_by(step)
                .take(6)
                .collect();
            for map in &order {
                lockdep.acquire(&mut task, *map, Acquire::at(id))?;
            }
            // Every other round in the order taken, so that what is above gets acquired again.
            for n in 0..order.len() {
                let n = if start % 2 == 0 {
                    n
                } else {
                    order.len() - 1 - n
                };
                lockdep.release(&mut task, order[n], id)?;
            }
        }
    }
    Ok(())
}

/// Runs all on threads of their own, and joins each: a scope alone waits in a way that no sanitizer sees.
fn together<F: FnOnce() + Send>(bodies: impl IntoIterator<Item = F>) {
    thread::scope(|scope| {
        let threads: Vec<_> = bodies.into_iter().map(|body| scope.spawn(body)).collect();
        for thread in threads {
            thread.join().expect("no thread panics");
        }
    });
}

#[test]
fn consistent_orders_from_many_threads_are_silent_and_agree() {
    let alone = Lockdep::default();
    let expected = {
        let locks = locks(&alone);
        ascend(&alone, &locks, 0).expect("no report");
        alone.edge_count()
    };
    for _ in 0..3 {
        let lockdep = Lockdep::default();
        let locks = locks(&lockdep);
        let start = Barrier::new(THREADS as usize);
        together((1..=THREADS).map(|id| {
            let (lockdep, locks, start) = (&lockdep, &locks, &start);
            move || {
                start.wait();
                ascend(lockdep, locks, id).expect("no report");
            }
        }));
        assert_eq!(lockdep.edge_count(), expected);
        assert!(lockdep.reports().is_empty());
    }
}

#[test]
fn keys_can_be_registered_while_others_work() {
    let lockdep = Lockdep::new(Config {
        mode: Mode::Continue,
        ..Config::default()
    });
    together((1..=THREADS).map(|id| {
        let lockdep = &lockdep;
        move || {
            let mut task = TaskState::new(id);
            let mut last = None;
            for n in 0..300 {
                let key =
                    lockdep.register_key(KeyInfo::waiting(format!("{id}/{n}"), WaitType::Config));
                let map = LockMap::new(key, id);
                lockdep
                    .acquire(&mut task, map, Acquire::at(n))
                    .expect("each class is new");
                if let Some(last) = last.replace(map) {
                    lockdep.release(&mut task, last, n).expect("held");
                }
            }
        }
    }));
    assert_eq!(lockdep.edge_count(), THREADS as usize * 299);
}

#[test]
fn of_two_opposite_orders_one_is_reported() {
    for _ in 0..50 {
        let lockdep = Lockdep::new(Config {
            mode: Mode::Continue,
            ..Config::default()
        });
        let locks = locks(&lockdep);
        let start = Barrier::new(2);
        together([(1, [0, 1]), (2, [1, 0])].map(|(id, order)| {
            let (lockdep, locks, start) = (&lockdep, &locks, &start);
            move || {
                let mut task = TaskState::new(id);
                start.wait();
                for n in order {
                    let _ = lockdep.acquire(&mut task, locks[n], Acquire::at(id));
                }
            }
        }));
        assert_eq!(lockdep.reports().len(), 1);
    }
}
