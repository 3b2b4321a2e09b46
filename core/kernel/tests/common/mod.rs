//! What the tests of memory management share: seeded decisions and small machines.

use ksplat_kernel::rt::{Decision, EntityId, EntitySpec, Machine, MachineSpec, Strategy};
use ksplat_kernel::rules::Rules;

/// Splitmix: decisions from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u32) -> u32 {
        self.roll() as u32 % n
    }
}

impl Strategy for Dice {
    fn pick(&mut self, d: &Decision<'_>) -> EntityId {
        let n = self.below(d.len());
        d.nth(n)
    }

    fn choose(&mut self, n: u32) -> u32 {
        self.below(n)
    }
}

pub fn machine(entities: Vec<EntitySpec>, rules: Rules) -> Machine {
    Machine::new(&MachineSpec {
        cpus: 2,
        entities,
        rules,
        max_steps: 20_000,
    })
}
