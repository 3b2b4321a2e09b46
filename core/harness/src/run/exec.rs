//! Executes bodies: walks the tree of operations on the entity that runs.

use super::frame::Frame;
use super::litmus::World;
use crate::program::cond::Cond;
use crate::program::handler::FunctionKind;
use crate::program::op::{Change, Op, Stmt};
use crate::program::verb::{Do, Scope, TimerVerb, WorkVerb};
use crate::program::word::Word;
use crate::program::{At, Block, Body};
use ksplat_kernel::mm::{
    Scope as PfScope, memalloc_nofs_save, memalloc_noio_save, memalloc_noreclaim_save,
};
use ksplat_kernel::rt::{EventKind, IrqFlags, OpKind, Quantity, ResId, count, current, record};
use std::sync::atomic::Ordering::Relaxed;

/// Bodies that can be active inside each other before a kernel stack is used up. Calls cannot recurse, but what
/// reclaim calls can reclaim.
pub const MAX_CALL_DEPTH: u8 = 20;

/// A place in the program text as the machine carries it: line and column.
#[must_use]
pub fn site(at: At) -> u32 {
    if at.is_known() {
        at.line.min(0xf_ffff) << 12 | at.column.min(0xfff)
    } else {
        0
    }
}

/// Line and column of a site; `None` for no place.
#[must_use]
pub const fn place(site: u32) -> Option<(u32, u32)> {
    if site == 0 {
        None
    } else {
        Some((site >> 12, site & 0xfff))
    }
}

impl World {
    /// Runs a body with a mask.
    pub(super) fn body(&self, body: &Body, gfp: u32) {
        let e = current();
        let depth = &self.depth[e.id().index()];
        let outer = depth.fetch_add(1, Relaxed);
        count(&e, Quantity::CallDepth, ResId::NONE, 1);
        if outer >= MAX_CALL_DEPTH {
            self.memory.out_of_stack(&e);
        }
        let mut frame = Frame::new(gfp, body.locals.len());
        let (site, irqs_off) = (e.site(), e.irqs_disabled());
        self.block(&body.block, &mut frame);
        if !self.program.properties.is_empty() {
            self.leaves(body, irqs_off);
        }
        e.set_site(site);
        depth.store(outer, Relaxed);
        count(&e, Quantity::CallDepth, ResId::NONE, -1);
    }

    pub(super) fn block(&self, block: &Block, frame: &mut Frame) {
        for stmt in block {
            self.stmt(stmt, frame);
        }
    }

