//! What lockdep keeps per task: the held stack and the context the task is in.

use crate::held::{CHECK, CONTEXT_SHIFT, HARDIRQS_OFF, Held, Request};
use crate::key::{ClassId, LockMap, Read};
use crate::table::{Found, ROOT};

/// Most locks a task may hold (`MAX_LOCK_DEPTH`).
pub const MAX_LOCK_DEPTH: usize = 48;

const HARDIRQ_OFFSET: u32 = 0x1_0000;
const SOFTIRQ_DISABLE_OFFSET: u32 = 0x200;

const HARDIRQS_ON: u8 = 1;
const SOFTIRQS_ON: u8 = 2;
const IN_SOFTIRQ: u8 = 4;
const IN_HARDIRQ: u8 = 8;
const THREADED: u8 = 16;

/// One task's share of lockdep: its held locks and its context. An interrupt handler uses the state
/// of the task it interrupts, as in the kernel. The owner passes it to every operation; it is never shared.
#[derive(Clone, Debug)]
pub struct TaskState {
    id: u32,
    context: u8,
    reclaim_fs: bool,
    hardirq_depth: u16,
    softirq_depth: u16,
    preempt_depth: u32,
    bh_depth: u16,
    /// One bit that stands for the context, as [`Found::is_settled`] wants it.
    contexts: u32,
    /// The flags of [`Held::plain`], as far as the context determines them.
    plain_flags: u16,
    depth: u32,
    /// Entry 0 is [`Held::BOTTOM`].
    stack: [Held; MAX_LOCK_DEPTH + 1],
}

impl TaskState {
    /// A task that holds nothing, outside interrupts, with hard and soft interrupts enabled. Reports
    /// name it by `id`.
    pub const fn new(id: u32) -> Self {
        Self {
            id,
            context: HARDIRQS_ON | SOFTIRQS_ON,
            reclaim_fs: false,
            hardirq_depth: 0,
            softirq_depth: 0,
            preempt_depth: 0,
            bh_depth: 0,
            contexts: 1 << (HARDIRQS_ON | SOFTIRQS_ON),
            plain_flags: CHECK,
            depth: 0,
            stack: [Held::BOTTOM; MAX_LOCK_DEPTH + 1],
        }
    }

    /// Back to what [`TaskState::new`] gave.
    pub fn reset(&mut self) {
        self.context = HARDIRQS_ON | SOFTIRQS_ON;
        self.reclaim_fs = false;
        self.hardirq_depth = 0;
        self.softirq_depth = 0;
        self.preempt_depth = 0;
        self.bh_depth = 0;
        self.depth = 0;
        self.update();
    }

    /// The number reports name the task by.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Number of entries on the held stack (`lockdep_depth`).
    pub fn depth(&self) -> usize {
        self.depth as usize
    }

    /// True if hard interrupts are enabled on the task's CPU.
    #[inline]
    pub fn hardirqs_enabled(&self) -> bool {
        self.context & HARDIRQS_ON != 0
    }

    /// True if soft interrupts are enabled (no `local_bh_disable()` in force).
    pub fn softirqs_enabled(&self) -> bool {
        self.context & SOFTIRQS_ON != 0
    }

    /// True inside a hard interrupt handler.
    pub fn in_hardirq(&self) -> bool {
        self.context & IN_HARDIRQ != 0
    }

    /// True inside a hard interrupt handler that would be a thread under PREEMPT_RT.
    pub fn is_threaded(&self) -> bool {
        self.context & THREADED != 0
    }

    /// True while soft interrupt handlers run.
    pub fn in_softirq(&self) -> bool {
        self.context & IN_SOFTIRQ != 0
    }

    /// `preempt_count()`: preemption depth, 0x200 per `local_bh_disable()`, 0x10000 per hard interrupt.
    pub fn preempt_count(&self) -> u32 {
        self.preempt_depth
            + u32::from(self.bh_depth) * SOFTIRQ_DISABLE_OFFSET
            + u32::from(self.hardirq_depth) * HARDIRQ_OFFSET
    }

