//! What an execution did, as features for a fuzzer: small numbers, the same whatever the program calls its things.
//!
//! Collected on the OS thread that runs a simulated execution, and only of the kinds that are switched on. An observer:
//! nothing here changes what is scheduled.

use super::entity::{Entity, Wait};
use super::event::{About, Fact};
use super::ids::ResId;
use super::machine::Machine;
use super::op::{Op, OpKind};
use super::set::members;
use crate::mm::Pf;
use std::cell::{Cell, RefCell};
use std::panic::Location;

/// Kind of feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Feedback {
    /// lockdep's dependency edges and usage bits at the end.
    Edges,
    /// A class acquired, by the context it is acquired in.
    Contexts,
    /// A wait, by what those it is for wait for.
    Waits,
    /// An operation on shared state, by the one of another entity that wrote the state last.
    Reads,
    /// Steps of the allocator, of reclaim and of whatever else tells the story.
    Steps,
    /// Limits by how near to them an invariant or a throttle was evaluated.
    Limits,
}

/// Number of features of all kinds together.
pub const FEATURES: usize = 3072;

impl Feedback {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Edges,
        Self::Contexts,
        Self::Waits,
        Self::Reads,
        Self::Steps,
        Self::Limits,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edges => "edges",
            Self::Contexts => "contexts",
            Self::Waits => "waits",
            Self::Reads => "reads",
            Self::Steps => "steps",
            Self::Limits => "limits",
        }
    }

    /// Its bit in a set of kinds.
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Its features: the first, and how many.
    const fn range(self) -> (usize, usize) {
        match self {
            Self::Edges => (0, 1024),
            Self::Contexts => (1024, 512),
            Self::Waits => (1536, 512),
            Self::Reads => (2048, 512),
            Self::Steps => (2560, 448),
            Self::Limits => (3008, 64),
        }
    }
}

struct Notes {
    /// One bit a feature.
    map: [Cell<u64>; FEATURES / 64],
    /// Those whose bit is set, in the order in which they were seen.
    seen: RefCell<Vec<u16>>,
    /// By resource: who wrote it last and how, packed; 0 nobody.
    writers: RefCell<Vec<u64>>,
    /// By lockdep key: what kind of thing its locks are.
    keys: RefCell<Vec<u16>>,
}

thread_local! {
    static NOTES: Notes = const {
        Notes {
            map: [const { Cell::new(0) }; FEATURES / 64],
            seen: RefCell::new(Vec::new()),
            writers: RefCell::new(Vec::new()),
            keys: RefCell::new(Vec::new()),
        }
    };
}

/// Spreads what identifies a feature over the features of its kind.
fn mark(notes: &Notes, kind: Feedback, parts: [u64; 3]) {
    let [a, b, c] = parts;
    let hash = a.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ b.wrapping_add(1)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .rotate_left(23)
        ^ c.wrapping_add(1)
            .wrapping_mul(0x94d0_49bb_1331_11eb)
            .rotate_left(41);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let (start, count) = kind.range();
    let nth = ((hash >> 32) * count as u64) >> 32;
    let feature = start + nth as usize;
    let (word, bit) = (&notes.map[feature / 64], 1 << (feature % 64));
    if word.get() & bit == 0 {
        word.set(word.get() | bit);
        notes.seen.borrow_mut().push(feature as u16);
    }
}

/// What a resource is, whatever its name: where in the source it is created, and as which of its kind.
#[track_caller]
pub(crate) fn tag(kind: u8, before: Option<u16>) -> u16 {
    let at = Location::caller();
    let place = at.line() as usize * 31 + at.file().len() * 7 + usize::from(kind) * 1009;
    let tag = ((place % 0x3fff) << 2) as u16;
    match before {
        Some(before) if before & !3 == tag => tag | (before + 1) & 3,
        _ => tag,
    }
}

/// The context that an entity runs in, as a small number. Coarse: what is told apart here multiplies the features, and a
/// kind that fills its range tells nothing any more.
fn context(e: &Entity) -> u64 {
    let pf = Pf::from_bits(e.pf());
    let interrupts = match () {
        () if e.in_hardirq() || e.in_softirq() => 2,
        () if e.irqs_disabled() => 1,
        () => 0,
    };
    let scoped = pf.has(Pf::MEMALLOC_NOFS) || pf.has(Pf::MEMALLOC_NOIO);
    interrupts << 2 | u64::from(scoped) << 1 | u64::from(reclaims(e))
}

fn reclaims(e: &Entity) -> bool {
    Pf::from_bits(e.pf()).has(Pf::MEMALLOC)
}

/// Things of one kind and origin are one: the bits that tell the declarations of a program apart are left out.
const fn origin(tag: u64) -> u64 {
    tag >> 2
}

impl Machine {
    /// Which kinds of features the executions to come collect, one bit a kind ([`Feedback::bit`]).
    pub fn set_feedback(&self, kinds: u8) {
        let story = self.watch.get() & super::machine::STORY;
        self.watch.set(story | kinds & !super::machine::STORY);
    }

