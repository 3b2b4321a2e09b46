//! Stacks of their own for bodies, and the switch from one to the next.
//!
//! A switch goes straight from fiber to fiber: it saves what a call preserves and jumps to where all switches return.
//! Nothing in it depends on who is switched to, so that processors predict it. Where there is no such switch yet,
//! corosensei's coroutines do the same by way of the executor's stack.

#[cfg(all(target_arch = "x86_64", unix, not(ksplat_portable)))]
mod native;
#[cfg(not(all(target_arch = "x86_64", unix, not(ksplat_portable))))]
mod portable;

#[cfg(all(target_arch = "x86_64", unix, not(ksplat_portable)))]
pub(crate) use native::Fiber;
#[cfg(not(all(target_arch = "x86_64", unix, not(ksplat_portable))))]
pub(crate) use portable::Fiber;

/// Bytes of stack of a fiber; touched pages only count.
const STACK_SIZE: usize = 512 * 1024;

/// What a fiber does. It never returns, and never lets a panic out.
pub(crate) type Entry = fn() -> !;
