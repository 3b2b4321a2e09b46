//! What lockdep keeps per task: the held stack and the context the task is in.

use crate::key::{ClassId, LockMap, Read};
use crate::table::{ROOT, WaitLimit};

/// Most locks a task may hold (`MAX_LOCK_DEPTH`).
pub const MAX_LOCK_DEPTH: usize = 48;

pub(crate) const HARDIRQ_OFFSET: u32 = 0x1_0000;
pub(crate) const SOFTIRQ_DISABLE_OFFSET: u32 = 0x200;
pub(crate) const SOFTIRQ_MASK: u32 = 0xff00;

/// An entry of the held stack (`struct held_lock`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) map: LockMap,
    nest: u64,
    pub(crate) site: u32,
    /// The task's sequence before this lock.
    pub(crate) prev_chain: u32,
    pub(crate) class: ClassId,
    pub(crate) references: u16,
    pub(crate) pins: u16,
    flags: u16,
}

const TRYLOCK: u16 = 1 << 2;
const CHECK: u16 = 1 << 3;
const HARDIRQS_OFF: u16 = 1 << 4;
const CONTEXT_SHIFT: u32 = 5;
const WAIT_SHIFT: u32 = 8;

/// What an acquisition pushes, apart from the sequence it continues.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) map: LockMap,
    pub(crate) class: ClassId,
    pub(crate) trylock: bool,
    pub(crate) read: Read,
    pub(crate) check: bool,
    pub(crate) hardirqs_off: bool,
    pub(crate) nest: Option<LockMap>,
    pub(crate) references: u16,
    pub(crate) pins: u16,
    pub(crate) sync: bool,
    pub(crate) site: u32,
}

impl Held {
    const EMPTY: Self = Self {
        map: LockMap {
            key: crate::key::Key(0),
            instance: 0,
        },
        nest: 0,
        site: 0,
        prev_chain: ROOT,
        class: ClassId(0),
        references: 0,
        pins: 0,
        flags: 0,
    };

    /// The entry of a checked, blocking acquisition without a nest lock.
    #[inline]
    pub(crate) fn plain(
        map: LockMap,
        class: ClassId,
        read: Read,
        site: u32,
        task: &TaskState,
        wait: WaitLimit,
    ) -> Self {
        let off = if task.hardirqs_enabled() {
            0
        } else {
            HARDIRQS_OFF
        };
        let flags = read as u16
            | CHECK
            | off
            | u16::from(task.irq_context()) << CONTEXT_SHIFT
            | u16::from(wait.0) << WAIT_SHIFT;
        Self {
            map,
            nest: 0,
            site,
            prev_chain: task.chain,
            class,
            references: 0,
            pins: 0,
            flags,
        }
    }

    pub(crate) fn new(request: &Request, task: &TaskState, wait: WaitLimit) -> Self {
        let flag = |on: bool, bit: u16| if on { bit } else { 0 };
        Self {
            map: request.map,
            nest: request.nest.map_or(0, pack),
            site: request.site,
            prev_chain: task.chain,
            class: request.class,
            references: request.references,
            pins: request.pins,
            flags: request.read as u16
                | flag(request.trylock, TRYLOCK)
                | flag(request.check, CHECK)
                | flag(request.hardirqs_off, HARDIRQS_OFF)
                | u16::from(task.irq_context()) << CONTEXT_SHIFT
                | u16::from(wait.0) << WAIT_SHIFT,
        }
    }

    /// The request that acquires this entry again (`reacquire_held_locks()`).
    pub(crate) fn request(&self) -> Request {
        Request {
            map: self.map,
            class: self.class,
            trylock: self.trylock(),
            read: self.read(),
            check: self.check(),
            hardirqs_off: self.flags & HARDIRQS_OFF != 0,
            nest: self.nest(),
            references: self.references,
            pins: self.pins,
            sync: false,
            site: self.site,
        }
    }

