//! Reports as text: the kernel's headlines and structure, our words, 80 columns where names allow.

use crate::key::{Read, WaitType};
use crate::report::{ClassRef, Detail, HeldLock, PathStep, Rcu, Report, Trace};
use crate::scenario;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Formatter};

/// Turns the numbers that a report carries into words.
pub trait Sites {
    /// Writes a source position.
    ///
    /// # Errors
    /// If the formatter fails.
    fn site(&self, site: u32, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "site {site}")
    }

    /// Writes the name of a task.
    ///
    /// # Errors
    /// If the formatter fails.
    fn task(&self, task: u32, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "task {task}")
    }
}

/// Names nothing: positions and tasks stay numbers.
impl Sites for () {}

/// A function that names positions.
impl<F: Fn(u32) -> String> Sites for F {
    fn site(&self, site: u32, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self(site))
    }
}

struct Site<'a>(&'a dyn Sites, u32);
struct Task<'a>(&'a dyn Sites, u32);

impl fmt::Display for Site<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.site(self.1, f)
    }
}

impl fmt::Display for Task<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.task(self.1, f)
    }
}

impl Report {
    /// The report as text, with `sites` to name source positions and tasks.
    pub fn render<'a>(&'a self, sites: &'a dyn Sites) -> impl fmt::Display + 'a {
        Rendered {
            report: self,
            sites,
        }
    }
}

struct Rendered<'a> {
    report: &'a Report,
    sites: &'a dyn Sites,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        self.body(f)?;
        self.held(f)
    }
}

/// `(name){usage}-{outer:inner}`, as `print_lock_name()` has it.
struct Class<'a>(&'a ClassRef, bool);

impl fmt::Display for Class<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(class, reclaim_fs) = self;
        let usage = class.usage.characters(*reclaim_fs);
        write!(
            f,
            "({class}){{{usage}}}-{{{}:{}}}",
            class.wait_type_outer as u8, class.wait_type_inner as u8
        )
    }
}

fn mode(read: Read) -> &'static str {
    match read {
        Read::Exclusive => "",
        Read::Shared => ", as reader",
        Read::Recursive => ", as recursive reader",
    }
}

fn wait_context(context: WaitType) -> &'static str {
    match context {
        WaitType::Max => "a task (5:5)",
        WaitType::Config => "a soft or threaded interrupt (3:3)",
        _ => "a hard interrupt (2:2)",
    }
}