    fn stmt(&self, stmt: &Stmt, f: &mut Frame) {
        current().set_site(site(stmt.at));
        if !self.program.properties.is_empty() {
            self.before(stmt, f);
        }
        match &stmt.op {
            Op::Do(what) => self.perform(*what, f),
            Op::Lock(acquire, block) => self.lock(*acquire, block.as_ref(), stmt, f),
            Op::Unlock {
                lock,
                mode,
                flavour,
            } => self.unlock(*lock, *mode, *flavour, f),
            Op::Trylock {
                acquire,
                keep,
                then,
                otherwise,
            } => self.trylock(*acquire, *keep, then, otherwise, f),
            Op::Downgrade(lock) => self.downgrade(*lock),
            Op::Population(verb, lock) => self.population(*verb, lock.index()),
            Op::Map(verb, lock) => self.map(*verb, lock.index()),
            Op::Scope(scope, block) => self.scope(*scope, block, f),
            Op::If {
                cond,
                then,
                otherwise,
            } => {
                let block = if self.holds(cond, f) { then } else { otherwise };
                self.block(block, f);
            }
            Op::While(cond, block) => self.while_loop(cond, block, f),
            Op::Loop(times, block) => (0..*times).for_each(|_| self.block(block, f)),
            Op::Call(function) => self.function(function.index(), f.gfp),
            Op::Assert(cond) => self.assert(cond, stmt.at, f),
            Op::Set(flag, on) => self
                .vars
                .update(&self.vars.flags[flag.index()], |_| i64::from(*on)),
            Op::Count(counter, change) => {
                self.vars.update(&self.vars.counters[counter.index()], |v| {
                    changed(v, *change)
                })
            }
            Op::Complete {
                completion,
                all: false,
            } => self.completions[completion.index()].complete(),
            Op::Complete {
                completion,
                all: true,
            } => self.completions[completion.index()].complete_all(),
            Op::WaitFor {
                completion,
                timeout,
            } => self.wait_for(completion.index(), *timeout, f),
            Op::WaitEvent {
                queue,
                until,
                timeout,
            } => self.wait_event(queue.index(), until, *timeout, f),
            Op::WakeUp { queue, .. } => self.queues[queue.index()].wake_up(),
            Op::SpinUntil(cond) => self.spin_until(cond, f),
            Op::Work(WorkVerb::Queue, work) => self.works.queue(work.index()),
            Op::Work(WorkVerb::Flush, work) => self.works.flush(work.index()),
            Op::Work(WorkVerb::CancelSync, work) => self.works.cancel_sync(work.index()),
            Op::FlushWorkqueue(queue) => self.works.flush_queue(queue.index()),
            Op::RaiseIrq(irq) => self.raise(*irq),
            Op::RaiseSoftirq(softirq) => {
                let name = &self.program.softirqs[*softirq].name;
                self.softirqs
                    .raise(&self.rcu, softirq.index(), name.as_str());
            }
            Op::Timer(verb, timer) => self.timer(*verb, timer.index()),
            Op::CallRcu(function) => {
                let name = &self.program.functions[*function].name;
                self.rcu.call(function.index(), name.as_str());
                self.softirqs.update(&self.rcu, current().cpu());
            }
            Op::SynchronizeSrcu(srcu) => self.synchronize_srcu(srcu.index()),
            Op::Alloc {
                to,
                source,
                gfp,
                pressure,
            } => self.alloc(*to, source, *gfp, *pressure, f),
            Op::Free(var) => self.free(*var, f),
            Op::Copy { to, from } => self.copy(*to, *from, f),
            Op::MightAlloc(gfp) => self.might_alloc(*gfp, f),
            Op::Reclaim(of, gfp) => self.reclaim(*of, *gfp, f),
            Op::Charge {
                memcg,
                pages,
                gfp,
                pressure,
            } => self.charge(memcg.index(), *pages, *gfp, *pressure, f),
            Op::Uncharge { memcg, pages } => {
                self.memory.mm().uncharge(memcg.index(), u64::from(*pages));
            }
            Op::Page(verb, page) => self.page_op(*verb, *page),
            Op::BioAddPage(batch, page) => self.bio_add_page(batch.index(), *page),
            Op::Batch(verb, batch) => self.batch_op(*verb, batch.index()),
            Op::Serve(device, block) => self.serve(device.index(), block, f),
            Op::Mapping(verb, mapping) => self.mapping_op(*verb, mapping.index()),
            Op::MapPage(page, space) => self.map_page(*page, space.index()),
            Op::Mm(verb, space) => self.mm_op(*verb, space.index()),
            Op::Invalidate(space, block) => self.invalidate(space.index(), block, f),
            Op::PageStat(page, block) => self.page_stat(*page, block, f),
            Op::WbStat(inode, block) => self.wb_stat(inode.index(), block, f),
            Op::SwitchWb(inode, wb) => self.accounting.switch_wb(inode.index(), wb.index()),
            Op::Memcg(verb, memcg) => self.memcg_op(*verb, memcg.index()),
            Op::MovePage(page, memcg) => self.move_page(*page, memcg.index()),
            Op::OfflineMemcg { memcg, parent } => {
                self.offline_memcg(memcg.index(), parent.index());
            }
            Op::Hotplug { zone, online } => self.hotplug(usize::from(*zone), *online),
        }
    }

    fn perform(&self, what: Do, f: &mut Frame) {
        let e = current();
        record(EventKind::Context, || what.word().to_owned());
        match what {
            Do::LocalIrqDisable => e.local_irq_disable(),
            Do::LocalIrqEnable => e.local_irq_enable(),
            Do::LocalIrqSave => f.save_irq(e.local_irq_save()),
            Do::LocalIrqRestore => {
                e.local_irq_restore(f.restore_irq().unwrap_or(IrqFlags::new(true)))
            }
            Do::LocalBhDisable => e.local_bh_disable(),
            Do::LocalBhEnable => e.local_bh_enable(),
            Do::PreemptDisable => {
                e.cpu_point();
                e.preempt_disable();
            }
            Do::PreemptEnable => e.preempt_enable(),
            Do::RcuReadLock => self.rcu.read_lock(),
            Do::RcuReadUnlock => self.rcu.read_unlock(),
            Do::SynchronizeRcu => self.rcu.synchronize(),
            Do::MemallocNofsSave => f.save_pf(memalloc_nofs_save()),
            Do::MemallocNoioSave => f.save_pf(memalloc_noio_save()),
            Do::MemallocNoreclaimSave => f.save_pf(memalloc_noreclaim_save()),
            Do::MemallocNofsRestore | Do::MemallocNoioRestore | Do::MemallocNoreclaimRestore => {
                restore_pf(f)
            }
            Do::MightSleep => e.might_sleep(),
            Do::CondResched => {
                e.might_sleep();
                e.point(OpKind::Yield, ResId::NONE);
            }
            Do::Schedule => {
                e.might_sleep();
                self.flush_plug();
                e.point(OpKind::Yield, ResId::NONE);
            }
            Do::Msleep => {
                self.flush_plug();
                e.nap();
            }
            Do::CpuRelax => e.point(OpKind::Yield, ResId::NONE),
            Do::RcuBarrier => self.rcu.barrier(),
            Do::Printk | Do::LockdepPrints => self.printk(),
            Do::PrintkDeferredEnter => self.consoles.deferred_enter(),
            Do::PrintkDeferredExit => self.consoles.deferred_exit(),
            Do::DrainAllPages => self.memory.mm().drain_all_pages(),
            Do::WakeupKswapd => self.memory.mm().wake_kswapd(0),
            Do::RebuildZonelists => self.memory.mm().rebuild_zonelists(self),
            Do::BlkStartPlug => self.start_plug(),
            Do::BlkFinishPlug => self.finish_plug(),
        }
    }