    #[inline]
    pub(crate) fn collects(&self, kind: Feedback) -> bool {
        self.watch.get() & kind.bit() != 0
    }

    fn tag_of(&self, res: ResId) -> u64 {
        self.resources
            .get(res.index())
            .map_or(0, |r| u64::from(r.tag))
    }

    /// An execution begins.
    pub(crate) fn begin_feedback(&self) {
        if self.watch.get() & !super::machine::STORY == 0 {
            return;
        }
        NOTES.with(|notes| {
            let mut writers = notes.writers.borrow_mut();
            writers.clear();
            writers.resize(self.resources.len(), 0);
            notes.keys.borrow_mut().clear();
        });
    }

    /// Visits the features that were seen since the last call.
    pub fn take_features(&self, mut visit: impl FnMut(u16)) {
        NOTES.with(|notes| {
            if self.collects(Feedback::Edges) {
                self.note_graph(notes);
            }
            notes.map.iter().for_each(|word| word.set(0));
            for feature in notes.seen.borrow_mut().drain(..) {
                visit(feature);
            }
        });
    }

    fn note_graph(&self, notes: &Notes) {
        let keys = notes.keys.borrow();
        let class = |id: ksplat_lockdep::ClassId| {
            let tag = keys.get(id.key().index()).copied().unwrap_or(0);
            origin(tag.into()) << 3 | u64::from(id.subclass())
        };
        self.lockdep.edges_since(0, |from, to| {
            mark(notes, Feedback::Edges, [class(from), class(to), 0]);
        });
        self.lockdep.usages(|id, usage| {
            for bit in usage.bits() {
                let bit = bit.index() as u64;
                mark(notes, Feedback::Edges, [class(id), bit, 1]);
            }
        });
    }

    /// How near a limit something is: `left` is what there still is, below 0 once it is passed.
    #[inline]
    #[track_caller]
    pub(crate) fn near_limit(&self, left: i64) {
        if self.collects(Feedback::Limits) {
            note_limit(left);
        }
    }
}

#[cold]
#[track_caller]
fn note_limit(left: i64) {
    let line = u64::from(Location::caller().line());
    if (-1..=1).contains(&left) {
        NOTES.with(|n| mark(n, Feedback::Limits, [line, left as u64, 0]));
    }
}

/// Something that a story would tell.
pub(crate) fn event(e: &Entity, about: About, at: &Location<'_>) {
    let m = e.machine();
    NOTES.with(|notes| {
        let acquires = about.fact == Fact::MapGets && about.res != ResId::NONE;
        if acquires && m.collects(Feedback::Contexts) {
            let how = (about.set & 0x3) as u64 | context(e) << 2;
            mark(
                notes,
                Feedback::Contexts,
                [origin(m.tag_of(about.res)), how, 0],
            );
        }
        if acquires && m.collects(Feedback::Edges) {
            let key = (about.set >> 8) as usize;
            let mut keys = notes.keys.borrow_mut();
            if keys.len() <= key {
                keys.resize(key + 1, 0);
            }
            keys[key] = m.tag_of(about.res) as u16;
        }
        // A bare fact, such as a lock taken, is no step of what takes it.
        if about.fact == Fact::None && m.collects(Feedback::Steps) {
            let place = u64::from(at.line()) << 16 | at.file().len() as u64;
            mark(notes, Feedback::Steps, [place, reclaims(e).into(), 0]);
        }
    });
}

/// A wait begins.
pub(crate) fn waits(e: &Entity, wait: Wait) {
    let m = e.machine();
    if !m.collects(Feedback::Waits) {
        return;
    }
    let res = m.resource(wait.res);
    let tag = origin(res.tag.into());
    let how = context(e) << 1 | u64::from(e.locks_held() != 0);
    NOTES.with(|notes| {
        mark(notes, Feedback::Waits, [tag, how, 0]);
        let others = members(res.holders() | res.enders());
        for other in others.filter_map(|id| m.entities.get(id.index())) {
            let next = other.waits_for();
            let next = next.map_or(1, |w| origin(m.tag_of(w.res)) << 2 | 2);
            mark(notes, Feedback::Waits, [tag, next, 1]);
        }
    });
}

/// An operation is executed.
pub(crate) fn operation(e: &Entity, op: Op) {
    let m = e.machine();
    let shared = !matches!(op.kind, OpKind::Start | OpKind::Yield | OpKind::Cpu);
    if !shared || !m.collects(Feedback::Reads) {
        return;
    }
    let me = 1 + u64::from(e.id.0);
    let here = op.kind as u64;
    NOTES.with(|notes| {
        let mut writers = notes.writers.borrow_mut();
        let Some(last) = writers.get_mut(op.res.index()) else {
            return;
        };
        if *last != 0 && *last & 0xff != me {
            mark(
                notes,
                Feedback::Reads,
                [origin(m.tag_of(op.res)), *last >> 8, here],
            );
        }
        if !matches!(op.kind, OpKind::Load | OpKind::Read) {
            *last = here << 8 | me;
        }
    });
}
