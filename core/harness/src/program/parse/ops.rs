//! Operations.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::super::decl::Counter;
use super::super::error::Problem;
use super::super::lex::{Kind, Token, excerpt};
use super::super::limits;
use super::super::op::{
    Acquire, Change, Flavour, LockRef, Mode, Nest, Op, Pressure, ReclaimOf, Source, Var,
};
use super::super::suggest::did_you_mean;
use super::super::table::Id;
use super::super::verb::{
    BatchVerb, Do, MapVerb, MappingVerb, MemcgVerb, MmVerb, PageVerb, PopulationVerb, Scope,
    TimerVerb, WorkVerb,
};
use super::super::word::Word;
use super::cursor::{Parsed, Parser, one_of};
use super::hints;

/// Operations that belong to no enumeration of verbs.
const OTHERS: &[&str] = &[
    "lock",
    "write",
    "read",
    "unlock",
    "read_unlock",
    "write_unlock",
    "trylock",
    "tryread",
    "downgrade",
    "if",
    "while",
    "loop",
    "call",
    "assert",
    "alloc_pages",
    "kmalloc",
    "mempool_alloc",
    "page_cache_alloc",
    "free",
    "might_alloc",
    "try_to_free_pages",
    "try_to_free_mem_cgroup_pages",
    "shrink_slab",
    "try_charge",
    "uncharge",
    "set",
    "clear",
    "inc",
    "dec",
    "assign",
    "complete",
    "complete_all",
    "wait_for_completion",
    "wait_event",
    "wake_up",
    "wake_up_all",
    "spin_until",
    "flush_workqueue",
    "raise_irq",
    "raise_softirq",
    "call_rcu",
    "synchronize_srcu",
    "map_page",
    "bio_add_page",
    "serve",
    "switch_wb",
    "move_page",
    "offline_memcg",
    "page_stat",
    "wb_stat",
    "invalidate",
    "offline",
    "online",
];

/// Where memory comes from.
const ALLOCATIONS: &[&str] = &[
    "alloc_pages",
    "kmalloc",
    "mempool_alloc",
    "page_cache_alloc",
];

/// Every word that can begin an operation.
pub fn operation_words() -> Vec<&'static str> {
    let mut words = OTHERS.to_vec();
    words.extend(Do::words());
    words.extend(Scope::words());
    words.extend(MapVerb::words());
    words.extend(PopulationVerb::words());
    words.extend(PageVerb::words());
    words.extend(WorkVerb::words());
    words.extend(TimerVerb::words());
    words.extend(BatchVerb::words());
    words.extend(MappingVerb::words());
    words.extend(MemcgVerb::words());
    words.extend(MmVerb::words());
    words
}

/// Whether the word begins an operation. Asked for every line, so the list is made once.
fn is_operation(word: &str) -> bool {
    static WORDS: LazyLock<BTreeSet<&str>> =
        LazyLock::new(|| operation_words().into_iter().collect());
    WORDS.contains(word)
}

impl<'t> Parser<'t> {
    pub fn operation(&mut self) -> Parsed<Op> {
        let token = self.peek();
        if token.kind != Kind::Word {
            return self.unexpected("an operation or `}`");
        }
        let after = self.look(1);
        if after.kind == Kind::Sign && after.text == "=" {
            return self.assignment();
        }
        if !is_operation(token.text) {
            return self.unknown_operation(token);
        }
        self.advance();
        self.verb(token)
    }

    fn unknown_operation<T>(&mut self, token: Token<'t>) -> Parsed<T> {
        let help = hints::for_operation(token.text)
            .or_else(|| did_you_mean(token.text, operation_words()));
        let message = format!("unknown operation `{}`", excerpt(token.text));
        self.fail(Problem::new(token.at, message, "expected an operation or `}`").with_help(help))
    }

