//! The parser's position in the tokens, and how it reports and recovers.

use super::super::error::Problem;
use super::super::lex::{Kind, Token, excerpt};
use super::super::suggest::did_you_mean;
use super::super::word::Word;
use super::super::{At, Name, Program, limits};
use super::names::Names;

/// The problem has been recorded; the caller recovers.
#[derive(Debug)]
pub(super) struct Reported;

pub(super) type Parsed<T> = Result<T, Reported>;

/// A variable of the body that is being read.
pub(super) struct Local {
    pub name: Name,
    pub first: At,
    pub assigned: bool,
}

pub(super) struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    problems: Vec<Problem>,
    pub(super) names: Names,
    pub(super) program: Program,
    pub(super) locals: Vec<Local>,
    pub(super) depth: usize,
    pub(super) operations: usize,
}

impl<'t> Parser<'t> {
    pub fn new(tokens: Vec<Token<'t>>) -> Self {
        Self {
            tokens,
            next: 0,
            problems: Vec::new(),
            names: Names::default(),
            program: Program::default(),
            locals: Vec::new(),
            depth: 0,
            operations: 0,
        }
    }

    pub fn finish(self) -> (Program, Vec<Problem>) {
        (self.program, self.problems)
    }

    /// Back to the first token, for another pass.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// The next token; at the end of the text, always the end.
    pub fn peek(&self) -> Token<'t> {
        self.look(0)
    }

    /// The token `ahead` of the next one.
    pub fn look(&self, ahead: usize) -> Token<'t> {
        let last = self.tokens.len() - 1;
        self.tokens[(self.next + ahead).min(last)]
    }

    pub fn advance(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// The place of the token read last.
    pub fn last_at(&self) -> At {
        self.tokens[self.next.saturating_sub(1)].at
    }

    pub fn record(&mut self, problem: Problem) {
        let echo = |p: &Problem| p.at.offset == problem.at.offset && p.message == problem.message;
        if self.problems.len() < limits::ERRORS && !self.problems.iter().any(echo) {
            self.problems.push(problem);
        }
    }

    /// Whether so much is wrong that going on only adds noise.
    pub fn gave_up(&self) -> bool {
        self.problems.len() >= limits::ERRORS
    }

    pub fn fail<T>(&mut self, problem: Problem) -> Parsed<T> {
        self.record(problem);
        Err(Reported)
    }

    /// Reports that the next token is not what was expected.
    pub fn unexpected<T>(&mut self, expected: &str) -> Parsed<T> {
        self.unexpected_word(expected, std::iter::empty())
    }

    /// As [`Self::unexpected`], with the words that would have been right, for "did you mean".
    pub fn unexpected_word<'w, T>(
        &mut self,
        expected: &str,
        right: impl Iterator<Item = &'w str>,
    ) -> Parsed<T> {
        let token = self.peek();
        let help = (token.kind == Kind::Word)
            .then(|| did_you_mean(token.text, right))
            .flatten();
        let message = format!("unexpected {}", shown(token));
        self.fail(Problem::new(token.at, message, format!("expected {expected}")).with_help(help))
    }

    /// Reports that the next token is none of the words that name `what`.
    pub fn unknown_word<'w, T>(
        &mut self,
        what: &str,
        expected: &str,
        right: impl Iterator<Item = &'w str>,
    ) -> Parsed<T> {
        let token = self.peek();
        if token.kind != Kind::Word {
            return self.unexpected(expected);
        }
        let message = format!("unknown {what} `{}`", excerpt(token.text));
        let problem = Problem::new(token.at, message, format!("expected {expected}"));
        let help = did_you_mean(token.text, right);
        self.fail(problem.with_help(help))
    }

    pub fn at_sign(&self, sign: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Sign && token.text == sign
    }

    pub fn at_word(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Word && token.text == word
    }

    pub fn take_sign(&mut self, sign: &str) -> bool {
        let there = self.at_sign(sign);
        if there {
            self.advance();
        }
        there
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        if there {
            self.advance();
        }
        there
    }

    pub fn sign(&mut self, sign: &str) -> Parsed<()> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            self.unexpected(&format!("`{sign}`"))
        }
    }

    pub fn keyword(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) {
            return Ok(());
        }
        self.unexpected_word(&format!("`{word}`"), std::iter::once(word))
    }

    pub fn word(&mut self, expected: &str) -> Parsed<Token<'t>> {
        if self.peek().kind == Kind::Word {
            Ok(self.advance())
        } else {
            self.unexpected(expected)
        }
    }

    /// One of the words of an enumeration.
    pub fn word_of<W: Word>(&mut self, what: &str) -> Parsed<W> {
        let token = self.peek();
        if let Some(value) = W::from_word(token.text).filter(|_| token.kind == Kind::Word) {
            self.advance();
            return Ok(value);
        }
        let words = W::words();
        let expected = format!("{what}: {}", one_of(&words));
        self.unexpected_word(&expected, words.into_iter())
    }

    /// A number within `range`.
    pub fn number(&mut self, what: &str, range: std::ops::RangeInclusive<u64>) -> Parsed<u64> {
        let token = self.peek();
        if token.kind != Kind::Number {
            return self.unexpected(&format!("{what}: a number"));
        }
        let value = token
            .text
            .parse()
            .ok()
            .filter(|value| range.contains(value));
        let Some(value) = value else {
            let label = format!(
                "expected {what}: a number from {} to {}",
                range.start(),
                range.end()
            );
            let message = format!("{} is out of range", excerpt(token.text));
            return self.fail(Problem::new(token.at, message, label));
        };
        self.advance();
        Ok(value)
    }

    /// `cpu0`. Whether the machine has that CPU is checked later.
    pub fn cpu(&mut self) -> Parsed<u8> {
        let token = self.peek();
        let digits = token
            .text
            .strip_prefix("cpu")
            .filter(|_| token.kind == Kind::Word);
        let Some(cpu) = digits.and_then(|d| d.parse::<u8>().ok()) else {
            return self.unexpected("a CPU: `cpu0`, `cpu1`, …");
        };
        if digits != Some(&cpu.to_string()) {
            return self.unexpected("a CPU without leading zeros: `cpu0`, `cpu1`, …");
        }
        self.advance();
        Ok(cpu)
    }

    /// `on cpu0`.
    pub fn on_cpu(&mut self) -> Parsed<u8> {
        if !self.take_word("on") {
            return self.unexpected("`on` and a CPU: `on cpu0`");
        }
        self.cpu()
    }

    /// Gives an attribute its value, unless it has one already.
    pub fn once<T>(&mut self, attribute: &mut Option<T>, at: At, value: T) -> Parsed<()> {
        if attribute.replace(value).is_none() {
            return Ok(());
        }
        self.fail(Problem::new(at, "this is said twice", "expected it once"))
    }

    /// Whether nothing more stands on this line (or before this `;` or `}`).
    pub fn at_end(&self) -> bool {
        let token = self.peek();
        matches!(token.kind, Kind::Newline | Kind::End) || self.at_sign("}")
    }

    /// The end of a line.
    pub fn end(&mut self) -> Parsed<()> {
        if self.at_end() {
            Ok(())
        } else {
            self.unexpected("the end of the line, `;` or `}`")
        }
    }

    pub fn skip_newlines(&mut self) {
        while self.peek().kind == Kind::Newline {
            self.advance();
        }
    }

    /// After a problem: to the end of the line or before the `}` of the enclosing block, past whole inner blocks.
    pub fn recover(&mut self) {
        let mut open = 0usize;
        loop {
            let token = self.peek();
            let sign = if token.kind == Kind::Sign {
                token.text
            } else {
                ""
            };
            match (token.kind, sign) {
                (Kind::End, _) => return,
                (Kind::Newline, _) | (_, "}") if open == 0 => return,
                (_, "{") => open += 1,
                (_, "}") => open -= 1,
                _ => {}
            }
            self.advance();
        }
    }
}

/// How a message calls a token.
fn shown(token: Token<'_>) -> String {
    match token.kind {
        Kind::Newline if token.text == ";" => "`;`".to_owned(),
        Kind::Newline => "end of the line".to_owned(),
        Kind::End => "end of the text".to_owned(),
        Kind::Quoted => format!("\"{}\"", excerpt(token.text)),
        Kind::Word | Kind::Number | Kind::Sign => format!("`{}`", excerpt(token.text)),
    }
}

/// "`a`, `b` or `c`".
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .filter(|word| !word.is_empty())
        .map(|word| format!("`{word}`"))
        .collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
