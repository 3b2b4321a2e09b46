//! Lock programs from bytes, for the fuzzer and for random tests.

use super::row::Program;
use arbitrary::{Result, Unstructured};

const KINDS: [&str; 11] = [
    "spin",
    "rwlock",
    "raw_spin",
    "rwsem",
    "mutex",
    "inv",
    "local",
    "rtmutex",
    "rcu_like",
    "override",
    "override_sleep",
];
const GFP: [&str; 8] = [
    "GFP_KERNEL",
    "GFP_ATOMIC",
    "GFP_NOFS",
    "GFP_NOIO",
    "GFP_KERNEL|__GFP_NOLOCKDEP",
    "__GFP_FS",
    "__GFP_DIRECT_RECLAIM|__GFP_FS",
    "GFP_NOWAIT|__GFP_NOMEMALLOC",
];
const MAX_OPS: usize = 120;

/// What one thread has open.
#[derive(Clone, Default)]
struct Thread {
    /// Held locks, and the operations that close the contexts it is in, innermost last.
    open: Vec<Open>,
}

#[derive(Clone, PartialEq)]
enum Open {
    Lock(usize),
    Context(String),
}

/// Which features a program draws on. Few at a time reach further than all at once.
struct Swarm {
    /// Anything anywhere; otherwise scopes nest and what is an error by itself is rare.
    wild: bool,
    reads: bool,
    trylocks: bool,
    subclasses: bool,
    nests: bool,
    /// Locks are taken although one of the class is held.
    relocks: bool,
    /// Mostly in the order of the classes' names.
    ordered: bool,
    contexts: bool,
    /// Classes (by position) that are mostly taken inside contexts, the others outside.
    inside: Option<u8>,
    reclaim: bool,
}

struct Generator<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    swarm: Swarm,
    /// Name and class of every lock.
    locks: Vec<(String, String)>,
    threads: Vec<Thread>,
    current: usize,
    ops: Vec<String>,
}

impl Program {
    /// Any bytes give a legal program; the same bytes give the same one.
    pub fn generate(bytes: &[u8]) -> Self {
        let mut u = Unstructured::new(bytes);
        let (classes, locks, ops) = generate(&mut u).unwrap_or_default();
        match Self::from_parts("generated", classes, locks, ops) {
            Ok(program) => program,
            Err(error) => unreachable!("the generator writes legal operations: {error}"),
        }
    }
}

type Parts = (Vec<(String, String)>, Vec<(String, String)>, Vec<String>);

fn generate(u: &mut Unstructured<'_>) -> Result<Parts> {
    let swarm = Swarm {
        wild: u.ratio(1, 8)?,
        reads: u.ratio(2, 3)?,
        trylocks: u.ratio(1, 3)?,
        subclasses: u.ratio(1, 3)?,
        nests: u.ratio(1, 6)?,
        relocks: u.ratio(1, 6)?,
        ordered: u.ratio(1, 2)?,
        contexts: u.ratio(3, 4)?,
        inside: if u.ratio(2, 3)? {
            Some(u.arbitrary()?)
        } else {
            None
        },
        reclaim: u.ratio(1, 5)?,
    };
    // All of one type, so that waiting is no issue; or ordinary ones; or anything.
    let one = *u.choose(&["inv", "raw_spin", "raw_spin", "rwlock", "spin", "rwsem"])?;
    let kinds = match u.int_in_range(0..=9)? {
        0 => &KINDS[..],
        1 => &KINDS[..5],
        _ => std::slice::from_ref(&one),
    };
    let mut classes = Vec::new();
    let mut locks = Vec::new();
    for n in 0..u.int_in_range(2..=6)? {
        let class = char::from(b'A' + n).to_string();
        classes.push((class.clone(), (*u.choose(kinds)?).to_owned()));
        for instance in 1..=u.int_in_range(1..=2)? {
            locks.push((format!("{}{instance}", class.to_lowercase()), class.clone()));
        }
    }
    let threads = vec![Thread::default(); 3];
    let mut generator = Generator {
        u,
        swarm,
        locks: locks.clone(),
        threads,
        current: 0,
        ops: Vec::new(),
    };
    while generator.ops.len() < MAX_OPS && !generator.u.is_empty() {
        // A byte string that ends in the middle of an operation ends the program before it.
        if generator.op().is_err() {
            break;
        }
    }
    Ok((classes, locks, generator.ops))
}

