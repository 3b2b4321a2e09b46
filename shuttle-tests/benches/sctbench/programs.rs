//! SCTBench programs (Thomson, Donaldson, Betts, TOPC 2016), written anew for this machine: shared integers are announced
//! loads and stores, one step each; a main task starts the others in order and joins them; the bug is a failed assertion
//! or a deadlock.

use super::sct::Sct;

/// A program: name, tasks beside main, variables, locks, what a task does, and its initial values.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) tasks: usize,
    pub(crate) vars: usize,
    pub(crate) locks: usize,
    pub(crate) init: &'static [(usize, i64)],
    pub(crate) body: fn(&Sct, usize),
    /// What main does between starting and joining the tasks.
    pub(crate) main: fn(&Sct),
    /// The locks of the deadlock in order, where it is one: what directed search is given.
    pub(crate) cycle: &'static [usize],
}

const fn program(
    name: &'static str,
    [tasks, vars, locks]: [usize; 3],
    init: &'static [(usize, i64)],
    body: fn(&Sct, usize),
) -> Program {
    Program {
        name,
        tasks,
        vars,
        locks,
        init,
        body,
        main: |_| {},
        cycle: &[],
    }
}

const fn with_main(mut program: Program, main: fn(&Sct)) -> Program {
    program.main = main;
    program
}

const fn with_cycle(mut program: Program, cycle: &'static [usize]) -> Program {
    program.cycle = cycle;
    program
}

/// Numbers in names are tasks, as in SCTBench: `reorder_20` is 10 and 10, `reorder_100` is 99 and 1.
pub(crate) const PROGRAMS: &[Program] = &[
    program("account", [3, 3, 1], &[(0, 1)], account),
    with_main(
        program("bluetooth", [1, 4, 0], &[(0, 1)], stopper),
        bluetooth,
    ),
    with_cycle(program("carter01", [2, 2, 2], &[], carter01), &[0, 1]),
    program("circular_buffer", [2, 14, 1], &[(12, 1)], circular_buffer),
    with_cycle(program("deadlock01", [2, 0, 2], &[], deadlock01), &[0, 1]),
    with_cycle(
        program("din_phil3", [3, 0, 3], &[], |s, t| philosopher(s, t, 3)),
        &[0, 1, 2],
    ),
    with_cycle(
        program("din_phil5", [5, 0, 5], &[], |s, t| philosopher(s, t, 5)),
        &[0, 1, 2, 3, 4],
    ),
    with_cycle(
        program("abba_10_10_20", [3, 0, 3], &[], |s, t| {
            buried_abba(s, t, [10, 10, 20])
        }),
        &[0, 1],
    ),
    with_cycle(
        program("abba_2_40_40", [3, 0, 3], &[], |s, t| {
            buried_abba(s, t, [2, 40, 40])
        }),
        &[0, 1],
    ),
    program("lazy01", [3, 1, 1], &[], lazy01),
    program("queue", [2, 64, 1], &[(0, 1)], queue),
    program("stack", [2, 2, 1], &[], stack),
    program(
        "token_ring",
        [4, 6, 1],
        &[(0, 1), (1, 2), (2, 1)],
        token_ring,
    ),
    program("wronglock_3", [4, 1, 2], &[], wronglock),
    program("wronglock", [8, 1, 2], &[], wronglock),
    program("twostage", [2, 2, 2], &[], |s, t| twostage(s, t < 1)),
    program("twostage_20", [20, 2, 2], &[], |s, t| twostage(s, t < 10)),
    program("twostage_50", [50, 2, 2], &[], |s, t| twostage(s, t < 40)),
    program("twostage_100", [100, 2, 2], &[], |s, t| twostage(s, t < 99)),
    program("reorder_3", [3, 2, 0], &[], |s, t| reorder(s, t < 2)),
    program("reorder_4", [4, 2, 0], &[], |s, t| reorder(s, t < 3)),
    program("reorder_5", [5, 2, 0], &[], |s, t| reorder(s, t < 4)),
    program("reorder_10", [10, 2, 0], &[], |s, t| reorder(s, t < 9)),
    program("reorder_20", [20, 2, 0], &[], |s, t| reorder(s, t < 10)),
    program("reorder_50", [50, 2, 0], &[], |s, t| reorder(s, t < 40)),
    program("reorder_100", [100, 2, 0], &[], |s, t| reorder(s, t < 99)),
    with_main(
        program("stringbuffer", [1, 1, 2], &[(0, 3)], eraser),
        stringbuffer,
    ),
    program("wsq", [2, 16, 1], &[(2, 2)], work_stealing_queue),
    SAFESTACK,
];

