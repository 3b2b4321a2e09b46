//! Declarations.

use super::super::decl::{
    Batch, Completion, Counter, Device, Flag, Inode, Lock, LockKind, Mapping, Memcg, Mempool, Mm,
    Page, Slot, WaitQueue, Wb, Workqueue,
};
use super::super::error::Problem;
use super::super::handler::{
    Function, FunctionKind, Irq, Notifier, Shrinker, Softirq, Task, TaskFlag, TaskFlags, Timer,
    Work,
};
use super::super::lex::Kind;
use super::super::property::Property;
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
    Property,
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
    (Item::Property, "property"),
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
            Self::Property => Some(Property::WHAT),
        }
    }
}

/// Every word that can begin a line outside of braces.
pub fn declaration_words() -> Vec<&'static str> {
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
            return self.unknown_word("declaration", expected, declaration_words().into_iter());
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
            Item::Property => self.property(),
            Item::Task => self.task(TaskFlags::default()),
            Item::Daemon => self.task(TaskFlags::default().with(TaskFlag::Daemon)),
        }
    }

    pub(super) fn declare_item<T: Declared>(&mut self, item: T) {
        T::table_mut(&mut self.program).0.push(item);
    }

    fn plain<T: Declared>(&mut self, make: impl Fn(At, Name) -> T) -> Parsed<()> {
        for (name, at) in self.new_names(&format!("the name of {}", T::WHAT))? {
            self.declare_item(make(at, name));
        }
        Ok(())
    }

    /// The next attribute word, or `None` at the end of the line.
    pub(super) fn attribute(
        &mut self,
        known: &[&'static str],
    ) -> Parsed<Option<(&'static str, At)>> {
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

    pub(super) fn instances(&mut self, what: &str) -> Parsed<u16> {
        let count = self.number(what, 1..=limits::INSTANCES)?;
        Ok(u16::try_from(count).unwrap_or(1))
    }
}
