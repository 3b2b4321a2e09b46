//! The `machine` section.

use serde::{Deserialize, Serialize};

use super::word::Word;
use super::{At, limits};

/// What a zone is for. Its word is its name; each node has at most one zone of a kind.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    arbitrary::Arbitrary,
)]
pub enum ZoneKind {
    /// `dma`.
    Dma,
    /// `dma32`.
    Dma32,
    /// `normal`.
    #[default]
    Normal,
    /// `highmem`.
    Highmem,
    /// `movable`.
    Movable,
}

impl Word for ZoneKind {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Dma, "dma"),
        (Self::Dma32, "dma32"),
        (Self::Normal, "normal"),
        (Self::Highmem, "highmem"),
        (Self::Movable, "movable"),
    ];
}

/// `zone normal = 16 pages min 2 low 4 high 6 free 8 node 0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Where it stands in the text.
    #[serde(skip)]
    pub at: At,
    /// What it is for.
    pub kind: ZoneKind,
    /// The node it belongs to.
    pub node: u8,
    /// Pages it manages, at least 1.
    pub pages: u32,
    /// Watermarks; derived from `pages` when not written. Legal ones have `min <= low <= high <= pages`.
    pub watermarks: Option<Watermarks>,
    /// Pages that are free when the tasks start; all that no declared page takes when not written.
    /// The rest is taken by someone who never gives it back.
    pub free: Option<u32>,
}

/// The three watermarks of a zone, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Below it only requests with reserve rights succeed.
    pub min: u32,
    /// Below it the fast path fails and kswapd is woken.
    pub low: u32,
    /// Up to it kswapd reclaims.
    pub high: u32,
}

/// Per-CPU page lists: `pcp high 4 batch 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pcp {
    /// Above it pages go back to the zone.
    pub high: u16,
    /// Pages moved at a time, at least 1.
    pub batch: u16,
}

/// The machine a program runs on. The default is what the known cases need: 2 CPUs, 1 node, 16 normal pages, no
/// per-CPU lists, no kswapd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Virtual CPUs, 1 to [`limits::CPUS`].
    pub cpus: u8,
    /// NUMA nodes, 1 to [`limits::NODES`].
    pub nodes: u8,
    /// Zones; legal machines have at least one.
    pub zones: Vec<Zone>,
    /// Per-CPU lists, when the machine has them.
    pub pcp: Option<Pcp>,
    /// The CPU kswapd runs on, when there is a kswapd.
    pub kswapd: Option<u8>,
    /// Steps after which an execution is given up; the explorer's own bound when not written.
    pub steps: Option<u32>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            nodes: 1,
            zones: vec![Zone::of(ZoneKind::Normal, 16)],
            pcp: None,
            kswapd: None,
            steps: None,
        }
    }
}

impl Zone {
    /// A zone of node 0 in which nothing else is said.
    pub fn of(kind: ZoneKind, pages: u32) -> Self {
        Self {
            at: At::NOWHERE,
            kind,
            node: 0,
            pages,
            watermarks: None,
            free: None,
        }
    }

    /// Whether the numbers fit together on a machine with `nodes` nodes.
    pub fn is_legal(&self, nodes: u8) -> bool {
        let ordered = self
            .watermarks
            .is_none_or(|w| w.min <= w.low && w.low <= w.high && w.high <= self.pages);
        self.node < nodes
            && (1..=limits::ZONE_PAGES).contains(&u64::from(self.pages))
            && ordered
            && self.free.is_none_or(|free| free <= self.pages)
    }
}
