//! The sections: rules, machine, schedule, expect.

use super::super::error::Problem;
use super::super::expect::{Expect, ReportExpect, StateExpect, StopExpect, StopKind, is_headline};
use super::super::lex::{Kind, Token};
use super::super::machine::{Pcp, Watermarks, Zone};
use super::super::rules_text::{GUARDS, Release, RulesText, SWITCHES, Setting};
use super::super::schedule::Schedule;
use super::super::suggest::did_you_mean;
use super::super::{At, limits};
use super::cursor::{Parsed, Parser, one_of};

impl<'t> Parser<'t> {
    /// The lines of a section's block, each read by `line`; goes on after a wrong line.
    fn lines(&mut self, mut line: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.sign("{")?;
        loop {
            self.skip_newlines();
            if self.take_sign("}") {
                return Ok(());
            }
            if self.peek().kind == Kind::End {
                return self.unexpected("`}` at the end of the section");
            }
            if line(self).and_then(|()| self.end()).is_err() {
                self.recover();
            }
            if self.gave_up() {
                return Ok(());
            }
        }
    }

    fn said_before(&mut self, at: At, before: bool) {
        if before {
            self.record(Problem::new(
                at,
                "this section stands here a second time",
                "expected it once",
            ));
        }
    }

    pub fn rules(&mut self, at: At) -> Parsed<()> {
        let before = !self.program.rules.is_empty();
        self.said_before(at, before);
        let mut rules = RulesText {
            at,
            ..RulesText::default()
        };
        if self.peek().kind == Kind::Word {
            rules.release = Some(self.release()?);
        }
        if self.at_sign("{") {
            self.lines(|p| p.setting(&mut rules))?;
        }
        self.program.rules = rules;
        Ok(())
    }

    fn release(&mut self) -> Parsed<Release> {
        let token = self.peek();
        let Some(release) = Release::parse(token.text) else {
            return self.unexpected("a release from v2.6 on, such as `v4.15` or `v6.12`");
        };
        self.advance();
        Ok(release)
    }

    /// `fs_reclaim = F2`, `guard pf_memalloc_recursion off`.
    fn setting(&mut self, rules: &mut RulesText) -> Parsed<()> {
        let token = self.word("a switch, or `guard NAME off`")?;
        let setting = if token.text == "guard" {
            self.guard()?
        } else {
            self.switch(token)?
        };
        if rules.settings.iter().any(|s| s.same_subject(setting)) {
            let message = format!("`{}` is set twice", setting.name());
            return self.fail(Problem::new(token.at, message, "expected it once"));
        }
        rules.settings.push(setting);
        Ok(())
    }

    fn guard(&mut self) -> Parsed<Setting> {
        let token = self.word("the name of a guard")?;
        let on = if self.take_word("on") {
            true
        } else {
            self.keyword("off")?;
            false
        };
        if let Some(setting) = Setting::guard(token.text, on) {
            return Ok(setting);
        }
        let known: Vec<_> = GUARDS.iter().map(|(name, _)| *name).collect();
        let label = format!("expected {}", one_of(&known));
        let help = did_you_mean(token.text, known);
        let message = format!("unknown guard `{}`", token.text);
        self.fail(Problem::new(token.at, message, label).with_help(help))
    }

    fn switch(&mut self, name: Token<'t>) -> Parsed<Setting> {
        let Some(spec) = SWITCHES.iter().find(|s| s.name == name.text) else {
            let known = SWITCHES.iter().map(|s| s.name);
            let help = did_you_mean(name.text, known).or_else(|| {
                let all: Vec<_> = SWITCHES.iter().map(|s| s.name).collect();
                Some(format!("switches: {}", all.join(", ")))
            });
            let message = format!("unknown switch `{}`", name.text);
            let problem = Problem::new(name.at, message, "expected the name of a switch");
            return self.fail(problem.with_help(help));
        };
        self.sign("=")?;
        let value = self.peek();
        let setting = Setting::switch(spec.name, value.text).filter(|_| value.kind == Kind::Word);
        let Some(setting) = setting else {
            let expected = format!("a value of `{}`: {}", spec.name, one_of(spec.values));
            return self.unexpected_word(&expected, spec.values.iter().copied());
        };
        self.advance();
        Ok(setting)
    }

