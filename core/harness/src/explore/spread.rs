//! Draws that keep away from what the same place drew before.

use super::rng::Rng;

/// Numbers for the places of a decision tree: each number by itself is uniform, those of one place are spread evenly
/// over their range, as successive multiples of the golden ratio are (a Kronecker sequence with a random shift). Each
/// execution by itself is thus what it would be with independent numbers; only what recent executions did is not
/// done again so soon.
///
/// Places near the root are visited often and remembered; of the others the table keeps what it has room for.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    table: Vec<Slot>,
}

/// Where something is drawn: after what, and how far from the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    key: u64,
    depth: u32,
}

/// A place that is remembered, and the number drawn there last.
#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    last: u64,
}

/// 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Places that are remembered.
const PLACES: usize = 1 << 12;
/// Deeper down nothing is remembered: hardly any place there is visited twice.
const DEPTH: u32 = 8;

impl Place {
    /// The root of a tree.
    pub(super) const fn root(tree: u64) -> Self {
        Self {
            key: tree.wrapping_add(1).wrapping_mul(STEP),
            depth: 0,
        }
    }

    /// Where one gets by this branch.
    pub(super) const fn branch(self, branch: u64) -> Self {
        let mixed = (self.key ^ branch.wrapping_add(1)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self {
            key: mixed ^ (mixed >> 29),
            depth: self.depth + 1,
        }
    }
}

impl Spread {
    /// A number below `n` for this place; 0 if `n` is 0.
    pub(super) fn below(&mut self, place: Place, n: u64, rng: &mut Rng) -> u64 {
        let number = self.next(place, rng);
        ((u128::from(number) * u128::from(n)) >> 64) as u64
    }

    fn next(&mut self, place: Place, rng: &mut Rng) -> u64 {
        if place.depth >= DEPTH {
            return rng.next();
        }
        if self.table.is_empty() {
            let place = Place {
                key: 0,
                depth: DEPTH,
            };
            self.table.resize(PLACES, Slot { place, last: 0 });
        }
        let slot = &mut self.table[(place.key >> 40) as usize % PLACES];
        if slot.place == place {
            slot.last = slot.last.wrapping_add(STEP);
            return slot.last;
        }
        let last = rng.next();
        if place.depth <= slot.place.depth {
            *slot = Slot { place, last };
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_place_are_spread_evenly() {
        let (mut spread, mut rng) = (Spread::default(), Rng::new(1));
        let places = [Place::root(1), Place::root(2), Place::root(1).branch(7)];
        for round in 0..100 {
            for place in places {
                let mut seen = [0_u32; 10];
                for _ in 0..20 {
                    seen[spread.below(place, 10, &mut rng) as usize] += 1;
                }
                assert!(
                    seen.iter().all(|&n| (1..4).contains(&n)),
                    "{round}: {seen:?}"
                );
            }
        }
    }

    #[test]
    fn the_first_number_of_a_place_is_uniform() {
        let mut seen = [0_u32; 10];
        for seed in 0..20_000 {
            let (mut spread, mut rng) = (Spread::default(), Rng::new(seed));
            spread.below(Place::root(0), 10, &mut rng);
            seen[spread.below(Place::root(0), 10, &mut rng) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (1_850..2_150).contains(n)), "{seen:?}");
    }

    #[test]
    fn deep_places_do_not_displace_those_near_the_root() {
        let (mut spread, mut rng) = (Spread::default(), Rng::new(1));
        let root = Place::root(3);
        let first = spread.next(root, &mut rng);
        for i in 0..100_000 {
            spread.next(root.branch(i), &mut rng);
        }
        assert_eq!(spread.next(root, &mut rng), first.wrapping_add(STEP));
    }
}
