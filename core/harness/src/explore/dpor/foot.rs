//! Footprints: what a step touches, and when the order of two steps can matter.
//!
//! A step is an announced operation and the code up to the next one. Two steps are independent only if neither can
//! enable or disable the other and both orders lead to the same state; everything that is not known to be so is
//! taken for dependent.

use ksplat_kernel::rt::{
    EntityId, EntityKind, EntitySet, Gave, MAX_ENTITIES, Machine, Op, OpKind, ResId, ResKind,
    Standing,
};

/// What a step touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foot {
    /// The operation that was announced.
    pub(super) op: Op,
    /// The operation that the entity stands before afterwards. Arriving at a lock that has readers is an effect: a
    /// writer that finds it taken holds back later readers.
    pub(super) arrives: Op,
    /// Others that became ready or allowed to run, or ceased to be.
    pub(super) changed: EntitySet,
    /// What the checks between steps look at was touched.
    pub(super) touched: bool,
    /// The preemption or interrupt state of the CPU changed, be it for a moment.
    pub(super) cpu: bool,
    /// Locks that it gave back without announcing it.
    pub(super) gave: Gave,
    /// State that nobody announced may have been touched.
    pub(super) any: bool,
}

impl Foot {
    /// A step of which only the operation is known, because it was not executed.
    pub(super) const fn pending(op: Op) -> Self {
        Self {
            op,
            arrives: Op::bare(OpKind::Yield),
            changed: 0,
            touched: false,
            cpu: false,
            gave: Gave::NOTHING,
            any: false,
        }
    }

    /// What a step by `entity` touched between two standings of the machine.
    fn of(entity: EntityId, op: Op, arrives: Op, from: Standing, to: Standing) -> Self {
        let changed = (from.ready ^ to.ready) | (from.allowed ^ to.allowed);
        Self {
            op,
            arrives,
            changed: changed & !entity.bit(),
            touched: to.touched,
            cpu: to.cpu,
            gave: to.gave,
            any: false,
        }
    }

    /// Either of two variants of one step, which differ by a data choice in it.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            changed: self.changed | other.changed,
            touched: self.touched || other.touched,
            cpu: self.cpu || other.cpu,
            gave: self.gave.or(other.gave),
            any: self.any || other.any || self.arrives != other.arrives,
            ..self
        }
    }

    /// Whether an entity became able to go on, or ceased to be.
    pub(super) const fn changes(&self, entity: EntityId) -> bool {
        self.changed & entity.bit() != 0
    }

    /// Whether it may have given back, unannounced, what an operation takes.
    fn gives_for(&self, op: Op) -> bool {
        op.kind == OpKind::Lock && self.gave.may_have(op.res)
    }

    /// Touches nothing shared at all.
    fn is_local(&self) -> bool {
        matches!(self.op.kind, OpKind::Start | OpKind::Yield)
            && self.changed == 0
            && !self.touched
            && !self.cpu
            && self.gave == Gave::NOTHING
    }
}

/// What has to be known of a machine to tell dependent steps.
#[derive(Clone, Debug)]
pub(super) struct Dependence {
    cpu: [u8; MAX_ENTITIES],
    /// Interrupt handlers, which borrow a CPU.
    irqs: EntitySet,
    /// Priorities make whoever runs depend on whoever is ready anywhere.
    priorities: bool,
    pub(super) checks_observe: bool,
    kinds: Vec<ResKind>,
    /// Locks that were seen to be taken shared.
    shared: Vec<bool>,
}

/// Whether tasks that share a CPU differ in priority, on whatever kernel.
fn ranks(machine: &Machine) -> bool {
    let all = machine.entities().iter();
    let tasks = all.filter(|e| machine.rt() || !e.kind().is_raised());
    let outranked = |cpu, prio| {
        let mut others = tasks.clone();
        others.any(|o| o.cpu() == cpu && o.prio() != prio)
    };
    tasks.clone().any(|e| outranked(e.cpu(), e.prio()))
}