    pub(crate) fn nest(&self) -> Option<LockMap> {
        (self.nest != 0).then(|| unpack(self.nest))
    }

    #[inline]
    pub(crate) fn read(&self) -> Read {
        Read::from_bits(self.flags)
    }

    pub(crate) fn set_read(&mut self, read: Read) {
        self.flags = self.flags & !3 | read as u16;
    }

    pub(crate) fn trylock(&self) -> bool {
        self.flags & TRYLOCK != 0
    }

    pub(crate) fn check(&self) -> bool {
        self.flags & CHECK != 0
    }

    #[inline]
    pub(crate) fn irq_context(&self) -> u8 {
        (self.flags >> CONTEXT_SHIFT) as u8 & 3
    }

    pub(crate) fn wait(&self) -> WaitLimit {
        WaitLimit((self.flags >> WAIT_SHIFT) as u8 & 15)
    }
}

fn pack(map: LockMap) -> u64 {
    (u64::from(map.key.0) + 1) << 32 | u64::from(map.instance)
}

fn unpack(nest: u64) -> LockMap {
    LockMap {
        key: crate::key::Key((nest >> 32) as u16 - 1),
        instance: nest as u32,
    }
}

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
    preempt_count: u32,
    /// One bit that stands for the context, as [`crate::table::Found::is_settled`] wants it.
    contexts: u32,
    pub(crate) depth: u32,
    pub(crate) chain: u32,
    pub(crate) held: [Held; MAX_LOCK_DEPTH],
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
            preempt_count: 0,
            contexts: 1 << (HARDIRQS_ON | SOFTIRQS_ON),
            depth: 0,
            chain: ROOT,
            held: [Held::EMPTY; MAX_LOCK_DEPTH],
        }
    }

    /// Back to what [`TaskState::new`] gave.
    pub fn reset(&mut self) {
        self.context = HARDIRQS_ON | SOFTIRQS_ON;
        self.reclaim_fs = false;
        self.hardirq_depth = 0;
        self.softirq_depth = 0;
        self.preempt_count = 0;
        self.depth = 0;
        self.chain = ROOT;
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
        self.preempt_count
    }

    /// True inside reclaim of filesystem-capable memory, see [`TaskState::set_reclaim_fs_context`].
    pub fn in_reclaim_fs(&self) -> bool {
        self.reclaim_fs
    }

    /// `preempt_disable()`.
    #[inline]
    pub fn preempt_disable(&mut self) {
        self.preempt_count = self.preempt_count.wrapping_add(1);
    }

    /// `preempt_enable()`.
    #[inline]
    pub fn preempt_enable(&mut self) {
        self.preempt_count = self.preempt_count.wrapping_sub(1);
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
        self.preempt_count = self.preempt_count.wrapping_add(SOFTIRQ_DISABLE_OFFSET);
        if self.preempt_count & SOFTIRQ_MASK == SOFTIRQ_DISABLE_OFFSET {
            self.softirqs_off();
        }
    }

    pub(crate) fn drop_bh_level(&mut self) {
        self.preempt_count = self.preempt_count.wrapping_sub(SOFTIRQ_DISABLE_OFFSET);
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
        self.preempt_count = self.preempt_count.wrapping_add(HARDIRQ_OFFSET);
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
        self.preempt_count = self.preempt_count.wrapping_sub(HARDIRQ_OFFSET);
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

    pub(crate) fn held(&self) -> &[Held] {
        &self.held[..self.depth as usize]
    }

    /// True if the next lock starts a new sequence: nothing held, or only in another context.
    #[inline]
    pub(crate) fn is_chain_head(&self) -> bool {
        match self
            .depth
            .checked_sub(1)
            .and_then(|top| self.held.get(top as usize))
        {
            Some(top) => top.irq_context() != self.irq_context(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_half_a_cache_line() {
        assert_eq!(size_of::<Held>(), 32);
    }

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
