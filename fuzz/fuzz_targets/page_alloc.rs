//! Operations of one task on the page allocator, against a reference of a bit a frame.
#![no_main]

use ksplat_fuzz::Counters;
use ksplat_harness::fuzz::PageAlloc;
use std::cell::RefCell;

thread_local! {
    static ALLOCATOR: RefCell<PageAlloc> = RefCell::default();
}

#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COUNTERS: Counters<{ PageAlloc::FEATURES }> = Counters::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ALLOCATOR.with_borrow_mut(|allocator| {
        let checked = allocator.check(data);
        allocator.features(|feature| COUNTERS.count(feature));
        if let Err(why) = checked {
            panic!("{why}");
        }
    });
});
