//! What a finding needs: the rules, gates and guards without which it is gone.

use crate::check::probe::{changing, guards_off, persists, switches, with};
use crate::finding::Signature;
use crate::program::rules_text::{SWITCHES, Setting};
use crate::program::{Program, RulesText};
use crate::rules::machine_rules;

/// A switch or guard that a finding depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prerequisite {
    /// Its name.
    pub name: &'static str,
    /// It is a guard.
    pub guard: bool,
    /// The value in force.
    pub now: &'static str,
    /// Other values under which the finding stays.
    pub also: Vec<&'static str>,
    /// Values under which it is gone.
    pub gone: Vec<&'static str>,
}

/// Every switch and guard that the finding depends on, found by turning each alone.
#[must_use]
pub fn prerequisites(
    program: &Program,
    text: &RulesText,
    signature: &Signature,
    choices: &[u32],
) -> Vec<Prerequisite> {
    let mut out: Vec<Prerequisite> = Vec::new();
    let guards = guards_off().filter_map(|g| Setting::guard(g.name(), true));
    for setting in changing(text, switches().chain(guards)) {
        // A validator that is off reports nothing; that is no news.
        if setting.name() == "lockdep" {
            continue;
        }
        let stays = persists(program, &with(text, setting), signature, choices);
        let same = |p: &&mut Prerequisite| p.name == setting.name();
        if out.iter_mut().find(same).is_none() {
            out.push(Prerequisite {
                name: setting.name(),
                guard: matches!(setting, Setting::Guard { .. }),
                now: value_now(text, setting),
                also: Vec::new(),
                gone: Vec::new(),
            });
        }
        if let Some(entry) = out.iter_mut().find(same) {
            let list = if stays {
                &mut entry.also
            } else {
                &mut entry.gone
            };
            list.push(setting.value());
        }
    }
    out.retain(|p| !p.gone.is_empty());
    out
}

/// The value of the setting's switch or guard that is in force.
pub(crate) fn value_now(text: &RulesText, setting: Setting) -> &'static str {
    if let Setting::Guard { on, .. } = setting {
        return if on { "off" } else { "on" };
    }
    let now = machine_rules(text);
    let spec = SWITCHES.iter().find(|s| s.name == setting.name());
    let mut values = spec.iter().flat_map(|s| s.values.iter().copied());
    let in_force = values.find(|v| {
        Setting::switch(setting.name(), v).is_some_and(|s| machine_rules(&with(text, s)) == now)
    });
    in_force.unwrap_or("?")
}
