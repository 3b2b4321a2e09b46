//! The operations of a lock program.

use super::gfp::Gfp;
use ksplat_lockdep::{Rcu, Read};
use std::collections::BTreeMap;

/// A task-wide allocation scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `memalloc_noreclaim_save()`.
    NoReclaim,
    /// `memalloc_nofs_save()`.
    NoFs,
    /// `memalloc_noio_save()`.
    NoIo,
}

/// How a lock is taken, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct How {
    pub(super) subclass: u8,
    pub(super) trylock: bool,
    pub(super) read: Read,
    pub(super) check: bool,
    pub(super) nest: Option<usize>,
}

/// One operation. Locks are positions in [`super::Program`]'s list of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOp(pub(super) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Thread(usize),
    Lock(usize, How),
    Unlock(usize),
    Sync(usize, How),
    Downgrade(usize),
    SetSubclass(usize, u8),
    Pin(usize),
    Unpin(usize),
    Init(usize),
    Free(usize),
    Exit,
    SysExit,
    Query(usize, Option<bool>),
    Assert(usize, Option<bool>),
    IrqOff,
    IrqOn,
    BhOff,
    BhOn,
    HardirqEnter { threaded: bool },
    HardirqExit,
    SoftirqEnter,
    SoftirqExit,
    RcuLock(Rcu),
    RcuUnlock(Rcu),
    Sleep,
    ReclaimEnter(Gfp),
    ReclaimExit(Gfp),
    Alloc(Gfp),
    Save(Scope),
    Restore,
}

/// Threads a program may have.
pub(super) const THREADS: usize = 8;

/// The words of an operation that are still to be read.
struct Words<'a> {
    words: std::str::SplitAsciiWhitespace<'a>,
    locks: &'a BTreeMap<&'a str, usize>,
}

impl LockOp {
    /// Reads an operation such as `L a1 read=2 nest=b1`.
    pub(super) fn parse(text: &str, locks: &BTreeMap<&str, usize>) -> Result<Self, String> {
        let mut words = Words {
            words: text.split_ascii_whitespace(),
            locks,
        };
        let name = words.next("an operation")?;
        let kind = words.kind(name)?;
        match words.words.next() {
            Some(word) => Err(format!("`{name}` does not take `{word}`")),
            None => Ok(Self(kind)),
        }
    }
}

