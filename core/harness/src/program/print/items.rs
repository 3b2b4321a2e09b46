//! Sections, declarations, handlers, tasks.

use std::fmt::Write;

use super::super::decl::{CompletesIn, Device, Lock, Mapping, Memcg, Page, Workqueue};
use super::super::expect::{Expect, ReportExpect, StateExpect, StopExpect};
use super::super::handler::{Task, TaskFlag};
use super::super::machine::{Machine, Zone};
use super::super::op::Body;
use super::super::property::{Property, Test, What};
use super::super::rules_text::{RulesText, Setting};
use super::super::schedule::Schedule;
use super::super::table::{Declared, Id};
use super::super::word::Word;
use super::Printer;

/// Numbers on one line of a schedule.
const DECISIONS_IN_A_LINE: usize = 24;

impl<'p> Printer<'p> {
    pub fn program(&mut self) {
        let program = self.program;
        self.line(format_args!("splat {}", program.name));
        self.rules(&program.rules);
        self.machine(&program.machine);
        self.gap();
        self.declarations();
        self.handlers();
        for task in &program.tasks {
            self.task(task);
        }
        if !program.properties.is_empty() {
            self.gap();
        }
        for property in &program.properties {
            let text = self.property_text(property);
            self.line(text);
        }
        if let Some(schedule) = &program.schedule {
            self.schedule(schedule);
        }
        for expect in &program.expects {
            self.expect(expect);
        }
    }

    fn rules(&mut self, rules: &RulesText) {
        if rules.is_empty() {
            return;
        }
        let mut head = "rules".to_owned();
        if let Some(release) = rules.release {
            let _ = write!(head, " {release}");
        }
        if rules.settings.is_empty() {
            return self.line(head);
        }
        self.line(format_args!("{head} {{"));
        self.indent += 1;
        for setting in &rules.settings {
            self.line(setting_text(*setting, " = "));
        }
        self.indent -= 1;
        self.line("}");
    }

    fn machine(&mut self, machine: &Machine) {
        self.line("machine {");
        self.indent += 1;
        self.line(format_args!("cpus = {}", machine.cpus));
        self.line(format_args!("nodes = {}", machine.nodes));
        for zone in &machine.zones {
            self.line(zone_text(zone));
        }
        if let Some(pcp) = machine.pcp {
            self.line(format_args!("pcp high {} batch {}", pcp.high, pcp.batch));
        }
        if let Some(cpu) = machine.kswapd {
            self.line(format_args!("kswapd on cpu{cpu}"));
        }
        if let Some(steps) = machine.steps {
            self.line(format_args!("steps = {steps}"));
        }
        self.indent -= 1;
        self.line("}");
    }

    fn declarations(&mut self) {
        let program = self.program;
        for lock in &program.locks {
            self.line(lock_text(lock));
        }
        for flag in &program.flags {
            self.line(format_args!("flag {}{}", flag.name, word_if(flag.on, "on")));
        }
        for counter in &program.counters {
            self.line(format_args!("counter {} = {}", counter.name, counter.start));
        }
        self.plain("completion", &program.completions.0);
        self.plain("wait_queue", &program.wait_queues.0);
        self.plain("slot", &program.slots.0);
        for queue in &program.workqueues {
            self.line(workqueue_text(queue));
        }
        for pool in &program.mempools {
            self.line(format_args!("mempool {} size {}", pool.name, pool.size));
        }
        self.plain("mm", &program.mms.0);
        for memcg in &program.memcgs {
            self.line(memcg_text(memcg));
        }
        for device in &program.devices {
            let text = self.device_text(device);
            self.line(text);
        }
        for wb in &program.wbs {
            let device = self.attribute("device", wb.device);
            let memcg = self.attribute("memcg", wb.memcg);
            self.line(format_args!("wb {}{device}{memcg}", wb.name));
        }
        for inode in &program.inodes {
            let wb = self.attribute("wb", inode.wb);
            let switching = word_if(inode.switching, "switching");
            self.line(format_args!("inode {}{wb}{switching}", inode.name));
        }
        for mapping in &program.mappings {
            let text = self.mapping_text(mapping);
            self.line(text);
        }
        for page in &program.pages {
            let text = self.page_text(page);
            self.line(text);
        }
        for batch in &program.batches {
            let device = self.name(batch.device);
            self.line(format_args!("batch {} on {device}", batch.name));
        }
    }

