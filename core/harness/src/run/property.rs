//! Properties: what they look at, and what happens when one is violated.

use super::frame::Frame;
use super::litmus::World;
use super::locks::Object;
use crate::program::op::{Op, Source, Stmt};
use crate::program::property::{Event, Plain, Property, Test, What};
use crate::program::verb::{BatchVerb, Do, MappingVerb, PageVerb, WorkVerb};
use crate::program::{Body, Program, print_operation};
use ksplat_kernel::mm::{Gfp, Pf};
use ksplat_kernel::rt::{Entity, MAX_ENTITIES, current};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How deep each entity is inside of what properties ask about.
#[derive(Debug)]
pub struct Inside {
    /// By function.
    functions: Vec<[AtomicU8; MAX_ENTITIES]>,
    writepages: [AtomicU8; MAX_ENTITIES],
}

impl Inside {
    /// Nobody is inside of anything. Nothing is counted for a program without properties.
    pub fn new(program: &Program) -> Self {
        let functions = if program.properties.is_empty() {
            0
        } else {
            program.functions.len()
        };
        Self {
            functions: (0..functions)
                .map(|_| [const { AtomicU8::new(0) }; MAX_ENTITIES])
                .collect(),
            writepages: [const { AtomicU8::new(0) }; MAX_ENTITIES],
        }
    }

    /// Back to how every execution starts.
    pub fn reset(&self) {
        let all = self.functions.iter().chain([&self.writepages]);
        all.flatten().for_each(|n| n.store(0, Relaxed));
    }
}

fn deeper(count: &AtomicU8, run: impl FnOnce()) {
    count.fetch_add(1, Relaxed);
    run();
    count.fetch_sub(1, Relaxed);
}

/// What an operation is to properties.
fn event(op: &Op) -> Option<Event> {
    match op {
        Op::Alloc { .. } | Op::MightAlloc(_) | Op::Charge { .. } => Some(Event::Alloc),
        Op::Lock(..) => Some(Event::Lock),
        Op::WaitFor { .. }
        | Op::WaitEvent { .. }
        | Op::FlushWorkqueue(_)
        | Op::Work(WorkVerb::Flush | WorkVerb::CancelSync, _)
        | Op::SynchronizeSrcu(_)
        | Op::Do(Do::Schedule | Do::Msleep | Do::SynchronizeRcu | Do::RcuBarrier)
        | Op::Page(
            PageVerb::LockPage
            | PageVerb::WaitOnWriteback
            | PageVerb::WaitOnLocked
            | PageVerb::Truncate,
            _,
        )
        | Op::Batch(BatchVerb::Wait, _)
        | Op::Mapping(MappingVerb::Fsync | MappingVerb::Truncate | MappingVerb::BalanceDirty, _) => {
            Some(Event::Wait)
        }
        _ => None,
    }
}

/// The moment a property is looked at.
struct Now<'a> {
    entity: &'a Entity,
    /// The mask of the request, the task's scopes applied.
    gfp: Gfp,
    irqs_changed: bool,
}

impl World {
    /// Runs a function with a mask.
    pub(super) fn function(&self, index: usize, gfp: u32) {
        let body = &self.program.functions.0[index].body;
        match self.inside.functions.get(index) {
            Some(inside) => deeper(&inside[current().id().index()], || self.body(body, gfp)),
            None => self.body(body, gfp),
        }
    }

    /// Runs what writepages calls for a page.
    pub(super) fn inside_writepages(&self, run: impl FnOnce()) {
        deeper(&self.inside.writepages[current().id().index()], run);
    }

    /// An operation is about to be executed.
    #[cold]
    pub(super) fn before(&self, stmt: &Stmt, f: &Frame) {
        let Some(event) = event(&stmt.op) else {
            return;
        };
        let e = current();
        let now = Now {
            gfp: self
                .mask_of(&stmt.op, f)
                .in_context(Pf::current(), e.machine().rules()),
            entity: &e,
            irqs_changed: false,
        };
        self.look(event, &now, || self.whose(&stmt.op));
    }