/// Three workers on a lock-free stack of three cells: ABA.
pub(crate) const SAFESTACK: Program = program(
    "safestack",
    [3, 8, 0],
    &[(1, 3), (2, 1), (3, 2), (4, -1)],
    safestack,
);

fn account(s: &Sct, t: usize) {
    let (balance, deposited, withdrawn) = (0, 1, 2);
    s.lock(0);
    match t {
        0 => {
            if s.load(deposited) != 0 && s.load(withdrawn) != 0 {
                s.assert(s.load(balance) == (1 - 2) - 4);
            }
        }
        1 => {
            s.store(balance, s.load(balance) + 2);
            s.store(deposited, 1);
        }
        _ => {
            s.store(balance, s.load(balance) - 4);
            s.store(withdrawn, 1);
        }
    }
    s.unlock(0);
}

const PENDING: usize = 0;
const STOPPING: usize = 1;
const EVENT: usize = 2;
const STOPPED: usize = 3;

fn release(s: &Sct) {
    if s.add(PENDING, -1) == 1 {
        s.store(EVENT, 1);
    }
}

fn bluetooth(s: &Sct) {
    if s.load(STOPPING) == 0 {
        s.add(PENDING, 1);
        s.assert(s.load(STOPPED) == 0);
    }
    release(s);
}

fn stopper(s: &Sct, _: usize) {
    s.store(STOPPING, 1);
    release(s);
    if s.load(EVENT) != 0 {
        s.store(STOPPED, 1);
    }
}

/// The lock of one counter's users is held from the first to the last of them, across the lock of the counters.
fn carter01(s: &Sct, t: usize) {
    let (m, l, users) = (0, 1, t);
    s.lock(m);
    s.store(users, s.load(users) + 1);
    let first = s.load(users) == 1;
    if first {
        s.lock(l);
    }
    s.unlock(m);
    s.lock(m);
    s.store(users, s.load(users) - 1);
    if s.load(users) == 0 && first {
        s.unlock(l);
    }
    s.unlock(m);
}

fn circular_buffer(s: &Sct, t: usize) {
    let (first, next, send, receive) = (10, 11, 12, 13);
    for i in 0..7 {
        s.lock(0);
        if t == 0 && s.load(send) != 0 {
            let at = s.load(next);
            s.store(at as usize, i);
            s.store(next, (at + 1) % 10);
            s.store(send, 0);
            s.store(receive, 1);
        } else if t == 1 && s.load(receive) != 0 {
            let at = s.load(first);
            s.assert(s.load(at as usize) == i);
            s.store(first, at + 1);
            s.store(receive, 0);
            s.store(send, 1);
        }
        s.unlock(0);
    }
}

fn deadlock01(s: &Sct, t: usize) {
    s.lock(t);
    s.lock(1 - t);
    s.unlock(1 - t);
    s.unlock(t);
}

/// Not of SCTBench: two tasks nest two locks in opposite order between uses of a third lock, a third task is in the way.
fn buried_abba(s: &Sct, t: usize, noise: [usize; 3]) {
    let pair = |lock| {
        s.lock(lock);
        s.unlock(lock);
    };
    let uses = || (0..noise[t]).for_each(|_| pair(2));
    if t == 2 {
        for i in 0..noise[t] {
            pair(2);
            pair(i % 2);
        }
        return;
    }
    uses();
    s.lock(t);
    s.lock(1 - t);
    s.unlock(1 - t);
    s.unlock(t);
    uses();
}

fn philosopher(s: &Sct, t: usize, n: usize) {
    let (left, right) = (t, (t + 1) % n);
    s.lock(left);
    s.lock(right);
    s.unlock(right);
    s.unlock(left);
}

