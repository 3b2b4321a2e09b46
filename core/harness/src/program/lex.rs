//! Text to tokens.

use super::error::Problem;
use super::name::{is_part, is_start};
use super::{At, limits};

/// Kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Word,
    /// Decimal digits.
    Number,
    /// `"…"`; the token's text is what stands between the quotes.
    Quoted,
    /// One of [`SIGNS`].
    Sign,
    /// The end of a line, or `;`.
    Newline,
    /// The end of the text.
    End,
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub kind: Kind,
    pub text: &'t str,
    pub at: At,
}

/// Signs, longer ones first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "{", "}", "(", ")", "[", "]", ",", "=", "<", ">", "|", "&",
    "~", "!", "*", "-",
];

/// Splits the text into tokens, the last of which is [`Kind::End`], and tells what is no token.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Vec<Problem>) {
    let mut lexer = Lexer {
        text,
        offset: 0,
        line: 1,
        column: 1,
        tokens: Vec::new(),
        problems: Vec::new(),
    };
    while lexer.offset < text.len() && lexer.problems.len() < limits::ERRORS {
        lexer.step();
    }
    lexer.token(Kind::End, 0);
    (lexer.tokens, lexer.problems)
}

struct Lexer<'t> {
    text: &'t str,
    offset: usize,
    line: u32,
    column: u32,
    tokens: Vec<Token<'t>>,
    problems: Vec<Problem>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.offset..]
    }

    fn at(&self, len: usize) -> At {
        At {
            offset: u32::try_from(self.offset).unwrap_or(u32::MAX),
            len: u32::try_from(len).unwrap_or(u32::MAX),
            line: self.line,
            column: self.column,
        }
    }

    /// Moves past `len` bytes, which end at a character.
    fn skip(&mut self, len: usize) {
        for c in self.rest()[..len].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.offset += len;
    }

    fn token(&mut self, kind: Kind, len: usize) {
        let text = &self.rest()[..len];
        let at = self.at(len);
        self.tokens.push(Token { kind, text, at });
        self.skip(len);
    }

    fn problem(&mut self, len: usize, message: String, label: &str) {
        let at = self.at(len);
        self.problems.push(Problem::new(at, message, label));
        self.skip(len);
    }

    fn step(&mut self) {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let first = bytes[0];
        match first {
            b'\n' | b';' => self.token(Kind::Newline, 1),
            b' ' | b'\t' | b'\r' => self.skip(1),
            b'#' => self.skip(line_length(rest)),
            b'/' if rest.starts_with("//") => self.skip(line_length(rest)),
            b'"' => self.quoted(),
            b'0'..=b'9' => self.number(),
            _ if is_start(first) => {
                let len = (1..).find(|i| !is_part(bytes, *i)).unwrap_or(bytes.len());
                self.token(Kind::Word, len);
            }
            _ => self.sign(),
        }
    }

    fn number(&mut self) {
        let rest = self.rest();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let glued = rest
            .as_bytes()
            .get(digits)
            .is_some_and(|b| is_start(*b) || *b == b'.');
        if !glued {
            return self.token(Kind::Number, digits);
        }
        let len = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
            .count();
        let shown = excerpt(&rest[..len]);
        self.problem(
            len,
            format!("`{shown}` is neither a number nor a name"),
            "expected a whole number, or a name that begins with a letter (a release: `v4.15`)",
        );
    }

    fn quoted(&mut self) {
        let rest = self.rest();
        let end = rest[1..].find(['"', '\n']).map(|i| i + 1);
        let Some(end) = end.filter(|end| rest.as_bytes()[*end] == b'"') else {
            return self.problem(
                line_length(rest),
                "a quoted text has no end".to_owned(),
                "expected `\"` before the end of the line",
            );
        };
        let at = self.at(end + 1);
        self.tokens.push(Token {
            kind: Kind::Quoted,
            text: &rest[1..end],
            at,
        });
        self.skip(end + 1);
    }

    fn sign(&mut self) {
        let rest = self.rest();
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            return self.token(Kind::Sign, sign.len());
        }
        let c = rest.chars().next().unwrap_or(' ');
        let shown = if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        };
        self.problem(
            c.len_utf8(),
            format!("`{shown}` has no meaning here"),
            "expected a name, a number or a sign of the language",
        );
    }
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// The beginning of a long token, for messages.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}
