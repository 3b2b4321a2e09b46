//! Lock classes: keys, subclasses, wait types, and the handle of a lock instance.

use alloc::sync::Arc;

/// Number of subclasses of a key (`MAX_LOCKDEP_SUBCLASSES`).
pub const MAX_SUBCLASSES: u8 = 8;

/// How a lock waits (`enum lockdep_wait_type`), ordered from the most to the least restricted context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WaitType {
    /// Not checked (`LD_WAIT_INV`). As an outer type: the same as the inner one.
    #[default]
    Inv = 0,
    /// Wait free: RCU and the like (`LD_WAIT_FREE`).
    Free = 1,
    /// Spins, also on PREEMPT_RT: raw spinlocks (`LD_WAIT_SPIN`).
    Spin = 2,
    /// Sleeps on PREEMPT_RT and spins otherwise: spinlocks, rwlocks, local locks (`LD_WAIT_CONFIG`).
    Config = 3,
    /// Sleeps: mutexes, rw-semaphores (`LD_WAIT_SLEEP`).
    Sleep = 4,
    /// No restriction: the context of a task that holds nothing (`LD_WAIT_MAX`).
    Max = 5,
}

impl WaitType {
    pub(crate) fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Inv,
            1 => Self::Free,
            2 => Self::Spin,
            3 => Self::Config,
            4 => Self::Sleep,
            _ => Self::Max,
        }
    }
}

/// What kind of object a key belongs to (`enum lockdep_lock_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LockType {
    /// An ordinary lock.
    #[default]
    Normal = 0,
    /// A per-CPU lock such as `local_lock_t`: carries no interrupt-usage dependency.
    PerCpu = 1,
    /// Not a lock: an annotation that only overrides the wait type of the context.
    WaitOverride = 2,
}

/// What a key is registered with: the static half of the kernel's `struct lockdep_map`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The class name that reports print.
    pub name: Arc<str>,
    /// What the lock does to the context while it is held.
    pub wait_type_inner: WaitType,
    /// What the lock demands of the context it is taken in; [`WaitType::Inv`] means "as inner".
    pub wait_type_outer: WaitType,
    /// Lock, per-CPU lock or override.
    pub lock_type: LockType,
}

impl KeyInfo {
    /// A key without wait type, as `lockdep_init_map` makes it: never subject to the context check.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::waiting(name, WaitType::Inv)
    }

    /// An ordinary lock of the given wait type.
    pub fn waiting(name: impl Into<Arc<str>>, inner: WaitType) -> Self {
        Self {
            name: name.into(),
            wait_type_inner: inner,
            wait_type_outer: WaitType::Inv,
            lock_type: LockType::Normal,
        }
    }
}

/// A registered lock key: what all instances initialised at one place share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(crate) u16);

impl Key {
    /// Position in the order of registration. The three RCU keys come first.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The class of this key at `subclass`; `None` for a subclass of 8 or more.
    pub fn class(self, subclass: u8) -> Option<ClassId> {
        (subclass < MAX_SUBCLASSES).then(|| ClassId::of(self, subclass))
    }
}

/// A lock class: a key together with a subclass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub(crate) u16);

impl ClassId {
    #[inline]
    pub(crate) fn of(key: Key, subclass: u8) -> Self {
        Self(key.0 << 3 | u16::from(subclass & 7))
    }

    /// The key of the class.
    pub fn key(self) -> Key {
        Key(self.0 >> 3)
    }

    /// The subclass, 0 to 7.
    pub fn subclass(self) -> u8 {
        (self.0 & 7) as u8
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A lock instance: the kernel's `struct lockdep_map *`. Two maps are the same lock iff they are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockMap {
    /// The key the instance was initialised with.
    pub key: Key,
    /// Which of the key's instances.
    pub instance: u32,
}

impl LockMap {
    /// The instance `instance` of `key`.
    pub fn new(key: Key, instance: u32) -> Self {
        Self { key, instance }
    }
}

/// How a lock is acquired: the kernel's `read` argument of `lock_acquire()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Read {
    /// 0: for writing, or a lock that knows no readers.
    #[default]
    Exclusive = 0,
    /// 1: a reader that blocks behind a waiting writer (rw-semaphores, queued rwlocks in a task).
    Shared = 1,
    /// 2: a reader that only a writer in possession can block (RCU, rwlocks in interrupts).
    Recursive = 2,
}

impl Read {
    /// True for either kind of reader.
    #[inline]
    pub fn is_read(self) -> bool {
        self != Self::Exclusive
    }

    #[inline]
    pub(crate) fn from_bits(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::Exclusive,
            1 => Self::Shared,
            _ => Self::Recursive,
        }
    }
}

impl TryFrom<u8> for Read {
    type Error = u8;

    /// # Errors
    /// Hands back a value other than 0, 1 and 2.
    fn try_from(read: u8) -> Result<Self, u8> {
        match read {
            0 => Ok(Self::Exclusive),
            1 => Ok(Self::Shared),
            2 => Ok(Self::Recursive),
            other => Err(other),
        }
    }
}

/// The arguments of `lock_acquire()` besides the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// Subclass for nested locking, 0 to 7.
    pub subclass: u8,
    /// A successful trylock. A trylock that failed is no event.
    pub trylock: bool,
    /// Writer or which kind of reader.
    pub read: Read,
    /// False for locks whose dependencies are not validated (RCU, novalidate classes).
    pub check: bool,
    /// The lock that serialises taking several of this class (`spin_lock_nest_lock()`).
    pub nest: Option<LockMap>,
    /// The caller's source position; reports hand it back.
    pub site: u32,
}

impl Acquire {
    /// A checked, blocking, exclusive acquisition at subclass 0.
    #[inline]
    pub fn at(site: u32) -> Self {
        Self {
            subclass: 0,
            trylock: false,
            read: Read::Exclusive,
            check: true,
            nest: None,
            site,
        }
    }

    /// The same with a mode of reading.
    #[inline]
    pub fn read(self, read: Read) -> Self {
        Self { read, ..self }
    }

    /// The same as a successful trylock.
    #[inline]
    pub fn trylock(self) -> Self {
        Self {
            trylock: true,
            ..self
        }
    }

    /// The same with a subclass (`_nested()`).
    #[inline]
    pub fn subclass(self, subclass: u8) -> Self {
        Self { subclass, ..self }
    }

    /// The same under a nest lock (`_nest_lock()`).
    #[inline]
    pub fn nest(self, nest: LockMap) -> Self {
        Self {
            nest: Some(nest),
            ..self
        }
    }

    /// The same without validation (`check = 0`).
    #[inline]
    pub fn unchecked(self) -> Self {
        Self {
            check: false,
            ..self
        }
    }
}