    /// Operations of the enumerations; the others go on to [`Self::other`].
    fn verb(&mut self, token: Token<'t>) -> Parsed<Op> {
        let word = token.text;
        if let Some(verb) = Do::from_word(word) {
            return Ok(Op::Do(verb));
        }
        if let Some(scope) = Scope::from_word(word) {
            return Ok(Op::Scope(scope, self.block()?));
        }
        if let Some(verb) = MapVerb::from_word(word) {
            return Ok(Op::Map(verb, self.reference()?));
        }
        if let Some(verb) = PopulationVerb::from_word(word) {
            return Ok(Op::Population(verb, self.reference()?));
        }
        if let Some(verb) = PageVerb::from_word(word) {
            return Ok(Op::Page(verb, self.page_ref()?));
        }
        if let Some(verb) = WorkVerb::from_word(word) {
            return Ok(Op::Work(verb, self.reference()?));
        }
        if let Some(verb) = TimerVerb::from_word(word) {
            return Ok(Op::Timer(verb, self.reference()?));
        }
        if let Some(verb) = BatchVerb::from_word(word) {
            return Ok(Op::Batch(verb, self.reference()?));
        }
        if let Some(verb) = MappingVerb::from_word(word) {
            return Ok(Op::Mapping(verb, self.reference()?));
        }
        if let Some(verb) = MemcgVerb::from_word(word) {
            return Ok(Op::Memcg(verb, self.reference()?));
        }
        if let Some(verb) = MmVerb::from_word(word) {
            return Ok(Op::Mm(verb, self.reference()?));
        }
        self.other(token)
    }

    fn other(&mut self, token: Token<'t>) -> Parsed<Op> {
        match token.text {
            "lock" | "write" => self.lock(Mode::Exclusive),
            "read" => self.lock(Mode::Shared),
            "unlock" | "write_unlock" => self.unlock(Mode::Exclusive),
            "read_unlock" => self.unlock(Mode::Shared),
            "trylock" => self.trylock(Mode::Exclusive),
            "tryread" => self.trylock(Mode::Shared),
            "downgrade" => Ok(Op::Downgrade(self.lock_ref()?)),
            "if" => self.branch(),
            "while" => {
                let cond = self.cond()?;
                Ok(Op::While(cond, self.block()?))
            }
            "loop" => {
                let times = self.number("how many rounds", 1..=limits::LOOP)?;
                let times = u16::try_from(times).unwrap_or(1);
                Ok(Op::Loop(times, self.block()?))
            }
            "call" => Ok(Op::Call(self.reference()?)),
            "assert" => Ok(Op::Assert(self.cond()?)),
            "alloc_pages" | "kmalloc" | "mempool_alloc" | "page_cache_alloc" => {
                self.alloc(token, None)
            }
            "free" => Ok(Op::Free(self.variable()?)),
            "might_alloc" => Ok(Op::MightAlloc(self.gfp()?)),
            "try_to_free_pages" => Ok(Op::Reclaim(ReclaimOf::Node, self.gfp()?)),
            "try_to_free_mem_cgroup_pages" => {
                let memcg = self.reference()?;
                Ok(Op::Reclaim(ReclaimOf::Memcg(memcg), self.gfp()?))
            }
            "shrink_slab" => Ok(Op::Reclaim(ReclaimOf::Slab, self.gfp()?)),
            "try_charge" => self.charge(),
            "uncharge" => {
                let memcg = self.reference()?;
                let pages = self.pages_given()?;
                Ok(Op::Uncharge { memcg, pages })
            }
            "set" => Ok(Op::Set(self.reference()?, true)),
            "clear" => Ok(Op::Set(self.reference()?, false)),
            "inc" => Ok(Op::Count(self.reference()?, Change::Inc)),
            "dec" => Ok(Op::Count(self.reference()?, Change::Dec)),
            "assign" => {
                let counter: Id<Counter> = self.reference()?;
                let value = self.signed("the value")?;
                Ok(Op::Count(counter, Change::Assign(value)))
            }
            _ => self.waiting(token),
        }
    }

