//! Declarations.

use super::super::decl::{
    Batch, CompletesIn, Completion, Counter, Device, Flag, Inode, Lock, LockKind, Mapping, Memcg,
    Mempool, Mm, Page, PageBit, PageBits, Population, Slot, WaitQueue, Wb, Workqueue,
};
use super::super::error::Problem;
use super::super::gfp::GfpBase;
use super::super::handler::{
    Function, FunctionKind, Irq, Notifier, Shrinker, Softirq, Task, TaskFlag, TaskFlags, Timer,
    Work,
};
use super::super::lex::Kind;
use super::super::table::Declared;
use super::super::word::Word;
use super::super::{At, Name, limits};
use super::cursor::{Parsed, Parser, Reported, one_of};

/// What can stand outside of braces.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Item {
    Splat,
    Rules,
    Machine,
    Lock(LockKind),
    Flag,
    Counter,
    Completion,
    WaitQueue,
    Slot,
    Workqueue,
    Mempool,
    Mm,
    Memcg,
    Device,
    Wb,
    Inode,
    Mapping,
    Page,
    Batch,
    Function(FunctionKind),
    Shrinker,
    Notifier,
    Irq,
    Softirq,
    Timer,
    Work,
    Task,
    Daemon,
    Schedule,
    Expect,
}

const WORDS: &[(Item, &str)] = &[
    (Item::Splat, "splat"),
    (Item::Rules, "rules"),
    (Item::Machine, "machine"),
    (Item::Flag, "flag"),
    (Item::Counter, "counter"),
    (Item::Completion, "completion"),
    (Item::WaitQueue, "wait_queue"),
    (Item::Slot, "slot"),
    (Item::Workqueue, "workqueue"),
    (Item::Mempool, "mempool"),
    (Item::Mm, "mm"),
    (Item::Memcg, "memcg"),
    (Item::Device, "device"),
    (Item::Wb, "wb"),
    (Item::Inode, "inode"),
    (Item::Mapping, "mapping"),
    (Item::Page, "page"),
    (Item::Batch, "batch"),
    (Item::Shrinker, "shrinker"),
    (Item::Notifier, "mmu_notifier"),
    (Item::Irq, "irq"),
    (Item::Softirq, "softirq"),
    (Item::Timer, "timer"),
    (Item::Work, "work"),
    (Item::Task, "task"),
    (Item::Daemon, "daemon"),
    (Item::Schedule, "schedule"),
    (Item::Expect, "expect"),
];

impl Item {
    pub fn from_keyword(word: &str) -> Option<Self> {
        let plain = WORDS
            .iter()
            .find(|(_, keyword)| *keyword == word)
            .map(|(item, _)| *item);
        plain
            .or_else(|| LockKind::from_word(word).map(Self::Lock))
            .or_else(|| FunctionKind::from_word(word).map(Self::Function))
    }

    /// What the names behind the keyword become.
    pub fn what(self) -> Option<&'static str> {
        match self {
            Self::Splat | Self::Rules | Self::Machine | Self::Schedule | Self::Expect => None,
            Self::Lock(_) => Some(Lock::WHAT),
            Self::Flag => Some(Flag::WHAT),
            Self::Counter => Some(Counter::WHAT),
            Self::Completion => Some(Completion::WHAT),
            Self::WaitQueue => Some(WaitQueue::WHAT),
            Self::Slot => Some(Slot::WHAT),
            Self::Workqueue => Some(Workqueue::WHAT),
            Self::Mempool => Some(Mempool::WHAT),
            Self::Mm => Some(Mm::WHAT),
            Self::Memcg => Some(Memcg::WHAT),
            Self::Device => Some(Device::WHAT),
            Self::Wb => Some(Wb::WHAT),
            Self::Inode => Some(Inode::WHAT),
            Self::Mapping => Some(Mapping::WHAT),
            Self::Page => Some(Page::WHAT),
            Self::Batch => Some(Batch::WHAT),
            Self::Function(_) => Some(Function::WHAT),
            Self::Shrinker => Some(Shrinker::WHAT),
            Self::Notifier => Some(Notifier::WHAT),
            Self::Irq => Some(Irq::WHAT),
            Self::Softirq => Some(Softirq::WHAT),
            Self::Timer => Some(Timer::WHAT),
            Self::Work => Some(Work::WHAT),
            Self::Task | Self::Daemon => Some(Task::WHAT),
        }
    }
}

