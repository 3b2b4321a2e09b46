//! Program to text: the canonical form.
//!
//! Reading what is printed gives the same program. Nothing of the spelling of the original is kept: comments are lost,
//! sections and tables come in a fixed order, one declaration or operation a line.

mod items;
mod ops;

use std::fmt::Display;

use super::table::{Declared, Id};
use super::{Body, Name, Op, Program};

/// Prints a program.
///
/// What a program that [`super::check`] refuses prints as may not be readable again; a dangling reference is `?`.
pub fn print(program: &Program) -> String {
    let mut printer = Printer {
        program,
        locals: &[],
        indent: 0,
        out: String::new(),
    };
    printer.program();
    printer.out
}

/// The line of an operation of `body` without the blocks: `lock L irqsave`, for stories and messages.
pub fn print_operation(program: &Program, body: &Body, op: &Op) -> String {
    let printer = Printer {
        program,
        locals: &body.locals,
        indent: 0,
        out: String::new(),
    };
    printer.head(op)
}

struct Printer<'p> {
    program: &'p Program,
    /// Variables of the body being printed.
    locals: &'p [Name],
    indent: usize,
    out: String,
}

impl<'p> Printer<'p> {
    fn line(&mut self, line: impl Display) {
        for _ in 0..self.indent {
            self.out.push_str("    ");
        }
        self.out.push_str(&line.to_string());
        self.out.push('\n');
    }

    /// An empty line between groups.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn name<T: Declared>(&self, id: Id<T>) -> &'p str {
        let program = self.program;
        T::table(program)
            .get(id)
            .map_or("?", |item| item.name().as_str())
    }
}
