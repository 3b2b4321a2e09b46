//! Options that several commands share: rules, bounds, runtime.

use clap::ValueEnum;
use ksplat_harness::check::{Bounds, Runtime};
use ksplat_harness::explore::StrategySpec;
use ksplat_harness::program::RulesText;
use ksplat_harness::program::rules_text::{GUARDS, Release, SWITCHES, Setting};
use std::time::Duration;

/// Rules laid over those of the program.
#[derive(Debug, clap::Args)]
pub struct RuleOptions {
    /// Rules of a kernel release instead of the program's, such as v4.15
    #[arg(long, value_name = "RELEASE")]
    rules: Option<String>,
    /// One switch instead of the program's, such as fs_reclaim=F2, or guard:pf_memalloc_recursion=off
    #[arg(long, value_name = "SWITCH=VALUE")]
    set: Vec<String>,
}

impl RuleOptions {
    /// The rules, if any were given.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    pub fn text(&self) -> Result<Option<RulesText>, String> {
        if self.rules.is_none() && self.set.is_empty() {
            return Ok(None);
        }
        let mut text = RulesText::default();
        if let Some(release) = &self.rules {
            let parsed = Release::parse(release);
            text.release = Some(parsed.ok_or_else(|| {
                format!("--rules {release}: expected a release such as v4.15 or v6.12")
            })?);
        }
        for set in &self.set {
            let setting = setting(set)?;
            text.settings.retain(|s| !s.same_subject(setting));
            text.settings.push(setting);
        }
        Ok(Some(text))
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "--set {text}: expected SWITCH=VALUE, such as fs_reclaim=F2"
        ));
    };
    if let Some(guard) = name.strip_prefix("guard:") {
        let on = match value {
            "on" => true,
            "off" => false,
            _ => return Err(format!("--set {text}: a guard is on or off")),
        };
        return Setting::guard(guard, on).ok_or_else(|| {
            let names: Vec<&str> = GUARDS.iter().map(|(name, _)| *name).collect();
            format!(
                "--set {text}: no such guard; there are {}",
                names.join(", ")
            )
        });
    }
    Setting::switch(name, value).ok_or_else(|| not_a_switch(text, name))
}

fn not_a_switch(text: &str, name: &str) -> String {
    if let Some(s) = SWITCHES.iter().find(|s| s.name == name) {
        return format!("--set {text}: {name} is one of {}", s.values.join(", "));
    }
    if GUARDS.iter().any(|(guard, _)| *guard == name) {
        return format!("--set {text}: {name} is a guard: --set guard:{text}");
    }
    let names: Vec<&str> = SWITCHES.iter().map(|s| s.name).collect();
    format!(
        "--set {text}: no such switch; there are {}, and guards, such as guard:may_enter_fs=off",
        names.join(", ")
    )
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum RuntimeName {
    /// Our own executor, the fast one
    #[default]
    Deterministic,
    /// The shuttle engine
    Shuttle,
    /// Threads of the operating system
    Threads,
}

/// How far to look, and with what.
#[derive(Debug, clap::Args)]
pub struct BoundOptions {
    /// Most schedules to try, per case
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// Most seconds to spend, per case
    #[arg(long)]
    seconds: Option<f64>,
    /// What decides: random, pct:3, pos, urw, surw, portfolio, …; dpor: every schedule up to equivalence;
    /// dpor:2: every schedule with at most 2 preemptions
    #[arg(long, default_value = "portfolio")]
    strategy: String,
    /// Seed of what decides: the same seed gives the same exploration
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What executes
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeName,
}

impl BoundOptions {
    /// The bounds.
    ///
    /// # Errors
    /// What is wrong and what was expected.
    pub fn bounds(&self) -> Result<Bounds, String> {
        let strategy: StrategySpec = self
            .strategy
            .parse()
            .map_err(|e| format!("--strategy {}: {e}", self.strategy))?;
        let time = self.seconds.map(Duration::try_from_secs_f64).transpose();
        let time = time.map_err(|e| format!("--seconds: {e}"))?;
        let runtime = match self.runtime {
            RuntimeName::Deterministic => Runtime::Deterministic,
            RuntimeName::Shuttle => Runtime::Shuttle,
            RuntimeName::Threads => Runtime::Threads,
        };
        Ok(Bounds {
            schedules: self.schedules,
            time,
            strategy,
            seed: self.seed,
            runtime,
        })
    }
}

/// Complains and names the exit status of bad input.
pub fn bad_input(message: &str) -> std::process::ExitCode {
    crate::output::complain(format_args!("ksplat: {}", message.trim_end()));
    std::process::ExitCode::from(2)
}
