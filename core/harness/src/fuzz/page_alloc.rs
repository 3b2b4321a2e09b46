//! The page allocator, used by one task, against a reference: a bit a frame.
//!
//! A zone coalesces free buddies at once, so without per-CPU lists it has a block of an order exactly if the reference
//! has that many free frames in a row at a multiple of their number.

use ksplat_kernel::mm::{Bounds, Gfp, Mm, MmSpec, NoCallbacks, Page, Pressure, ZoneKind, ZoneSpec};
use ksplat_kernel::rt::{
    Deterministic, End, EntityId, EntitySpec, Machine, MachineSpec, Undisturbed, World,
};
use ksplat_kernel::rules::Rules;
use std::cell::RefCell;

/// Frames of the zone: a word of the reference.
const FRAMES: u32 = 64;
/// Operations of one input.
const OPERATIONS: usize = 64;
/// Highest order asked for.
const ORDERS: u8 = 7;

/// An allocator with its machine, and what runs on it.
#[derive(Debug)]
pub struct PageAlloc {
    machine: Machine,
    task: Task,
    executor: Deterministic,
}

#[derive(Debug)]
struct Task {
    mm: Mm,
    state: RefCell<State>,
}

// SAFETY: the deterministic runtime runs the task on the OS thread that owns it, and nothing else.
unsafe impl Sync for Task {}

#[derive(Debug, Default)]
struct State {
    input: Vec<u8>,
    held: Vec<Page>,
    /// The reference: frames that somebody holds, and how many nobody does.
    taken: u64,
    free: u32,
    /// What happened: see [`PageAlloc::features`].
    seen: [u64; FEATURES / 64],
    error: Option<String>,
}

/// What the allocator did with an operation.
#[derive(Clone, Copy)]
enum Did {
    Alloc,
    Fail,
    Free,
}

/// Number of features.
const FEATURES: usize = 128;
/// Degrees of fragmentation that are told apart.
const DEGREES: u32 = 6;

impl Default for PageAlloc {
    fn default() -> Self {
        Self::new()
    }
}

impl PageAlloc {
    /// An allocator of 64 frames without per-CPU lists.
    #[must_use]
    pub fn new() -> Self {
        let task = EntitySpec::task("task", 0);
        let rules = Rules {
            lockdep: false,
            ..Rules::default()
        };
        let mut machine = Machine::new(&MachineSpec {
            cpus: 1,
            entities: vec![task],
            rules,
            max_steps: u32::MAX,
        });
        let spec = MmSpec {
            zones: vec![ZoneSpec::new(ZoneKind::Normal, FRAMES)],
            bounds: Bounds::MODEL,
            ..MmSpec::default()
        };
        let mm = Mm::new(&mut machine, &spec);
        Self {
            machine,
            task: Task {
                mm,
                state: RefCell::default(),
            },
            executor: Deterministic::new(),
        }
    }

    /// Executes the operations that bytes stand for: below 128 the allocation of a block, else the freeing of one. At
    /// the end the allocator must have exactly the free blocks that the reference says.
    ///
    /// # Errors
    /// Where allocator and reference differ.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), String> {
        let state = self.task.state.get_mut();
        state.input.clear();
        state
            .input
            .extend_from_slice(&bytes[..bytes.len().min(OPERATIONS)]);
        state.held.clear();
        (state.taken, state.free) = (0, FRAMES);
        state.seen = [0; FEATURES / 64];
        state.error = None;
        self.task.mm.reset();
        let outcome = self
            .executor
            .run(&self.machine, &self.task, &mut Undisturbed);
        if let Some(error) = self.task.state.get_mut().error.take() {
            return Err(error);
        }
        if outcome.end != End::Completed || !outcome.breaks.is_empty() {
            return Err(format!("{outcome:?}"));
        }
        let taken = self.task.state.get_mut().taken;
        self.same_blocks(taken)
            .map_err(|error| format!("at the end: {error}"))
    }

    fn same_blocks(&self, taken: u64) -> Result<(), String> {
        let blocks = self.task.mm.zones()[0].nr_free_blocks(&self.machine);
        let mut pairs = blocks.iter().zip(free_blocks(taken)).enumerate();
        let Some((order, (blocks, expected))) = pairs.find(|(_, (has, should))| **has != *should)
        else {
            return Ok(());
        };
        Err(format!(
            "{blocks} blocks of order {order} are free, not {expected}, in {taken:064b}"
        ))
    }
}