    fn scope(&self, scope: Scope, block: &Block, f: &mut Frame) {
        let e = current();
        record(EventKind::Context, || format!("{} {{", scope.word()));
        match scope {
            Scope::Nofs => self.pf_scope(memalloc_nofs_save(), block, f),
            Scope::Noio => self.pf_scope(memalloc_noio_save(), block, f),
            Scope::Noreclaim => self.pf_scope(memalloc_noreclaim_save(), block, f),
            Scope::Irqsave => {
                let flags = e.local_irq_save();
                self.block(block, f);
                e.local_irq_restore(flags);
            }
            Scope::IrqDisable => {
                e.local_irq_disable();
                self.block(block, f);
                e.local_irq_enable();
            }
            Scope::Bh => {
                e.local_bh_disable();
                self.block(block, f);
                e.local_bh_enable();
            }
            Scope::PreemptOff => {
                e.cpu_point();
                e.preempt_disable();
                self.block(block, f);
                e.preempt_enable();
            }
            Scope::Rcu => {
                self.rcu.read_lock();
                self.block(block, f);
                self.rcu.read_unlock();
            }
            Scope::PrintkDeferred => {
                self.consoles.deferred_enter();
                self.block(block, f);
                self.consoles.deferred_exit();
            }
            Scope::Plug => {
                self.start_plug();
                self.block(block, f);
                self.finish_plug();
            }
        }
    }

    fn pf_scope(&self, scope: PfScope, block: &Block, f: &mut Frame) {
        self.block(block, f);
        scope.restore();
    }

    fn timer(&self, verb: TimerVerb, timer: usize) {
        match verb {
            TimerVerb::Mod => self.softirqs.mod_timer(&self.rcu, timer),
            TimerVerb::Del => self.softirqs.del_timer(&self.rcu, timer),
            TimerVerb::DelSync => self.softirqs.del_timer_sync(&self.rcu, timer),
        }
    }

    /// `printk()`.
    pub(super) fn printk(&self) {
        self.consoles.printk(|| self.write_consoles());
    }

    /// Writes one record to every console.
    pub(super) fn write_consoles(&self) {
        for (id, console) in self.program.functions.entries() {
            if console.kind == FunctionKind::Console {
                self.function(id.index(), 0);
            }
        }
    }

    fn assert(&self, cond: &Cond, at: At, f: &Frame) {
        if !self.holds(cond, f) {
            current().machine().state_break("assertion", || {
                format!("the assertion at {at} does not hold")
            });
        }
    }

    fn raise(&self, irq: crate::program::Id<crate::program::handler::Irq>) {
        let e = current();
        let Some(target) = self.roles.irq(irq) else {
            return;
        };
        e.point(OpKind::Cpu, ResId::cpu(self.machine_cpu(target)));
        record(EventKind::Wake, || {
            format!("raises {}", e.machine().entity(target).name())
        });
        e.machine().raise_irq(target);
    }

    fn machine_cpu(&self, entity: ksplat_kernel::rt::EntityId) -> ksplat_kernel::rt::CpuId {
        current().machine().entity(entity).cpu()
    }
}

fn restore_pf(f: &mut Frame) {
    if let Some(scope) = f.restore_pf() {
        scope.restore();
    }
}

fn changed(value: i64, change: Change) -> i64 {
    let clamp = |v: i64| v.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    match change {
        Change::Inc => clamp(value + 1),
        Change::Dec => clamp(value - 1),
        Change::Assign(v) => i64::from(v),
    }
}