fn lazy01(s: &Sct, t: usize) {
    s.lock(0);
    match t {
        0 => s.store(0, s.load(0) + 1),
        1 => s.store(0, s.load(0) + 2),
        _ => s.assert(s.load(0) < 3),
    }
    s.unlock(0);
}

fn queue(s: &Sct, t: usize) {
    let (may_enqueue, may_dequeue, head, tail) = (0, 1, 2, 3);
    let (slots, stored) = (4, 30);
    let enqueue = |value: i64, i: usize| {
        let at = s.load(tail);
        s.store(slots + at as usize, value);
        s.store(tail, at + 1);
        s.store(stored + i, value);
    };
    if t == 0 {
        s.lock(0);
        enqueue(100, 0);
        s.unlock(0);
        for i in 0..19 {
            s.lock(0);
            if s.load(may_enqueue) != 0 {
                enqueue(i + 1, i as usize + 1);
                s.store(may_enqueue, 0);
                s.store(may_dequeue, 1);
            }
            s.unlock(0);
        }
        return;
    }
    for i in 0..20 {
        s.lock(0);
        if s.load(may_dequeue) != 0 {
            let at = s.load(head);
            s.store(head, at + 1);
            s.assert(s.load(slots + at as usize) == s.load(stored + i));
            s.store(may_dequeue, 0);
            s.store(may_enqueue, 1);
        }
        s.unlock(0);
    }
}

fn stack(s: &Sct, t: usize) {
    let (top, flag) = (0, 1);
    for _ in 0..10 {
        s.lock(0);
        if t == 0 {
            s.assert(s.load(top) != 10);
            s.store(top, s.load(top) + 1);
            s.store(flag, 1);
        } else if s.load(flag) != 0 {
            s.assert(s.load(top) != 0);
            s.store(top, s.load(top) - 1);
        }
        s.unlock(0);
    }
}

fn token_ring(s: &Sct, t: usize) {
    s.lock(0);
    match t {
        0 => s.store(0, (s.load(2) + 1) % 4),
        1 => s.store(1, s.load(0)),
        2 => s.store(2, s.load(1)),
        _ => {
            if (3..6).all(|flag| s.load(flag) != 0) {
                s.assert(s.load(0) == s.load(1) && s.load(1) == s.load(2));
            }
        }
    }
    if t < 3 {
        s.store(3 + t, 1);
    }
    s.unlock(0);
}

fn wronglock(s: &Sct, t: usize) {
    let lock = usize::from(t != 0);
    s.lock(lock);
    let before = (t == 0).then(|| s.load(0));
    s.store(0, s.load(0) + 1);
    if let Some(x) = before {
        s.assert(s.load(0) == x + 1);
    }
    s.unlock(lock);
}

fn twostage(s: &Sct, writes: bool) {
    let (d1, d2) = (0, 1);
    s.lock(0);
    if writes {
        s.store(d1, 1);
        s.unlock(0);
        s.lock(1);
        s.store(d2, s.load(d1) + 1);
        s.unlock(1);
        return;
    }
    let t1 = s.load(d1);
    s.unlock(0);
    if t1 == 0 {
        return;
    }
    s.lock(1);
    let t2 = s.load(d2);
    s.unlock(1);
    s.assert(t2 == t1 + 1);
}

fn reorder(s: &Sct, sets: bool) {
    let (a, b) = (0, 1);
    if sets {
        s.store(a, 1);
        s.store(b, -1);
        return;
    }
    s.assert((s.load(a) == 0 && s.load(b) == 0) || (s.load(a) == 1 && s.load(b) == -1));
}

fn stringbuffer(s: &Sct) {
    let (new, old, count) = (0, 1, 0);
    s.lock(new);
    s.lock(old);
    let len = s.peek(count);
    s.unlock(old);
    s.lock(old);
    s.assert(len <= s.peek(count));
    s.unlock(old);
    s.unlock(new);
}

fn eraser(s: &Sct, _: usize) {
    let (old, count) = (1, 0);
    for len in [0, 3] {
        s.lock(old);
        s.poke(count, len);
        s.unlock(old);
    }
}

