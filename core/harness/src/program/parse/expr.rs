//! Operands: variables, locks, pages, gfp masks, conditions.

use super::super::cond::{Atom, Comparison, Cond, Join, Term};
use super::super::decl::{Completion, Counter, Flag, Page, PageBit, Slot};
use super::super::error::Problem;
use super::super::gfp::{Gfp, GfpBase, GfpFlag, GfpFlags};
use super::super::lex::{Kind, Token};
use super::super::op::{LockRef, PageRef, Pick, Pressure, Var};
use super::super::suggest::did_you_mean;
use super::super::table::Declared;
use super::super::word::Word;
use super::super::{Name, limits};
use super::cursor::{Local, Parsed, Parser, one_of};

impl<'t> Parser<'t> {
    /// `ilock referenced`.
    pub fn lock_ref(&mut self) -> Parsed<LockRef> {
        let lock = self.reference()?;
        let pick = if self.take_word("referenced") {
            Pick::Referenced
        } else if self.take_word("unreferenced") {
            Pick::Unreferenced
        } else {
            Pick::Only
        };
        Ok(LockRef { lock, pick })
    }

    /// `A`, `cold[2]`.
    pub fn page_ref(&mut self) -> Parsed<PageRef> {
        let page = self.reference::<Page>()?;
        if !self.take_sign("[") {
            return Ok(PageRef { page, index: 0 });
        }
        let index = self.number("which page", 0..=limits::INSTANCES - 1)?;
        self.sign("]")?;
        let index = u16::try_from(index).unwrap_or(0);
        Ok(PageRef { page, index })
    }

    /// A variable that is read.
    pub fn variable(&mut self) -> Parsed<Var> {
        let token = self.word("a variable")?;
        self.var(token, false)
    }

    /// The variable called `token`, new if need be. Whether it is ever assigned is known at the end of the body.
    pub fn var(&mut self, token: Token<'t>, assigned: bool) -> Parsed<Var> {
        if let Some(entry) = self.names.get(token.text) {
            if entry.what != Slot::WHAT {
                let message = format!("`{}` is {}", token.text, entry.what);
                let help = Some(format!("it is declared at {}", entry.at));
                let problem = Problem::new(token.at, message, "expected a variable or a slot");
                return self.fail(problem.with_help(help));
            }
            return Ok(Var::Slot(self.resolve(token)));
        }
        let known = self
            .locals
            .iter_mut()
            .position(|local| local.name.as_str() == token.text);
        if let Some(index) = known {
            self.locals[index].assigned |= assigned;
            return Ok(local(index));
        }
        let Some(name) = Name::new(token.text).filter(Name::is_free) else {
            let message = format!("`{}` cannot be a variable", token.text);
            return self.fail(Problem::new(token.at, message, "expected another name"));
        };
        // One too many is kept, to be reported; more would only cost time.
        if self.locals.len() > limits::LOCALS {
            return Ok(local(0));
        }
        self.locals.push(Local {
            name,
            first: token.at,
            assigned,
        });
        Ok(local(self.locals.len() - 1))
    }

    /// `pressure`, `pressure reclaim`.
    pub fn pressure(&mut self) -> Parsed<Pressure> {
        if self.at_end() {
            return Ok(Pressure::None);
        }
        self.keyword("pressure")?;
        if self.at_end() {
            Ok(Pressure::Fast)
        } else {
            self.word_of("how far the pressure goes")
        }
    }

    /// `-3`.
    pub fn signed(&mut self, what: &str) -> Parsed<i32> {
        let negative = self.take_sign("-");
        let value = self.number(what, 0..=limits::COUNTER.unsigned_abs())?;
        let value = i32::try_from(value).unwrap_or(0);
        Ok(if negative { -value } else { value })
    }

    /// `GFP_KERNEL|__GFP_NOMEMALLOC & ~__GFP_FS`.
    pub fn gfp(&mut self) -> Parsed<Gfp> {
        let mut base = None;
        let mut gfp = Gfp::of(GfpBase::Zero);
        self.gfp_term(&mut base, &mut gfp)?;
        loop {
            if self.take_sign("|") {
                self.skip_newlines();
                self.gfp_term(&mut base, &mut gfp)?;
            } else if self.take_sign("&") {
                self.skip_newlines();
                self.sign("~")?;
                let flags = self.gfp_removed()?;
                gfp.clear = gfp.clear.union(flags);
                gfp.set = gfp.set.without(flags);
            } else {
                gfp.base = base.unwrap_or(GfpBase::Zero);
                return Ok(gfp);
            }
        }
    }

    fn gfp_term(&mut self, base: &mut Option<GfpBase>, gfp: &mut Gfp) -> Parsed<()> {
        let token = self.peek();
        let composition = GfpBase::from_word(token.text)
            .filter(|_| matches!(token.kind, Kind::Word | Kind::Number));
        if let Some(composition) = composition {
            self.advance();
            if base.is_none() && gfp.set.is_empty() && gfp.clear.is_empty() {
                *base = Some(composition);
                return Ok(());
            }
            let label = "expected one composition, and it comes first; single bits follow it";
            return self.fail(Problem::new(
                token.at,
                "a second gfp mask in one expression",
                label,
            ));
        }
        let flags = self.gfp_flag()?;
        gfp.set = gfp.set.union(flags);
        gfp.clear = gfp.clear.without(flags);
        Ok(())
    }

