//! Memory hotplug of programs, and what a rebuild of the zonelists prints.

use super::litmus::World;
use crate::program::Program;
use crate::program::op::Op;
use crate::program::verb::Do;

/// Whether the program rebuilds zonelists.
pub fn rebuilds(program: &Program) -> bool {
    super::roles::mentions(program, |op| {
        matches!(op, Op::Hotplug { .. } | Op::Do(Do::RebuildZonelists))
    })
}

impl World {
    /// `offline movable`, `online movable`.
    pub(super) fn hotplug(&self, zone: usize, online: bool) {
        let mm = self.memory.mm();
        if zone >= mm.zones().len() {
            return;
        }
        if online {
            mm.online_zone(self, zone);
        } else {
            mm.offline_zone(self, zone);
        }
    }

    /// The kernel prints the fallback order of the nodes while it rebuilds their lists.
    pub(super) fn print_in_rebuild(&self) {
        self.printk();
    }

    pub(super) fn defer_printing(&self, enter: bool) {
        if enter {
            self.consoles.deferred_enter();
        } else {
            self.consoles.deferred_exit();
        }
    }
}
