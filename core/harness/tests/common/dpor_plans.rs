//! Random plans of worlds.

use super::{Plan, Stmt, VARS};
use ksplat_harness::explore::Rng;
use ksplat_kernel::sync::{Irq, LockKind};

/// Random programs.
struct Gen {
    rng: Rng,
    kinds: Vec<LockKind>,
    left: u32,
    rt: bool,
    /// Whether the statements are drawn from all there are.
    wide: bool,
}

impl Gen {
    fn below(&mut self, n: usize) -> usize {
        self.rng.below(n as u32) as usize
    }

    fn body(&mut self, depth: u32, sleep: bool, irq: bool) -> Vec<Stmt> {
        let n = 1 + self.below(3);
        let mut body = Vec::new();
        for _ in 0..n {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            body.push(self.stmt(depth, sleep, irq));
        }
        body
    }

    fn inner(&mut self, depth: u32, sleep: bool, irq: bool) -> Vec<Stmt> {
        if depth >= 2 {
            Vec::new()
        } else {
            self.body(depth + 1, sleep, irq)
        }
    }

    /// A statement that [`plain`] worlds do not have.
    fn rarer(&mut self, depth: u32, sleep: bool, irq: bool, l: usize, v: usize) -> Stmt {
        let kind = self.kinds[l];
        let spins = kind.spins(self.rt);
        let may = spins || sleep;
        match self.below(12) {
            0 | 1 if kind.shared() && may => {
                Stmt::TriedShared(l, self.inner(depth, sleep && !spins, irq))
            }
            2 if kind == LockKind::RwSem && sleep => {
                let writes = self.inner(depth, sleep, irq);
                Stmt::Lowered(l, writes, self.inner(depth, sleep, irq))
            }
            3 => Stmt::CompleteAll(self.below(2)),
            4 if sleep => Stmt::Nap,
            5 if !irq => Stmt::Relax,
            6 if !irq && sleep => Stmt::BhOff(self.inner(depth, self.rt, irq)),
            7 if may => Stmt::SeqWrite(self.inner(depth, self.rt && sleep, irq)),
            8 => Stmt::SeqRead(v),
            9 if !irq => Stmt::Srcu(self.inner(depth, sleep, irq)),
            10 if sleep => Stmt::SynchronizeSrcu,
            _ if may => Stmt::Locked(l, Irq::Plain, self.inner(depth, sleep && !spins, irq)),
            _ => Stmt::Load(v),
        }
    }

    fn stmt(&mut self, depth: u32, sleep: bool, irq: bool) -> Stmt {
        let l = self.below(self.kinds.len());
        let kind = self.kinds[l];
        let spins = kind.spins(self.rt);
        let v = self.below(VARS);
        let value = 1 + self.below(2) as u64;
        if self.wide && self.below(3) == 0 {
            return self.rarer(depth, sleep, irq, l, v);
        }
        match self.below(22) {
            0..=4 if spins || sleep => {
                let how = if spins && self.below(3) == 0 {
                    Irq::Save
                } else {
                    Irq::Plain
                };
                Stmt::Locked(l, how, self.inner(depth, sleep && !spins, irq))
            }
            5..=7 if kind.shared() && (spins || sleep) => {
                Stmt::Shared(l, self.inner(depth, sleep && !spins, irq))
            }
            8 | 9 if spins || sleep => Stmt::Tried(l, self.inner(depth, sleep && !spins, irq)),
            10 => Stmt::Complete(self.below(2)),
            11 if sleep => Stmt::Await(self.below(2)),
            12 => Stmt::TryAwait(self.below(2)),
            13 => Stmt::Choose(2 + self.below(2) as u32, v),
            14 => Stmt::Atomic(self.inner(depth, false, irq)),
            15 if !irq => Stmt::IrqOff(self.inner(depth, false, irq)),
            16 => Stmt::Rcu(self.inner(depth, false, irq)),
            17 if sleep => Stmt::Synchronize,
            18 if !irq => Stmt::Raise,
            19 if sleep => Stmt::WaitFor(v),
            20 => Stmt::SetAndWake(v),
            21 if !irq => Stmt::Spin(v),
            n if n % 2 == 0 => Stmt::Load(v),
            _ => Stmt::Store(v, value),
        }
    }
}

/// Locks, variables, completions, wait queues, RCU, data choices, spinning, and an interrupt.
pub fn plain(seed: u64) -> Plan {
    let mut rng = Rng::new(seed);
    let all = [
        LockKind::Mutex,
        LockKind::Spin,
        LockKind::RwSem,
        LockKind::RwLock,
    ];
    let kinds: Vec<LockKind> = (0..2).map(|_| all[rng.below(4) as usize]).collect();
    let mut bodies = Vec::new();
    let tasks = 2 + rng.below(2) as usize;
    let mut gen_ = Gen {
        rng,
        kinds: kinds.clone(),
        left: 0,
        rt: false,
        wide: false,
    };
    for _ in 0..tasks {
        gen_.left = if tasks == 2 { 5 } else { 3 };
        bodies.push(gen_.body(0, true, false));
    }
    let mut rng = gen_.rng;
    let irq = (rng.below(3) == 0).then_some(tasks);
    if irq.is_some() {
        let mut gen_ = Gen {
            rng,
            kinds: kinds.clone(),
            left: 2,
            rt: false,
            wide: false,
        };
        bodies.push(gen_.body(1, false, true));
        rng = gen_.rng;
    }
    let cpus = (0..bodies.len()).map(|_| rng.below(2) as u8).collect();
    Plan {
        kinds,
        bodies,
        cpus,
        irq,
        times: rng.below(2) as u16,
        checked: rng.below(3) == 0,
        rt: false,
        prios: vec![0; tasks + usize::from(irq.is_some())],
    }
}

/// All of that with every kind of lock, priorities and PREEMPT_RT, sequences, SRCU, bottom halves and giving way.
pub fn wide(seed: u64) -> Plan {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let all = [
        LockKind::RawSpin,
        LockKind::Spin,
        LockKind::RwLock,
        LockKind::Mutex,
        LockKind::RwSem,
        LockKind::PercpuRwSem,
        LockKind::RtMutex,
        LockKind::Bit,
    ];
    let kinds: Vec<LockKind> = (0..2)
        .map(|_| all[rng.below(all.len() as u32) as usize])
        .collect();
    let tasks = 2 + usize::from(rng.below(3) == 0);
    let rt = rng.below(3) == 0;
    let has_irq = rng.below(4) == 0;
    let ranks = rng.below(2) == 0;
    let mut gen_ = Gen {
        rng,
        kinds: kinds.clone(),
        left: 0,
        rt,
        wide: true,
    };
    let mut bodies = Vec::new();
    for _ in 0..tasks {
        gen_.left = if tasks == 2 { 4 } else { 3 };
        bodies.push(gen_.body(0, true, false));
    }
    if has_irq {
        gen_.left = 2;
        bodies.push(gen_.body(1, rt, !rt));
    }
    let mut rng = gen_.rng;
    let cpus = (0..bodies.len()).map(|_| rng.below(2) as u8).collect();
    let prio = |i: usize, rng: &mut Rng| {
        if ranks && i < tasks {
            rng.below(3) as u8
        } else {
            0
        }
    };
    let prios = (0..bodies.len()).map(|i| prio(i, &mut rng)).collect();
    Plan {
        kinds,
        bodies,
        cpus,
        irq: has_irq.then_some(tasks),
        times: rng.below(2) as u16,
        checked: rng.below(3) == 0,
        rt,
        prios,
    }
}