    /// `__GFP_FS`, or `(__GFP_FS|__GFP_IO)`.
    fn gfp_removed(&mut self) -> Parsed<GfpFlags> {
        if !self.take_sign("(") {
            return self.gfp_flag();
        }
        let mut flags = self.gfp_flag()?;
        while self.take_sign("|") {
            flags = flags.union(self.gfp_flag()?);
        }
        self.sign(")")?;
        Ok(flags)
    }

    fn gfp_flag(&mut self) -> Parsed<GfpFlags> {
        let token = self.peek();
        let none = GfpFlags::default();
        if self.take_word("__GFP_RECLAIM") {
            return Ok(none
                .with(GfpFlag::DirectReclaim)
                .with(GfpFlag::KswapdReclaim));
        }
        if let Some(flag) = GfpFlag::from_word(token.text).filter(|_| token.kind == Kind::Word) {
            self.advance();
            return Ok(none.with(flag));
        }
        let known = GfpBase::words().into_iter().chain(GfpFlag::words());
        let expected = "a gfp mask such as `GFP_KERNEL`, `__GFP_NOMEMALLOC` or `gfp`";
        self.unknown_word("gfp mask", expected, known)
    }

    /// `a && !b`, `c >= 2 || dirty A`.
    pub fn cond(&mut self) -> Parsed<Cond> {
        let mut terms = vec![self.term()?];
        let mut join = None;
        loop {
            let at = self.peek().at;
            let next = if self.take_sign("&&") {
                Join::All
            } else if self.take_sign("||") {
                Join::Any
            } else {
                break;
            };
            if *join.get_or_insert(next) != next {
                let label = "expected the operator used before; nest `if` for the rest";
                return self.fail(Problem::new(at, "`&&` and `||` are mixed", label));
            }
            self.skip_newlines();
            terms.push(self.term()?);
            if terms.len() > limits::TERMS {
                let label = format!("expected at most {}", limits::TERMS);
                return self.fail(Problem::new(at, "the condition has too many terms", label));
            }
        }
        let join = join.unwrap_or_default();
        Ok(Cond { join, terms })
    }

    fn term(&mut self) -> Parsed<Term> {
        let negated = self.take_sign("!");
        let token =
            self.word("a condition: a flag, a variable, `counter > 0`, `dirty PAGE`, `maybe`")?;
        let atom = self.atom(token)?;
        Ok(Term { negated, atom })
    }

    fn atom(&mut self, token: Token<'t>) -> Parsed<Atom> {
        if token.text == "maybe" {
            return Ok(Atom::Maybe);
        }
        if token.text == "gfp" {
            return self.gfp_test();
        }
        let followed = self.peek().kind == Kind::Word && !self.at_word("timeout");
        if followed && token.text == "completion_done" {
            return Ok(Atom::Done(self.reference::<Completion>()?));
        }
        if let Some(bit) = PageBit::from_word(token.text).filter(|_| followed) {
            let page = self.page_ref()?;
            return Ok(Atom::Page { bit, page });
        }
        if followed && !self.names.is_condition(token.text) {
            return self.no_test(token);
        }
        match self.names.get(token.text) {
            Some(entry) if entry.what == Flag::WHAT => Ok(Atom::Flag(self.resolve(token))),
            Some(entry) if entry.what == Counter::WHAT => self.comparison(token),
            None if self.at_comparison() => self.comparison(token),
            _ => Ok(Atom::Holds(self.var(token, false)?)),
        }
    }

    fn no_test<T>(&mut self, token: Token<'t>) -> Parsed<T> {
        let mut words = PageBit::words();
        words.push("completion_done");
        let help = did_you_mean(token.text, words.iter().copied());
        let message = format!("`{}` is no test", token.text);
        let label = format!("expected {}", one_of(&words));
        self.fail(Problem::new(token.at, message, label).with_help(help))
    }

    fn gfp_test(&mut self) -> Parsed<Atom> {
        self.sign("&")?;
        let flag = self.word_of("a gfp bit")?;
        Ok(Atom::Gfp(flag))
    }

    fn at_comparison(&self) -> bool {
        let token = self.peek();
        token.kind == Kind::Sign && Comparison::from_word(token.text).is_some()
    }

    fn comparison(&mut self, token: Token<'t>) -> Parsed<Atom> {
        let counter = self.resolve(token);
        if !self.at_comparison() {
            let expected = format!("a comparison: {}", one_of(&Comparison::words()));
            return self.unexpected(&expected);
        }
        let is = Comparison::from_word(self.advance().text).unwrap_or_default();
        let value = self.signed("what the counter is compared with")?;
        Ok(Atom::Counter { counter, is, value })
    }
}

fn local(index: usize) -> Var {
    Var::Local(u8::try_from(index).unwrap_or(u8::MAX))
}
