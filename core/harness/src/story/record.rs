//! Records model events: a tracing subscriber that keeps them as values.

use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// One model event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Visible operations executed before it.
    pub step: u64,
    /// CPU.
    pub cpu: u64,
    /// Which entity.
    pub entity: u64,
    /// Its name.
    pub task: String,
    /// What kind of event ([`ksplat_kernel::rt::EventKind::as_str`]).
    pub kind: String,
    /// What happened.
    pub text: String,
    /// Place in the program text ([`crate::run::place`]).
    pub site: u64,
    /// PF flags in force.
    pub pf: u64,
    /// Interrupts of the CPU are off.
    pub irqs_off: bool,
    /// Bottom halves are off.
    pub bh_off: bool,
    /// Preemption or bottom halves are off.
    pub atomic: bool,
    /// `preempt_count`, without interrupts and bottom halves.
    pub preempt: u64,
    /// How often bottom halves are disabled.
    pub bh: u64,
    /// What it says to those who check ([`ksplat_kernel::rt::Fact`]).
    pub fact: u64,
    /// Number of the resource it is about, all ones if none.
    pub res: u64,
    /// What else it is about, as the fact has it.
    pub set: u128,
    /// How a wait waits, as the fact has it.
    pub how: u64,
}

impl Visit for Moment {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "step" => self.step = value,
            "cpu" => self.cpu = value,
            "entity" => self.entity = value,
            "site" => self.site = value,
            "pf" => self.pf = value,
            "fact" => self.fact = value,
            "res" => self.res = value,
            "how" => self.how = value,
            "preempt" => self.preempt = value,
            "bh" => self.bh = value,
            _ => {}
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        if field.name() == "set" {
            self.set = value;
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "irqs_off" => self.irqs_off = value,
            "bh_off" => self.bh_off = value,
            "atomic" => self.atomic = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "task" => value.clone_into(&mut self.task),
            "kind" => value.clone_into(&mut self.kind),
            "text" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Moment>>>);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "ksplat" {
            return;
        }
        let mut moment = Moment::default();
        event.record(&mut moment);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(moment);
    }
}

/// Runs `f` and returns its result and every model event that it caused on this thread.
///
/// The machine must have recording switched on.
pub fn recorded<R>(f: impl FnOnce() -> R) -> (R, Vec<Moment>) {
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    let result = tracing::subscriber::with_default(subscriber, f);
    let moments = std::mem::take(&mut *recorder.0.lock().unwrap_or_else(PoisonError::into_inner));
    (result, moments)
}
