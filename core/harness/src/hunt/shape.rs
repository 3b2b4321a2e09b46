//! What makes two findings of different programs the same: names do not matter, what they name does.

use crate::finding::Signature;
use crate::program::{Program, print, print_operation};
use crate::run::place;
use ksplat_kernel::rt::Outcome;
use std::collections::BTreeMap;

/// The signature with every declared name replaced by what it names: `stop/deadlock/mutex>PG_locked of page`.
#[must_use]
pub fn shape(program: &Program, signature: &Signature) -> String {
    let kinds = kinds(program);
    let parts: Vec<&str> = signature.0.splitn(3, '/').collect();
    let [what, kind, about] = parts.as_slice() else {
        return signature.0.clone();
    };
    let mut names: Vec<String> = about.split('>').map(|n| plain(n, &kinds)).collect();
    if signature.is_report() {
        names.sort();
        names.dedup();
    } else {
        rotate(&mut names);
    }
    format!("{what}/{kind}/{}", names.join(">"))
}

/// The shape of a finding. The same resources stop tasks in many ways: for a stop the operations that do not end are part
/// of its shape.
#[must_use]
pub fn found_shape(program: &Program, signature: &Signature, outcome: &Outcome) -> String {
    let shape = shape(program, signature);
    let Some(stop) = outcome.stop.as_ref().filter(|_| signature.is_stop()) else {
        return shape;
    };
    let places = stop.waits.iter().filter_map(|w| place(w.site));
    let mut verbs: Vec<String> = places.filter_map(|at| verb(program, at)).collect();
    verbs.sort_unstable();
    verbs.dedup();
    if verbs.is_empty() {
        return shape;
    }
    format!("{shape} in {}", verbs.join(", "))
}

/// The word that says what the operation at a line and column does.
fn verb(program: &Program, place: (u32, u32)) -> Option<String> {
    let mut found = None;
    for (_, _, _, body) in program.bodies() {
        body.block.walk(&mut |stmt| {
            if (stmt.at.line, stmt.at.column) == place {
                found = Some(print_operation(program, body, &stmt.op));
            }
        });
    }
    let text = found?;
    let operation = text.split_once(" = ").map_or(&*text, |(_, op)| op);
    operation.split_whitespace().next().map(str::to_owned)
}

/// What every declared name of a program is.
fn kinds(program: &Program) -> BTreeMap<String, String> {
    let text = print(program);
    let mut out = BTreeMap::new();
    for line in text.lines().filter(|l| !l.starts_with([' ', '}'])) {
        let mut words = line.split([' ', ',', '/']).filter(|w| !w.is_empty());
        let (Some(kind), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        out.entry(name.to_owned())
            .or_insert_with(|| kind.to_owned());
        // The class of a lock is as good as the lock.
        if let Some(class) = words.skip_while(|w| *w != "class").nth(1) {
            out.entry(class.to_owned())
                .or_insert_with(|| kind.to_owned());
        }
    }
    out
}

fn plain(name: &str, kinds: &BTreeMap<String, String>) -> String {
    let apart = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let mut out = String::new();
    let mut word = String::new();
    for c in name.chars().chain([' ']) {
        if apart(c) {
            let cpu = word.strip_prefix("cpu").is_some_and(is_number);
            match kinds.get(&word) {
                Some(kind) => out.push_str(kind),
                None if cpu => out.push_str("cpu"),
                None if is_number(&word) => {}
                None => out.push_str(&word),
            }
            word.clear();
            out.push(c);
        } else {
            word.push(c);
        }
    }
    out.trim_end_matches([' ', '/']).to_owned()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The rotation of a cycle that comes first in order.
fn rotate(names: &mut [String]) {
    let smallest = (0..names.len()).min_by_key(|&i| {
        let (head, tail) = names.split_at(i);
        tail.iter().chain(head).cloned().collect::<Vec<_>>()
    });
    names.rotate_left(smallest.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::parse;

    #[test]
    fn names_become_kinds() {
        let text =
            "splat x\nmutex z, a class q\nspinlock s\npage p\ntask t on cpu0 { lock z { } }\n";
        let program = parse("x", text).unwrap();
        let of = |s: &str| shape(&program, &Signature(s.to_owned()));
        assert_eq!(of("stop/deadlock/a>s"), "stop/deadlock/mutex>spinlock");
        assert_eq!(of("stop/deadlock/s>z"), "stop/deadlock/mutex>spinlock");
        assert_eq!(of("stop/deadlock/cpu0>s"), "stop/deadlock/cpu>spinlock");
        assert_eq!(
            of("stop/deadlock/z>PG_locked of p"),
            "stop/deadlock/PG_locked of page>mutex"
        );
        assert_eq!(
            of("report/circular/fs_reclaim>z/1"),
            "report/circular/fs_reclaim>mutex"
        );
        assert_eq!(of("state/irq-state"), "state/irq-state");
    }
}
