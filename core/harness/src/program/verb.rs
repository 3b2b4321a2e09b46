//! Operations that are one word and at most one operand, by what the operand is.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::word::Word;

/// Operations without an operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Do {
    /// `local_irq_disable`.
    LocalIrqDisable,
    /// `local_irq_enable`.
    LocalIrqEnable,
    /// `local_irq_save`: pushes the irq state of this body's last save and disables.
    LocalIrqSave,
    /// `local_irq_restore`: pops what the last `local_irq_save` of this body pushed.
    LocalIrqRestore,
    /// `local_bh_disable`.
    LocalBhDisable,
    /// `local_bh_enable`.
    LocalBhEnable,
    /// `preempt_disable`.
    PreemptDisable,
    /// `preempt_enable`.
    PreemptEnable,
    /// `rcu_read_lock`.
    RcuReadLock,
    /// `rcu_read_unlock`.
    RcuReadUnlock,
    /// `synchronize_rcu`: waits for all readers that run now.
    SynchronizeRcu,
    /// `rcu_barrier`: waits for all callbacks queued by `call_rcu`.
    RcuBarrier,
    /// `memalloc_nofs_save`.
    MemallocNofsSave,
    /// `memalloc_nofs_restore`.
    MemallocNofsRestore,
    /// `memalloc_noio_save`.
    MemallocNoioSave,
    /// `memalloc_noio_restore`.
    MemallocNoioRestore,
    /// `memalloc_noreclaim_save`.
    MemallocNoreclaimSave,
    /// `memalloc_noreclaim_restore`.
    MemallocNoreclaimRestore,
    /// `printk_deferred_enter`.
    PrintkDeferredEnter,
    /// `printk_deferred_exit`.
    PrintkDeferredExit,
    /// `blk_start_plug`.
    BlkStartPlug,
    /// `blk_finish_plug`.
    BlkFinishPlug,
    /// `might_sleep`: the annotation.
    MightSleep,
    /// `cond_resched`: a point where the task gives up its CPU if another wants it.
    #[default]
    CondResched,
    /// `schedule`: gives up the CPU (and flushes the plug).
    Schedule,
    /// `cpu_relax`: one round of a busy loop.
    CpuRelax,
    /// `msleep`: sleeps a bounded time.
    Msleep,
    /// `drain_all_pages`: empties every per-CPU list.
    DrainAllPages,
    /// `wakeup_kswapd`.
    WakeupKswapd,
    /// `rebuild_zonelists`: what memory hotplug does after a change, without the change.
    RebuildZonelists,
    /// `printk`: prints one line.
    Printk,
    /// `lockdep_prints`: a lockdep report (or lockup detector) prints here, whatever lockdep thinks.
    LockdepPrints,
}

impl Word for Do {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::LocalIrqDisable, "local_irq_disable"),
        (Self::LocalIrqEnable, "local_irq_enable"),
        (Self::LocalIrqSave, "local_irq_save"),
        (Self::LocalIrqRestore, "local_irq_restore"),
        (Self::LocalBhDisable, "local_bh_disable"),
        (Self::LocalBhEnable, "local_bh_enable"),
        (Self::PreemptDisable, "preempt_disable"),
        (Self::PreemptEnable, "preempt_enable"),
        (Self::RcuReadLock, "rcu_read_lock"),
        (Self::RcuReadUnlock, "rcu_read_unlock"),
        (Self::SynchronizeRcu, "synchronize_rcu"),
        (Self::RcuBarrier, "rcu_barrier"),
        (Self::MemallocNofsSave, "memalloc_nofs_save"),
        (Self::MemallocNofsRestore, "memalloc_nofs_restore"),
        (Self::MemallocNoioSave, "memalloc_noio_save"),
        (Self::MemallocNoioRestore, "memalloc_noio_restore"),
        (Self::MemallocNoreclaimSave, "memalloc_noreclaim_save"),
        (Self::MemallocNoreclaimRestore, "memalloc_noreclaim_restore"),
        (Self::PrintkDeferredEnter, "printk_deferred_enter"),
        (Self::PrintkDeferredExit, "printk_deferred_exit"),
        (Self::BlkStartPlug, "blk_start_plug"),
        (Self::BlkFinishPlug, "blk_finish_plug"),
        (Self::MightSleep, "might_sleep"),
        (Self::CondResched, "cond_resched"),
        (Self::Schedule, "schedule"),
        (Self::CpuRelax, "cpu_relax"),
        (Self::Msleep, "msleep"),
        (Self::DrainAllPages, "drain_all_pages"),
        (Self::WakeupKswapd, "wakeup_kswapd"),
        (Self::RebuildZonelists, "rebuild_zonelists"),
        (Self::Printk, "printk"),
        (Self::LockdepPrints, "lockdep_prints"),
    ];
}