    fn plain<T: Declared>(&mut self, keyword: &str, items: &[T]) {
        for item in items {
            self.line(format_args!("{keyword} {}", item.name()));
        }
    }

    /// ` memcg G`, or nothing.
    fn attribute<T: Declared>(&self, word: &str, id: Option<Id<T>>) -> String {
        id.map_or_else(String::new, |id| format!(" {word} {}", self.name(id)))
    }

    fn device_text(&self, device: &Device) -> String {
        let completes = match device.completes {
            CompletesIn::Irq { cpu } => format!("irq on cpu{cpu}"),
            CompletesIn::Worker { queue } => format!("worker {}", self.name(queue)),
            CompletesIn::Handler { irq } => format!("handler {}", self.name(irq)),
            CompletesIn::Daemon => "daemon".to_owned(),
        };
        format!(
            "device {} depth {} completes {completes}",
            device.name, device.depth
        )
    }

    fn mapping_text(&self, mapping: &Mapping) -> String {
        let mut text = format!("mapping {}", mapping.name);
        text += &self.attribute("inode", mapping.inode);
        text += &self.attribute("device", mapping.device);
        if let Some(gfp) = mapping.gfp {
            let _ = write!(text, " gfp {}", gfp.word());
        }
        text += &self.attribute("release", mapping.release);
        text += &self.attribute("map_blocks", mapping.map_blocks);
        text + &word_if(mapping.may_deadlock, "may_deadlock")
    }

    fn page_text(&self, page: &Page) -> String {
        let mut text = format!("page {}", page.name);
        text += &self.attribute("in", page.mapping);
        if page.count != 1 {
            let _ = write!(text, " count {}", page.count);
        }
        for bit in page.bits.iter() {
            let _ = write!(text, " {}", bit.word());
        }
        text += &self.attribute("memcg", page.memcg);
        text + &self.attribute("mapped", page.mm)
    }

    fn handlers(&mut self) {
        let program = self.program;
        for f in &program.functions {
            self.body(&format!("{} {}", f.kind.word(), f.name), &f.body);
        }
        for s in &program.shrinkers {
            let needs_fs = word_if(s.needs_fs, "needs_fs");
            self.body(
                &format!("shrinker {} objects {}{needs_fs}", s.name, s.objects),
                &s.body,
            );
        }
        for n in &program.notifiers {
            let mm = self.name(n.mm);
            self.body(&format!("mmu_notifier {} on {mm}", n.name), &n.body);
        }
        for i in &program.irqs {
            self.body(
                &format!("irq {} on cpu{} times {}", i.name, i.cpu, i.times),
                &i.body,
            );
        }
        for s in &program.softirqs {
            self.body(&format!("softirq {}", s.name), &s.body);
        }
        for t in &program.timers {
            self.body(&format!("timer {} on cpu{}", t.name, t.cpu), &t.body);
        }
        for w in &program.works {
            let queue = self.name(w.queue);
            self.body(&format!("work {} on {queue}", w.name), &w.body);
        }
    }

    fn task(&mut self, task: &'p Task) {
        let daemon = task.flags.contains(TaskFlag::Daemon);
        let mut head = if daemon {
            "daemon".to_owned()
        } else {
            "task".to_owned()
        };
        let _ = write!(head, " {} on cpu{}", task.name, task.cpu);
        if task.prio > 0 {
            let _ = write!(head, " prio {}", task.prio);
        }
        for flag in task.flags.iter().filter(|flag| *flag != TaskFlag::Daemon) {
            let _ = write!(head, " {}", flag.word());
        }
        head += &self.attribute("memcg", task.memcg);
        self.body(&head, &task.body);
    }

    fn property_text(&self, property: &Property) -> String {
        let test = |test: &Test| {
            let not = if test.negated { "!" } else { "" };
            match test.what {
                What::Gfp(flag) => format!("{not}gfp & {}", flag.word()),
                What::Held(lock) => format!("{not}held {}", self.name(lock)),
                What::In(function) => format!("{not}in {}", self.name(function)),
                What::Plain(plain) => format!("{not}{}", plain.word()),
            }
        };
        let tests: Vec<String> = property.never.iter().map(test).collect();
        let (name, event) = (&property.name, property.event.word());
        format!("property {name} at {event} never {}", tests.join(" && "))
    }

    fn body(&mut self, head: &str, body: &'p Body) {
        self.gap();
        self.locals = &body.locals;
        self.block(head, &body.block);
    }

