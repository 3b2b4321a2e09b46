//! Names of strategies, as a command line takes them.

use super::{Bounded, Dpor, Exhaustive, Pct, Portfolio, Pos, Random, Replay, Surw, Urw};
use ksplat_kernel::rt::{Machine, Strategy};
use std::fmt;
use std::str::FromStr;

/// Which strategy, and its parameters. Text form: `random`, `pct:3`, `dpor:2`, `portfolio`, `portfolio:pos,surw`, …
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StrategySpec {
    /// [`Random`].
    Random,
    /// [`Pct`].
    Pct {
        /// One more than the number of priority changes.
        depth: u32,
    },
    /// [`Urw`].
    Urw,
    /// [`Pos`].
    Pos,
    /// [`Surw`].
    Surw,
    /// The schedule without preemptions, once.
    Undisturbed,
    /// [`Exhaustive`].
    Dfs,
    /// [`Dpor`].
    Dpor,
    /// [`Bounded`].
    Bounded {
        /// Most preemptions.
        preemptions: u32,
    },
    /// [`Portfolio`] of these; of the default members if there are none.
    Portfolio(Vec<Self>),
}

/// A strategy's name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    /// No strategy has this name.
    #[error("no strategy is called '{0}'; there are {NAMES}")]
    Unknown(String),
    /// A parameter that is not a number the strategy takes.
    #[error("'{strategy}' takes {expected}, not '{found}'")]
    Parameter {
        /// The strategy.
        strategy: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A parameter for a strategy that has none.
    #[error("'{strategy}' takes no parameter, found ':{found}'")]
    NoParameter {
        /// The strategy that takes none.
        strategy: String,
        /// What was given.
        found: String,
    },
}

const NAMES: &str = "random, pct:DEPTH, urw, pos, surw, dpor, dpor:PREEMPTIONS, dfs, undisturbed, portfolio and portfolio:NAME,NAME,…";
/// Depths beyond this are the random walk in all but cost.
const MAX_DEPTH: u32 = 1_000;
/// Few programs bear more than ten.
const MAX_PREEMPTIONS: u32 = 1_000;

impl Default for StrategySpec {
    /// The portfolio of the default members.
    fn default() -> Self {
        Self::Portfolio(Vec::new())
    }
}

impl StrategySpec {
    /// Whether it ends when it has tried every schedule, up to equivalence and without a bound.
    #[must_use]
    pub const fn is_exhaustive(&self) -> bool {
        matches!(self, Self::Dfs | Self::Dpor)
    }

    /// A strategy for executions of this machine. Equal seeds decide equally.
    #[must_use]
    pub fn build(&self, machine: &Machine, seed: u64) -> Box<dyn Strategy + Send> {
        match self {
            Self::Random => Box::new(Random::new(seed)),
            Self::Pct { depth } => Box::new(Pct::new(*depth, seed)),
            Self::Urw => Box::new(Urw::new(seed)),
            Self::Pos => Box::new(Pos::new(seed)),
            Self::Surw => Box::new(Surw::new(seed)),
            Self::Undisturbed => Box::new(Replay::default()),
            Self::Dfs => Box::new(Exhaustive::new()),
            Self::Dpor => Box::new(Dpor::new(machine)),
            Self::Bounded { preemptions } => Box::new(Bounded::new(machine, *preemptions)),
            Self::Portfolio(members) => Box::new(Portfolio::new(members, machine, seed)),
        }
    }
}

impl fmt::Display for StrategySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Pct { depth } => write!(f, "pct:{depth}"),
            Self::Urw => f.write_str("urw"),
            Self::Pos => f.write_str("pos"),
            Self::Surw => f.write_str("surw"),
            Self::Undisturbed => f.write_str("undisturbed"),
            Self::Dfs => f.write_str("dfs"),
            Self::Dpor => f.write_str("dpor"),
            Self::Bounded { preemptions } => write!(f, "dpor:{preemptions}"),
            Self::Portfolio(members) => {
                f.write_str("portfolio")?;
                for (i, member) in members.iter().enumerate() {
                    write!(f, "{}{member}", if i == 0 { ':' } else { ',' })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for StrategySpec {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let (name, parameter) = match text.trim().split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text.trim(), None),
        };
        let spec = match name {
            "pct" => return pct(parameter),
            "portfolio" => return portfolio(parameter),
            "random" => Self::Random,
            "urw" => Self::Urw,
            "pos" => Self::Pos,
            "surw" => Self::Surw,
            "undisturbed" => Self::Undisturbed,
            "dfs" => Self::Dfs,
            "dpor" => return dpor(parameter),
            _ => return Err(StrategyError::Unknown(name.to_owned())),
        };
        match parameter {
            None => Ok(spec),
            Some(found) => Err(StrategyError::NoParameter {
                strategy: name.to_owned(),
                found: found.to_owned(),
            }),
        }
    }
}

fn pct(parameter: Option<&str>) -> Result<StrategySpec, StrategyError> {
    let text = parameter.unwrap_or("3");
    match text.parse() {
        Ok(depth @ 1..=MAX_DEPTH) => Ok(StrategySpec::Pct { depth }),
        _ => Err(StrategyError::Parameter {
            strategy: "pct",
            expected: "a depth from 1 to 1000",
            found: text.to_owned(),
        }),
    }
}

fn dpor(parameter: Option<&str>) -> Result<StrategySpec, StrategyError> {
    let Some(text) = parameter else {
        return Ok(StrategySpec::Dpor);
    };
    match text.parse() {
        Ok(preemptions @ 0..=MAX_PREEMPTIONS) => Ok(StrategySpec::Bounded { preemptions }),
        _ => Err(StrategyError::Parameter {
            strategy: "dpor",
            expected: "a number of preemptions from 0 to 1000",
            found: text.to_owned(),
        }),
    }
}

fn portfolio(parameter: Option<&str>) -> Result<StrategySpec, StrategyError> {
    let Some(text) = parameter else {
        return Ok(StrategySpec::Portfolio(Vec::new()));
    };
    let members = text.split(',').map(|name| match name.parse() {
        Ok(StrategySpec::Portfolio(_)) => Err(StrategyError::Parameter {
            strategy: "portfolio",
            expected: "strategies that are no portfolios",
            found: name.to_owned(),
        }),
        other => other,
    });
    members
        .collect::<Result<_, _>>()
        .map(StrategySpec::Portfolio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in [
            "random",
            "pct:2",
            "urw",
            "pos",
            "surw",
            "dfs",
            "dpor",
            "dpor:0",
            "dpor:2",
            "undisturbed",
            "portfolio",
            "portfolio:pos,pct:10,random",
        ] {
            let spec: StrategySpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("pct".parse(), Ok(StrategySpec::Pct { depth: 3 }));
    }

    #[test]
    fn errors_say_what_was_expected() {
        let error = |text: &str| text.parse::<StrategySpec>().unwrap_err().to_string();
        assert!(error("randm").starts_with("no strategy is called 'randm'; there are random"));
        assert_eq!(
            error("pct:x"),
            "'pct' takes a depth from 1 to 1000, not 'x'"
        );
        assert_eq!(
            error("pct:0"),
            "'pct' takes a depth from 1 to 1000, not '0'"
        );
        assert_eq!(
            error("dpor:x"),
            "'dpor' takes a number of preemptions from 0 to 1000, not 'x'"
        );
        assert_eq!(error("pos:3"), "'pos' takes no parameter, found ':3'");
        assert!(error("portfolio:pos,portfolio").contains("no portfolios"));
        assert!(error("portfolio:").starts_with("no strategy is called ''"));
    }
}
