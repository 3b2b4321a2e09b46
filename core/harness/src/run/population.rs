//! Locks that stand for the locks of many objects: one class, members that somebody references and members that only
//! a shrinker finds.

use crate::program::op::Pick;
use ksplat_kernel::rt::{EventKind, Machine, OpKind, ResId, ResKind, current, record};
use ksplat_kernel::sync::{Lock, LockKind};
use ksplat_lockdep::Key;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The members of a population.
#[derive(Debug)]
pub struct Population {
    members: Vec<(Lock, AtomicBool)>,
    /// How many are referenced at the start: the first ones.
    referenced: usize,
    res: ResId,
}

impl Population {
    /// `referenced` members and then `unreferenced` ones.
    pub fn new(
        m: &mut Machine,
        kind: LockKind,
        name: &str,
        key: Key,
        (referenced, unreferenced): (usize, usize),
    ) -> Self {
        let member = |i: usize| {
            let lock = Lock::new(m, kind, format_args!("{name}#{i}"), Some(key));
            (lock, AtomicBool::new(i < referenced))
        };
        let members = (0..referenced + unreferenced).map(member).collect();
        Self {
            members,
            referenced,
            res: m.add_resource(ResKind::State, name),
        }
    }

    /// Back to how an execution starts.
    pub fn reset(&self) {
        for (i, (_, referenced)) in self.members.iter().enumerate() {
            referenced.store(i < self.referenced, SeqCst);
        }
    }

    /// A member, by number.
    pub fn member(&self, member: usize) -> Option<&Lock> {
        self.members.get(member).map(|(lock, _)| lock)
    }

    /// The member that the running entity took last, if it holds one.
    pub fn held(&self) -> Option<usize> {
        self.members
            .iter()
            .rposition(|(lock, _)| lock.held_by_current())
    }

    /// One of the members that `pick` allows, a decision; `None` if there is none.
    pub fn pick(&self, pick: Pick) -> Option<usize> {
        let e = current();
        e.point(OpKind::Load, self.res);
        let any = pick == Pick::Unreferenced && !e.machine().rules().guard_reference_state;
        let wanted = pick != Pick::Unreferenced;
        self.choose(|_, referenced| any || referenced == wanted)
    }

    /// `get_object`: an unreferenced member that nobody holds becomes referenced.
    pub fn get(&self) {
        self.change(false, "get_object");
    }

    /// `put_object`: a referenced member becomes unreferenced; not one whose lock somebody else holds.
    pub fn put(&self) {
        self.change(true, "put_object");
    }

    fn change(&self, from: bool, what: &str) {
        let e = current();
        e.point(OpKind::Store, self.res);
        let free = |lock: &Lock, referenced| {
            referenced == from && (!lock.is_locked() || lock.held_by_current())
        };
        let Some(member) = self.choose(free) else {
            return;
        };
        self.members[member].1.store(!from, SeqCst);
        e.machine().changed(&e, true);
        record(EventKind::Step, || {
            format!("{what} {}#{member}", e.machine().resource(self.res).name())
        });
    }

    fn choose(&self, fits: impl Fn(&Lock, bool) -> bool) -> Option<usize> {
        let fitting = || {
            let fits = |(_, (lock, referenced)): &(usize, &(Lock, AtomicBool))| {
                fits(lock, referenced.load(SeqCst))
            };
            self.members.iter().enumerate().filter(fits).map(|(i, _)| i)
        };
        let n = fitting().count() as u32;
        if n == 0 {
            return None;
        }
        fitting().nth(current().machine().choose(n) as usize)
    }
}