impl<'a> Rendered<'a> {
    fn site(&self, site: u32) -> Site<'a> {
        Site(self.sites, site)
    }

    fn task(&self, task: u32) -> Task<'a> {
        Task(self.sites, task)
    }

    fn class<'b>(&self, class: &'b ClassRef) -> Class<'b> {
        Class(class, self.report.reclaim_fs)
    }

    fn seen(&self, f: &mut Formatter<'_>, trace: Trace) -> fmt::Result {
        writeln!(
            f,
            "       {}, by {}",
            self.site(trace.site),
            self.task(trace.task)
        )
    }

    fn lock(&self, f: &mut Formatter<'_>, lock: &HeldLock) -> fmt::Result {
        write!(
            f,
            "{}, instance {}{}",
            self.class(&lock.class),
            lock.map.instance,
            mode(lock.read)
        )?;
        if lock.trylock {
            f.write_str(", by trylock")?;
        }
        if lock.references != 0 {
            write!(f, ", counted {}", lock.references)?;
        }
        writeln!(f, ", at: {}", self.site(lock.site))
    }

    fn headline(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let title = match &self.report.detail {
            Detail::InvalidSubclass { subclass } => format!("{}: {subclass}", self.report.title()),
            Detail::LocksHeldAtExit { .. } => {
                format!(
                    "WARNING: {} {}",
                    self.task(self.report.task),
                    self.report.title()
                )
            }
            _ if self.report.title().starts_with("BUG:") => self.report.title(),
            _ => format!("WARNING: {}", self.report.title()),
        };
        let rule = title.chars().count();
        writeln!(f, "{:=<rule$}\n{title}\n{:-<rule$}", "", "")?;
        writeln!(
            f,
            "{}, at: {}",
            self.task(self.report.task),
            self.site(self.report.site)
        )
    }

    fn acquiring(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(lock) = &self.report.acquiring else {
            return Ok(());
        };
        write!(f, "\nit acquires:\n ")?;
        self.lock(f, lock)
    }

    /// The held lock of the class that the report is about.
    fn holding(&self, f: &mut Formatter<'_>, class: &ClassRef) -> fmt::Result {
        let Some(held) = self
            .report
            .held
            .iter()
            .rev()
            .find(|held| held.class.id == class.id)
        else {
            return Ok(());
        };
        write!(f, "\nwhile it holds:\n ")?;
        self.lock(f, held)
    }

    fn held(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let task = self.task(self.report.task);
        match self.report.held.len() {
            0 => return writeln!(f, "\nno locks held by {task}."),
            1 => writeln!(f, "\n1 lock held by {task}:")?,
            n => writeln!(f, "\n{n} locks held by {task}:")?,
        }
        for (n, lock) in self.report.held.iter().enumerate() {
            write!(f, " #{n}: ")?;
            self.lock(f, lock)?;
        }
        Ok(())
    }

    /// Dependencies from the last step to the first.
    fn chain(&self, f: &mut Formatter<'_>, path: &[PathStep]) -> fmt::Result {
        for (n, step) in path.iter().enumerate().rev() {
            writeln!(f, "-> #{n} {}:", self.class(&step.class))?;
            match step.dependency {
                Some(dependency) => self.dependency(f, &dependency)?,
                None => writeln!(f, "       {}", self.site(self.report.site))?,
            }
        }
        Ok(())
    }

    fn dependency(&self, f: &mut Formatter<'_>, dependency: &crate::Dependency) -> fmt::Result {
        writeln!(
            f,
            "       taken: {}, by {}",
            self.site(dependency.next.site),
            self.task(dependency.next.task)
        )?;
        writeln!(f, "       under: {}", self.site(dependency.prev.site))
    }

    fn body(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.report.detail {
            Detail::Circular { prev, next, path } => self.circular(f, prev, next, path),
            Detail::Recursive {
                class,
                prev_read,
                next_read,
                ..
            } => {
                self.acquiring(f)?;
                self.holding(f, class)?;
                scenario::recursive(f, class, *prev_read, *next_read)
            }
            Detail::InconsistentState {
                class,
                from,
                to,
                registered,
            } => {
                writeln!(f, "\ninconsistent {{{from}}} -> {{{to}}} usage.")?;
                writeln!(f, "\nthe lock:\n {}", self.class(class))?;
                writeln!(f, "\nwas marked {{{from}}} at:")?;
                self.seen(f, *registered)?;
                scenario::usage(f, class, *from)
            }
            Detail::IrqInversion { .. } => self.inversion(f),
            Detail::SafeUnsafe { .. } => self.safe_unsafe(f),
            _ => self.particulars(f),
        }
    }

    fn circular(
        &self,
        f: &mut Formatter<'_>,
        prev: &ClassRef,
        next: &ClassRef,
        path: &[PathStep],
    ) -> fmt::Result {
        self.acquiring(f)?;
        self.holding(f, prev)?;
        writeln!(f, "\nbut there are dependencies the other way round.")?;
        writeln!(f, "\nthe existing dependency chain, in reverse order:\n")?;
        self.chain(f, path)?;
        writeln!(f, "\nother information:")?;
        scenario::circular(f, prev, next, path, self.report)
    }

    fn inversion(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Detail::IrqInversion {
            this,
            other,
            bit,
            new_bit,
            forwards,
            path,
            registered,
        } = &self.report.detail
        else {
            return Ok(());
        };
        let order = if *forwards {
            "is taken before"
        } else {
            "is taken under"
        };
        writeln!(
            f,
            "\nthe lock:\n {}\ngot the usage {{{new_bit}}}",
            self.class(this)
        )?;
        writeln!(
            f,
            "\nand {order} the lock:\n {}\nwhich was marked {{{bit}}} at:",
            self.class(other)
        )?;
        self.seen(f, *registered)?;
        writeln!(f, "\nthe dependencies between them, in reverse order:\n")?;
        self.chain(f, path)?;
        let (safe, r#unsafe) = if new_bit.is_enabled() {
            (other, this)
        } else {
            (this, other)
        };
        let middle = match (*forwards, path.as_slice()) {
            (true, [_, middle, ..]) => &middle.class,
            (false, [.., middle, _]) => &middle.class,
            _ => r#unsafe,
        };
        scenario::irq(f, safe, middle, r#unsafe, *bit)
    }

    fn safe_unsafe(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Detail::SafeUnsafe {
            prev,
            next,
            safe,
            r#unsafe,
            safe_bit,
            unsafe_bit,
            safe_path,
            unsafe_path,
            registered,
        } = &self.report.detail
        else {
            return Ok(());
        };
        self.acquiring(f)?;
        self.holding(f, prev)?;
        writeln!(
            f,
            "\nwhich makes the new dependency:\n {} -> {}",
            self.class(prev),
            self.class(next)
        )?;
        let irq = safe_bit.state_name();
        writeln!(
            f,
            "\nit connects the {irq}-safe lock:\n {}\nwhich was marked {{{safe_bit}}} at:",
            self.class(safe)
        )?;
        self.seen(f, registered[0])?;
        writeln!(
            f,
            "\nto the {irq}-unsafe lock:\n {}\nwhich was marked {{{unsafe_bit}}} at:",
            self.class(r#unsafe)
        )?;
        self.seen(f, registered[1])?;
        writeln!(
            f,
            "\nthe dependencies between the {irq}-safe lock and the held one:\n"
        )?;
        self.chain(f, safe_path)?;
        writeln!(
            f,
            "\nthe dependencies between the acquired lock and the {irq}-unsafe one:\n"
        )?;
        self.chain(f, unsafe_path)?;
        let middle = if prev.id == safe.id { next } else { prev };
        scenario::irq(f, safe, middle, r#unsafe, *safe_bit)
    }

    fn particulars(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.report.detail {
            Detail::WaitContext { context, .. } => {
                self.acquiring(f)?;
                writeln!(
                    f,
                    "\nother information: the context itself is that of {}",
                    wait_context(*context)
                )
            }
            Detail::NestNotHeld { nest, .. } => {
                self.acquiring(f)?;
                writeln!(f, "\nbut it does not hold the nest lock:\n {nest}")
            }
            Detail::BadUnlock { lock, map, .. } => {
                writeln!(
                    f,
                    "\nit releases or changes:\n ({lock}), instance {}\nbut does not hold it in this context.",
                    map.instance
                )
            }
            Detail::HeldLockFreed { class } => {
                writeln!(
                    f,
                    "\nit frees memory with a lock in it that is still held:\n {}",
                    self.class(class)
                )
            }
            Detail::SleepInAtomic {
                preempt_count,
                irqs_disabled,
            } => {
                writeln!(
                    f,
                    "\nin_atomic(): {}, irqs_disabled(): {}",
                    u8::from(*preempt_count != 0),
                    u8::from(*irqs_disabled)
                )?;
                writeln!(f, "preempt_count: {preempt_count:x}, expected: 0")
            }
            Detail::SuspiciousRcu { flavour } => writeln!(f, "\n{}", rcu_message(*flavour)),
            Detail::AssertHeld { lock, map, read } => {
                let how = match read {
                    None => "held",
                    Some(true) => "held by a reader",
                    Some(false) => "held by a writer",
                };
                writeln!(f, "\nnot {how}:\n ({lock}), instance {}", map.instance)
            }
            _ => Ok(()),
        }
    }
}

/// What `rcu_sleep_check()` says of a flavour.
pub(crate) fn rcu_message(flavour: Rcu) -> &'static str {
    match flavour {
        Rcu::Preempt => "Illegal context switch in RCU read-side critical section",
        Rcu::Bh => "Illegal context switch in RCU-bh read-side critical section",
        Rcu::Sched => "Illegal context switch in RCU-sched read-side critical section",
    }
}

impl Rcu {
    /// What `rcu_sleep_check()` says when a task might sleep in a section of this flavour.
    pub fn message(self) -> &'static str {
        rcu_message(self)
    }
}
