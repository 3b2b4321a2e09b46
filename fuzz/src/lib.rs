//! What the targets share: one judge a process, set up from environment and arguments.

use ksplat_harness::fuzz::{Input, Judge, Options};
use ksplat_kernel::rt::FEATURES;
use libfuzzer_sys::Corpus;
use std::cell::{RefCell, UnsafeCell};

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::new(Judge::new(options()));
}

/// Counters that libFuzzer looks at beside its own; it clears them before each input.
#[repr(align(64))]
#[derive(Debug)]
pub struct Counters<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: a target runs on one thread.
unsafe impl<const N: usize> Sync for Counters<N> {}

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Counters<N> {
    /// Counters at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; N]))
    }

    /// The feature was seen.
    ///
    /// # Panics
    /// If there is no such counter.
    pub fn count(&self, feature: usize) {
        assert!(feature < N, "feature {feature} of {N}");
        // SAFETY: the counter exists, and nobody else touches it while a target runs. Volatile, or the stores would be
        // taken out: nothing in the program reads them.
        unsafe { self.0.get().cast::<u8>().add(feature).write_volatile(1) };
    }
}

/// Executes an input, tells libFuzzer its features, and whether the input may become part of the corpus.
///
/// The counters are the target's own: a static here would be in every target, and libFuzzer looks at all of it twice an
/// execution.
///
/// # Panics
/// If the input is a crash: see [`Judge::check`].
pub fn check(input: &Input, counters: &Counters<FEATURES>) -> Corpus {
    judge(|judge| {
        let verdict = judge.check(input);
        for &feature in judge.features() {
            counters.count(feature.into());
        }
        match verdict {
            Err(why) => panic!("{}: {why}", input.program.name),
            Ok(()) if judge.showed() => Corpus::Reject,
            Ok(()) => Corpus::Keep,
        }
    })
}

/// The process's judge.
pub fn judge<R>(with: impl FnOnce(&mut Judge) -> R) -> R {
    JUDGE.with_borrow_mut(with)
}

fn options() -> Options {
    Options::from_env().unwrap_or_else(|error| panic!("{error}"))
}

/// To be called before the first input, with what makes an input of bytes. When libFuzzer is about to minimise a crash, only the class of finding that the
/// crash shows counts as a crash from here on, in the processes that it starts too.
pub fn init(decode: impl Fn(&[u8]) -> Option<Input>) {
    let minimises = |a: &String| a == "-minimize_crash=1";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(minimises) || options().only.is_some() {
        return;
    }
    let file = arguments.iter().find(|a| !a.starts_with('-'));
    let bytes = file.and_then(|f| std::fs::read(f).ok()).unwrap_or_default();
    let Some(input) = decode(&bytes) else {
        return;
    };
    let judged = Judge::new(options()).judge(&input);
    if let Some(finding) = judged.as_ref().and_then(|j| j.unknown()) {
        // SAFETY: libFuzzer calls this before it starts threads.
        unsafe { std::env::set_var("KSPLAT_CLASS", &finding.class) };
    }
}