/// Chess WorkStealQueue: a push compares with one slot too many, so that it overwrites what a thief has claimed.
fn work_stealing_queue(s: &Sct, t: usize) {
    if t == 1 {
        for _ in 0..2 {
            if let Some(item) = steal(s) {
                use_item(s, item);
            }
        }
        return;
    }
    for pair in 0..2 {
        push(s, 2 * pair + 1);
        push(s, 2 * pair + 2);
        if let Some(item) = pop(s) {
            use_item(s, item);
        }
    }
    for _ in 0..2 {
        if let Some(item) = pop(s) {
            use_item(s, item);
        }
    }
}

const HEAD: usize = 0;
const TAIL: usize = 1;
/// Number of slots, a power of two; only changed under the lock.
const SIZE: usize = 2;
const SLOTS: usize = 3;
const USED: usize = 11;

fn slot(s: &Sct, at: i64) -> usize {
    SLOTS + (at & (s.peek(SIZE) - 1)) as usize
}

fn use_item(s: &Sct, item: i64) {
    let used = USED + item as usize;
    let n = s.load(used);
    s.store(used, n + 1);
    s.assert(n == 0);
}

fn steal(s: &Sct) -> Option<i64> {
    s.lock(0);
    let head = s.load(HEAD);
    s.store(HEAD, head + 1);
    let item = if head < s.load(TAIL) {
        Some(s.load(slot(s, head)))
    } else {
        s.store(HEAD, head);
        None
    };
    s.unlock(0);
    item
}

fn pop(s: &Sct) -> Option<i64> {
    let tail = s.load(TAIL) - 1;
    s.store(TAIL, tail);
    if s.load(HEAD) <= tail {
        return Some(s.load(slot(s, tail)));
    }
    s.store(TAIL, tail + 1);
    s.lock(0);
    let tail = s.load(TAIL) - 1;
    s.store(TAIL, tail);
    let head = s.load(HEAD);
    let item = if head <= tail {
        Some(s.load(slot(s, tail)))
    } else {
        s.store(TAIL, tail + 1);
        None
    };
    if item.is_none() && head > tail {
        s.store(HEAD, 0);
        s.store(TAIL, 0);
    }
    s.unlock(0);
    item
}

fn push(s: &Sct, item: i64) {
    let tail = s.load(TAIL);
    // Correct would be one less.
    if tail < s.load(HEAD) + s.peek(SIZE) {
        s.store(slot(s, tail), item);
        s.store(TAIL, tail + 1);
        return;
    }
    s.lock(0);
    let (head, size) = (s.load(HEAD), s.peek(SIZE));
    let count = s.load(TAIL) - head;
    let items: Vec<i64> = (0..count).map(|i| s.peek(slot(s, head + i))).collect();
    if count >= size - 1 {
        s.poke(SIZE, size * 2);
    }
    for (i, &item) in items.iter().enumerate() {
        s.poke(SLOTS + i, item);
    }
    s.store(HEAD, 0);
    s.store(slot(s, count), item);
    s.store(TAIL, count + 1);
    s.unlock(0);
}

fn safestack(s: &Sct, t: usize) {
    let (head, count, next, value) = (0, 1, 2, 5);
    let pop = || {
        while s.load(count) > 1 {
            let h = s.load(head);
            let n = s.swap(next + h as usize, -1);
            if n < 0 {
                s.give_way();
                continue;
            }
            if s.compare_and_swap(head, h, n) == h {
                s.add(count, -1);
                return Some(h);
            }
            s.swap(next + h as usize, n);
        }
        None
    };
    for _ in 0..2 {
        let cell = loop {
            match pop() {
                Some(cell) => break cell as usize,
                None => s.give_way(),
            }
        };
        s.store(value + cell, t as i64);
        s.assert(s.load(value + cell) == t as i64);
        let mut h = s.load(head);
        loop {
            s.store(next + cell, h);
            let was = s.compare_and_swap(head, h, cell as i64);
            if was == h {
                break;
            }
            h = was;
        }
        s.add(count, 1);
    }
}
