//! The machine: virtual CPUs, tasks, interrupts, locks and memory management as the Linux kernel has them.
