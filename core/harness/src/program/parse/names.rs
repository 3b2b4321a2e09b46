//! Declared names: the first pass, and references.

use std::collections::BTreeMap;

use super::super::decl::{Counter, Flag, Slot};
use super::super::error::Problem;
use super::super::lex::{Kind, Token};
use super::super::suggest::did_you_mean;
use super::super::table::{Declared, Id};
use super::super::{At, Name, limits, name};
use super::cursor::{Parsed, Parser};
use super::items::Item;

/// One declared name.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub what: &'static str,
    pub index: u16,
    pub at: At,
}

/// All declared names. There is one name space for everything but classes and zones.
#[derive(Default)]
pub(super) struct Names {
    entries: BTreeMap<String, Entry>,
    counts: BTreeMap<&'static str, u16>,
}

impl Names {
    pub fn get(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// The names of one kind.
    pub fn of<'a>(&'a self, what: &'static str) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.what == what)
            .map(|(name, _)| name.as_str())
    }

    /// Whether the name alone can stand in a condition.
    pub fn is_condition(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|entry| [Flag::WHAT, Counter::WHAT, Slot::WHAT].contains(&entry.what))
    }

    /// Every name.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

impl<'t> Parser<'t> {
    /// The first pass: what stands behind a declaring keyword outside of braces.
    pub fn collect_names(&mut self) {
        loop {
            self.skip_newlines();
            let token = self.advance();
            match token.kind {
                Kind::End => break,
                Kind::Word => {
                    if let Some(what) = Item::from_keyword(token.text).and_then(Item::what) {
                        self.declare_list(what);
                    }
                }
                _ => {}
            }
            self.recover();
            // A `}` too many: the second pass reports it.
            self.take_sign("}");
        }
        self.rewind();
    }

    fn declare_list(&mut self, what: &'static str) {
        while self.peek().kind == Kind::Word {
            let token = self.advance();
            self.declare(what, token);
            if !self.take_sign(",") {
                return;
            }
            self.skip_newlines();
        }
    }

    fn declare(&mut self, what: &'static str, token: Token<'t>) {
        let count = self.names.counts.entry(what).or_insert(0);
        let index = *count;
        *count = count.saturating_add(1);
        let at = token.at;
        if usize::from(index) >= limits::DECLARATIONS {
            let label = format!("expected at most {}", limits::DECLARATIONS);
            if usize::from(index) == limits::DECLARATIONS {
                self.record(Problem::new(at, "too many declarations of one kind", label));
            }
            return;
        }
        if let Some(first) = self.names.get(token.text) {
            let message = format!("`{}` is declared twice", token.text);
            let help = format!("{} of that name is declared at {}", first.what, first.at);
            let problem = Problem::new(at, message, "expected a name of its own");
            return self.record(problem.with_help(Some(help)));
        }
        let entry = Entry { what, index, at };
        self.names.entries.insert(token.text.to_owned(), entry);
    }

    /// A new name, with its place.
    pub fn new_name(&mut self, what: &str) -> Parsed<(Name, At)> {
        let token = self.word(what)?;
        if name::RESERVED.contains(&token.text) {
            let message = format!("`{}` is a word of the language", token.text);
            return self.fail(Problem::new(token.at, message, "expected another name"));
        }
        match Name::new(token.text) {
            Some(name) => Ok((name, token.at)),
            None => {
                let label = format!("expected at most {} characters", limits::NAME);
                self.fail(Problem::new(token.at, "the name is too long", label))
            }
        }
    }

    /// New names with commas between them.
    pub fn new_names(&mut self, what: &str) -> Parsed<Vec<(Name, At)>> {
        let mut names = vec![self.new_name(what)?];
        while self.take_sign(",") {
            self.skip_newlines();
            names.push(self.new_name(what)?);
        }
        Ok(names)
    }

    /// A reference. An unknown name is reported and stands for the first declaration, so that the rest of the line
    /// is still read; the program is refused anyway.
    pub fn reference<T: Declared>(&mut self) -> Parsed<Id<T>> {
        let token = self.peek();
        if token.kind != Kind::Word {
            return self.unexpected(&format!("the name of {}", T::WHAT));
        }
        self.advance();
        Ok(self.resolve(token))
    }

    /// What the name `token` refers to; see [`Self::reference`].
    pub fn resolve<T: Declared>(&mut self, token: Token<'t>) -> Id<T> {
        let problem = match self.names.get(token.text) {
            Some(entry) if entry.what == T::WHAT => return Id::new(entry.index),
            Some(entry) => Problem::new(
                token.at,
                format!("`{}` is {}", token.text, entry.what),
                format!("expected the name of {}", T::WHAT),
            )
            .with_help(Some(format!("it is declared at {}", entry.at))),
            None => self.unknown(token, T::WHAT),
        };
        self.record(problem);
        Id::new(0)
    }

    fn unknown(&self, token: Token<'t>, what: &'static str) -> Problem {
        let same_kind = did_you_mean(token.text, self.names.of(what));
        let help = same_kind.or_else(|| {
            let known: Vec<String> = self
                .names
                .of(what)
                .map(|name| format!("`{name}`"))
                .collect();
            match known.len() {
                0 => Some(format!("no {} is declared", bare(what))),
                1..=6 => Some(format!("declared: {}", known.join(", "))),
                _ => None,
            }
        });
        Problem::new(
            token.at,
            format!("unknown {} `{}`", bare(what), token.text),
            format!("expected the name of {what}"),
        )
        .with_help(help)
    }
}

/// "a lock" without its article.
fn bare(what: &str) -> &str {
    what.split_once(' ').map_or(what, |(_, noun)| noun)
}
