//! The switch of x86-64 (System V).

use super::{Entry, STACK_SIZE};
use corosensei::stack::{DefaultStack, Stack};
use std::arch::asm;
use std::cell::Cell;

/// A stack with something that runs on it, or stands still in the middle of a switch.
pub(crate) struct Fiber {
    /// Top of the stack while it stands still: where it goes on, and the registers that `switch` pushed.
    top: Cell<*mut usize>,
    entry: Entry,
    stack: DefaultStack,
}

thread_local! {
    /// Top of the executor's own stack while fibers run.
    static EXECUTOR: Cell<*mut usize> = const { Cell::new(std::ptr::null_mut()) };
}

impl Fiber {
    /// A fiber that begins with `entry` when it is first switched to.
    ///
    /// # Panics
    /// If there is no memory for the stack.
    pub(crate) fn new(entry: Entry) -> Self {
        let stack = DefaultStack::new(STACK_SIZE).expect("memory for the stack of a coroutine");
        let fiber = Self {
            top: Cell::new(std::ptr::null_mut()),
            entry,
            stack,
        };
        fiber.begin();
        fiber
    }

    /// The next switch goes to the entry.
    fn begin(&self) {
        let base = self.stack.base().get() as *mut usize;
        // SAFETY: the words lie inside the stack, whose base is aligned to 16 bytes, and nobody runs on it. `switch` pops
        // the address of the entry and leaves the stack as a call does: a return address (there is nobody to return to)
        // on top.
        self.top.set(unsafe {
            base.sub(1).write(0);
            base.sub(2).write(self.entry as usize);
            base.sub(2)
        });
    }

    /// Forgets what stands on the stack: the next switch goes to the entry.
    ///
    /// # Safety
    /// This fiber stands still, and nothing relies on anything on its stack being dropped.
    pub(crate) unsafe fn restart(&self) {
        self.begin();
    }

    /// From the executor: runs this fiber, and those that it switches to, until one of them leaves.
    ///
    /// # Safety
    /// No fiber runs on this OS thread, and this one stands still.
    pub(crate) unsafe fn enter(&self) {
        let mut outer = std::ptr::null_mut();
        let before = EXECUTOR.get();
        EXECUTOR.set(&raw mut outer as *mut usize);
        // SAFETY: as the caller promises.
        unsafe { switch(&raw mut outer, self.top.as_ptr()) };
        EXECUTOR.set(before);
    }

    /// Switches to `next`; returns when somebody switches back.
    ///
    /// # Safety
    /// This fiber runs, on the OS thread that `next` was made for, and `next`, which may be itself, else stands still.
    #[inline]
    pub(crate) unsafe fn switch(&self, next: &Self) {
        // SAFETY: as the caller promises.
        unsafe { switch(self.top.as_ptr(), next.top.as_ptr()) };
    }

    /// Goes back to the executor; returns when somebody switches here.
    ///
    /// # Safety
    /// This fiber runs.
    pub(crate) unsafe fn leave(&self) {
        let outer = EXECUTOR.get() as *mut *mut usize;
        // SAFETY: `enter` waits, its frame holds the top of the executor's stack.
        unsafe { switch(self.top.as_ptr(), outer) };
    }
}

/// Saves where this stack stands in `*from` and goes on where `*to` says. They may be the same place.
///
/// # Safety
/// `*to` is then the top of a stack that stands still, and nobody else goes on there.
#[inline]
unsafe fn switch(from: *mut *mut usize, to: *mut *mut usize) {
    // SAFETY: every register that the other side may change is declared, saved here, or restored there.
    unsafe {
        asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov [rdi], rsp",
            "mov rsp, [rsi]",
            "pop rax",
            "jmp rax",
            "2:",
            "pop rbx",
            "pop rbp",
            inout("rdi") from => _,
            inout("rsi") to => _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
}