fn keywords() -> Vec<&'static str> {
    let mut words: Vec<_> = WORDS.iter().map(|(_, word)| *word).collect();
    words.extend(LockKind::words());
    words.extend(FunctionKind::words());
    words
}

impl Parser<'_> {
    /// The second pass: the whole text.
    pub fn program(&mut self) {
        self.header();
        loop {
            self.skip_newlines();
            if self.peek().kind == Kind::End || self.gave_up() {
                return;
            }
            if self.item().and_then(|()| self.end_of_item()).is_ok() {
                continue;
            }
            self.recover();
            // What is left of a block whose header was wrong.
            self.take_sign("}");
        }
    }

    fn header(&mut self) {
        self.skip_newlines();
        if !self.at_word("splat") {
            let wrong: Parsed<()> = self.unexpected_word(
                "`splat NAME`, the first line of a program",
                std::iter::once("splat"),
            );
            // A text without its first line is still read, for its other problems.
            if wrong.is_err() && Item::from_keyword(self.peek().text).is_none() {
                self.recover();
            }
            return;
        }
        self.advance();
        match self.new_name("the name of the program") {
            Ok((name, _)) => self.program.name = name,
            Err(Reported) => return self.recover(),
        }
        if self.end_of_item().is_err() {
            self.recover();
        }
    }

    fn end_of_item(&mut self) -> Parsed<()> {
        if self.at_sign("}") {
            return self.unexpected("a declaration: this `}` closes nothing");
        }
        self.end()
    }

    fn item(&mut self) -> Parsed<()> {
        let token = self.peek();
        let item = Item::from_keyword(token.text).filter(|_| token.kind == Kind::Word);
        let Some(item) = item else {
            if self.at_sign("}") {
                return self.unexpected("a declaration: this `}` closes nothing");
            }
            let expected = "a declaration, a handler, a task or a section";
            return self.unknown_word("declaration", expected, keywords().into_iter());
        };
        self.advance();
        match item {
            Item::Splat => self.fail(Problem::new(
                token.at,
                "`splat` stands here a second time",
                "expected one program in a file",
            )),
            Item::Rules => self.rules(token.at),
            Item::Machine => self.machine(token.at),
            Item::Schedule => self.schedule(token.at),
            Item::Expect => self.expect(token.at),
            Item::Lock(kind) => self.locks(kind),
            Item::Flag => self.flags(),
            Item::Counter => self.counters(),
            Item::Completion => self.plain(|at, name| Completion { at, name }),
            Item::WaitQueue => self.plain(|at, name| WaitQueue { at, name }),
            Item::Slot => self.plain(|at, name| Slot { at, name }),
            Item::Mm => self.plain(|at, name| Mm { at, name }),
            Item::Workqueue => self.workqueues(),
            Item::Mempool => self.mempools(),
            Item::Memcg => self.memcgs(),
            Item::Device => self.devices(),
            Item::Wb => self.wbs(),
            Item::Inode => self.inodes(),
            Item::Mapping => self.mappings(),
            Item::Page => self.pages(),
            Item::Batch => self.batches(),
            Item::Function(kind) => self.function(kind),
            Item::Shrinker => self.shrinker(),
            Item::Notifier => self.notifier(),
            Item::Irq => self.irq(),
            Item::Softirq => self.softirq(),
            Item::Timer => self.timer(),
            Item::Work => self.work(),
            Item::Task => self.task(TaskFlags::default()),
            Item::Daemon => self.task(TaskFlags::default().with(TaskFlag::Daemon)),
        }
    }

    fn declare_item<T: Declared>(&mut self, item: T) {
        T::table_mut(&mut self.program).0.push(item);
    }

    fn plain<T: Declared>(&mut self, make: impl Fn(At, Name) -> T) -> Parsed<()> {
        for (name, at) in self.new_names(&format!("the name of {}", T::WHAT))? {
            self.declare_item(make(at, name));
        }
        Ok(())
    }

    /// The next attribute word, or `None` at the end of the line.
    fn attribute(&mut self, known: &[&'static str]) -> Parsed<Option<(&'static str, At)>> {
        if self.at_end() || self.at_sign("{") {
            return Ok(None);
        }
        let token = self.peek();
        let word = known
            .iter()
            .find(|word| token.kind == Kind::Word && **word == token.text);
        let Some(word) = word else {
            let expected = match known {
                [] => "the end of the line".to_owned(),
                _ => format!("{}, or the end of the line", one_of(known)),
            };
            return self.unexpected_word(&expected, known.iter().copied());
        };
        self.advance();
        Ok(Some((word, token.at)))
    }

    fn instances(&mut self, what: &str) -> Parsed<u16> {
        let count = self.number(what, 1..=limits::INSTANCES)?;
        Ok(u16::try_from(count).unwrap_or(1))
    }

    fn locks(&mut self, kind: LockKind) -> Parsed<()> {
        let names = self.new_names("the name of a lock")?;
        let (mut class, mut population) = (None, None);
        while let Some((word, at)) = self.attribute(&["class", "population"])? {
            if word == "class" {
                let (name, _) = self.new_name("the name of a lockdep class")?;
                self.once(&mut class, at, name)?;
            } else {
                let referenced = self.instances("how many are referenced")?;
                self.keyword("referenced")?;
                let unreferenced = self.instances("how many are unreferenced")?;
                self.keyword("unreferenced")?;
                let both = Population {
                    referenced,
                    unreferenced,
                };
                self.once(&mut population, at, both)?;
            }
        }
        for (name, at) in names {
            let class = class.clone();
            self.declare_item(Lock {
                at,
                name,
                kind,
                class,
                population,
            });
        }
        Ok(())
    }

    fn flags(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a flag")?;
        let mut on = None;
        while let Some((_, at)) = self.attribute(&["on"])? {
            self.once(&mut on, at, ())?;
        }
        for (name, at) in names {
            let on = on.is_some();
            self.declare_item(Flag { at, name, on });
        }
        Ok(())
    }

    fn counters(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a counter")?;
        let start = if self.take_sign("=") {
            self.signed("its first value")?
        } else {
            0
        };
        for (name, at) in names {
            self.declare_item(Counter { at, name, start });
        }
        Ok(())
    }

    fn workqueues(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a workqueue")?;
        let (mut workers, mut rescuer) = (None, None);
        while let Some((word, at)) = self.attribute(&["workers", "rescuer"])? {
            if word == "workers" {
                let count = self.instances("how many workers")?;
                self.once(&mut workers, at, count)?;
            } else {
                self.once(&mut rescuer, at, ())?;
            }
        }
        for (name, at) in names {
            self.declare_item(Workqueue {
                at,
                name,
                workers: workers.unwrap_or(1),
                rescuer: rescuer.is_some(),
            });
        }
        Ok(())
    }

    fn mempools(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a mempool")?;
        self.keyword("size")?;
        let size = self.instances("how many elements")?;
        for (name, at) in names {
            self.declare_item(Mempool { at, name, size });
        }
        Ok(())
    }

    fn memcgs(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a memcg")?;
        let (mut limit, mut usage, mut moving) = (None, None, None);
        while let Some((word, at)) = self.attribute(&["limit", "usage", "moving"])? {
            match word {
                "limit" => {
                    let pages = self.page_count("the limit in pages")?;
                    self.once(&mut limit, at, pages)?;
                }
                "usage" => {
                    let pages = self.page_count("pages charged")?;
                    self.once(&mut usage, at, pages)?;
                }
                _ => self.once(&mut moving, at, ())?,
            }
        }
        for (name, at) in names {
            self.declare_item(Memcg {
                at,
                name,
                limit,
                usage: usage.unwrap_or(0),
                moving: moving.is_some(),
            });
        }
        Ok(())
    }

    pub(super) fn page_count(&mut self, what: &str) -> Parsed<u32> {
        let pages = self.number(what, 0..=limits::ZONE_PAGES)?;
        Ok(u32::try_from(pages).unwrap_or(0))
    }

    fn devices(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a device")?;
        let (mut depth, mut completes) = (None, None);
        while let Some((word, at)) = self.attribute(&["depth", "completes"])? {
            if word == "depth" {
                let depth_given = self.instances("the queue depth")?;
                self.once(&mut depth, at, depth_given)?;
            } else {
                let context = self.completion_context()?;
                self.once(&mut completes, at, context)?;
            }
        }
        for (name, at) in names {
            self.declare_item(Device {
                at,
                name,
                depth: depth.unwrap_or(1),
                completes: completes.unwrap_or(CompletesIn::Irq { cpu: 0 }),
            });
        }
        Ok(())
    }

    fn completion_context(&mut self) -> Parsed<CompletesIn> {
        const WORDS: &[&str] = &["irq", "worker", "handler", "daemon"];
        if self.take_word("irq") {
            let cpu = self.on_cpu()?;
            return Ok(CompletesIn::Irq { cpu });
        }
        if self.take_word("worker") {
            let queue = self.reference()?;
            return Ok(CompletesIn::Worker { queue });
        }
        if self.take_word("handler") {
            let irq = self.reference()?;
            return Ok(CompletesIn::Handler { irq });
        }
        if self.take_word("daemon") {
            return Ok(CompletesIn::Daemon);
        }
        let expected = format!("who completes its IO: {}", one_of(WORDS));
        self.unexpected_word(&expected, WORDS.iter().copied())
    }

    fn wbs(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a wb")?;
        let (mut device, mut memcg) = (None, None);
        while let Some((word, at)) = self.attribute(&["device", "memcg"])? {
            if word == "device" {
                let id = self.reference()?;
                self.once(&mut device, at, id)?;
            } else {
                let id = self.reference()?;
                self.once(&mut memcg, at, id)?;
            }
        }
        for (name, at) in names {
            self.declare_item(Wb {
                at,
                name,
                device,
                memcg,
            });
        }
        Ok(())
    }

    fn inodes(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of an inode")?;
        let (mut wb, mut switching) = (None, None);
        while let Some((word, at)) = self.attribute(&["wb", "switching"])? {
            if word == "wb" {
                let id = self.reference()?;
                self.once(&mut wb, at, id)?;
            } else {
                self.once(&mut switching, at, ())?;
            }
        }
        for (name, at) in names {
            self.declare_item(Inode {
                at,
                name,
                wb,
                switching: switching.is_some(),
            });
        }
        Ok(())
    }

    fn mappings(&mut self) -> Parsed<()> {
        const KNOWN: &[&str] = &[
            "inode",
            "device",
            "gfp",
            "release",
            "map_blocks",
            "may_deadlock",
        ];
        let names = self.new_names("the name of a mapping")?;
        let (mut inode, mut device, mut gfp) = (None, None, None);
        let (mut release, mut map_blocks, mut may_deadlock) = (None, None, None);
        while let Some((word, at)) = self.attribute(KNOWN)? {
            match word {
                "inode" => {
                    let id = self.reference()?;
                    self.once(&mut inode, at, id)?;
                }
                "device" => {
                    let id = self.reference()?;
                    self.once(&mut device, at, id)?;
                }
                "gfp" => {
                    let mask: GfpBase = self.word_of("a gfp mask")?;
                    self.once(&mut gfp, at, mask)?;
                }
                "release" => {
                    let id = self.reference()?;
                    self.once(&mut release, at, id)?;
                }
                "map_blocks" => {
                    let id = self.reference()?;
                    self.once(&mut map_blocks, at, id)?;
                }
                _ => self.once(&mut may_deadlock, at, ())?,
            }
        }
        for (name, at) in names {
            self.declare_item(Mapping {
                at,
                name,
                inode,
                device,
                gfp,
                release,
                map_blocks,
                may_deadlock: may_deadlock.is_some(),
            });
        }
        Ok(())
    }

    fn pages(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a page")?;
        let mut known = vec!["in", "count", "memcg", "mapped"];
        known.extend(PageBit::words());
        let (mut mapping, mut count, mut memcg, mut mm) = (None, None, None, None);
        let mut bits = PageBits::default();
        while let Some((word, at)) = self.attribute(&known)? {
            match word {
                "in" => {
                    let id = self.reference()?;
                    self.once(&mut mapping, at, id)?;
                }
                "count" => {
                    let pages = self.instances("how many pages")?;
                    self.once(&mut count, at, pages)?;
                }
                "memcg" => {
                    let id = self.reference()?;
                    self.once(&mut memcg, at, id)?;
                }
                "mapped" => {
                    let id = self.reference()?;
                    self.once(&mut mm, at, id)?;
                }
                bit => bits = PageBit::from_word(bit).map_or(bits, |bit| bits.with(bit)),
            }
        }
        for (name, at) in names {
            self.declare_item(Page {
                at,
                name,
                count: count.unwrap_or(1),
                mapping,
                bits,
                memcg,
                mm,
            });
        }
        Ok(())
    }

    fn batches(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a batch")?;
        self.keyword("on")?;
        let device = self.reference()?;
        for (name, at) in names {
            self.declare_item(Batch { at, name, device });
        }
        Ok(())
    }

    fn function(&mut self, kind: FunctionKind) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a function")?;
        let body = self.body()?;
        self.declare_item(Function {
            at,
            name,
            kind,
            body,
        });
        Ok(())
    }

    fn shrinker(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a shrinker")?;
        let (mut objects, mut needs_fs) = (None, None);
        while let Some((word, at)) = self.attribute(&["objects", "needs_fs"])? {
            if word == "objects" {
                let count =
                    self.number("how many pages it can give back", 0..=limits::INSTANCES)?;
                self.once(&mut objects, at, u16::try_from(count).unwrap_or(0))?;
            } else {
                self.once(&mut needs_fs, at, ())?;
            }
        }
        let body = self.body()?;
        self.declare_item(Shrinker {
            at,
            name,
            objects: objects.unwrap_or(1),
            needs_fs: needs_fs.is_some(),
            body,
        });
        Ok(())
    }

    fn notifier(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of an mmu notifier")?;
        self.keyword("on")?;
        let mm = self.reference()?;
        let body = self.body()?;
        self.declare_item(Notifier { at, name, mm, body });
        Ok(())
    }

    fn irq(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of an interrupt")?;
        let cpu = self.on_cpu()?;
        let mut times = None;
        while let Some((_, at)) = self.attribute(&["times"])? {
            let count = self.number("how often it may come", 0..=limits::IRQ_TIMES)?;
            self.once(&mut times, at, u8::try_from(count).unwrap_or(1))?;
        }
        let body = self.body()?;
        self.declare_item(Irq {
            at,
            name,
            cpu,
            times: times.unwrap_or(1),
            body,
        });
        Ok(())
    }

    fn softirq(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a softirq")?;
        let body = self.body()?;
        self.declare_item(Softirq { at, name, body });
        Ok(())
    }

    fn timer(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a timer")?;
        let cpu = self.on_cpu()?;
        let body = self.body()?;
        self.declare_item(Timer {
            at,
            name,
            cpu,
            body,
        });
        Ok(())
    }

    fn work(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a work item")?;
        self.keyword("on")?;
        let queue = self.reference()?;
        let body = self.body()?;
        self.declare_item(Work {
            at,
            name,
            queue,
            body,
        });
        Ok(())
    }

    fn task(&mut self, mut flags: TaskFlags) -> Parsed<()> {
        const KNOWN: &[&str] = &["prio", "memcg", "kthread", "memalloc", "local_throttle"];
        let (name, at) = self.new_name("the name of a task")?;
        let cpu = self.on_cpu()?;
        let (mut prio, mut memcg) = (None, None);
        while let Some((word, at)) = self.attribute(KNOWN)? {
            match word {
                "prio" => {
                    let level = self.number("the priority", 0..=limits::PRIORITY)?;
                    self.once(&mut prio, at, u8::try_from(level).unwrap_or(0))?;
                }
                "memcg" => {
                    let id = self.reference()?;
                    self.once(&mut memcg, at, id)?;
                }
                flag => flags = TaskFlag::from_word(flag).map_or(flags, |flag| flags.with(flag)),
            }
        }
        let body = self.body()?;
        self.declare_item(Task {
            at,
            name,
            cpu,
            prio: prio.unwrap_or(0),
            flags,
            memcg,
            body,
        });
        Ok(())
    }
}