    pub fn machine(&mut self, at: At) -> Parsed<()> {
        let before = self.machine_seen();
        self.said_before(at, before);
        let mut zones = Vec::new();
        self.lines(|p| p.machine_line(&mut zones))?;
        if !zones.is_empty() {
            self.program.machine.zones = zones;
        }
        Ok(())
    }

    /// Whether a `machine` section was read: only then does a zone have a place.
    fn machine_seen(&self) -> bool {
        self.program
            .machine
            .zones
            .iter()
            .any(|zone| zone.at.is_known())
    }

    fn machine_line(&mut self, zones: &mut Vec<Zone>) -> Parsed<()> {
        const KNOWN: &[&str] = &["cpus", "nodes", "zone", "pcp", "kswapd", "steps"];
        let token = self.peek();
        let known = KNOWN
            .iter()
            .find(|word| token.kind == Kind::Word && **word == token.text);
        let Some(word) = known else {
            let expected = format!("a property of the machine: {}", one_of(KNOWN));
            return self.unexpected_word(&expected, KNOWN.iter().copied());
        };
        self.advance();
        match *word {
            "cpus" => {
                self.sign("=")?;
                let cpus = self.number("how many CPUs", 1..=limits::CPUS)?;
                self.program.machine.cpus = u8::try_from(cpus).unwrap_or(1);
            }
            "nodes" => {
                self.sign("=")?;
                let nodes = self.number("how many nodes", 1..=limits::NODES)?;
                self.program.machine.nodes = u8::try_from(nodes).unwrap_or(1);
            }
            "zone" => {
                let zone = self.zone()?;
                zones.push(zone);
            }
            "pcp" => {
                self.keyword("high")?;
                let high = self.number("the high mark", 0..=limits::INSTANCES)?;
                self.keyword("batch")?;
                let batch = self.number("the batch", 1..=limits::INSTANCES)?;
                self.program.machine.pcp = Some(Pcp {
                    high: u16::try_from(high).unwrap_or(0),
                    batch: u16::try_from(batch).unwrap_or(1),
                });
            }
            "kswapd" => self.program.machine.kswapd = Some(self.on_cpu()?),
            _ => {
                self.sign("=")?;
                let steps = self.number("how many steps", 1..=u64::from(u32::MAX))?;
                self.program.machine.steps = u32::try_from(steps).ok();
            }
        }
        Ok(())
    }

    fn zone(&mut self) -> Parsed<Zone> {
        let at = self.peek().at;
        let kind = self.word_of("a zone")?;
        self.sign("=")?;
        let pages = self.number("how many pages", 1..=limits::ZONE_PAGES)?;
        self.keyword("pages")?;
        let mut zone = Zone {
            at,
            ..Zone::of(kind, u32::try_from(pages).unwrap_or(1))
        };
        if self.take_word("min") {
            let min = self.page_count("the min watermark")?;
            self.keyword("low")?;
            let low = self.page_count("the low watermark")?;
            self.keyword("high")?;
            let high = self.page_count("the high watermark")?;
            zone.watermarks = Some(Watermarks { min, low, high });
        }
        if self.take_word("free") {
            zone.free = Some(self.page_count("free pages")?);
        }
        if self.take_word("node") {
            let node = self.number("the node", 0..=limits::NODES - 1)?;
            zone.node = u8::try_from(node).unwrap_or(0);
        }
        Ok(zone)
    }

    pub fn schedule(&mut self, at: At) -> Parsed<()> {
        let before = self.program.schedule.is_some();
        self.said_before(at, before);
        let mut schedule = Schedule {
            at,
            ..Schedule::default()
        };
        if self.take_word("seed") {
            schedule.seed = Some(self.number("the seed", 0..=u64::MAX)?);
        }
        if self.take_word("strategy") {
            schedule.strategy = Some(self.word_of("a strategy")?);
        }
        self.lines(|p| p.decisions(&mut schedule.decisions))?;
        self.program.schedule = Some(schedule);
        Ok(())
    }

