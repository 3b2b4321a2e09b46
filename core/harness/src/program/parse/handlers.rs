//! Declarations with a body: functions, handlers, tasks.

use super::super::handler::{
    Function, FunctionKind, Irq, Notifier, Shrinker, Softirq, Task, TaskFlag, TaskFlags, Timer,
    Work,
};
use super::super::limits;
use super::super::word::Word;
use super::cursor::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn function(&mut self, kind: FunctionKind) -> Parsed<()> {
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

    pub(super) fn shrinker(&mut self) -> Parsed<()> {
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

    pub(super) fn notifier(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of an mmu notifier")?;
        self.keyword("on")?;
        let mm = self.reference()?;
        let body = self.body()?;
        self.declare_item(Notifier { at, name, mm, body });
        Ok(())
    }

    pub(super) fn irq(&mut self) -> Parsed<()> {
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

    pub(super) fn softirq(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a softirq")?;
        let body = self.body()?;
        self.declare_item(Softirq { at, name, body });
        Ok(())
    }

    pub(super) fn timer(&mut self) -> Parsed<()> {
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

    pub(super) fn work(&mut self) -> Parsed<()> {
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

    pub(super) fn task(&mut self, mut flags: TaskFlags) -> Parsed<()> {
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
