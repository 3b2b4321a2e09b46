//! `docs/language.md`: every example is a program, and every word of the language is in an example.

use std::collections::BTreeSet;

use ksplat_harness::program::gfp::{GfpBase, GfpFlag};
use ksplat_harness::program::op::Pressure;
use ksplat_harness::program::rules_text::{GUARDS, SWITCHES};
use ksplat_harness::program::word::Word;
use ksplat_harness::program::{declaration_words, operation_words, parse, print};

const PAGE: &str = include_str!("../../../docs/language.md");

/// The fenced blocks marked `splat`, each with the line it starts at.
fn examples() -> Vec<(usize, String)> {
    let mut examples = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (i, line) in PAGE.lines().enumerate() {
        match &mut open {
            None if line == "```splat" => open = Some((i + 2, String::new())),
            None => {}
            Some(_) if line == "```" => examples.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block has no end");
    examples
}

#[test]
fn every_example_is_read_and_printed() {
    let examples = examples();
    assert!(examples.len() >= 20, "only {} examples", examples.len());
    for (line, text) in examples {
        let program = parse("language.md", &text)
            .unwrap_or_else(|e| panic!("example at line {line}:\n{}", e));
        let printed = print(&program);
        let again = parse("printed", &printed).unwrap_or_else(|e| panic!("{}\n{printed}", e));
        assert_eq!(again, program, "example at line {line}");
    }
}

#[test]
fn every_word_of_the_language_is_in_an_example() {
    let text: String = examples().into_iter().map(|(_, text)| text).collect();
    let used: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let mut words = operation_words();
    words.extend(declaration_words());
    words.extend(
        Pressure::words()
            .into_iter()
            .filter(|w| !w.is_empty() && *w != "fast"),
    );
    // Synonyms that the printer does not write.
    words.retain(|word| *word != "write_unlock");
    let missing: Vec<&str> = words
        .into_iter()
        .filter(|word| !used.contains(word))
        .collect();
    assert!(missing.is_empty(), "no example has {missing:?}");
}

#[test]
fn every_switch_guard_and_gfp_word_is_on_the_page() {
    let switches = SWITCHES.iter().map(|s| s.name);
    let guards = GUARDS.iter().map(|(name, _)| *name);
    let gfp = GfpBase::words().into_iter().chain(GfpFlag::words());
    for word in switches.chain(guards).chain(gfp) {
        assert!(
            PAGE.contains(&format!("`{word}`")),
            "`{word}` is not explained"
        );
    }
}
