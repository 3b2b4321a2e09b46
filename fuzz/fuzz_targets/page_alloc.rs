//! Operations of one task on the page allocator, against a reference of a bit a frame.
#![no_main]

use ksplat_harness::fuzz::PageAlloc;
use std::cell::RefCell;

thread_local! {
    static ALLOCATOR: RefCell<PageAlloc> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Err(why) = ALLOCATOR.with_borrow_mut(|a| a.check(data)) {
        panic!("{why}");
    }
});
