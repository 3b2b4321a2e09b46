//! Operations.

use std::fmt::Write;

use super::super::block::Block;
use super::super::cond::{Atom, Cond, Join};
use super::super::gfp::{Gfp, GfpBase};
use super::super::op::{
    Acquire, Change, Flavour, LockRef, Mode, Nest, Op, PageRef, Pick, Pressure, ReclaimOf, Source,
    Stmt, Var,
};
use super::super::word::Word;
use super::Printer;

impl Printer<'_> {
    /// `head { … }`.
    pub fn block(&mut self, head: &str, block: &Block) {
        self.open_block(head, block);
        self.line("}");
    }

    /// Two blocks with a word between them; the second is left out when it is empty.
    fn two_blocks(&mut self, head: &str, first: &Block, second: &Block) {
        if second.is_empty() {
            return self.block(head, first);
        }
        self.open_block(head, first);
        self.block("} else", second);
    }

    fn open_block(&mut self, head: &str, block: &Block) {
        self.line(format_args!("{head} {{"));
        self.indent += 1;
        for statement in block {
            self.statement(statement);
        }
        self.indent -= 1;
    }

    fn statement(&mut self, statement: &Stmt) {
        let head = self.head(&statement.op);
        match &statement.op {
            Op::Trylock {
                then, otherwise, ..
            }
            | Op::If {
                then, otherwise, ..
            } => self.two_blocks(&head, then, otherwise),
            op => match op.blocks().next() {
                Some(block) => self.block(&head, block),
                None => self.line(head),
            },
        }
    }

    /// The line of an operation, up to the `{` of its block.
    pub fn head(&self, op: &Op) -> String {
        match op {
            Op::Do(verb) => verb.word().to_owned(),
            Op::Scope(scope, _) => scope.word().to_owned(),
            Op::If { cond, .. } => format!("if {}", self.cond(cond)),
            Op::While(cond, _) => format!("while {}", self.cond(cond)),
            Op::Loop(times, _) => format!("loop {times}"),
            Op::Lock(acquire, _) => {
                format!("{} {}", self.lock_verb(acquire), self.acquire(acquire))
            }
            Op::Trylock { acquire, keep, .. } => {
                let verb = match acquire.mode {
                    Mode::Shared => "tryread",
                    Mode::Exclusive => "trylock",
                };
                format!(
                    "{verb} {}{}",
                    self.acquire(acquire),
                    if *keep { " keep" } else { "" }
                )
            }
            Op::Unlock {
                lock,
                mode,
                flavour,
            } => self.unlock(*lock, *mode, *flavour),
            Op::Downgrade(lock) => format!("downgrade {}", self.lock(*lock)),
            Op::Map(verb, map) => format!("{} {}", verb.word(), self.name(*map)),
            Op::Population(verb, lock) => format!("{} {}", verb.word(), self.name(*lock)),
            Op::Call(function) => format!("call {}", self.name(*function)),
            Op::Assert(cond) => format!("assert {}", self.cond(cond)),
            Op::Alloc {
                to,
                source,
                gfp,
                pressure,
            } => self.alloc(*to, *source, *gfp, *pressure),
            Op::Free(var) => format!("free {}", self.var(*var)),
            Op::Copy { to, from } => format!("{} = {}", self.var(*to), self.var(*from)),
            Op::MightAlloc(mask) => format!("might_alloc {}", gfp(*mask)),
            Op::Reclaim(of, mask) => match of {
                ReclaimOf::Node => format!("try_to_free_pages {}", gfp(*mask)),
                ReclaimOf::Memcg(memcg) => {
                    format!(
                        "try_to_free_mem_cgroup_pages {} {}",
                        self.name(*memcg),
                        gfp(*mask)
                    )
                }
                ReclaimOf::Slab => format!("shrink_slab {}", gfp(*mask)),
            },
            Op::Charge {
                memcg,
                pages,
                gfp: mask,
                pressure: forced,
            } => {
                let memcg = self.name(*memcg);
                format!(
                    "try_charge {memcg} {} pages {pages}{}",
                    gfp(*mask),
                    pressure(*forced)
                )
            }
            Op::Uncharge { memcg, pages } => {
                format!("uncharge {} pages {pages}", self.name(*memcg))
            }
            Op::Set(flag, true) => format!("set {}", self.name(*flag)),
            Op::Set(flag, false) => format!("clear {}", self.name(*flag)),
            Op::Count(counter, change) => match change {
                Change::Inc => format!("inc {}", self.name(*counter)),
                Change::Dec => format!("dec {}", self.name(*counter)),
                Change::Assign(value) => format!("assign {} {value}", self.name(*counter)),
            },
            op => self.other_head(op),
        }
    }

    /// Waiting, and what belongs to memory management.
    fn other_head(&self, op: &Op) -> String {
        match op {
            Op::Complete { completion, all } => {
                format!("complete{} {}", suffix(*all), self.name(*completion))
            }
            Op::WaitFor {
                completion,
                timeout: may_end,
            } => format!(
                "wait_for_completion {}{}",
                self.name(*completion),
                timeout(*may_end)
            ),
            Op::WaitEvent {
                queue,
                until,
                timeout: may_end,
            } => {
                let until = self.cond(until);
                format!(
                    "wait_event {} until {until}{}",
                    self.name(*queue),
                    timeout(*may_end)
                )
            }
            Op::WakeUp { queue, all } => format!("wake_up{} {}", suffix(*all), self.name(*queue)),
            Op::SpinUntil(cond) => format!("spin_until {}", self.cond(cond)),
            Op::Work(verb, work) => format!("{} {}", verb.word(), self.name(*work)),
            Op::FlushWorkqueue(queue) => format!("flush_workqueue {}", self.name(*queue)),
            Op::Timer(verb, timer) => format!("{} {}", verb.word(), self.name(*timer)),
            Op::RaiseIrq(irq) => format!("raise_irq {}", self.name(*irq)),
            Op::RaiseSoftirq(softirq) => format!("raise_softirq {}", self.name(*softirq)),
            Op::CallRcu(function) => format!("call_rcu {}", self.name(*function)),
            Op::SynchronizeSrcu(srcu) => format!("synchronize_srcu {}", self.name(*srcu)),
            Op::Page(verb, page) => format!("{} {}", verb.word(), self.page(*page)),
            Op::MapPage(page, mm) => {
                format!("map_page {} into {}", self.page(*page), self.name(*mm))
            }
            Op::BioAddPage(batch, page) => {
                format!("bio_add_page {} {}", self.name(*batch), self.page(*page))
            }
            Op::Batch(verb, batch) => format!("{} {}", verb.word(), self.name(*batch)),
            Op::Mapping(verb, mapping) => format!("{} {}", verb.word(), self.name(*mapping)),
            Op::MovePage(page, memcg) => {
                format!("move_page {} to {}", self.page(*page), self.name(*memcg))
            }
            Op::OfflineMemcg { memcg, parent } => {
                format!(
                    "offline_memcg {} into {}",
                    self.name(*memcg),
                    self.name(*parent)
                )
            }
            Op::SwitchWb(inode, wb) => {
                format!("switch_wb {} {}", self.name(*inode), self.name(*wb))
            }
            Op::Memcg(verb, memcg) => format!("{} {}", verb.word(), self.name(*memcg)),
            Op::Mm(verb, mm) => format!("{} {}", verb.word(), self.name(*mm)),
            Op::Hotplug { zone, online } => self.hotplug(*zone, *online),
            Op::Serve(device, _) => format!("serve {}", self.name(*device)),
            Op::PageStat(page, _) => format!("page_stat {}", self.page(*page)),
            Op::WbStat(inode, _) => format!("wb_stat {}", self.name(*inode)),
            Op::Invalidate(mm, _) => format!("invalidate {}", self.name(*mm)),
            // All others are `head`'s.
            _ => String::new(),
        }
    }

    /// The exclusive mode is called `write` where there are readers too.
    fn lock_verb(&self, acquire: &Acquire) -> &'static str {
        let lock = self.program.locks.get(acquire.lock.lock);
        match acquire.mode {
            Mode::Shared => "read",
            Mode::Exclusive if lock.is_some_and(|l| l.kind.has_readers()) => "write",
            Mode::Exclusive => "lock",
        }
    }

    fn acquire(&self, acquire: &Acquire) -> String {
        let mut text = self.lock(acquire.lock);
        if acquire.flavour != Flavour::Plain {
            let _ = write!(text, " {}", acquire.flavour.word());
        }
        match acquire.nest {
            Nest::None => {}
            Nest::Subclass(subclass) => {
                let _ = write!(text, " nested {subclass}");
            }
            Nest::Lock(outer) => {
                let _ = write!(text, " nest_lock {}", self.lock(outer));
            }
        }
        text
    }

    fn unlock(&self, lock: LockRef, mode: Mode, flavour: Flavour) -> String {
        let verb = match mode {
            Mode::Exclusive => "unlock",
            Mode::Shared => "read_unlock",
        };
        let flavour = match flavour {
            Flavour::Plain => "",
            Flavour::Irq => " irq",
            Flavour::Irqsave => " irqrestore",
            Flavour::Bh => " bh",
        };
        format!("{verb} {}{flavour}", self.lock(lock))
    }

    fn lock(&self, lock: LockRef) -> String {
        let member = match lock.pick {
            Pick::Only => "",
            Pick::Referenced => " referenced",
            Pick::Unreferenced => " unreferenced",
        };
        format!("{}{member}", self.name(lock.lock))
    }

    fn page(&self, page: PageRef) -> String {
        let several = self
            .program
            .pages
            .get(page.page)
            .is_some_and(|p| p.count > 1);
        let name = self.name(page.page);
        if several {
            format!("{name}[{}]", page.index)
        } else {
            name.to_owned()
        }
    }

    fn var(&self, var: Var) -> &str {
        match var {
            Var::Local(local) => self
                .locals
                .get(usize::from(local))
                .map_or("?", |name| name.as_str()),
            Var::Slot(slot) => self.name(slot),
        }
    }

    fn alloc(&self, to: Option<Var>, source: Source, mask: Gfp, forced: Pressure) -> String {
        let to = to.map_or_else(String::new, |var| format!("{} = ", self.var(var)));
        let mask = gfp(mask);
        let call = match source {
            Source::Pages { order } => format!("alloc_pages {mask} order {order}"),
            Source::Slab => format!("kmalloc {mask}"),
            Source::Mempool(pool) => format!("mempool_alloc {} {mask}", self.name(pool)),
            Source::PageCache(mapping) => format!("page_cache_alloc {} {mask}", self.name(mapping)),
        };
        format!("{to}{call}{}", pressure(forced))
    }

    fn hotplug(&self, zone: u8, online: bool) -> String {
        let verb = if online { "online" } else { "offline" };
        let Some(zone) = self.program.machine.zones.get(usize::from(zone)) else {
            return format!("{verb} ?");
        };
        let kind = zone.kind.word();
        if zone.node == 0 {
            format!("{verb} {kind}")
        } else {
            format!("{verb} {kind} node {}", zone.node)
        }
    }

    fn cond(&self, cond: &Cond) -> String {
        let terms: Vec<String> = cond
            .terms
            .iter()
            .map(|term| {
                format!(
                    "{}{}",
                    if term.negated { "!" } else { "" },
                    self.atom(term.atom)
                )
            })
            .collect();
        match cond.join {
            Join::All => terms.join(" && "),
            Join::Any => terms.join(" || "),
        }
    }

    fn atom(&self, atom: Atom) -> String {
        match atom {
            Atom::Maybe => "maybe".to_owned(),
            Atom::Flag(flag) => self.name(flag).to_owned(),
            Atom::Counter { counter, is, value } => {
                format!("{} {} {value}", self.name(counter), is.word())
            }
            Atom::Holds(var) => self.var(var).to_owned(),
            Atom::Page { bit, page } => format!("{} {}", bit.word(), self.page(page)),
            Atom::Done(completion) => format!("completion_done {}", self.name(completion)),
            Atom::Gfp(flag) => format!("gfp & {}", flag.word()),
        }
    }
}

fn suffix(all: bool) -> &'static str {
    if all { "_all" } else { "" }
}

fn timeout(may_end: bool) -> &'static str {
    if may_end { " timeout" } else { "" }
}

fn pressure(forced: Pressure) -> String {
    match forced {
        Pressure::None => String::new(),
        Pressure::Fast => " pressure".to_owned(),
        further => format!(" pressure {}", further.word()),
    }
}

fn gfp(gfp: Gfp) -> String {
    let mut text = match gfp.base {
        GfpBase::Zero if !gfp.set.is_empty() => String::new(),
        base => base.word().to_owned(),
    };
    for flag in gfp.set.iter() {
        if !text.is_empty() {
            text.push('|');
        }
        text += flag.word();
    }
    for flag in gfp.clear.iter() {
        let _ = write!(text, " & ~{}", flag.word());
    }
    text
}
