//! `wait_queue_head_t`: wait until a condition holds, look again when woken.

use crate::rt::{
    EntitySet, EventKind, Machine, Needs, OpKind, ResId, ResKind, Wait, WaitHow, current, record,
};
use std::fmt::Display;

/// A wait queue.
#[derive(Clone, Copy, Debug)]
pub struct WaitQueue {
    res: ResId,
}

impl WaitQueue {
    /// A wait queue. `enders`: the entities that may make a condition true and wake, one bit each.
    #[must_use]
    #[track_caller]
    pub fn new(m: &mut Machine, kind: ResKind, name: impl Display, enders: EntitySet) -> Self {
        let res = m.add_resource(kind, name);
        m.set_enders(res, enders);
        Self { res }
    }

    /// What waits on it go through.
    #[must_use]
    pub const fn res(&self) -> ResId {
        self.res
    }

    /// `wait_event()`: returns when `condition` holds. `needs` says who can make it so.
    pub fn wait_event(&self, how: WaitHow, needs: Needs, condition: impl FnMut() -> bool) {
        let e = current();
        if how != WaitHow::Spin {
            e.might_sleep();
        }
        e.point(OpKind::Wait, self.res);
        let res = self.res;
        e.wait_until(Wait { res, how, needs }, condition);
    }

    /// `wake_up()`: what waiters look at has changed.
    pub fn wake_up(&self) {
        let e = current();
        e.point(OpKind::Wake, self.res);
        record(EventKind::Wake, || {
            format!("wake_up {}", e.machine().resource(self.res).name())
        });
        e.machine().wake(self.res);
    }

    /// Wakes without giving way: for callers that announced the change themselves.
    pub fn wake_up_quietly(&self) {
        current().machine().wake(self.res);
    }
}
