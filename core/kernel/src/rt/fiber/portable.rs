//! By way of the executor, on corosensei's coroutines.

use super::{Entry, STACK_SIZE};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};
use std::cell::{Cell, UnsafeCell};

type Co = Coroutine<*const Fiber, (), ()>;
type Yields = Yielder<*const Fiber, ()>;

/// A stack with something that runs on it, or stands still in the middle of a switch.
pub(crate) struct Fiber {
    co: UnsafeCell<Option<Co>>,
    entry: Entry,
    yielder: Cell<*const Yields>,
}

thread_local! {
    /// Whom the executor is to resume.
    static NEXT: Cell<*const Fiber> = const { Cell::new(std::ptr::null()) };
}

impl Fiber {
    /// A fiber that begins with `entry` when it is first switched to.
    ///
    /// # Panics
    /// If there is no memory for the stack.
    pub(crate) fn new(entry: Entry) -> Self {
        let stack = DefaultStack::new(STACK_SIZE).expect("memory for the stack of a coroutine");
        Self {
            co: UnsafeCell::new(Some(coroutine(stack, entry))),
            entry,
            yielder: Cell::new(std::ptr::null()),
        }
    }

    /// Forgets what stands on the stack: the next switch goes to the entry.
    ///
    /// # Safety
    /// This fiber stands still, and nothing relies on anything on its stack being dropped.
    pub(crate) unsafe fn restart(&self) {
        // SAFETY: nobody else refers to the coroutine while it stands still, and the caller answers for its stack.
        unsafe {
            let slot = &mut *self.co.get();
            if let Some(mut co) = slot.take() {
                co.force_reset();
                *slot = Some(coroutine(co.into_stack(), self.entry));
            }
        }
    }

    /// From the executor: runs this fiber, and those that it switches to, until one of them leaves.
    ///
    /// # Safety
    /// No fiber runs on this OS thread, and this one stands still.
    pub(crate) unsafe fn enter(&self) {
        let mut next: *const Self = self;
        while !next.is_null() {
            // SAFETY: whom a fiber switches to is borrowed by the executor and stands still.
            if let Some(co) = unsafe { &mut *(*next).co.get() } {
                co.resume(next);
            }
            next = NEXT.replace(std::ptr::null());
        }
    }

    /// Switches to `next`; returns when somebody switches back.
    ///
    /// # Safety
    /// This fiber runs, on the OS thread that `next` was made for, and `next`, which may be itself, else stands still.
    pub(crate) unsafe fn switch(&self, next: &Self) {
        if std::ptr::eq(self, next) {
            return;
        }
        NEXT.set(next);
        // SAFETY: as the caller promises.
        unsafe { self.leave() };
    }

    /// Goes back to the executor; returns when somebody switches here.
    ///
    /// # Safety
    /// This fiber runs.
    pub(crate) unsafe fn leave(&self) {
        // SAFETY: set when the fiber began; it lives on the stack below this frame.
        unsafe { (*self.yielder.get()).suspend(()) };
    }
}

fn coroutine(stack: DefaultStack, entry: Entry) -> Co {
    Coroutine::with_stack(stack, move |yielder: &Yields, fiber: *const Fiber| {
        // SAFETY: whoever resumes a fiber has it borrowed.
        unsafe { (*fiber).yielder.set(yielder) };
        entry()
    })
}
