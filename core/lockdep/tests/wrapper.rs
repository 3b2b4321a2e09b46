//! Locks of parking_lot that report to lockdep. One test, since there is one validator for the process.

use ksplat_lockdep::wrapper::{LockdepMutex, on_report};
use ksplat_lockdep::{Kind, Report};
use std::sync::Mutex;

static SEEN: Mutex<Vec<Kind>> = Mutex::new(Vec::new());

fn remember(report: &Report) {
    SEEN.lock().unwrap().push(report.kind());
}

#[test]
fn a_report_reaches_the_handler_once() {
    assert!(on_report(remember));
    assert!(!on_report(|_| panic!("the first handler holds")));
    let a = LockdepMutex::<parking_lot::RawMutex, _>::new(1);
    let b = LockdepMutex::<parking_lot::RawMutex, _>::new(2);
    let forward = || *a.lock() + *b.lock();
    let backward = || *b.lock() + *a.lock();

    assert_eq!(forward(), 3);
    assert!(
        SEEN.lock().unwrap().is_empty(),
        "one order alone is no contradiction"
    );
    std::thread::scope(|s| s.spawn(backward).join().unwrap());
    assert_eq!(backward(), 3);
    assert_eq!(*SEEN.lock().unwrap(), [Kind::Circular]);
}
