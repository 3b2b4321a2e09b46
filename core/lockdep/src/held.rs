//! Entries of the held stack.

use crate::key::{ClassId, Key, LockMap, Read};
use crate::table::{Found, ROOT, WaitLimit};
use crate::task::TaskState;

/// An entry of the held stack (`struct held_lock`), packed into four words so that what one operation stores the next
/// one loads whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    map: u64,
    /// The nest lock, 0 if none.
    nest: u64,
    /// Site in the low half; in the high half the task's sequence with this lock.
    at: u64,
    /// Class, references, pins and flags, 16 bits each.
    state: u64,
}

const TRYLOCK: u16 = 1 << 2;
pub(crate) const CHECK: u16 = 1 << 3;
pub(crate) const HARDIRQS_OFF: u16 = 1 << 4;
pub(crate) const CONTEXT_SHIFT: u32 = 5;
const WAIT_SHIFT: u32 = 8;

const REFERENCES_SHIFT: u32 = 16;
const PINS_SHIFT: u32 = 32;
const FLAGS_SHIFT: u32 = 48;
/// References or pins: not released by just dropping the entry.
const ENTANGLED: u64 = 0xffff_ffff << REFERENCES_SHIFT;

/// What an acquisition pushes, apart from the sequence it continues.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) map: LockMap,
    pub(crate) class: ClassId,
    pub(crate) trylock: bool,
    pub(crate) read: Read,
    pub(crate) check: bool,
    pub(crate) hardirqs_off: bool,
    pub(crate) nest: Option<LockMap>,
    pub(crate) references: u16,
    pub(crate) pins: u16,
    pub(crate) sync: bool,
    pub(crate) site: u32,
}

impl Held {
    /// Below the bottom of the stack: the empty sequence in any context.
    pub(crate) const BOTTOM: Self = Self {
        map: u64::MAX,
        nest: 0,
        at: (ROOT as u64) << 32,
        state: 0,
    };

    /// The entry of a checked, blocking acquisition without a nest lock, in the context of `task`.
    #[inline]
    pub(crate) fn plain(
        map: LockMap,
        class: ClassId,
        read: Read,
        site: u32,
        task: &TaskState,
        found: Found,
    ) -> Self {
        let flags = task.plain_flags() | read as u16 | u16::from(found.wait().0) << WAIT_SHIFT;
        Self {
            map: pack(map),
            nest: 0,
            at: u64::from(site) | u64::from(found.node()) << 32,
            state: u64::from(class.0) | u64::from(flags) << FLAGS_SHIFT,
        }
    }

    pub(crate) fn new(request: &Request, task: &TaskState, found: Found) -> Self {
        let flag = |on: bool, bit: u16| if on { bit } else { 0 };
        let flags = request.read as u16
            | flag(request.trylock, TRYLOCK)
            | flag(request.check, CHECK)
            | flag(request.hardirqs_off, HARDIRQS_OFF)
            | u16::from(task.irq_context()) << CONTEXT_SHIFT
            | u16::from(found.wait().0) << WAIT_SHIFT;
        Self {
            map: pack(request.map),
            nest: request.nest.map_or(0, |nest| pack(nest) + NEST_OFFSET),
            at: u64::from(request.site) | u64::from(found.node()) << 32,
            state: u64::from(request.class.0)
                | u64::from(request.references) << REFERENCES_SHIFT
                | u64::from(request.pins) << PINS_SHIFT
                | u64::from(flags) << FLAGS_SHIFT,
        }
    }

    /// The request that acquires this entry again (`reacquire_held_locks()`).
    pub(crate) fn request(&self) -> Request {
        Request {
            map: self.map(),
            class: self.class(),
            trylock: self.trylock(),
            read: self.read(),
            check: self.check(),
            hardirqs_off: self.flags() & HARDIRQS_OFF != 0,
            nest: self.nest(),
            references: self.references(),
            pins: self.pins(),
            sync: false,
            site: self.site(),
        }
    }

    /// True for an entry of [`Held::plain`] that `task` would push just so in its present context.
    #[inline]
    pub(crate) fn is_plain(&self, task: &TaskState) -> bool {
        const VARIABLE: u16 = 3 | 15 << WAIT_SHIFT;
        self.nest == 0
            && self.state & ENTANGLED == 0
            && self.flags() & !VARIABLE == task.plain_flags()
    }