impl Generator<'_, '_> {
    fn thread(&mut self) -> &mut Thread {
        &mut self.threads[self.current]
    }

    fn held(&self) -> Vec<usize> {
        let lock = |open: &Open| match open {
            Open::Lock(lock) => Some(*lock),
            Open::Context(_) => None,
        };
        self.threads[self.current]
            .open
            .iter()
            .filter_map(lock)
            .collect()
    }

    fn lock(&mut self) -> Result<usize> {
        self.u.choose_index(self.locks.len())
    }

    /// A lock that the thread holds, if it holds any and luck wills it.
    fn likely_held(&mut self) -> Result<usize> {
        let held = self.held();
        if held.is_empty() || self.swarm.wild && self.u.ratio(1, 8)? {
            return self.lock();
        }
        self.u.choose(&held).copied()
    }

    fn op(&mut self) -> Result<()> {
        match self.u.int_in_range(0..=99)? {
            0..=36 => self.acquire(),
            37..=76 => self.close(),
            77..=89 => self.open(),
            90..=93 => {
                self.current = self.u.choose_index(self.threads.len())?;
                self.ops.push(format!("THREAD {}", self.current));
                Ok(())
            }
            _ => self.rare(),
        }
    }

    fn flags(&mut self) -> Result<String> {
        let mut flags = String::new();
        if self.swarm.reads && self.u.ratio(1, 2)? {
            flags += if self.u.ratio(1, 2)? {
                " read=2"
            } else {
                " read=1"
            };
        }
        if self.swarm.trylocks && self.u.ratio(1, 5)? {
            flags += " try";
        }
        if self.swarm.subclasses && self.u.ratio(1, 4)? {
            flags += &format!(" sub={}", self.u.int_in_range(1..=2)?);
        }
        if self.swarm.nests && self.u.ratio(1, 3)? && (self.swarm.wild || !self.held().is_empty()) {
            let nest = self.likely_held()?;
            flags += &format!(" nest={}", self.locks[nest].0);
        }
        if self.u.ratio(1, 25)? {
            flags += " nocheck";
        }
        Ok(flags)
    }

    fn acquire(&mut self) -> Result<()> {
        let (lock, flags) = (self.lock()?, self.flags()?);
        let holds = |fits: fn(&String, &String) -> bool| {
            self.held()
                .iter()
                .any(|held| fits(&self.locks[*held].1, &self.locks[lock].1))
        };
        if !self.swarm.relocks && holds(|held, new| held == new) {
            return Ok(());
        }
        if self.swarm.ordered && holds(|held, new| held > new) && self.u.ratio(31, 32)? {
            return Ok(());
        }
        if let Some(inside) = self.swarm.inside
            && self.swarm.contexts
        {
            let class = self.locks[lock].1.bytes().next().unwrap_or(b'A') - b'A';
            let in_context = self
                .thread()
                .open
                .iter()
                .any(|open| matches!(open, Open::Context(_)));
            let misplaced = match inside >> class & 1 {
                0 => in_context && self.u.ratio(7, 8)?,
                _ => !in_context && self.u.ratio(31, 32)?,
            };
            if misplaced {
                return Ok(());
            }
        }
        self.ops.push(format!("L {}{flags}", self.locks[lock].0));
        self.thread().open.push(Open::Lock(lock));
        Ok(())
    }

