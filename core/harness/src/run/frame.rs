//! What a running body has of its own: its variables, its mask, what it has to restore.

use ksplat_kernel::mm::{Element, Page, Scope};
use ksplat_kernel::rt::{IrqFlags, current};
use smallvec::{Array, SmallVec};

/// Memory that a variable holds, or nothing.
pub type Holding = Option<Held>;

/// Memory and where it goes back to.
#[derive(Clone, Copy, Debug)]
pub enum Held {
    /// The page allocator's.
    Page(Page),
    /// The page allocator's, and charged to a memcg.
    Charged(Page, usize),
    /// A memory pool's.
    Element(Element),
}

/// A lock that a body took and did not give back yet.
#[derive(Clone, Copy, Debug)]
struct Taken {
    lock: u16,
    member: Option<u16>,
    flags: IrqFlags,
}

/// Activation of a body.
#[derive(Debug, Default)]
pub struct Frame {
    /// The mask the body was called with.
    pub gfp: u32,
    /// By position in the body's list of variables.
    pub locals: SmallVec<[Holding; 8]>,
    irq_saves: SmallVec<[IrqFlags; 4]>,
    idle_first: bool,
    idled: bool,
    lock_flags: SmallVec<[Taken; 8]>,
    pf_saves: SmallVec<[Scope; 4]>,
}

impl Frame {
    /// An activation with empty variables.
    #[must_use]
    pub fn new(gfp: u32, locals: usize) -> Self {
        let locals = SmallVec::from_elem(None, locals);
        outgrown(&locals);
        Self {
            gfp,
            locals,
            ..Self::default()
        }
    }

    /// `local_irq_save`.
    pub fn save_irq(&mut self, flags: IrqFlags) {
        self.irq_saves.push(flags);
        outgrown(&self.irq_saves);
    }

    /// `local_irq_restore`: what the last save pushed.
    pub fn restore_irq(&mut self) -> Option<IrqFlags> {
        self.irq_saves.pop()
    }

    /// Remembers the flags that a lock was taken with.
    pub fn took(&mut self, lock: usize, member: Option<usize>, flags: IrqFlags) {
        self.lock_flags.push(Taken {
            lock: lock as u16,
            member: member.map(|m| m as u16),
            flags,
        });
        outgrown(&self.lock_flags);
    }

    /// The flags that a lock was taken with last, enabled if this body never took it; and which member of a population
    /// it was.
    pub fn gave(&mut self, lock: usize) -> (IrqFlags, Option<usize>) {
        let at = self
            .lock_flags
            .iter()
            .rposition(|t| usize::from(t.lock) == lock);
        let Some(at) = at else {
            return (IrqFlags::new(true), None);
        };
        let taken = self.lock_flags.remove(at);
        (taken.flags, taken.member.map(usize::from))
    }

    /// A daemon's round begins: its first wait is for something to do.
    pub fn begin_round(&mut self) {
        self.idle_first = true;
    }

    /// Whether the wait that begins now is the one for something to do.
    pub fn take_idle(&mut self) -> bool {
        self.idled |= self.idle_first;
        std::mem::take(&mut self.idle_first)
    }

    /// Whether the body waited for something to do.
    pub const fn idled(&self) -> bool {
        self.idled
    }

    /// `memalloc_*_save`.
    pub fn save_pf(&mut self, scope: Scope) {
        self.pf_saves.push(scope);
        outgrown(&self.pf_saves);
    }

    /// What the last save returned.
    pub fn restore_pf(&mut self) -> Option<Scope> {
        self.pf_saves.pop()
    }
}

/// What no longer fits into a frame is memory that has to be given back, however the body ends.
fn outgrown<A: Array>(list: &SmallVec<A>) {
    if list.spilled() {
        current().must_unwind();
    }
}