    /// True if the entry is for `map`, and releasing that is all there is to do.
    #[inline]
    pub(crate) fn is_simply(&self, map: LockMap) -> bool {
        self.map == pack(map) && self.state & ENTANGLED == 0
    }

    pub(crate) fn map(&self) -> LockMap {
        unpack(self.map)
    }

    pub(crate) fn nest(&self) -> Option<LockMap> {
        (self.nest != 0).then(|| unpack(self.nest - NEST_OFFSET))
    }

    pub(crate) fn site(&self) -> u32 {
        self.at as u32
    }

    pub(crate) fn set_site(&mut self, site: u32) {
        self.at = self.at >> 32 << 32 | u64::from(site);
    }

    /// The task's sequence with this lock (`curr_chain_key` after it was pushed).
    #[inline]
    pub(crate) fn chain(&self) -> u32 {
        (self.at >> 32) as u32
    }

    #[inline]
    pub(crate) fn class(&self) -> ClassId {
        ClassId(self.state as u16)
    }

    pub(crate) fn set_class(&mut self, class: ClassId) {
        self.set(0, class.0);
    }

    pub(crate) fn references(&self) -> u16 {
        (self.state >> REFERENCES_SHIFT) as u16
    }

    pub(crate) fn set_references(&mut self, references: u16) {
        self.set(REFERENCES_SHIFT, references);
    }

    pub(crate) fn pins(&self) -> u16 {
        (self.state >> PINS_SHIFT) as u16
    }

    pub(crate) fn set_pins(&mut self, pins: u16) {
        self.set(PINS_SHIFT, pins);
    }

    #[inline]
    pub(crate) fn read(&self) -> Read {
        Read::from_bits(self.flags())
    }

    pub(crate) fn set_read(&mut self, read: Read) {
        self.set(FLAGS_SHIFT, self.flags() & !3 | read as u16);
    }

    pub(crate) fn trylock(&self) -> bool {
        self.flags() & TRYLOCK != 0
    }

    pub(crate) fn check(&self) -> bool {
        self.flags() & CHECK != 0
    }

    #[inline]
    pub(crate) fn irq_context(&self) -> u8 {
        (self.flags() >> CONTEXT_SHIFT) as u8 & 3
    }

    pub(crate) fn wait(&self) -> WaitLimit {
        WaitLimit((self.flags() >> WAIT_SHIFT) as u8 & 15)
    }

    #[inline]
    fn flags(&self) -> u16 {
        (self.state >> FLAGS_SHIFT) as u16
    }

    fn set(&mut self, shift: u32, field: u16) {
        self.state = self.state & !(0xffff << shift) | u64::from(field) << shift;
    }
}

/// Makes every nest lock's word differ from 0.
const NEST_OFFSET: u64 = 1 << 32;

#[inline]
fn pack(map: LockMap) -> u64 {
    u64::from(map.key.0) << 32 | u64::from(map.instance)
}

fn unpack(map: u64) -> LockMap {
    LockMap {
        key: Key((map >> 32) as u16),
        instance: map as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_half_a_cache_line() {
        assert_eq!(size_of::<Held>(), 32);
    }

    #[test]
    fn what_is_packed_unpacks() {
        let map = |key, instance| LockMap {
            key: Key(key),
            instance,
        };
        let request = Request {
            map: map(8191, u32::MAX),
            class: ClassId(u16::MAX),
            trylock: true,
            read: Read::Recursive,
            check: false,
            hardirqs_off: true,
            nest: Some(map(0, 0)),
            references: 4095,
            pins: u16::MAX,
            sync: false,
            site: u32::MAX,
        };
        let mut task = TaskState::new(0);
        task.hardirq_enter(true);
        let held = Held::new(&request, &task, Found::new(123_456, WaitLimit(11)));
        let again = held.request();
        assert_eq!(
            (again.map, again.class, again.nest),
            (request.map, request.class, request.nest)
        );
        assert_eq!(
            (again.references, again.pins, again.site),
            (4095, u16::MAX, u32::MAX)
        );
        assert_eq!(
            (again.trylock, again.check, again.hardirqs_off),
            (true, false, true)
        );
        assert_eq!(
            (held.read(), held.irq_context(), held.chain(), held.wait().0),
            (Read::Recursive, 2, 123_456, 11)
        );
        assert!(!held.is_plain(&task) && !held.is_simply(request.map));
    }
}