    /// A body is left.
    #[cold]
    pub(super) fn leaves(&self, body: &Body, irqs_were_off: bool) {
        let e = current();
        let now = Now {
            gfp: Gfp::NONE,
            irqs_changed: e.irqs_disabled() != irqs_were_off,
            entity: &e,
        };
        let whose = || {
            let mut bodies = self.program.bodies();
            let found = bodies.find(|(_, _, _, b)| std::ptr::eq(*b, body));
            (
                name_of(found.map(|(_, name, ..)| name)),
                "return".to_owned(),
            )
        };
        self.look(Event::Return, &now, whose);
    }

    /// Where an operation stands: the body, and how it reads.
    fn whose(&self, op: &Op) -> (String, String) {
        for (_, name, _, body) in self.program.bodies() {
            let mut here = false;
            body.block
                .walk(&mut |s| here |= std::ptr::eq(&raw const s.op, op));
            if here {
                return (
                    name_of(Some(name)),
                    print_operation(&self.program, body, op),
                );
            }
        }
        (name_of(None), String::new())
    }

    fn look(&self, event: Event, now: &Now<'_>, whose: impl Fn() -> (String, String)) {
        for property in self.program.properties.iter().filter(|p| p.event == event) {
            if property.never.iter().all(|test| self.is_true(*test, now)) {
                self.violated(property, now, whose());
            }
        }
    }

    fn violated(&self, property: &Property, now: &Now<'_>, (body, op): (String, String)) {
        let about = format!("{}/{body}/{op}", property.name);
        now.entity
            .machine()
            .state_break_about("property", about, || {
                let gfp = if property.event == Event::Alloc {
                    format!(", effective gfp {}", now.gfp)
                } else {
                    String::new()
                };
                let who = now.entity.name();
                format!(
                    "{} is violated by {who} in {body}: {op}{gfp}",
                    property.name
                )
            });
    }

    fn is_true(&self, test: Test, now: &Now<'_>) -> bool {
        let e = now.entity;
        let me = e.id().index();
        let truth = match test.what {
            What::Gfp(flag) => self.memory.has(now.gfp, flag),
            What::Held(lock) => {
                let locks = &self.program.locks;
                let class = locks[lock].class_name();
                let mut of_class = locks.iter().zip(&self.locks);
                of_class.any(|(l, object)| l.class_name() == class && held(object))
            }
            What::In(function) => self.inside.functions[function.index()][me].load(Relaxed) != 0,
            What::Plain(Plain::MayReclaim) => {
                now.gfp.may_block() && !Pf::current().has(Pf::MEMALLOC)
            }
            What::Plain(Plain::InReclaim) => self.memory.mm().in_reclaim(e),
            What::Plain(Plain::InWritepages) => self.inside.writepages[me].load(Relaxed) != 0,
            What::Plain(Plain::InHardirq) => e.in_hardirq(),
            What::Plain(Plain::InSoftirq) => e.in_softirq(),
            What::Plain(Plain::IrqsOff) => e.irqs_disabled(),
            What::Plain(Plain::IrqsChanged) => now.irqs_changed,
            What::Plain(Plain::Unsubmitted) => self.memory.mm().unsubmitted_pages(e.id()) != 0,
        };
        truth != test.negated
    }

    /// The mask of a request, as it is written.
    fn mask_of(&self, op: &Op, f: &Frame) -> Gfp {
        match op {
            Op::Alloc {
                source: Source::PageCache(mapping),
                gfp,
                ..
            } => self.memory.mask(*gfp, f.gfp) & self.mapping_mask(*mapping),
            Op::Alloc { gfp, .. } | Op::MightAlloc(gfp) | Op::Charge { gfp, .. } => {
                self.memory.mask(*gfp, f.gfp)
            }
            _ => Gfp::NONE,
        }
    }
}

fn held(object: &Object) -> bool {
    object.lock().is_some_and(|lock| lock.held_by_current())
}

fn name_of(name: Option<&crate::program::Name>) -> String {
    name.map_or_else(String::new, ToString::to_string)
}