impl Dependence {
    pub(super) fn new(machine: &Machine) -> Self {
        let mut cpu = [0; MAX_ENTITIES];
        let mut irqs = 0;
        for e in machine.entities() {
            cpu[e.id().index()] = e.cpu().0;
            if e.kind() == EntityKind::HardIrq && !machine.rt() {
                irqs |= e.id().bit();
            }
        }
        let kinds: Vec<ResKind> = machine.resources().iter().map(|r| r.kind()).collect();
        Self {
            cpu,
            irqs,
            priorities: ranks(machine),
            checks_observe: true,
            shared: vec![false; kinds.len()],
            kinds,
        }
    }

    /// Notes that an operation was seen; true if that changes what depends on what.
    fn learn(&mut self, op: Op) -> bool {
        if op.kind != OpKind::Read || !self.is_lock(op.res) {
            return false;
        }
        match self.shared.get_mut(op.res.index()) {
            Some(seen) => !std::mem::replace(seen, true),
            None => false,
        }
    }

    /// What a step by `entity` touched that ended at `to`, where the pending operations are `next`; true if that changes what
    /// depends on what.
    pub(super) fn executed(
        &mut self,
        entity: EntityId,
        op: Op,
        from: Standing,
        to: Standing,
        next: &[Op],
    ) -> (Foot, bool) {
        let arrives = if to.live & entity.bit() == 0 {
            Op::bare(OpKind::Yield)
        } else {
            next[entity.index()]
        };
        let learnt = self.learn(op) | self.learn(arrives);
        (Foot::of(entity, op, arrives, from, to), learnt)
    }

    fn kind(&self, res: ResId) -> Option<ResKind> {
        self.kinds.get(res.index()).copied()
    }

    fn is_lock(&self, res: ResId) -> bool {
        matches!(
            self.kind(res),
            Some(ResKind::SpinLock | ResKind::SleepLock | ResKind::PiLock)
        )
    }

    /// Whether an operation may touch what it does not name: a wait whose condition can be about anything.
    fn is_open(&self, op: Op) -> bool {
        op.kind == OpKind::Wait
            && !matches!(
                self.kind(op.res),
                Some(ResKind::Completion | ResKind::GracePeriod)
            )
    }

    pub(super) fn same_cpu(&self, a: EntityId, b: EntityId) -> bool {
        self.cpu[a.index()] == self.cpu[b.index()]
    }

    fn arrival(&self, op: Op) -> bool {
        matches!(op.kind, OpKind::Lock | OpKind::Read)
            && self
                .shared
                .get(op.res.index())
                .is_some_and(|&shared| shared)
    }

    fn cpu_matters(&self, x: EntityId, a: &Foot, y: EntityId, b: &Foot) -> bool {
        self.same_cpu(x, y)
            && (self.irqs & (x.bit() | y.bit()) != 0
                || a.cpu
                || b.cpu
                || a.op.kind == OpKind::Cpu
                || b.op.kind == OpKind::Cpu)
    }

    /// Whether step `b` by `y` depends on an earlier step `a` by `x`, another entity.
    ///
    /// The same in both directions but for who was made ready or barred: that concerns what comes after. Where the
    /// earlier step would itself have been barred, the two name the same object.
    pub(super) fn depends(&self, x: EntityId, a: &Foot, y: EntityId, b: &Foot) -> bool {
        if self.priorities || a.changes(y) {
            return true;
        }
        if self.cpu_matters(x, a, y, b) || (self.checks_observe && a.touched && b.touched) {
            return true;
        }
        let open = |f: &Foot| f.any || self.is_open(f.op);
        if (open(a) && !b.is_local()) || (open(b) && !a.is_local()) {
            return true;
        }
        if a.op.conflicts(b.op) || a.gives_for(b.op) || b.gives_for(a.op) {
            return true;
        }
        let (a_arrives, b_arrives) = (self.arrival(a.arrives), self.arrival(b.arrives));
        (a_arrives && a.arrives.conflicts(b.op))
            || (b_arrives && b.arrives.conflicts(a.op))
            || (a_arrives && b_arrives && a.arrives.conflicts(b.arrives))
    }
}
