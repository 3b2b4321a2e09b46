//! Watermarks, what a request may do to them, and the test against them.

use super::gfp::Gfp;
use super::pf::Pf;

/// The three watermarks of a zone, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it only requests with reserve rights succeed.
    pub min: u32,
    /// Below it the fast path fails and kswapd is woken.
    pub low: u32,
    /// Up to it kswapd reclaims.
    pub high: u32,
}

impl Watermarks {
    /// Watermarks for a zone: the kernel's square-root rule (`init_per_zone_wmark_min()`), bounded to a sixteenth of
    /// the zone so that machines of a few pages work.
    #[must_use]
    pub fn of(pages: u32) -> Self {
        let kilobytes = u64::from(pages) * 4;
        let rule = ((kilobytes * 16).isqrt() / 4) as u32;
        let min = rule.min(pages / 16).max(u32::from(pages > 1));
        let step = (min / 4).max(pages / 1000).max(u32::from(pages > 2));
        Self {
            min,
            low: (min + step).min(pages),
            high: (min + 2 * step).min(pages),
        }
    }
}

/// Which watermark a freelist attempt has to satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `ALLOC_NO_WATERMARKS`.
    None,
    Min,
    Low,
    High,
}

/// `alloc_flags`: what a freelist attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AllocFlags {
    pub(crate) mark: Mark,
    /// `ALLOC_MIN_RESERVE`: half of min.
    pub(crate) min_reserve: bool,
    /// `ALLOC_NON_BLOCK`: a quarter of what is left of min, for those with `min_reserve`.
    pub(crate) non_block: bool,
    /// `ALLOC_OOM`: half of min, for OOM victims.
    pub(crate) oom: bool,
}

impl AllocFlags {
    pub(crate) const fn plain(mark: Mark) -> Self {
        Self {
            mark,
            min_reserve: false,
            non_block: false,
            oom: false,
        }
    }

    /// `gfp_to_alloc_flags()`: what the mask and the task give in the slow path. `rt`: a real-time task in process
    /// context.
    pub(crate) fn of(gfp: Gfp, rt: bool) -> Self {
        let blocks = gfp.may_block();
        Self {
            min_reserve: gfp.has(Gfp::HIGH) || blocks && rt,
            non_block: !blocks && !gfp.has(Gfp::NOMEMALLOC),
            ..Self::plain(Mark::Min)
        }
    }
}

/// What a task may do to the reserves (`__gfp_pfmemalloc_flags()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserves {
    No,
    /// No watermark at all.
    All,
    /// As an OOM victim.
    Oom,
}

impl Reserves {
    pub(crate) fn of(gfp: Gfp, pf: Pf, in_hardirq: bool, oom_victim: bool) -> Self {
        if gfp.has(Gfp::NOMEMALLOC) {
            return Self::No;
        }
        if gfp.has(Gfp::MEMALLOC) {
            return Self::All;
        }
        if in_hardirq {
            return Self::No;
        }
        if pf.has(Pf::MEMALLOC) {
            return Self::All;
        }
        if oom_victim { Self::Oom } else { Self::No }
    }
}

/// How far free memory may go down for these flags, before `lowmem_reserve`.
pub(crate) fn floor(marks: Watermarks, flags: AllocFlags) -> u32 {
    let mut min = match flags.mark {
        Mark::None => return 0,
        Mark::Min => marks.min,
        Mark::Low => marks.low,
        Mark::High => marks.high,
    };
    if flags.min_reserve {
        min -= min / 2;
        if flags.non_block {
            min -= min / 4;
        }
    }
    if flags.oom {
        min -= min / 2;
    }
    min
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Watermarks = Watermarks {
        min: 64,
        low: 80,
        high: 96,
    };

    #[test]
    fn reserve_shares_are_those_of_the_table() {
        let of = |gfp| floor(MARKS, AllocFlags::of(gfp, false));
        assert_eq!(of(Gfp::KERNEL), 64);
        assert_eq!(of(Gfp::NOWAIT), 64, "the non-blocking bonus needs HIGH");
        assert_eq!(of(Gfp::KERNEL | Gfp::HIGH), 32);
        assert_eq!(of(Gfp::ATOMIC), 24, "three eighths");
        assert_eq!(of(Gfp::ATOMIC | Gfp::NOMEMALLOC), 32, "no bonus");
        assert_eq!(floor(MARKS, AllocFlags::of(Gfp::KERNEL, true)), 32, "RT");
        let oom = AllocFlags {
            oom: true,
            ..AllocFlags::of(Gfp::KERNEL, false)
        };
        assert_eq!(floor(MARKS, oom), 32);
        assert_eq!(floor(MARKS, AllocFlags::plain(Mark::None)), 0);
    }

    #[test]
    fn reserve_rights() {
        let of = |gfp, pf| Reserves::of(gfp, pf, false, false);
        assert_eq!(of(Gfp::KERNEL, Pf::NONE), Reserves::No);
        assert_eq!(of(Gfp::KERNEL, Pf::MEMALLOC), Reserves::All);
        assert_eq!(
            of(Gfp::KERNEL | Gfp::NOMEMALLOC, Pf::MEMALLOC),
            Reserves::No
        );
        assert_eq!(of(Gfp::KERNEL | Gfp::MEMALLOC, Pf::NONE), Reserves::All);
        assert_eq!(
            Reserves::of(Gfp::ATOMIC, Pf::MEMALLOC, true, false),
            Reserves::No
        );
        assert_eq!(
            Reserves::of(Gfp::KERNEL, Pf::NONE, false, true),
            Reserves::Oom
        );
    }

    #[test]
    fn derived_watermarks_fit_any_zone() {
        for pages in [1, 2, 8, 16, 64, 4096, 262_144] {
            let w = Watermarks::of(pages);
            assert!(
                w.min <= w.low && w.low <= w.high && w.high <= pages,
                "{pages}: {w:?}"
            );
        }
        assert_eq!(Watermarks::of(262_144).min, 1024);
    }
}
