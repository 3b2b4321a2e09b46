//! What a running body has of its own: its variables, its mask, what it has to restore.

use ksplat_kernel::mm::Scope;
use ksplat_kernel::rt::IrqFlags;
use smallvec::SmallVec;

/// Memory that a variable holds, or nothing.
pub type Holding = Option<ksplat_kernel::mm::Page>;

/// Activation of a body.
#[derive(Debug, Default)]
pub struct Frame {
    /// The mask the body was called with.
    pub gfp: u32,
    /// By position in the body's list of variables.
    pub locals: SmallVec<[Holding; 8]>,
    irq_saves: SmallVec<[IrqFlags; 4]>,
    lock_flags: SmallVec<[(u16, IrqFlags); 8]>,
    pf_saves: SmallVec<[Scope; 4]>,
}

impl Frame {
    /// An activation with empty variables.
    #[must_use]
    pub fn new(gfp: u32, locals: usize) -> Self {
        Self {
            gfp,
            locals: SmallVec::from_elem(None, locals),
            ..Self::default()
        }
    }

    /// `local_irq_save`.
    pub fn save_irq(&mut self, flags: IrqFlags) {
        self.irq_saves.push(flags);
    }

    /// `local_irq_restore`: what the last save pushed.
    pub fn restore_irq(&mut self) -> Option<IrqFlags> {
        self.irq_saves.pop()
    }

    /// Remembers the flags that a lock was taken with.
    pub fn took(&mut self, lock: usize, flags: IrqFlags) {
        self.lock_flags.push((lock as u16, flags));
    }

    /// The flags that a lock was taken with last; enabled if this body never took it.
    pub fn gave(&mut self, lock: usize) -> IrqFlags {
        let at = self
            .lock_flags
            .iter()
            .rposition(|(l, _)| usize::from(*l) == lock);
        at.map_or(IrqFlags::new(true), |at| self.lock_flags.remove(at).1)
    }

    /// `memalloc_*_save`.
    pub fn save_pf(&mut self, scope: Scope) {
        self.pf_saves.push(scope);
    }

    /// What the last save returned.
    pub fn restore_pf(&mut self) -> Option<Scope> {
        self.pf_saves.pop()
    }
}