/// Scopes without an operand: `nofs { … }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Scope {
    /// `nofs`: PF_MEMALLOC_NOFS.
    #[default]
    Nofs,
    /// `noio`: PF_MEMALLOC_NOIO.
    Noio,
    /// `noreclaim`: PF_MEMALLOC.
    Noreclaim,
    /// `irqsave`: `local_irq_save` … `local_irq_restore`.
    Irqsave,
    /// `irq_disable`: `local_irq_disable` … `local_irq_enable`.
    IrqDisable,
    /// `bh`: `local_bh_disable` … `local_bh_enable`.
    Bh,
    /// `preempt_off`: `preempt_disable` … `preempt_enable`.
    PreemptOff,
    /// `rcu`: an RCU read section.
    Rcu,
    /// `printk_deferred`: printing is deferred.
    PrintkDeferred,
    /// `plug`: a plug list, flushed at the end and on every schedule.
    Plug,
}

impl Word for Scope {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Nofs, "nofs"),
        (Self::Noio, "noio"),
        (Self::Noreclaim, "noreclaim"),
        (Self::Irqsave, "irqsave"),
        (Self::IrqDisable, "irq_disable"),
        (Self::Bh, "bh"),
        (Self::PreemptOff, "preempt_off"),
        (Self::Rcu, "rcu"),
        (Self::PrintkDeferred, "printk_deferred"),
        (Self::Plug, "plug"),
    ];
}

/// Operations on a lock map: `map_touch M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum MapVerb {
    /// `map_acquire`.
    Acquire,
    /// `map_acquire_read`: as a recursive reader.
    AcquireRead,
    /// `map_release`.
    Release,
    /// `map_touch`: acquire and release at once.
    #[default]
    Touch,
}

impl Word for MapVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Acquire, "map_acquire"),
        (Self::AcquireRead, "map_acquire_read"),
        (Self::Release, "map_release"),
        (Self::Touch, "map_touch"),
    ];
}

/// Operations on a page: `lock_page A`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum PageVerb {
    /// `lock_page`: waits for PG_locked.
    LockPage,
    /// `unlock_page`.
    UnlockPage,
    /// `set_page_dirty`.
    #[default]
    SetDirty,
    /// `clear_page_dirty_for_io`.
    ClearDirtyForIo,
    /// `cancel_dirty_page`: truncation takes the dirty bit away.
    CancelDirty,
    /// `redirty_page`.
    Redirty,
    /// `set_page_writeback`.
    SetWriteback,
    /// `end_page_writeback`.
    EndWriteback,
    /// `wait_on_page_writeback`.
    WaitOnWriteback,
    /// `wait_on_page_locked`.
    WaitOnLocked,
    /// `mark_page_accessed`.
    MarkAccessed,
    /// `truncate_page`: removes it from its mapping.
    Truncate,
    /// `try_to_unmap`: removes it from its address space, with the notifiers.
    Unmap,
    /// `try_to_release_page`: runs the release callback of its mapping.
    Release,
}

impl Word for PageVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::LockPage, "lock_page"),
        (Self::UnlockPage, "unlock_page"),
        (Self::SetDirty, "set_page_dirty"),
        (Self::ClearDirtyForIo, "clear_page_dirty_for_io"),
        (Self::CancelDirty, "cancel_dirty_page"),
        (Self::Redirty, "redirty_page"),
        (Self::SetWriteback, "set_page_writeback"),
        (Self::EndWriteback, "end_page_writeback"),
        (Self::WaitOnWriteback, "wait_on_page_writeback"),
        (Self::WaitOnLocked, "wait_on_page_locked"),
        (Self::MarkAccessed, "mark_page_accessed"),
        (Self::Truncate, "truncate_page"),
        (Self::Unmap, "try_to_unmap"),
        (Self::Release, "try_to_release_page"),
    ];
}