impl PageAlloc {
    /// What the last input did, as numbers below [`PageAlloc::FEATURES`]: an operation of an order, and into how many
    /// pieces the free memory was broken then.
    pub fn features(&mut self, mut visit: impl FnMut(usize)) {
        let seen = self.task.state.get_mut().seen;
        for (n, mut word) in seen.into_iter().enumerate() {
            while word != 0 {
                visit(64 * n + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
    }

    /// Number of features.
    pub const FEATURES: usize = FEATURES;
}

impl World for Task {
    fn run(&self, _: EntityId) {
        let mut state = self.state.borrow_mut();
        for i in 0..state.input.len() {
            let byte = state.input[i];
            let result = if byte < 128 {
                self.alloc(&mut state, byte)
            } else {
                self.free(&mut state, byte)
            };
            if let Err(error) = result {
                state.error = Some(format!("operation {i}: {error}"));
                return;
            }
        }
    }
}

impl Task {
    fn alloc(&self, state: &mut State, byte: u8) -> Result<(), String> {
        let order = byte % ORDERS;
        // Neither reclaims: success depends on the frames alone.
        let gfp = if (byte / ORDERS).is_multiple_of(2) {
            Gfp::NOWAIT
        } else {
            Gfp::ATOMIC
        };
        let page = self
            .mm
            .alloc_pages(&NoCallbacks, gfp, order, Pressure::None);
        let Some(page) = page else {
            state.saw(Did::Fail, order);
            let fits = fits(state.taken, order);
            let min = self.mm.zones()[0].watermarks().min;
            let low = state.free < min + (1 << order) + 1;
            return if fits && !low {
                Err(format!("no block of order {order} in {:064b}", state.taken))
            } else {
                self.same_count(state)
            };
        };
        let at = page.pfn().index() as u32;
        if page.order() != order || !at.is_multiple_of(1 << order) || at + (1 << order) > FRAMES {
            return Err(format!("asked for order {order}, got {page}"));
        }
        if state.taken & block(at, order) != 0 {
            return Err(format!("{page} is in use: {:064b}", state.taken));
        }
        state.taken |= block(at, order);
        state.free -= 1 << order;
        state.saw(Did::Alloc, order);
        state.held.push(page);
        self.same_count(state)
    }

    fn free(&self, state: &mut State, byte: u8) -> Result<(), String> {
        // In 32 bits, where a division takes half the time.
        let Some(n) = u32::from(byte).checked_rem(state.held.len() as u32) else {
            return Ok(());
        };
        let page = state.held.swap_remove(n as usize);
        self.mm.free_pages(page);
        state.taken &= !block(page.pfn().index() as u32, page.order());
        state.free += 1 << page.order();
        state.saw(Did::Free, page.order());
        self.same_count(state)
    }

    fn same_count(&self, state: &State) -> Result<(), String> {
        let free = self.mm.zones()[0].nr_free();
        if free == state.free {
            return Ok(());
        }
        Err(format!("{free} frames are free, not {}", state.free))
    }
}

impl State {
    fn saw(&mut self, did: Did, order: u8) {
        let pieces = (!self.taken & !(!self.taken << 1)).count_ones();
        let degree = (32 - pieces.leading_zeros()).min(DEGREES - 1);
        let feature = (did as u32 * u32::from(ORDERS) + u32::from(order)) * DEGREES + degree;
        self.seen[feature as usize / 64] |= 1 << (feature % 64);
    }
}

/// Whether a block of this order could be had: so many frames in a row, at a multiple of their number, none of them taken.
fn fits(taken: u64, order: u8) -> bool {
    // Each step folds the upper half of the blocks into the lower one.
    let any = (0..order).fold(taken, |any, o| any | any >> (1 << o));
    !any & multiples(order) != 0
}

/// Free blocks of each order, buddies merged.
fn free_blocks(taken: u64) -> [u32; ORDERS as usize] {
    let (mut any, mut blocks) = (taken, [0; ORDERS as usize]);
    for order in 0..ORDERS {
        let free = (!any & multiples(order)).count_ones();
        blocks[usize::from(order)] = free;
        // Each of these is two of the order below.
        if let Some(below) = usize::from(order).checked_sub(1) {
            blocks[below] -= 2 * free;
        }
        any |= any.checked_shr(1 << order).unwrap_or(0);
    }
    blocks
}

/// A bit at every multiple of 2^order.
fn multiples(order: u8) -> u64 {
    match 1_u32 << order {
        64.. => 1,
        frames => u64::MAX / ((1 << frames) - 1),
    }
}

/// The frames of a block.
fn block(at: u32, order: u8) -> u64 {
    let frames = 1_u32 << order;
    let ones = if frames >= 64 {
        u64::MAX
    } else {
        (1 << frames) - 1
    };
    ones << at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::Rng;

    #[test]
    fn allocator_and_reference_agree_on_random_operations() {
        let (mut allocator, mut rng) = (PageAlloc::new(), Rng::new(1));
        for _ in 0..20_000 {
            let length = rng.below(64);
            let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            allocator
                .check(&bytes)
                .unwrap_or_else(|e| panic!("{bytes:?}: {e}"));
        }
    }

    #[test]
    fn features_tell_what_happened() {
        let mut allocator = PageAlloc::new();
        let mut features = |bytes: &[u8]| {
            allocator.check(bytes).expect("no difference");
            let mut all = Vec::new();
            allocator.features(|n| all.push(n));
            assert!(all.iter().all(|&n| n < PageAlloc::FEATURES));
            all
        };
        assert!(features(&[]).is_empty());
        assert_eq!(features(&[0]).len(), 1);
        assert_ne!(features(&[0]), features(&[1]));
        // Taken and given back.
        assert_eq!(features(&[0, 128]).len(), 2);
        assert!(features(&[0, 1, 2, 0, 129, 128]).len() > 2);
    }

    #[test]
    fn a_block_fits_where_a_walk_over_the_frames_finds_it() {
        let mut rng = Rng::new(2);
        for round in 0..20_000 {
            // From sparse to dense.
            let taken = (0..round % 12).fold(rng.next(), |taken, n| match n % 4 {
                3 => taken | rng.next(),
                _ => taken & rng.next(),
            });
            for order in 0..ORDERS {
                let walk = (0..FRAMES)
                    .step_by(1 << order)
                    .any(|at| taken & block(at, order) == 0);
                assert_eq!(fits(taken, order), walk, "order {order} in {taken:064b}");
            }
        }
        assert!(!fits(u64::MAX, 0) && fits(u64::MAX - 1, 0) && fits(0, 6));
    }

    #[test]
    fn buddies_merge_as_a_walk_from_the_top_finds_them() {
        let mut rng = Rng::new(3);
        for round in 0..20_000 {
            let taken = (0..round % 7).fold(rng.next(), |taken, _| taken & rng.next());
            let (mut left, mut walk) = (!taken, [0; ORDERS as usize]);
            for order in (0..ORDERS).rev() {
                for at in (0..FRAMES).step_by(1 << order) {
                    if left & block(at, order) == block(at, order) {
                        left &= !block(at, order);
                        walk[usize::from(order)] += 1;
                    }
                }
            }
            assert_eq!(free_blocks(taken), walk, "{taken:064b}");
        }
        assert_eq!(free_blocks(0), [0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_difference_is_noticed() {
        let allocator = PageAlloc::new();
        let mut state = State {
            free: FRAMES,
            ..State::default()
        };
        assert!(allocator.task.same_count(&state).is_ok());
        state.free -= 1;
        assert!(allocator.task.same_count(&state).is_err());
        assert!(allocator.same_blocks(0).is_ok());
        assert!(allocator.same_blocks(1 << 9).is_err());
    }
}
