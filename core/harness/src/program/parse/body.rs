//! Bodies and blocks.

use super::super::block::Block;
use super::super::error::Problem;
use super::super::gfp::GfpBase;
use super::super::lex::Kind;
use super::super::op::{Body, Stmt};
use super::super::suggest::nearest;
use super::super::word::Word;
use super::super::{At, limits};
use super::cursor::{Local, Parsed, Parser};

impl Parser<'_> {
    /// The block of a handler or task, with variables of its own.
    pub fn body(&mut self) -> Parsed<Body> {
        self.locals.clear();
        let block = self.block()?;
        let locals = std::mem::take(&mut self.locals);
        for local in locals.iter().filter(|local| !local.assigned) {
            self.never_assigned(local, &locals);
        }
        if locals.len() > limits::LOCALS {
            let label = format!("expected at most {} in one body", limits::LOCALS);
            let at = locals[limits::LOCALS].first;
            self.record(Problem::new(at, "too many variables", label));
        }
        let locals = locals.into_iter().map(|local| local.name).collect();
        Ok(Body { locals, block })
    }

    fn never_assigned(&mut self, local: &Local, all: &[Local]) {
        let name = local.name.as_str();
        let variables = all.iter().filter(|l| l.assigned).map(|l| l.name.as_str());
        let help = if GfpBase::from_word(name).is_some() {
            format!("a gfp mask stands behind an allocation: `kmalloc {name}`")
        } else if let Some(near) = nearest(name, variables.chain(self.names.all())) {
            format!("did you mean `{near}`?")
        } else {
            format!(
                "assign it with `{name} = kmalloc GFP_KERNEL`, or declare `slot {name}` or `flag {name}`"
            )
        };
        let message = format!("unknown name `{name}`");
        let label = "expected a flag, a counter, a slot, or a variable that this body assigns";
        let problem = Problem::new(local.first, message, label);
        self.record(problem.with_help(Some(help)));
    }

    /// `{ … }`: goes on after a wrong line.
    pub fn block(&mut self) -> Parsed<Block> {
        let open = self.peek();
        if !self.at_sign("{") {
            return self.unexpected("`{`");
        }
        self.deeper(|p| {
            p.advance();
            p.statements(open.at)
        })
    }

    /// Reads something that is one block deeper than what is read now.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == limits::DEPTH {
            let label = format!(
                "expected at most {} blocks inside each other",
                limits::DEPTH
            );
            let at = self.peek().at;
            return self.fail(Problem::new(at, "blocks are nested too deep", label));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn statements(&mut self, open: At) -> Parsed<Block> {
        let mut statements = Vec::new();
        loop {
            self.skip_newlines();
            if self.take_sign("}") {
                return Ok(Block(statements));
            }
            if self.peek().kind == Kind::End {
                let help = Some(format!("the block was opened at {open}"));
                let at = self.peek().at;
                let problem = Problem::new(at, "unexpected end of the text", "expected `}`");
                return self.fail(problem.with_help(help));
            }
            if self.gave_up() || self.too_many() {
                return Ok(Block(statements));
            }
            match self.statement() {
                Ok(statement) => statements.push(statement),
                Err(_) => self.recover(),
            }
        }
    }

    fn too_many(&mut self) -> bool {
        let many = self.operations == limits::OPERATIONS;
        if many {
            let label = format!("expected at most {}", limits::OPERATIONS);
            let at = self.peek().at;
            self.record(Problem::new(
                at,
                "the program has too many operations",
                label,
            ));
            self.operations += 1;
        }
        many
    }

    fn statement(&mut self) -> Parsed<Stmt> {
        self.operations += 1;
        let first = self.peek().at;
        let op = self.operation()?;
        let last = self.last_at();
        self.end()?;
        let whole = first.to(last);
        Ok(Stmt { at: whole, op })
    }

    /// `{ … }` if it stands there.
    pub fn block_if_any(&mut self) -> Parsed<Option<Block>> {
        if self.at_sign("{") {
            self.block().map(Some)
        } else {
            Ok(None)
        }
    }

    /// `else { … }`, or nothing.
    pub fn otherwise(&mut self) -> Parsed<Block> {
        if !self.take_word("else") {
            return Ok(Block::default());
        }
        if !self.at_word("if") {
            return self.block();
        }
        self.deeper(|p| p.statement().map(|statement| Block(vec![statement])))
    }
}