    /// Waiting, waking and handing over.
    fn waiting(&mut self, token: Token<'t>) -> Parsed<Op> {
        match token.text {
            "complete" | "complete_all" => Ok(Op::Complete {
                completion: self.reference()?,
                all: token.text == "complete_all",
            }),
            "wait_for_completion" => Ok(Op::WaitFor {
                completion: self.reference()?,
                timeout: self.take_word("timeout"),
            }),
            "wait_event" => {
                let queue = self.reference()?;
                self.keyword("until")?;
                let until = self.cond()?;
                let timeout = self.take_word("timeout");
                Ok(Op::WaitEvent {
                    queue,
                    until,
                    timeout,
                })
            }
            "wake_up" | "wake_up_all" => Ok(Op::WakeUp {
                queue: self.reference()?,
                all: token.text == "wake_up_all",
            }),
            "spin_until" => Ok(Op::SpinUntil(self.cond()?)),
            "flush_workqueue" => Ok(Op::FlushWorkqueue(self.reference()?)),
            "raise_irq" => Ok(Op::RaiseIrq(self.reference()?)),
            "raise_softirq" => Ok(Op::RaiseSoftirq(self.reference()?)),
            "call_rcu" => Ok(Op::CallRcu(self.reference()?)),
            "synchronize_srcu" => Ok(Op::SynchronizeSrcu(self.reference()?)),
            _ => self.memory_management(token),
        }
    }

    /// Pages, batches, wbs, address spaces, zones.
    fn memory_management(&mut self, token: Token<'t>) -> Parsed<Op> {
        match token.text {
            "map_page" => {
                let page = self.page_ref()?;
                self.keyword("into")?;
                Ok(Op::MapPage(page, self.reference()?))
            }
            "bio_add_page" => {
                let batch = self.reference()?;
                Ok(Op::BioAddPage(batch, self.page_ref()?))
            }
            "serve" => {
                let device = self.reference()?;
                Ok(Op::Serve(device, self.block()?))
            }
            "switch_wb" => {
                let inode = self.reference()?;
                Ok(Op::SwitchWb(inode, self.reference()?))
            }
            "move_page" => {
                let page = self.page_ref()?;
                self.keyword("to")?;
                Ok(Op::MovePage(page, self.reference()?))
            }
            "offline_memcg" => {
                let memcg = self.reference()?;
                self.keyword("into")?;
                let parent = self.reference()?;
                Ok(Op::OfflineMemcg { memcg, parent })
            }
            "page_stat" => {
                let page = self.page_ref()?;
                Ok(Op::PageStat(page, self.block()?))
            }
            "wb_stat" => {
                let inode = self.reference()?;
                Ok(Op::WbStat(inode, self.block()?))
            }
            "invalidate" => {
                let mm = self.reference()?;
                Ok(Op::Invalidate(mm, self.block()?))
            }
            "offline" | "online" => self.hotplug(token.text == "online"),
            _ => self.unexpected("an operation"),
        }
    }

    /// `p = alloc_pages …`, `q = p`.
    fn assignment(&mut self) -> Parsed<Op> {
        let name = self.advance();
        self.advance();
        let token = self.peek();
        if token.kind != Kind::Word {
            let expected = format!("a variable or an allocation: {}", one_of(ALLOCATIONS));
            return self.unexpected(&expected);
        }
        let to = self.var(name, true)?;
        self.advance();
        if ALLOCATIONS.contains(&token.text) {
            return self.alloc(token, Some(to));
        }
        let from = self.var(token, false)?;
        Ok(Op::Copy { to, from })
    }

    fn alloc(&mut self, token: Token<'t>, to: Option<Var>) -> Parsed<Op> {
        let mut source = match token.text {
            "mempool_alloc" => Source::Mempool(self.reference()?),
            "page_cache_alloc" => Source::PageCache(self.reference()?),
            "kmalloc" => Source::Slab,
            _ => Source::Pages { order: 0 },
        };
        let gfp = self.gfp()?;
        if let Source::Pages { order } = &mut source
            && self.take_word("order")
        {
            let given = self.number("the order", 0..=limits::ORDER)?;
            *order = u8::try_from(given).unwrap_or(0);
        }
        let pressure = self.pressure()?;
        Ok(Op::Alloc {
            to,
            source,
            gfp,
            pressure,
        })
    }

    fn charge(&mut self) -> Parsed<Op> {
        let memcg = self.reference()?;
        let gfp = self.gfp()?;
        let pages = self.pages_given()?;
        let pressure: Pressure = self.pressure()?;
        Ok(Op::Charge {
            memcg,
            pages,
            gfp,
            pressure,
        })
    }