    /// True inside reclaim of filesystem-capable memory, see [`TaskState::set_reclaim_fs_context`].
    pub fn in_reclaim_fs(&self) -> bool {
        self.reclaim_fs
    }

    /// `preempt_disable()`.
    #[inline]
    pub fn preempt_disable(&mut self) {
        self.preempt_depth = self.preempt_depth.saturating_add(1);
    }

    /// `preempt_enable()`.
    #[inline]
    pub fn preempt_enable(&mut self) {
        self.preempt_depth = self.preempt_depth.saturating_sub(1);
    }

    /// Enters (true) or leaves reclaim on behalf of a filesystem-capable allocation:
    /// `lockdep_set_current_reclaim_state()` of Linux 2.6.30 to 4.13. Without
    /// [`crate::Config::reclaim_fs`] it has no effect.
    pub fn set_reclaim_fs_context(&mut self, inside: bool) {
        self.reclaim_fs = inside;
        self.update();
    }

    /// `lockdep_hardirqs_off()`.
    #[inline]
    pub fn hardirqs_off(&mut self) {
        self.set(HARDIRQS_ON, false);
    }

    pub(crate) fn set_hardirqs_on(&mut self) {
        self.set(HARDIRQS_ON, true);
    }

    /// `local_bh_disable()`: nests; the first level turns soft interrupts off.
    pub fn local_bh_disable(&mut self) {
        self.bh_depth = self.bh_depth.saturating_add(1);
        if self.bh_depth == 1 {
            self.softirqs_off();
        }
    }

    /// One level of `local_bh_disable()` less; true if it was the last.
    pub(crate) fn drop_bh_level(&mut self) -> bool {
        let last = self.bh_depth == 1;
        self.bh_depth = self.bh_depth.saturating_sub(1);
        last
    }

    /// `lockdep_softirqs_off()`, for callers that keep the count themselves.
    pub fn softirqs_off(&mut self) {
        self.set(SOFTIRQS_ON, false);
    }

    pub(crate) fn set_softirqs_on(&mut self) {
        self.set(SOFTIRQS_ON, true);
    }

    /// `__irq_enter()`: a hard interrupt handler begins. `threaded` says that PREEMPT_RT would run it in
    /// a thread (`lockdep_hardirq_threaded()`). The caller has turned hard interrupts off before.
    pub fn hardirq_enter(&mut self, threaded: bool) {
        if self.hardirq_depth == 0 {
            self.context &= !THREADED;
        }
        self.hardirq_depth = self.hardirq_depth.saturating_add(1);
        if threaded {
            self.context |= THREADED;
        }
        self.set(IN_HARDIRQ, true);
    }

    /// `__irq_exit()`: the handler ends. Hard interrupts stay as they are.
    pub fn hardirq_exit(&mut self) {
        self.hardirq_depth = self.hardirq_depth.saturating_sub(1);
        if self.hardirq_depth == 0 {
            self.context &= !THREADED;
        }
        self.set(IN_HARDIRQ, self.hardirq_depth != 0);
    }

    /// `lockdep_softirq_enter()`: soft interrupt handlers begin to run.
    pub fn softirq_enter(&mut self) {
        self.softirq_depth = self.softirq_depth.saturating_add(1);
        self.set(IN_SOFTIRQ, true);
    }

    /// `lockdep_softirq_exit()`.
    pub fn softirq_exit(&mut self) {
        self.softirq_depth = self.softirq_depth.saturating_sub(1);
        self.set(IN_SOFTIRQ, self.softirq_depth != 0);
    }

    #[inline]
    fn set(&mut self, bit: u8, on: bool) {
        self.context = if on {
            self.context | bit
        } else {
            self.context & !bit
        };
        self.update();
    }

    /// Reclaim has no bit: what is taken inside goes the long way.
    #[inline]
    fn update(&mut self) {
        self.contexts = if self.reclaim_fs {
            0
        } else {
            1 << self.context
        };
        let off = if self.hardirqs_enabled() {
            0
        } else {
            HARDIRQS_OFF
        };
        self.plain_flags = CHECK | off | u16::from(self.irq_context()) << CONTEXT_SHIFT;
    }

