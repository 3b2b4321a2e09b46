//! The lock-free parts under loom: `RUSTFLAGS="--cfg loom" cargo test -p ksplat-lockdep --test loom --release`.
//!
//! Two threads work on one engine while its tables grow under them; every interleaving (up to a bound on preemptions) must end
//! with the same graph, and a lost or torn entry would show as a panic or a missing edge.
#![cfg(loom)]

use ksplat_lockdep::{Acquire, Config, KeyInfo, LockMap, Lockdep, TaskState};
use loom::sync::Arc;
use loom::thread;

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

struct Shared {
    lockdep: Lockdep,
    locks: Vec<LockMap>,
}

fn shared(locks: usize) -> Arc<Shared> {
    let lockdep = Lockdep::new(Config::default());
    let lock = |n| LockMap::new(lockdep.register_key(KeyInfo::new(format!("{n}"))), 0);
    let locks = (0..locks).map(lock).collect();
    Arc::new(Shared { lockdep, locks })
}

/// Takes the locks in this order and releases them innermost first.
fn nest(shared: &Shared, id: u32, order: &[usize]) -> bool {
    let mut task = TaskState::new(id);
    let mut fine = true;
    for n in order {
        fine &= shared
            .lockdep
            .acquire(&mut task, shared.locks[*n], Acquire::at(id))
            .is_ok();
    }
    for n in order.iter().rev() {
        fine &= shared
            .lockdep
            .release(&mut task, shared.locks[*n], id)
            .is_ok();
    }
    fine
}

fn edges(shared: &Shared) -> usize {
    shared.lockdep.graph_info().edges.len()
}

#[test]
fn the_same_chain_from_two_threads_is_one_chain() {
    model(|| {
        let shared = shared(2);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || nest(&other, 2, &[0, 1]));
        assert!(nest(&shared, 1, &[0, 1]));
        assert!(thread.join().expect("no panic"));
        assert_eq!(edges(&shared), 1);
        // By now the way is paved: nothing changes any more.
        let changes = shared.lockdep.changes();
        assert!(nest(&shared, 1, &[0, 1]));
        assert_eq!(shared.lockdep.changes(), changes);
    });
}

#[test]
fn a_table_that_grows_loses_nothing() {
    model(|| {
        let shared = shared(3);
        // One reader on a paved way while another thread makes the table grow.
        assert!(nest(&shared, 1, &[0]));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || nest(&other, 2, &[1, 2]));
        assert!(nest(&shared, 1, &[0]));
        assert!(thread.join().expect("no panic"));
        assert_eq!(edges(&shared), 1);
    });
}

#[test]
fn one_of_two_opposite_orders_is_reported_once() {
    model(|| {
        let shared = shared(2);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || nest(&other, 2, &[1, 0]));
        let mine = nest(&shared, 1, &[0, 1]);
        let theirs = thread.join().expect("no panic");
        assert!(!(mine && theirs), "a cycle went unnoticed");
        assert_eq!(shared.lockdep.reports().len(), 1);
    });
}