    /// `pages 2`, or nothing for one page.
    fn pages_given(&mut self) -> Parsed<u16> {
        if !self.take_word("pages") {
            return Ok(1);
        }
        let pages = self.number("how many pages", 1..=limits::INSTANCES)?;
        Ok(u16::try_from(pages).unwrap_or(1))
    }

    fn branch(&mut self) -> Parsed<Op> {
        let cond = self.cond()?;
        let then = self.block()?;
        let otherwise = self.otherwise()?;
        Ok(Op::If {
            cond,
            then,
            otherwise,
        })
    }

    fn lock(&mut self, mode: Mode) -> Parsed<Op> {
        let acquire = self.acquire(mode)?;
        let block = self.block_if_any()?;
        Ok(Op::Lock(acquire, block))
    }

    fn acquire(&mut self, mode: Mode) -> Parsed<Acquire> {
        let lock = self.lock_ref()?;
        let (mut flavour, mut nest) = (None, None);
        loop {
            let token = self.peek();
            match token.text {
                _ if token.kind != Kind::Word => break,
                "keep" => break,
                "irq" | "irqsave" | "bh" => {
                    self.advance();
                    let given = Flavour::from_word(token.text).unwrap_or_default();
                    self.once(&mut flavour, token.at, given)?;
                }
                "nested" => {
                    self.advance();
                    let subclass = self.number("the subclass", 1..=limits::SUBCLASS)?;
                    let subclass = Nest::Subclass(u8::try_from(subclass).unwrap_or(1));
                    self.once(&mut nest, token.at, subclass)?;
                }
                "nest_lock" => {
                    self.advance();
                    let outer: LockRef = self.lock_ref()?;
                    self.once(&mut nest, token.at, Nest::Lock(outer))?;
                }
                _ => {
                    let known = ["irq", "irqsave", "bh", "nested", "nest_lock", "keep"];
                    return self.unexpected_word(
                        "`irq`, `irqsave`, `bh`, `nested`, `nest_lock`, a block or the end of the line",
                        known.into_iter(),
                    );
                }
            }
        }
        Ok(Acquire {
            lock,
            mode,
            flavour: flavour.unwrap_or_default(),
            nest: nest.unwrap_or_default(),
        })
    }

    fn unlock(&mut self, mode: Mode) -> Parsed<Op> {
        let lock = self.lock_ref()?;
        let flavour = if self.take_word("irq") {
            Flavour::Irq
        } else if self.take_word("irqrestore") {
            Flavour::Irqsave
        } else if self.take_word("bh") {
            Flavour::Bh
        } else if self.at_end() {
            Flavour::Plain
        } else {
            let known = ["irq", "irqrestore", "bh"];
            return self.unexpected_word(
                "`irq`, `irqrestore`, `bh` or the end of the line",
                known.into_iter(),
            );
        };
        Ok(Op::Unlock {
            lock,
            mode,
            flavour,
        })
    }

    fn trylock(&mut self, mode: Mode) -> Parsed<Op> {
        let acquire = self.acquire(mode)?;
        let keep = self.take_word("keep");
        let then = self.block()?;
        let otherwise = self.otherwise()?;
        Ok(Op::Trylock {
            acquire,
            keep,
            then,
            otherwise,
        })
    }

    /// `offline movable node 1`. The `machine` section must stand above, as it does in canonical text.
    fn hotplug(&mut self, online: bool) -> Parsed<Op> {
        let at = self.peek().at;
        let kind = self.word_of("a zone")?;
        let node = if self.take_word("node") {
            u8::try_from(self.number("the node", 0..=limits::NODES - 1)?).unwrap_or(0)
        } else {
            0
        };
        let zones = &self.program.machine.zones;
        let zone = zones.iter().position(|z| z.kind == kind && z.node == node);
        let Some(zone) = zone.and_then(|zone| u8::try_from(zone).ok()) else {
            let message = format!("the machine has no zone {} on node {node}", kind.word());
            let label = "expected a zone of the `machine` section above";
            return self.fail(Problem::new(at, message, label));
        };
        Ok(Op::Hotplug { zone, online })
    }
}