    #[inline]
    pub(crate) fn contexts(&self) -> u32 {
        self.contexts
    }

    /// `task_irq_context()`: bit 1 hard, bit 0 soft.
    #[inline]
    pub(crate) fn irq_context(&self) -> u8 {
        self.context >> 2 & 3
    }

    /// `task_wait_context()`.
    pub(crate) fn wait_context(&self) -> u8 {
        match (self.in_hardirq(), self.is_threaded(), self.in_softirq()) {
            (true, false, _) => 2,
            (true, true, _) | (false, _, true) => 3,
            (false, _, false) => 5,
        }
    }

    /// The held locks, first acquired first.
    #[inline]
    pub(crate) fn held(&self) -> &[Held] {
        &self.stack[1..=self.depth as usize]
    }

    pub(crate) fn held_mut(&mut self) -> &mut [Held] {
        &mut self.stack[1..=self.depth as usize]
    }

    /// Entry `at` of the stack as it was, also above the present depth.
    pub(crate) fn entry(&self, at: usize) -> Held {
        self.stack[at + 1]
    }

    #[inline]
    fn top(&self) -> Option<&Held> {
        self.stack.get(self.depth as usize)
    }

    /// The sequence that the next lock continues: empty if nothing is held, or nothing in this context.
    #[inline]
    pub(crate) fn chain(&self) -> u32 {
        match self.top() {
            Some(top) if top.irq_context() == self.irq_context() => top.chain(),
            _ => ROOT,
        }
    }

    /// True if the next lock starts a new sequence.
    pub(crate) fn is_chain_head(&self) -> bool {
        self.held()
            .last()
            .is_none_or(|top| top.irq_context() != self.irq_context())
    }

    /// The flags of [`Held::plain`], as far as the context determines them.
    #[inline]
    pub(crate) fn plain_flags(&self) -> u16 {
        self.plain_flags
    }

    /// Pushes a plain lock if there is room for one more after it.
    #[inline]
    pub(crate) fn push_plain(
        &mut self,
        map: LockMap,
        class: ClassId,
        read: Read,
        site: u32,
        found: Found,
    ) -> bool {
        let held = Held::plain(map, class, read, site, self, found);
        let depth = self.depth as usize + 1;
        if depth >= MAX_LOCK_DEPTH {
            return false;
        }
        self.stack[depth] = held;
        self.depth = depth as u32;
        true
    }

    /// Pushes a lock if there is room. False if the stack is full then.
    pub(crate) fn push(&mut self, request: &Request, found: Found) -> bool {
        let held = Held::new(request, self, found);
        if let Some(entry) = self.stack.get_mut(self.depth as usize + 1) {
            *entry = held;
            self.depth += 1;
        }
        self.depth() < MAX_LOCK_DEPTH
    }

    /// Drops the top entry if it is [`Held::is_simply`] the lock.
    #[inline]
    pub(crate) fn pop(&mut self, map: LockMap) -> bool {
        match self.top() {
            Some(top) if top.is_simply(map) => {
                self.depth -= 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn truncate(&mut self, depth: usize) {
        self.depth = depth as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_nest() {
        let mut task = TaskState::new(0);
        task.local_bh_disable();
        task.local_bh_disable();
        task.softirq_enter();
        task.hardirqs_off();
        task.hardirq_enter(false);
        task.hardirq_enter(true);
        assert_eq!(
            (
                task.irq_context(),
                task.wait_context(),
                task.preempt_count()
            ),
            (3, 3, 0x20400)
        );
        task.hardirq_exit();
        assert_eq!((task.irq_context(), task.wait_context()), (3, 3));
        task.hardirq_exit();
        task.hardirq_enter(false);
        assert_eq!(task.wait_context(), 2);
        task.hardirq_exit();
        assert_eq!((task.irq_context(), task.wait_context()), (1, 3));
        task.softirq_exit();
        assert_eq!((task.irq_context(), task.wait_context()), (0, 5));
        assert!(!task.hardirqs_enabled() && !task.softirqs_enabled());
        task.reset();
        assert_eq!(task.contexts(), TaskState::new(0).contexts());
    }
}
