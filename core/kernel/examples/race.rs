//! Races on purpose: `ci/tsan` runs it to see that the sanitizer would tell.

static mut SHARED: u64 = 0;

fn bump() {
    for _ in 0..10_000 {
        // SAFETY: none: two threads do this at the same time, which is the point.
        unsafe { SHARED = std::hint::black_box(SHARED) + 1 };
    }
}

fn main() {
    std::thread::scope(|scope| {
        scope.spawn(bump);
        scope.spawn(bump);
    });
    // SAFETY: the threads have ended.
    println!("{}", unsafe { SHARED });
}
