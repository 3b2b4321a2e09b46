//! Flags and counters: shared words whose every access is a visible operation.

use ksplat_kernel::rt::{
    EntitySet, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// A flag or counter.
#[derive(Debug)]
pub struct Variable {
    res: ResId,
    value: AtomicI64,
    start: i64,
}

impl Variable {
    /// A variable that starts every execution at `start`.
    pub fn new(m: &mut Machine, name: &str, start: i64) -> Self {
        Self {
            res: m.add_resource(ResKind::Variable, name),
            value: AtomicI64::new(start),
            start,
        }
    }

    /// Back to its start.
    pub fn reset(&self) {
        self.value.store(self.start, SeqCst);
    }

    /// Announces that it is about to be read.
    pub fn look(&self) {
        current().point(OpKind::Load, self.res);
    }

    /// Its value, at this moment.
    pub fn get(&self) -> i64 {
        self.value.load(SeqCst)
    }
}

/// All variables of a program, and those who wait for one of them to change.
#[derive(Debug)]
pub struct Variables {
    /// By flag.
    pub flags: Vec<Variable>,
    /// By counter.
    pub counters: Vec<Variable>,
    changed: ResId,
    enders: EntitySet,
}

impl Variables {
    /// `enders`: the entities that may change a variable.
    pub fn new(
        m: &mut Machine,
        flags: Vec<Variable>,
        counters: Vec<Variable>,
        enders: EntitySet,
    ) -> Self {
        let changed = m.add_resource(ResKind::Variable, "a variable to change");
        Self {
            flags,
            counters,
            changed,
            enders,
        }
    }

    /// Back to their starts.
    pub fn reset(&self) {
        self.flags
            .iter()
            .chain(&self.counters)
            .for_each(Variable::reset);
    }

    /// Changes a variable; whoever spins on one looks again.
    pub fn update(&self, variable: &Variable, change: impl Fn(i64) -> i64) {
        let e = current();
        e.point(OpKind::Store, variable.res);
        let old = variable.value.load(SeqCst);
        let new = if e.machine().simulated() {
            let new = change(old);
            variable.value.store(new, SeqCst);
            new
        } else {
            let _ = variable
                .value
                .fetch_update(SeqCst, SeqCst, |v| Some(change(v)));
            variable.get()
        };
        record(EventKind::Step, || {
            format!("{} = {new}", e.machine().resource(variable.res).name())
        });
        if new != old {
            e.machine().changed(&e, true);
            e.machine().wake(self.changed);
        }
    }

    /// Spins until somebody changes a variable.
    pub fn spin(&self) {
        let e = current();
        e.block(Wait {
            res: self.changed,
            how: WaitHow::Spin,
            needs: Needs::AnyOf(self.enders),
        });
    }
}