    /// Releases a lock or leaves a context: usually the latest.
    fn close(&mut self) -> Result<()> {
        let open = self.thread().open.len();
        let Some(mut at) = open.checked_sub(1) else {
            return Ok(());
        };
        if self.u.ratio(1, 5)? {
            let any = self.u.choose_index(open)?;
            // Without wildness only locks change their order, and not across contexts.
            let between = &self.thread().open[any..];
            if between.iter().all(|open| matches!(open, Open::Lock(_))) || self.swarm.wild {
                at = any;
            }
        }
        let op = match self.thread().open.remove(at) {
            Open::Lock(lock) => format!("U {}", self.locks[lock].0),
            Open::Context(close) => close,
        };
        self.ops.push(op);
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let in_hardirq = self
            .thread()
            .open
            .contains(&Open::Context("HARDIRQ}".to_owned()));
        if in_hardirq && !self.swarm.wild {
            return Ok(());
        }
        let gfp = *self.u.choose(&GFP)?;
        let context = self
            .swarm
            .contexts
            .then(|| self.u.int_in_range(0..=12))
            .transpose()?;
        let scope = self
            .swarm
            .reclaim
            .then(|| self.u.int_in_range(13..=16))
            .transpose()?;
        let Some(choice) = (if self.u.ratio(1, 4)? {
            scope.or(context)
        } else {
            context.or(scope)
        }) else {
            return Ok(());
        };
        let (open, close) = match choice {
            0..=2 => ("IRQ-".into(), "IRQ+".into()),
            3 => ("BH-".into(), "BH+".into()),
            4 | 11 => ("HARDIRQ{".into(), "HARDIRQ}".into()),
            5 | 12 => ("HARDIRQ{ nothread".into(), "HARDIRQ}".into()),
            6 | 10 => ("SOFTIRQ{".into(), "SOFTIRQ}".into()),
            7 => ("RCU{".into(), "RCU}".into()),
            8 => ("RCUBH{".into(), "RCUBH}".into()),
            9 => ("RCUSCHED{".into(), "RCUSCHED}".into()),
            13 => ("NOFS{".into(), "NOFS}".into()),
            14 => ("NORECLAIM{".into(), "NORECLAIM}".into()),
            _ => (format!("RECLAIM{{ {gfp}"), format!("RECLAIM}} {gfp}")),
        };
        self.ops.push(open);
        self.thread().open.push(Open::Context(close));
        Ok(())
    }

    fn rare(&mut self) -> Result<()> {
        let (held, any) = (self.likely_held()?, self.lock()?);
        let (held, any) = (self.locks[held].0.clone(), self.locks[any].0.clone());
        let state = self.u.int_in_range(-1..=1)?;
        let choice = self.u.int_in_range(0..=10)?;
        // What needs a held lock, and what needs none.
        let fits = match choice {
            0..=3 => !self.held().is_empty(),
            4..=9 => self.thread().open.is_empty(),
            _ => true,
        };
        if !fits && !self.swarm.wild {
            return Ok(());
        }
        let op = match choice {
            0 => format!("DG {held}"),
            1 => format!("SETSUB {held} {}", self.u.int_in_range(0..=2)?),
            2 => return self.pin(&held),
            3 => format!("ASSERT {held} {}", if self.swarm.wild { state } else { -1 }),
            4 => format!("SYNC {any}{}", self.flags()?),
            5 => format!("INIT {any}"),
            6 => format!("FREE {any}"),
            7 => (*self.u.choose(&["EXIT", "SYSEXIT"])?).to_owned(),
            8 => "SLEEP".to_owned(),
            9 => format!("ALLOC {}", self.u.choose(&GFP)?),
            _ => format!("Q {any} {state}"),
        };
        self.ops.push(op);
        Ok(())
    }

    fn pin(&mut self, lock: &str) -> Result<()> {
        if self.u.ratio(7, 8)? {
            self.ops.push(format!("PIN {lock}"));
        }
        if self.u.ratio(7, 8)? {
            self.ops.push(format!("UNPIN {lock}"));
        }
        Ok(())
    }
}
