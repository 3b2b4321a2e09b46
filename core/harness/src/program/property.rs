//! Properties: general rules that a program's code is held to, such as "no lock of this class over an allocation that
//! may reclaim". What violates one is a state finding that names body and operation.
//!
//! A property looks only at the task that runs, never at what others change: so it cannot disturb a schedule, and no
//! two schedules that are otherwise equivalent differ in it.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

use super::decl::Lock;
use super::gfp::GfpFlag;
use super::handler::Function;
use super::table::Id;
use super::word::Word;
use super::{At, Name};

/// `property NAME at alloc never held L && gfp & __GFP_DIRECT_RECLAIM`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// Its name.
    pub name: Name,
    /// At which operations it is looked at.
    pub event: Event,
    /// What must not be true of the running task there, all together; at least one.
    pub never: Vec<Test>,
}

/// When a property is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Event {
    /// `alloc`: memory is asked for: an allocation, a charge, `might_alloc`.
    #[default]
    Alloc,
    /// `lock`: a lock is about to be taken, waiting if need be.
    Lock,
    /// `wait`: the task may wait for somebody: a completion, an event, work, a page bit, IO, a grace period.
    Wait,
    /// `return`: a body is left.
    Return,
}

impl Word for Event {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Alloc, "alloc"),
        (Self::Lock, "lock"),
        (Self::Wait, "wait"),
        (Self::Return, "return"),
    ];
}

/// One test, perhaps negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// `!` stands before it.
    pub negated: bool,
    /// What is tested.
    pub what: What,
}

/// What a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// `gfp & __GFP_FS`: the mask of the request has the bit, the task's scopes applied. Only at `alloc`.
    Gfp(GfpFlag),
    /// `held L`: the task holds a lock of the class of L, in any mode.
    Held(Id<Lock>),
    /// `in F`: the function or callback runs, and whatever it called.
    In(Id<Function>),
    /// A word.
    Plain(Plain),
}

/// Tests without an operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Plain {
    /// `may_reclaim`: the request may enter direct reclaim: it has `__GFP_DIRECT_RECLAIM`, the task not PF_MEMALLOC.
    /// Only at `alloc`.
    #[default]
    MayReclaim,
    /// `in_reclaim`: the task is inside direct or memcg reclaim, or is kswapd.
    InReclaim,
    /// `in_writepages`: inside of what writepages calls for a page.
    InWritepages,
    /// `in_hardirq`.
    InHardirq,
    /// `in_softirq`.
    InSoftirq,
    /// `irqs_off`: interrupts are disabled.
    IrqsOff,
    /// `irqs_changed`: interrupts are in another state than when the body began. Only at `return`.
    IrqsChanged,
    /// `unsubmitted`: pages under writeback wait for this task to submit them.
    Unsubmitted,
}

impl Word for Plain {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::MayReclaim, "may_reclaim"),
        (Self::InReclaim, "in_reclaim"),
        (Self::InWritepages, "in_writepages"),
        (Self::InHardirq, "in_hardirq"),
        (Self::InSoftirq, "in_softirq"),
        (Self::IrqsOff, "irqs_off"),
        (Self::IrqsChanged, "irqs_changed"),
        (Self::Unsubmitted, "unsubmitted"),
    ];
}

impl What {
    /// The only event at which it means something, if there is one.
    pub fn only_at(self) -> Option<Event> {
        match self {
            Self::Gfp(_) | Self::Plain(Plain::MayReclaim) => Some(Event::Alloc),
            Self::Plain(Plain::IrqsChanged) => Some(Event::Return),
            Self::Held(_) | Self::In(_) | Self::Plain(_) => None,
        }
    }
}
