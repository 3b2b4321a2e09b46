//! Executes lock programs.

use super::answer::{Answer, GraphAnswer};
use super::gfp::{Gfp, PF_MEMALLOC, PF_MEMALLOC_NOFS, PF_MEMALLOC_NOIO};
use super::op::{How, Kind, LockOp, Scope, THREADS};
use super::row::{LockKind, Program};
use ksplat_lockdep::{
    Acquire, Config, HeldState, Key, KeyInfo, LockMap, Lockdep, Outcome, PinCookie, Rcu, Report,
    SearchMode, TaskState,
};
use std::collections::BTreeMap;

/// Executes lock programs one after the other, each on an empty lockdep.
pub struct Runner {
    config: Config,
    lockdep: Lockdep,
    keys: BTreeMap<(String, LockKind), Key>,
    fs_reclaim: LockMap,
    threads: Vec<Thread>,
}

/// A thread of a program: it has its own CPU and its own flags.
struct Thread {
    task: TaskState,
    pf_flags: u8,
}

/// Keys that may pile up before the runner starts with a fresh engine.
const MAX_POOLED_KEYS: usize = 4000;

fn fs_reclaim(lockdep: &Lockdep) -> LockMap {
    LockMap::new(lockdep.register_key(KeyInfo::new("fs_reclaim")), 0)
}

/// A program in execution.
struct Execution<'a> {
    lockdep: &'a Lockdep,
    threads: &'a mut [Thread],
    current: usize,
    locks: Vec<Lock>,
    fs_reclaim: LockMap,
    /// What `memalloc_*_save()` returned: one stack for all threads.
    saved: Vec<u8>,
    queries: Vec<i64>,
}

struct Lock {
    map: LockMap,
    kind: LockKind,
    cookie: PinCookie,
}

impl Runner {
    /// A runner that stops each program at its first report, as the kernel's lockdep does.
    pub fn new(search: SearchMode) -> Self {
        Self::with_config(Config {
            search,
            ..Config::default()
        })
    }

    /// A runner with an engine of any configuration.
    pub fn with_config(config: Config) -> Self {
        let lockdep = Lockdep::new(config);
        let fs_reclaim = fs_reclaim(&lockdep);
        let threads = (0..THREADS as u32).map(|id| Thread {
            task: TaskState::new(id),
            pf_flags: 0,
        });
        Self {
            config,
            lockdep,
            keys: BTreeMap::new(),
            fs_reclaim,
            threads: threads.collect(),
        }
    }

    /// The engine, in the state in which the last program left it.
    pub fn lockdep(&self) -> &Lockdep {
        &self.lockdep
    }

    fn prepare(&mut self, program: &Program) {
        if self.keys.len() + program.classes.len() > MAX_POOLED_KEYS {
            self.lockdep = Lockdep::new(self.config);
            self.fs_reclaim = fs_reclaim(&self.lockdep);
            self.keys.clear();
        }
        self.lockdep.reset();
        for thread in &mut self.threads {
            thread.task.reset();
            thread.pf_flags = 0;
        }
    }

    fn key(&mut self, class: &(String, LockKind)) -> Key {
        if let Some(key) = self.keys.get(class) {
            return *key;
        }
        let key = self.lockdep.register_key(class.1.key_info(&class.0));
        self.keys.insert(class.clone(), key);
        key
    }

    /// Executes a program up to its first report.
    pub fn run(&mut self, program: &Program) -> Answer {
        let mut execution = self.execution(program);
        let step =
            |(n, op): (usize, &LockOp)| execution.step(*op, n as u32).err().map(|id| (n, id));
        let stopped = program.ops.iter().enumerate().find_map(step);
        let queries = execution.queries;
        Answer::new(program, &self.lockdep, stopped, queries)
    }

    /// Executes a program to its end, whatever is reported, on an engine that goes on after reports.
    pub fn run_through(&mut self, program: &Program) -> (GraphAnswer, Vec<Report>) {
        let mut execution = self.execution(program);
        for (n, op) in program.ops.iter().enumerate() {
            // The engine keeps its reports.
            let _ = execution.step(*op, n as u32);
        }
        (GraphAnswer::new(&self.lockdep), self.lockdep.reports())
    }

