//! Text to program.
//!
//! Recursive descent over tokens. A first pass collects the declared names, so that a name may be used before its
//! declaration. After a problem the parser goes on at the next line, so that one run reports several; what it returns
//! is then only the problems. Nesting and sizes are bounded, so that no text can exhaust stack or memory.

mod body;
mod cursor;
mod declarations;
mod expr;
mod handlers;
mod hints;
mod items;
mod names;
mod ops;
mod properties;
mod sections;

use super::error::{Problem, TextError};
use super::{Program, RulesText, check, lex, limits};
use cursor::Parser;

pub use items::declaration_words;
pub use ops::operation_words;

/// Reads a program.
///
/// # Errors
/// Every problem of the text that one run can find, each with its place and what was expected there.
pub fn parse(file: &str, text: &str) -> Result<Program, TextError> {
    parse_text(text).map_err(|mut problems| {
        problems.sort_by_key(|p| p.at.offset);
        problems.dedup();
        problems.truncate(limits::ERRORS);
        TextError::new(file, text, problems)
    })
}

/// Reads a program from bytes that should be UTF-8.
///
/// # Errors
/// As [`parse`], and at the first byte that is not UTF-8.
pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Program, TextError> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return parse(file, text),
        Err(error) => error,
    };
    let text = String::from_utf8_lossy(bytes);
    let good = &text[..error.valid_up_to()];
    let line_start = good.rfind('\n').map_or(0, |i| i + 1);
    let at = super::At {
        offset: u32::try_from(good.len()).unwrap_or(u32::MAX),
        len: 1,
        line: u32::try_from(good.matches('\n').count() + 1).unwrap_or(u32::MAX),
        column: u32::try_from(good[line_start..].chars().count() + 1).unwrap_or(u32::MAX),
    };
    let problem = Problem::new(
        at,
        "the file is not UTF-8 text",
        "expected text; this byte is not",
    );
    // What follows is no text.
    Err(TextError::new(file, &format!("{good}?"), vec![problem]))
}

/// Reads rules as they stand behind `under`: `v4.15 fs_reclaim=F2 guard pf_memalloc_recursion off`. For options of a
/// command line; `option` names where the text comes from.
///
/// # Errors
/// What is wrong with the text, as [`parse`].
pub fn parse_rules(option: &str, text: &str) -> Result<RulesText, TextError> {
    let (tokens, problems) = lex::tokens(text);
    if !problems.is_empty() {
        return Err(TextError::new(option, text, problems));
    }
    let mut parser = Parser::new(tokens);
    let rules = parser.rules_alone();
    let (_, problems) = parser.finish();
    rules.map_err(|_| TextError::new(option, text, problems))
}

fn parse_text(text: &str) -> Result<Program, Vec<Problem>> {
    if text.len() > limits::TEXT {
        let message = format!("the text has {} bytes", text.len());
        let label = format!("expected at most {}", limits::TEXT);
        let start = super::At {
            line: 1,
            column: 1,
            ..super::At::NOWHERE
        };
        return Err(vec![Problem::new(start, message, label)]);
    }
    let (tokens, problems) = lex::tokens(text);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut parser = Parser::new(tokens);
    parser.collect_names();
    parser.program();
    let (program, problems) = parser.finish();
    if !problems.is_empty() {
        return Err(problems);
    }
    let problems = check::check(&program);
    if problems.is_empty() {
        Ok(program)
    } else {
        Err(problems)
    }
}
