//! Rules, machine, schedule, expectations.

use super::super::expect::{Expect, ReportExpect, StateExpect, is_headline};
use super::super::machine::{Machine, Zone, ZoneKind};
use super::super::rules_text::{RulesText, Setting};
use super::super::{Name, Program, limits};
use super::{wrap, wrap_u8, wrap_u16, wrap_u32};

pub(super) fn repair(program: &mut Program) {
    rules(&mut program.rules);
    machine(&mut program.machine);
    if let Some(schedule) = &mut program.schedule {
        schedule.decisions.truncate(limits::DECISIONS);
    }
    expects(&mut program.expects);
}

fn rules(rules: &mut RulesText) {
    rules.release = rules.release.filter(|r| r.is_legal());
    let mut settings: Vec<Setting> = Vec::new();
    for setting in rules.settings.drain(..) {
        if setting.is_legal() && settings.iter().all(|s| !s.same_subject(setting)) {
            settings.push(setting);
        }
    }
    rules.settings = settings;
}

fn machine(machine: &mut Machine) {
    machine.cpus = wrap_u8(machine.cpus, 1, limits::CPUS);
    machine.nodes = wrap_u8(machine.nodes, 1, limits::NODES);
    let mut zones: Vec<Zone> = Vec::new();
    for mut zone in machine.zones.drain(..) {
        repair_zone(&mut zone, machine.nodes);
        if zones
            .iter()
            .all(|z| (z.kind, z.node) != (zone.kind, zone.node))
        {
            zones.push(zone);
        }
    }
    if zones.is_empty() {
        zones.push(Zone::of(ZoneKind::Normal, 16));
    }
    machine.zones = zones;
    if let Some(pcp) = &mut machine.pcp {
        pcp.high = wrap_u16(pcp.high, 0, limits::INSTANCES);
        pcp.batch = wrap_u16(pcp.batch, 1, limits::INSTANCES);
    }
    if let Some(cpu) = &mut machine.kswapd {
        *cpu %= machine.cpus;
    }
    machine.steps = machine.steps.filter(|steps| *steps > 0);
}

fn repair_zone(zone: &mut Zone, nodes: u8) {
    zone.node %= nodes;
    zone.pages = wrap_u32(zone.pages, 1, limits::ZONE_PAGES);
    let pages = u64::from(zone.pages);
    if let Some(marks) = &mut zone.watermarks {
        marks.high = wrap_u32(marks.high, 0, pages);
        marks.low = marks.low.min(marks.high);
        marks.min = marks.min.min(marks.low);
    }
    zone.free = zone.free.map(|free| wrap_u32(free, 0, pages));
}

fn expects(expects: &mut Vec<Expect>) {
    let mut kept: Vec<Expect> = Vec::new();
    for mut expect in expects.drain(..) {
        rules(&mut expect.under);
        report(&mut expect);
        let twice = kept.iter().any(|e| e.under.same_as(&expect.under));
        if expect.says_something() && !twice && kept.len() < limits::EXPECTS {
            kept.push(expect);
        }
    }
    *expects = kept;
}

fn report(expect: &mut Expect) {
    if let Some(ReportExpect::Some { headline, subject }) = &mut expect.report {
        if !is_headline(headline) {
            headline.retain(|c| (' '..='~').contains(&c) && c != '"' && c != '\\');
            let length = wrap(headline.len() as u64, 0, limits::HEADLINE as u64);
            headline.truncate(usize::try_from(length).unwrap_or(0));
        }
        if headline.is_empty() {
            "lockdep".clone_into(headline);
        }
        *subject = subject.take().filter(Name::is_free);
    }
    if let Some(StateExpect::Broken(name)) = &expect.state
        && (!name.is_free() || name.as_str() == "ok")
    {
        expect.state = Some(StateExpect::Ok);
    }
}
