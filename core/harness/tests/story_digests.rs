//! Stories of random programs are today what they were: the same in a debug and in a release build, and after any
//! change that is not meant to be seen.
//!
//! `story_digests.txt` holds one digest for each hundred programs. Where a change of the language, its generator or the
//! model is meant to be seen, `KSPLAT_RENEW=1 cargo test -p ksplat-harness --test story_digests` writes the file anew.

#[path = "common/random_programs.rs"]
mod random_programs;

use ksplat_harness::story::Moment;
use ksplat_kernel::rt::Deterministic;
use random_programs::{Shown, deterministic, litmus, program};
use std::fmt::Write;

const DIGESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/story_digests.txt");
const BLOCKS: u64 = 20;
const PROGRAMS: u64 = 100;

/// FNV-1a: the same on every machine and with every compiler.
struct Digest(u64);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.add(text.as_bytes());
        self.add(&[0xff]);
    }

    fn moment(&mut self, m: &Moment) {
        let numbers = format!(
            "{} {} {} {} {} {} {} {} {} {} {}",
            m.step,
            m.cpu,
            m.entity,
            m.site,
            m.pf,
            m.irqs_off,
            m.atomic,
            m.fact,
            m.res,
            m.set,
            m.how
        );
        for text in [&numbers, &m.task, &m.kind, &m.text] {
            self.text(text);
        }
    }

    fn shown(&mut self, shown: &Shown) {
        let o = &shown.outcome;
        self.text(&format!("{:?} {} {:?}", o.end, o.steps, o.fault));
        if let Some(stop) = &o.stop {
            self.text(&format!("{:?} {}", stop.kind, stop.stuck));
        }
        for b in &o.breaks {
            self.text(&format!("{} {:?} {} {}", b.kind, b.about, b.site, b.detail));
        }
        for report in &o.reports {
            self.text(&report.title());
        }
        for choice in &shown.choices {
            self.add(&choice.to_le_bytes());
        }
        shown.story.iter().for_each(|m| self.moment(m));
    }
}

fn digests() -> String {
    let mut executor = Deterministic::new();
    let mut out = String::new();
    for block in 0..BLOCKS {
        let seeds = block * PROGRAMS..(block + 1) * PROGRAMS;
        let mut digest = Digest(0xcbf2_9ce4_8422_2325);
        for seed in seeds.clone() {
            digest.shown(&deterministic(&litmus(&program(seed)), &mut executor, seed));
        }
        writeln!(out, "{}..{} {:016x}", seeds.start, seeds.end, digest.0).expect("a string");
    }
    out
}

#[test]
fn stories_are_what_they_were() {
    let now = digests();
    if std::env::var_os("KSPLAT_RENEW").is_some() {
        std::fs::write(DIGESTS, &now).expect("tests can be written");
    }
    let then = std::fs::read_to_string(DIGESTS).expect("the digests are there");
    let differ = now
        .lines()
        .zip(then.lines())
        .filter(|(now, then)| now != then);
    let differ: Vec<_> = differ.map(|(now, _)| now).collect();
    assert!(
        differ.is_empty() && now.lines().count() == then.lines().count(),
        "stories of these programs are not what they were: {differ:#?}\nIf they are not meant to be: KSPLAT_RENEW=1 \
         cargo test -p ksplat-harness --test story_digests"
    );
}
