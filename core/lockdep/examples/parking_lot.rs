//! Lockdep for an ordinary program: `cargo run --example parking_lot -p ksplat-lockdep`.
//!
//! Each part does something that works today and can deadlock tomorrow, on one thread and without any bad luck.

use ksplat_lockdep::wrapper::{
    Class, LockdepMutex, LockdepRwLock, interrupt, interrupts_off, lockdep,
};
use ksplat_lockdep::{Kind, WaitType};

type Mutex<T> = LockdepMutex<parking_lot::RawMutex, T>;
type RwLock<T> = LockdepRwLock<parking_lot::RawRwLock, T>;

fn expect(what: &str, kind: Option<Kind>, part: impl FnOnce()) {
    let before = lockdep().reports().len();
    part();
    let kinds: Vec<Kind> = lockdep().reports()[before..]
        .iter()
        .map(|report| report.kind())
        .collect();
    assert_eq!(kinds, Vec::from_iter(kind), "{what}");
    println!("{what}: {}", kind.map_or("fine", Kind::name));
}

fn main() {
    let accounts: Vec<Mutex<i64>> = (0..4).map(|_| Mutex::new(100)).collect();
    let log = Mutex::new(Vec::new());

    expect("a lock in a lock", None, || {
        let mut account = accounts[0].lock();
        *account -= 10;
        log.lock().push(*account);
    });
    expect("the other way round", Some(Kind::Circular), || {
        let log = log.lock();
        assert_eq!(*accounts[1].lock() + log[0], 190);
    });
    expect("two locks made at one place", Some(Kind::Recursive), || {
        let (mut from, mut to) = (accounts[2].lock(), accounts[3].lock());
        *from -= 5;
        *to += 5;
    });
    expect("two locks of a class in a declared order", None, || {
        let (_from, _to) = (accounts[2].lock(), accounts[3].lock_nested(1));
    });
    expect("trylock cannot wait", None, || {
        let _log = log.lock();
        assert!(accounts[0].try_lock().is_some());
    });

    let table = RwLock::new(7);
    expect(
        "a reader inside a reader, with a writer in between one day",
        Some(Kind::Recursive),
        || {
            let outer = table.read();
            assert_eq!(*outer, *table.read());
        },
    );
    *table.write() += 1;

    let device = Mutex::of_class(Class::new("device", WaitType::Config), 0);
    interrupt(|| *device.lock() += 1);
    expect(
        "a lock of interrupts, held with interrupts off",
        None,
        || interrupts_off(|| *device.lock() += 1),
    );
    expect(
        "a lock of interrupts, held with interrupts on",
        Some(Kind::InconsistentState),
        || *device.lock() += 1,
    );

    let spinning = Mutex::of_class(Class::new("spinning", WaitType::Spin), ());
    expect(
        "sleeping under a lock that spins",
        Some(Kind::WaitContext),
        || {
            let _spinning = spinning.lock();
            *table.write() += 1;
        },
    );
}
