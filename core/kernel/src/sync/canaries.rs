//! Planted bugs of grace periods and of interrupt entry that the invariants must find.

use super::Rcu;
use crate::rt::{
    Decision, Deterministic, EntityId, EntityKind, EntitySpec, Machine, MachineSpec, OpKind, ResId,
    Strategy, World, current,
};
use crate::rules::Rules;
use std::sync::atomic::Ordering::SeqCst;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// A grace period, a callback: does not wait for a reader.
    GracePeriod,
    Callback,
    /// A handler comes in although interrupts are off.
    IrqEntry,
}

struct Canary {
    rcu: Rcu,
    bug: Bug,
}

const READER: usize = 0;
const UPDATER: usize = 1;
const IRQ: usize = 2;

impl World for Canary {
    fn run(&self, id: EntityId) {
        let e = current();
        match id.index() {
            READER => {
                self.rcu.read_lock();
                e.point(OpKind::Yield, ResId::NONE);
                if self.bug == Bug::GracePeriod {
                    // The updater waits meanwhile, and now for nobody.
                    self.rcu.awaited[UPDATER].store(0, SeqCst);
                    e.machine().wake(self.rcu.res());
                }
                e.point(OpKind::Yield, ResId::NONE);
                self.rcu.read_unlock();
            }
            IRQ => {}
            _ => match self.bug {
                Bug::None | Bug::GracePeriod => self.rcu.synchronize(),
                Bug::Callback => {
                    self.rcu.call(0, "f");
                    self.rcu.callbacks().queued[0].awaited = 0;
                    assert_eq!(self.rcu.start_callback(e.cpu()), Some(0));
                    self.rcu.end_callback();
                }
                Bug::IrqEntry => {
                    let flags = e.local_irq_save();
                    let m = e.machine();
                    m.audit_irq_entry(m.entity(EntityId::new(IRQ)), Some(e.id()));
                    e.local_irq_restore(flags);
                }
            },
        }
    }
}

/// The reader until it is inside its section, then the other task whenever it can run.
struct ReaderFirst(u32);

impl Strategy for ReaderFirst {
    fn pick(&mut self, d: &Decision<'_>) -> EntityId {
        self.0 += 1;
        let updater = EntityId::new(UPDATER);
        if self.0 > 2 && d.candidates & updater.bit() != 0 {
            updater
        } else {
            EntityId::new(READER)
        }
    }

    fn choose(&mut self, _: u32) -> u32 {
        0
    }
}

fn found(bug: Bug) -> Vec<&'static str> {
    let mut m = Machine::new(&MachineSpec {
        cpus: 2,
        entities: vec![
            EntitySpec::new("reader", EntityKind::Task, 0),
            EntitySpec::new("updater", EntityKind::Task, 1),
            EntitySpec::new("irq", EntityKind::HardIrq, 1),
        ],
        rules: Rules::default(),
        max_steps: 1_000,
    });
    let canary = Canary {
        rcu: Rcu::new(&mut m),
        bug,
    };
    let outcome = Deterministic::new().run(&m, &canary, &mut ReaderFirst(0));
    assert_eq!(outcome.fault, None);
    outcome.breaks.iter().map(|b| b.kind).collect()
}

#[test]
fn sound_grace_periods_are_silent() {
    assert_eq!(found(Bug::None), [""; 0]);
}

#[test]
fn every_planted_bug_is_found() {
    for (bug, kind) in [
        (Bug::GracePeriod, "rcu-grace-period"),
        (Bug::Callback, "rcu-grace-period"),
        (Bug::IrqEntry, "irq-while-off"),
    ] {
        let kinds = found(bug);
        assert!(kinds.contains(&kind), "{kind}: found {kinds:?}");
    }
}