/// Operations on a work item: `queue_work W`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum WorkVerb {
    /// `queue_work`: nothing happens if it is queued already.
    #[default]
    Queue,
    /// `flush_work`: waits until it has run.
    Flush,
    /// `cancel_work_sync`: takes it back, or waits if it runs.
    CancelSync,
}

impl Word for WorkVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Queue, "queue_work"),
        (Self::Flush, "flush_work"),
        (Self::CancelSync, "cancel_work_sync"),
    ];
}

/// Operations on a timer: `mod_timer T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum TimerVerb {
    /// `mod_timer`: arms it; when it fires is a decision.
    #[default]
    Mod,
    /// `del_timer`: disarms it.
    Del,
    /// `del_timer_sync`: disarms it and waits if it runs.
    DelSync,
}

impl Word for TimerVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Mod, "mod_timer"),
        (Self::Del, "del_timer"),
        (Self::DelSync, "del_timer_sync"),
    ];
}

/// Operations on an IO batch: `submit_bio B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum BatchVerb {
    /// `submit_bio`: hands it to its device, or to the task's plug list.
    #[default]
    Submit,
    /// `wait_bio`: waits until the device has finished it.
    Wait,
    /// `end_bio`: finishes it: ends writeback of its pages. For handlers and daemons that play the device.
    End,
}

impl Word for BatchVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Submit, "submit_bio"),
        (Self::Wait, "wait_bio"),
        (Self::End, "end_bio"),
    ];
}

/// Operations on a mapping: `writepages M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum MappingVerb {
    /// `writepages`: writes its dirty pages, skipping those under writeback.
    #[default]
    Writepages,
    /// `fsync`: writes its dirty pages and waits for all under writeback.
    Fsync,
    /// `truncate`: removes all its pages.
    Truncate,
    /// `balance_dirty_pages`: the writer's throttle after dirtying.
    BalanceDirty,
    /// `writeback_single_inode`: writes the pages of its inode and waits for them, as the one who does.
    WriteInode,
    /// `inode_wait_for_writeback`: waits until nobody writes the inode.
    WaitInode,
}

impl Word for MappingVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Writepages, "writepages"),
        (Self::Fsync, "fsync"),
        (Self::Truncate, "truncate"),
        (Self::BalanceDirty, "balance_dirty_pages"),
        (Self::WriteInode, "writeback_single_inode"),
        (Self::WaitInode, "inode_wait_for_writeback"),
    ];
}

/// Operations on a memcg: `start_move_charge G`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum MemcgVerb {
    /// `start_move_charge`: `moving_account` goes up, then an RCU grace period passes.
    #[default]
    StartMove,
    /// `end_move_charge`: `moving_account` goes down.
    EndMove,
    /// `drain_stock`: empties the per-CPU stocks.
    DrainStock,
}

impl Word for MemcgVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::StartMove, "start_move_charge"),
        (Self::EndMove, "end_move_charge"),
        (Self::DrainStock, "drain_stock"),
    ];
}

/// Operations on an address space: `munmap M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum MmVerb {
    /// `munmap`: range start, callbacks, range end; its pages are no longer mapped.
    #[default]
    Munmap,
    /// `mmu_notifier_register`: what registration does for lockdep.
    Register,
    /// `mmu_interval_read_begin`: waits for a running invalidation.
    ReadBegin,
}

impl Word for MmVerb {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Munmap, "munmap"),
        (Self::Register, "mmu_notifier_register"),
        (Self::ReadBegin, "mmu_interval_read_begin"),
    ];
}

/// Change of a population: `get_object ilock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum PopulationVerb {
    /// `get_object`: an unreferenced member becomes referenced, if there is one.
    #[default]
    Get,
    /// `put_object`: a referenced member becomes unreferenced, if there is one.
    Put,
}

impl Word for PopulationVerb {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Get, "get_object"), (Self::Put, "put_object")];
}
