use ksplat_harness::explore::Random;
use ksplat_kernel::rt::*;
use ksplat_kernel::rules::Rules;
use ksplat_kernel::sync::{How, Irq, Lock, LockKind};
struct Pairs([Lock; 2]);
impl World for Pairs {
    fn run(&self, entity: EntityId) {
        for i in 0..10 {
            let lock = &self.0[(i + entity.index()) % 2];
            let flags = lock.lock(How::default());
            lock.unlock(Irq::Plain, flags);
        }
    }
}
fn main() {
    let n: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1_000_000);
    let task = |i: u8| EntitySpec { name: format!("T{i}"), cpu: CpuId(i), kind: EntityKind::Task, prio: 0, pf: 0, times: 0 };
    let rules = Rules { lockdep: false, ..Rules::default() };
    let mut m = Machine::new(&MachineSpec { cpus: 3, entities: (0..3).map(task).collect(), rules, max_steps: 10_000 });
    let w = Pairs(["A", "B"].map(|name| Lock::new(&mut m, LockKind::Mutex, name, None)));
    let mut det = Deterministic::new();
    let mut s = Random::new(1);
    let start = std::time::Instant::now();
    let mut steps = 0;
    for _ in 0..n { steps += det.run(&m, &w, &mut s).steps as u64; }
    let t = start.elapsed();
    println!("{:.0} exec/s, {:.1} ns/step, {} steps/exec", n as f64 / t.as_secs_f64(), t.as_nanos() as f64 / steps as f64, steps / n);
}
