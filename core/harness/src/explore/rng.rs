//! Pseudo-random numbers for strategies: small, fast, the same on every machine.

use ksplat_kernel::rt::{EntityId, EntitySet, MAX_ENTITIES};

/// Splitmix64: a counter through a mixing function. Any seed is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    counter: u64,
    /// The next number, mixed ahead: who draws it has nothing to wait for.
    ahead: u64,
}

const fn mixed(counter: u64) -> u64 {
    let z = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// A generator; equal seeds give equal numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        let mut rng = Self {
            counter: seed,
            ahead: 0,
        };
        rng.next();
        rng
    }

    /// 64 random bits.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        std::mem::replace(&mut self.ahead, mixed(self.counter))
    }

    /// A number below `n`; 0 if `n` is 0. The bias is at most `n / 2^32`.
    #[inline]
    pub const fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * n as u64) >> 32) as u32
    }

    /// One of the members of a set, each as likely; entity 0 if there is none.
    #[inline]
    pub fn member(&mut self, set: EntitySet) -> EntityId {
        if set < 256 {
            let members = &SMALL[set as usize];
            let n = self.below(u32::from(members.len));
            return members.ids[n as usize & 7];
        }
        nth_member(set, self.below(set.count_ones()))
    }
}

/// The members of a set below 256: without counting bits one by one, which costs more than the draw.
#[derive(Clone, Copy)]
struct Members {
    len: u8,
    ids: [EntityId; 8],
}

static SMALL: [Members; 256] = {
    let mut table = [Members {
        len: 0,
        ids: [EntityId::new(0); 8],
    }; 256];
    let mut set = 0;
    while set < 256 {
        let mut id = 0;
        while id < 8 {
            if set >> id & 1 == 1 {
                let members = &mut table[set];
                members.ids[members.len as usize] = EntityId::new(id);
                members.len += 1;
            }
            id += 1;
        }
        set += 1;
    }
    table
};

/// The member of a set that has `n` members below it; entity 0 if there are not that many.
#[inline]
pub(crate) fn nth_member(mut set: EntitySet, n: u32) -> EntityId {
    // The usual few candidates without a branch on `n`, which no processor can predict.
    if n < 4 {
        let drop = |set: EntitySet| set & set.wrapping_sub(1);
        let one = drop(set);
        let two = drop(one);
        set = [set, one, two, drop(two)][n as usize];
    } else {
        for _ in 0..n {
            set &= set.wrapping_sub(1);
        }
    }
    EntityId::new(set.trailing_zeros() as usize % MAX_ENTITIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_drawn_about_as_often() {
        let (set, mut rng, mut seen) =
            (1 << 127 | 0x8000_0000_0001_0104, Rng::new(1), [0_u32; 128]);
        for _ in 0..40_000 {
            seen[rng.member(set).index()] += 1;
        }
        for (i, &n) in seen.iter().enumerate() {
            let expected = if set >> i & 1 == 1 {
                7_600..8_400
            } else {
                0..1
            };
            assert!(expected.contains(&n), "{i}: {n}");
        }
    }
}
