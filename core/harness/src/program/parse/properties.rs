//! Properties.

use super::super::error::Problem;
use super::super::limits;
use super::super::property::{Plain, Property, Test, What};
use super::super::suggest::did_you_mean;
use super::super::word::Word;
use super::cursor::{Parsed, Parser, one_of};

impl Parser<'_> {
    /// `property NAME at alloc never held L && gfp & __GFP_FS`.
    pub(super) fn property(&mut self) -> Parsed<()> {
        let (name, at) = self.new_name("the name of a property")?;
        self.keyword("at")?;
        let event = self.word_of("when the property is looked at")?;
        self.keyword("never")?;
        let mut never = vec![self.test()?];
        while self.take_sign("&&") {
            let place = self.peek().at;
            self.skip_newlines();
            never.push(self.test()?);
            if never.len() > limits::TERMS {
                let label = format!("expected at most {}", limits::TERMS);
                return self.fail(Problem::new(
                    place,
                    "the property has too many tests",
                    label,
                ));
            }
        }
        self.declare_item(Property {
            at,
            name,
            event,
            never,
        });
        Ok(())
    }

    fn test(&mut self) -> Parsed<Test> {
        let negated = self.take_sign("!");
        let mut words = Plain::words();
        words.extend(["gfp", "held", "in"]);
        let token = self.word("a test such as `held L`, `may_reclaim` or `gfp & __GFP_FS`")?;
        let what = match token.text {
            "gfp" => {
                self.sign("&")?;
                What::Gfp(self.word_of("a gfp bit")?)
            }
            "held" => What::Held(self.reference()?),
            "in" => What::In(self.reference()?),
            word => match Plain::from_word(word) {
                Some(plain) => What::Plain(plain),
                None => {
                    let help = did_you_mean(word, words.iter().copied());
                    let message = format!("`{word}` is no test of a property");
                    let label = format!("expected {}", one_of(&words));
                    return self.fail(Problem::new(token.at, message, label).with_help(help));
                }
            },
        };
        Ok(Test { negated, what })
    }
}