    fn execution(&mut self, program: &Program) -> Execution<'_> {
        self.prepare(program);
        let keys: Vec<Key> = program
            .classes
            .iter()
            .map(|class| self.key(class))
            .collect();
        let lock = |(n, (_, class)): (usize, &(String, usize))| Lock {
            map: LockMap::new(keys[*class], n as u32),
            kind: program.classes[*class].1,
            cookie: PinCookie::default(),
        };
        Execution {
            lockdep: &self.lockdep,
            threads: &mut self.threads,
            current: 0,
            locks: program.locks.iter().enumerate().map(lock).collect(),
            fs_reclaim: self.fs_reclaim,
            saved: Vec::new(),
            queries: Vec::new(),
        }
    }
}

impl Execution<'_> {
    fn task(&mut self) -> &mut TaskState {
        &mut self.threads[self.current].task
    }

    fn acquire(&self, how: How, site: u32) -> Acquire {
        Acquire {
            subclass: how.subclass,
            trylock: how.trylock,
            read: how.read,
            check: how.check,
            nest: how.nest.map(|lock| self.locks[lock].map),
            site,
        }
    }

    fn step(&mut self, op: LockOp, site: u32) -> Outcome {
        let lockdep = self.lockdep;
        match op.0 {
            Kind::Thread(thread) => self.current = thread,
            Kind::Lock(lock, how) => self.lock(lock, how, site)?,
            Kind::Unlock(lock) => self.unlock(lock, site)?,
            Kind::Sync(lock, how) => {
                let (map, how) = (self.locks[lock].map, self.acquire(how, site));
                lockdep.sync(self.task(), map, how)?;
            }
            Kind::Downgrade(lock) => {
                let map = self.locks[lock].map;
                lockdep.downgrade(self.task(), map, site)?;
            }
            Kind::SetSubclass(lock, subclass) => {
                let map = self.locks[lock].map;
                lockdep.set_subclass(self.task(), map, subclass, site)?;
            }
            Kind::Pin(lock) => {
                let map = self.locks[lock].map;
                self.locks[lock].cookie = lockdep.pin(self.task(), map, site)?;
            }
            Kind::Unpin(lock) => {
                let (map, cookie) = (self.locks[lock].map, self.locks[lock].cookie);
                lockdep.unpin(self.task(), map, cookie, site)?;
            }
            Kind::Init(lock) | Kind::Free(lock) => {
                let map = self.locks[lock].map;
                lockdep.check_no_locks_freed(self.task(), map, site)?;
            }
            Kind::Exit => lockdep.check_no_locks_held(self.task(), site)?,
            Kind::SysExit => lockdep.sys_exit(self.task(), site)?,
            Kind::Query(lock, read) => self.query(lock, read, site)?,
            Kind::Assert(lock, read) => {
                let map = self.locks[lock].map;
                lockdep.assert_held(self.task(), map, read, site)?;
            }
            Kind::Sleep => lockdep.might_sleep(self.task(), site)?,
            Kind::ReclaimEnter(gfp) => self.reclaim_enter(gfp, site)?,
            Kind::ReclaimExit(gfp) => self.reclaim_exit(gfp, site)?,
            Kind::Alloc(gfp) => self.alloc(gfp, site)?,
            Kind::Save(scope) => self.save(scope),
            Kind::Restore => self.restore(),
            Kind::RcuLock(flavour) => self.rcu_lock(flavour, site)?,
            Kind::RcuUnlock(flavour) => self.rcu_unlock(flavour, site)?,
            context => self.context(context, site)?,
        }
        Ok(())
    }

    fn context(&mut self, op: Kind, site: u32) -> Outcome {
        let lockdep = self.lockdep;
        let task = self.task();
        match op {
            Kind::IrqOff => task.hardirqs_off(),
            Kind::IrqOn => lockdep.hardirqs_on(task, site)?,
            Kind::BhOff => task.local_bh_disable(),
            Kind::BhOn => lockdep.local_bh_enable(task, site)?,
            Kind::HardirqEnter { threaded } => {
                task.hardirqs_off();
                task.hardirq_enter(threaded);
            }
            Kind::HardirqExit => {
                task.hardirq_exit();
                lockdep.hardirqs_on(task, site)?;
            }
            Kind::SoftirqEnter => {
                task.local_bh_disable();
                task.hardirqs_off();
                task.softirq_enter();
            }
            Kind::SoftirqExit => {
                task.softirq_exit();
                lockdep.hardirqs_on(task, site)?;
                lockdep.local_bh_enable(task, site)?;
            }
            _ => unreachable!("`step` executes all others"),
        }
        Ok(())
    }

    fn lock(&mut self, lock: usize, how: How, site: u32) -> Outcome {
        let (map, kind, how) = (
            self.locks[lock].map,
            self.locks[lock].kind,
            self.acquire(how, site),
        );
        let outcome = self.lockdep.acquire(self.task(), map, how);
        if kind.disables_preemption() {
            self.task().preempt_disable();
        }
        outcome
    }

    fn unlock(&mut self, lock: usize, site: u32) -> Outcome {
        let Lock { map, kind, .. } = self.locks[lock];
        self.lockdep.release(self.task(), map, site)?;
        if kind.disables_preemption() {
            self.task().preempt_enable();
        }
        Ok(())
    }

    fn query(&mut self, lock: usize, read: Option<bool>, site: u32) -> Outcome {
        let map = self.locks[lock].map;
        let lockdep = self.lockdep;
        let state = lockdep.is_held(self.task(), map, read, site);
        self.queries.push(match state {
            Ok(HeldState::Held) => 1,
            Ok(HeldState::NotHeld) | Err(_) => 0,
            Ok(HeldState::Unknown) => -1,
        });
        state.map(|_| ())
    }

    fn rcu_lock(&mut self, flavour: Rcu, site: u32) -> Outcome {
        match flavour {
            Rcu::Preempt | Rcu::Sched => self.task().preempt_disable(),
            Rcu::Bh => self.task().local_bh_disable(),
        }
        self.lockdep
            .rcu_read_lock(&mut self.threads[self.current].task, flavour, site)
    }

    fn rcu_unlock(&mut self, flavour: Rcu, site: u32) -> Outcome {
        let lockdep = self.lockdep;
        lockdep.rcu_read_unlock(self.task(), flavour, site)?;
        match flavour {
            Rcu::Preempt | Rcu::Sched => self.task().preempt_enable(),
            Rcu::Bh => lockdep.local_bh_enable(self.task(), site)?,
        }
        Ok(())
    }

    fn reclaim_enter(&mut self, gfp: Gfp, site: u32) -> Outcome {
        let (lockdep, map) = (self.lockdep, self.fs_reclaim);
        if !gfp.enters_fs_reclaim(self.threads[self.current].pf_flags) {
            return Ok(());
        }
        lockdep.acquire(self.task(), map, Acquire::at(site))
    }

    fn reclaim_exit(&mut self, gfp: Gfp, site: u32) -> Outcome {
        let (lockdep, map) = (self.lockdep, self.fs_reclaim);
        if !gfp.enters_fs_reclaim(self.threads[self.current].pf_flags) {
            return Ok(());
        }
        lockdep.release(self.task(), map, site)
    }

    /// `might_alloc()`.
    fn alloc(&mut self, gfp: Gfp, site: u32) -> Outcome {
        self.reclaim_enter(gfp, site)?;
        self.reclaim_exit(gfp, site)?;
        if gfp.allows_blocking() {
            let lockdep = self.lockdep;
            lockdep.might_sleep(self.task(), site)?;
        }
        Ok(())
    }

    fn save(&mut self, scope: Scope) {
        let flag = match scope {
            Scope::NoReclaim => PF_MEMALLOC,
            Scope::NoFs => PF_MEMALLOC_NOFS,
            Scope::NoIo => PF_MEMALLOC_NOIO,
        };
        let flags = &mut self.threads[self.current].pf_flags;
        self.saved.push(flag & !*flags);
        *flags |= flag;
    }

    fn restore(&mut self) {
        let saved = self.saved.pop().unwrap_or(0);
        self.threads[self.current].pf_flags &= !saved;
    }
}