    fn schedule(&mut self, schedule: &Schedule) {
        self.gap();
        let mut head = "schedule".to_owned();
        if let Some(seed) = schedule.seed {
            let _ = write!(head, " seed {seed}");
        }
        if let Some(strategy) = schedule.strategy {
            let _ = write!(head, " strategy {}", strategy.word());
        }
        self.line(format_args!("{head} {{"));
        self.indent += 1;
        for runs in schedule.runs().chunks(DECISIONS_IN_A_LINE) {
            let words: Vec<String> = runs
                .iter()
                .map(|(option, times)| match times {
                    1 => option.to_string(),
                    _ => format!("{option}*{times}"),
                })
                .collect();
            self.line(words.join(" "));
        }
        self.indent -= 1;
        self.line("}");
    }

    fn expect(&mut self, expect: &Expect) {
        self.gap();
        let mut head = "expect".to_owned();
        if !expect.under.is_empty() {
            head += " under";
        }
        if let Some(release) = expect.under.release {
            let _ = write!(head, " {release}");
        }
        for setting in &expect.under.settings {
            let _ = write!(head, " {}", setting_text(*setting, "="));
        }
        self.line(format_args!("{head} {{"));
        self.indent += 1;
        match expect.stop {
            None => {}
            Some(StopExpect::Never) => self.line("stop never"),
            Some(StopExpect::Found(None)) => self.line("stop found"),
            Some(StopExpect::Found(Some(kind))) => {
                self.line(format_args!("stop found {}", kind.word()))
            }
        }
        match &expect.report {
            None => {}
            Some(ReportExpect::None) => self.line("report none"),
            Some(ReportExpect::Some {
                headline,
                subject: None,
            }) => {
                self.line(format_args!("report \"{headline}\""));
            }
            Some(ReportExpect::Some {
                headline,
                subject: Some(subject),
            }) => {
                self.line(format_args!("report \"{headline}\" {subject}"));
            }
        }
        match &expect.state {
            None => {}
            Some(StateExpect::Ok) => self.line("state ok"),
            Some(StateExpect::Broken(name)) => self.line(format_args!("state {name}")),
        }
        if let Some(verdict) = expect.verdict {
            self.line(format_args!("verdict {}", verdict.word()));
        }
        self.indent -= 1;
        self.line("}");
    }
}

/// The word with a space before it, or nothing.
fn word_if(yes: bool, word: &str) -> String {
    if yes {
        format!(" {word}")
    } else {
        String::new()
    }
}

fn setting_text(setting: Setting, equals: &str) -> String {
    match setting {
        Setting::Switch { .. } => format!("{}{equals}{}", setting.name(), setting.value()),
        Setting::Guard { .. } => format!("guard {} {}", setting.name(), setting.value()),
    }
}

fn zone_text(zone: &Zone) -> String {
    let mut text = format!("zone {} = {} pages", zone.kind.word(), zone.pages);
    if let Some(w) = zone.watermarks {
        let _ = write!(text, " min {} low {} high {}", w.min, w.low, w.high);
    }
    if let Some(free) = zone.free {
        let _ = write!(text, " free {free}");
    }
    if zone.node > 0 {
        let _ = write!(text, " node {}", zone.node);
    }
    text
}

fn lock_text(lock: &Lock) -> String {
    let mut text = format!("{} {}", lock.kind.word(), lock.name);
    if let Some(class) = &lock.class {
        let _ = write!(text, " class {class}");
    }
    if let Some(p) = lock.population {
        let _ = write!(
            text,
            " population {} referenced {} unreferenced",
            p.referenced, p.unreferenced
        );
    }
    text
}

fn workqueue_text(queue: &Workqueue) -> String {
    let rescuer = word_if(queue.rescuer, "rescuer");
    format!(
        "workqueue {} workers {}{rescuer}",
        queue.name, queue.workers
    )
}

fn memcg_text(memcg: &Memcg) -> String {
    let mut text = format!("memcg {}", memcg.name);
    if let Some(limit) = memcg.limit {
        let _ = write!(text, " limit {limit}");
    }
    if memcg.usage > 0 {
        let _ = write!(text, " usage {}", memcg.usage);
    }
    if memcg.moving {
        text += " moving";
    }
    if memcg.stock > 0 {
        let _ = write!(text, " stock {}", memcg.stock);
    }
    text
}