impl<'a> Words<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        self.words
            .next()
            .ok_or_else(|| format!("{expected} expected"))
    }

    fn lock(&mut self) -> Result<usize, String> {
        let name = self.next("the name of a lock")?;
        self.lock_named(name)
    }

    fn lock_named(&self, name: &str) -> Result<usize, String> {
        self.locks
            .get(name)
            .copied()
            .ok_or_else(|| format!("lock `{name}` is not in `locks`"))
    }

    fn gfp(&mut self) -> Result<Gfp, String> {
        Gfp::parse(self.next("gfp flags")?)
    }

    fn read_state(&mut self) -> Result<Option<bool>, String> {
        match self.next("-1, 0 or 1")? {
            "-1" => Ok(None),
            "0" => Ok(Some(false)),
            "1" => Ok(Some(true)),
            other => Err(format!("-1, 0 or 1 expected, not `{other}`")),
        }
    }

    fn subclass(text: &str) -> Result<u8, String> {
        text.parse()
            .map_err(|_| format!("a subclass from 0 to 255 expected, not `{text}`"))
    }

    fn thread(&mut self) -> Result<usize, String> {
        let text = self.next("the number of a thread")?;
        match text.parse() {
            Ok(thread) if thread < THREADS => Ok(thread),
            _ => Err(format!(
                "a thread from 0 to {} expected, not `{text}`",
                THREADS - 1
            )),
        }
    }

    fn how(&mut self) -> Result<How, String> {
        let mut how = How {
            subclass: 0,
            trylock: false,
            read: Read::Exclusive,
            check: true,
            nest: None,
        };
        for word in self.words.by_ref() {
            match word.split_once('=') {
                Some(("read", read)) => {
                    let read: Option<u8> = read.parse().ok();
                    how.read = read
                        .and_then(|r| Read::try_from(r).ok())
                        .ok_or("read=0, 1 or 2 expected")?;
                }
                Some(("sub", subclass)) => how.subclass = Self::subclass(subclass)?,
                Some(("nest", lock)) => {
                    let nest = self.locks.get(lock).copied();
                    how.nest =
                        Some(nest.ok_or_else(|| format!("lock `{lock}` is not in `locks`"))?);
                }
                None if word == "try" => how.trylock = true,
                None if word == "nocheck" => how.check = false,
                _ => {
                    return Err(format!(
                        "read=, try, sub=, nest= or nocheck expected, not `{word}`"
                    ));
                }
            }
        }
        Ok(how)
    }

    fn threaded(&mut self) -> Result<bool, String> {
        match self.words.next() {
            None => Ok(true),
            Some("nothread") => Ok(false),
            Some(word) => Err(format!("`nothread` or nothing expected, not `{word}`")),
        }
    }

    fn kind(&mut self, name: &str) -> Result<Kind, String> {
        Ok(match name {
            "THREAD" => Kind::Thread(self.thread()?),
            "L" => Kind::Lock(self.lock()?, self.how()?),
            "U" => Kind::Unlock(self.lock()?),
            "SYNC" => Kind::Sync(self.lock()?, self.how()?),
            "DG" => Kind::Downgrade(self.lock()?),
            "SETSUB" => Kind::SetSubclass(self.lock()?, Self::subclass(self.next("a subclass")?)?),
            "PIN" => Kind::Pin(self.lock()?),
            "UNPIN" => Kind::Unpin(self.lock()?),
            "INIT" => Kind::Init(self.lock()?),
            "FREE" => Kind::Free(self.lock()?),
            "EXIT" => Kind::Exit,
            "SYSEXIT" => Kind::SysExit,
            "Q" => Kind::Query(self.lock()?, self.read_state()?),
            "ASSERT" => Kind::Assert(self.lock()?, self.read_state()?),
            "SLEEP" => Kind::Sleep,
            "RECLAIM{" => Kind::ReclaimEnter(self.gfp()?),
            "RECLAIM}" => Kind::ReclaimExit(self.gfp()?),
            "ALLOC" => Kind::Alloc(self.gfp()?),
            _ => return self.context(name),
        })
    }

    fn context(&mut self, name: &str) -> Result<Kind, String> {
        Ok(match name {
            "IRQ-" => Kind::IrqOff,
            "IRQ+" => Kind::IrqOn,
            "BH-" => Kind::BhOff,
            "BH+" => Kind::BhOn,
            "HARDIRQ{" => Kind::HardirqEnter {
                threaded: self.threaded()?,
            },
            "HARDIRQ}" => Kind::HardirqExit,
            "SOFTIRQ{" => Kind::SoftirqEnter,
            "SOFTIRQ}" => Kind::SoftirqExit,
            "RCU{" => Kind::RcuLock(Rcu::Preempt),
            "RCU}" => Kind::RcuUnlock(Rcu::Preempt),
            "RCUBH{" => Kind::RcuLock(Rcu::Bh),
            "RCUBH}" => Kind::RcuUnlock(Rcu::Bh),
            "RCUSCHED{" => Kind::RcuLock(Rcu::Sched),
            "RCUSCHED}" => Kind::RcuUnlock(Rcu::Sched),
            "NORECLAIM{" => Kind::Save(Scope::NoReclaim),
            "NOFS{" => Kind::Save(Scope::NoFs),
            "NOIO{" => Kind::Save(Scope::NoIo),
            "NORECLAIM}" | "NOFS}" | "NOIO}" => Kind::Restore,
            _ => return Err(format!("unknown operation `{name}`")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LockOp, String> {
        LockOp::parse(text, &BTreeMap::from([("a", 0), ("b", 1)]))
    }

    #[test]
    fn flags_in_any_order() {
        let how = How {
            subclass: 2,
            trylock: true,
            read: Read::Recursive,
            check: false,
            nest: Some(1),
        };
        assert_eq!(
            parse("L a nocheck nest=b sub=2 read=2 try"),
            Ok(LockOp(Kind::Lock(0, how)))
        );
    }

    #[test]
    fn errors_name_what_was_expected() {
        for (text, error) in [
            ("", "an operation expected"),
            ("L", "the name of a lock expected"),
            ("L c", "lock `c` is not in `locks`"),
            ("L a read=3", "read=0, 1 or 2 expected"),
            ("L a nest=c", "lock `c` is not in `locks`"),
            ("U a b", "`U` does not take `b`"),
            ("THREAD 8", "a thread from 0 to 7 expected, not `8`"),
            ("ALLOC GFP", "unknown gfp flag `GFP`"),
            ("Q a 2", "-1, 0 or 1 expected, not `2`"),
            ("X", "unknown operation `X`"),
        ] {
            assert_eq!(parse(text).expect_err(text), error);
        }
    }
}
