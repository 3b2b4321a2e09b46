//! Declarations without a body.

use super::super::decl::{
    Batch, CompletesIn, Counter, Device, Flag, Inode, Lock, LockKind, Mapping, Memcg, Mempool,
    Page, PageBit, PageBits, Population, Wb, Workqueue,
};
use super::super::gfp::GfpBase;
use super::super::limits;
use super::super::word::Word;
use super::cursor::{Parsed, Parser, one_of};

impl Parser<'_> {
    pub(super) fn locks(&mut self, kind: LockKind) -> Parsed<()> {
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

    pub(super) fn flags(&mut self) -> Parsed<()> {
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

    pub(super) fn counters(&mut self) -> Parsed<()> {
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

    pub(super) fn workqueues(&mut self) -> Parsed<()> {
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

    pub(super) fn mempools(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a mempool")?;
        self.keyword("size")?;
        let size = self.instances("how many elements")?;
        for (name, at) in names {
            self.declare_item(Mempool { at, name, size });
        }
        Ok(())
    }

    pub(super) fn memcgs(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a memcg")?;
        let (mut limit, mut usage, mut moving, mut stock) = (None, None, None, None);
        while let Some((word, at)) = self.attribute(&["limit", "usage", "moving", "stock"])? {
            match word {
                "limit" => {
                    let pages = self.page_count("the limit in pages")?;
                    self.once(&mut limit, at, pages)?;
                }
                "usage" => {
                    let pages = self.page_count("pages charged")?;
                    self.once(&mut usage, at, pages)?;
                }
                "stock" => {
                    let pages = self.page_count("pages charged at once")?;
                    self.once(&mut stock, at, pages)?;
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
                stock: stock.unwrap_or(0),
            });
        }
        Ok(())
    }

    pub(super) fn page_count(&mut self, what: &str) -> Parsed<u32> {
        let pages = self.number(what, 0..=limits::ZONE_PAGES)?;
        Ok(u32::try_from(pages).unwrap_or(0))
    }

    pub(super) fn devices(&mut self) -> Parsed<()> {
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

    pub(super) fn wbs(&mut self) -> Parsed<()> {
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

    pub(super) fn inodes(&mut self) -> Parsed<()> {
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

    pub(super) fn mappings(&mut self) -> Parsed<()> {
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

    pub(super) fn pages(&mut self) -> Parsed<()> {
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

    pub(super) fn batches(&mut self) -> Parsed<()> {
        let names = self.new_names("the name of a batch")?;
        self.keyword("on")?;
        let device = self.reference()?;
        for (name, at) in names {
            self.declare_item(Batch { at, name, device });
        }
        Ok(())
    }
}