    /// `0*12 1 3`.
    fn decisions(&mut self, decisions: &mut Vec<u16>) -> Parsed<()> {
        while !self.at_end() {
            let at = self.peek().at;
            let option = self.number("the option taken", 0..=limits::DECISION)?;
            let times = if self.take_sign("*") {
                self.number("how often in a row", 1..=limits::DECISIONS as u64)?
            } else {
                1
            };
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            if decisions.len() + times > limits::DECISIONS {
                let label = format!("expected at most {} decisions", limits::DECISIONS);
                return self.fail(Problem::new(at, "the schedule is too long", label));
            }
            let option = u16::try_from(option).unwrap_or(0);
            decisions.extend(std::iter::repeat_n(option, times));
        }
        Ok(())
    }

    pub fn expect(&mut self, at: At) -> Parsed<()> {
        let mut expect = Expect {
            at,
            ..Expect::default()
        };
        if self.take_word("under") {
            expect.under = self.under()?;
        }
        self.lines(|p| p.expect_line(&mut expect))?;
        self.program.expects.push(expect);
        Ok(())
    }

    /// `v4.15 fs_reclaim=F2`, at least one of the two, up to `{` or the end.
    fn under(&mut self) -> Parsed<RulesText> {
        let mut rules = RulesText {
            at: self.peek().at,
            ..RulesText::default()
        };
        if Release::parse(self.peek().text).is_some() {
            rules.release = Some(self.release()?);
        }
        while self.peek().kind == Kind::Word {
            self.setting(&mut rules)?;
        }
        if rules.is_empty() {
            return self.unexpected("a release such as `v4.15`, a switch, or `guard NAME off`");
        }
        Ok(rules)
    }

    /// Rules that are the whole text.
    pub fn rules_alone(&mut self) -> Parsed<RulesText> {
        let rules = self.under()?;
        if self.peek().kind == Kind::End {
            return Ok(rules);
        }
        self.unexpected("a switch, `guard NAME off`, or nothing more")
    }

    fn expect_line(&mut self, expect: &mut Expect) -> Parsed<()> {
        const KNOWN: &[&str] = &["stop", "report", "state", "verdict"];
        let token = self.peek();
        let known = KNOWN
            .iter()
            .find(|word| token.kind == Kind::Word && **word == token.text);
        let Some(word) = known else {
            let expected = one_of(KNOWN);
            return self.unexpected_word(&expected, KNOWN.iter().copied());
        };
        self.advance();
        match *word {
            "stop" => {
                let stop = self.stop()?;
                self.once(&mut expect.stop, token.at, stop)
            }
            "report" => {
                let report = self.report()?;
                self.once(&mut expect.report, token.at, report)
            }
            "state" => {
                let (name, _) = self.new_name("`ok`, or the name of the invariant that breaks")?;
                let state = if name.as_str() == "ok" {
                    StateExpect::Ok
                } else {
                    StateExpect::Broken(name)
                };
                self.once(&mut expect.state, token.at, state)
            }
            _ => {
                let verdict = self.word_of("a verdict")?;
                self.once(&mut expect.verdict, token.at, verdict)
            }
        }
    }

    fn stop(&mut self) -> Parsed<StopExpect> {
        if self.take_word("never") {
            return Ok(StopExpect::Never);
        }
        if !self.take_word("found") {
            return self.unexpected_word("`never` or `found`", ["never", "found"].into_iter());
        }
        if self.at_end() {
            return Ok(StopExpect::Found(None));
        }
        let kind: StopKind = self.word_of("how it stops")?;
        Ok(StopExpect::Found(Some(kind)))
    }

    fn report(&mut self) -> Parsed<ReportExpect> {
        if self.take_word("none") {
            return Ok(ReportExpect::None);
        }
        let token = self.peek();
        if token.kind != Kind::Quoted {
            return self.unexpected_word(
                "`none`, or a part of the headline in quotes",
                ["none"].into_iter(),
            );
        }
        if !is_headline(token.text) {
            let label = format!(
                "expected 1 to {} printable ASCII characters",
                limits::HEADLINE
            );
            return self.fail(Problem::new(token.at, "this cannot be a headline", label));
        }
        self.advance();
        let subject = if self.at_end() {
            None
        } else {
            Some(self.new_name("the class the report is about")?.0)
        };
        Ok(ReportExpect::Some {
            headline: token.text.to_owned(),
            subject,
        })
    }
}
