//! What lockdep said to a program, in the form of the rows.

use super::row::Program;
use ksplat_lockdep::{Detail, Lockdep, PathStep, Report, ReportId};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// The answer to a lock program.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The program's name.
    pub id: String,
    /// `ok` or the kind of the first report.
    pub verdict: &'static str,
    /// Index of the operation reported, −1 if none.
    pub op: i64,
    /// The headline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The report's particulars.
    pub detail: BTreeMap<&'static str, Value>,
    /// The graph at the end.
    pub graph: GraphAnswer,
    /// The results of the `Q` operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<i64>,
    /// The report itself.
    #[serde(skip)]
    pub report: Option<Report>,
}

/// Classes with their usage bits in the order of registration, and edges (from, to, kinds, distance) by name.
#[derive(Clone, Debug, Serialize)]
pub struct GraphAnswer {
    /// Usage bits by class.
    #[serde(serialize_with = "as_map")]
    pub usage: Vec<(String, Vec<&'static str>)>,
    /// The edges.
    pub edges: Vec<(String, String, Vec<&'static str>, u16)>,
}

fn as_map<S: Serializer>(
    usage: &[(String, Vec<&'static str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(usage.len()))?;
    for (class, bits) in usage {
        map.serialize_entry(class, bits)?;
    }
    map.end()
}

impl Answer {
    pub(super) fn new(
        program: &Program,
        lockdep: &Lockdep,
        stopped: Option<(usize, ReportId)>,
        queries: Vec<i64>,
    ) -> Self {
        let report = stopped.and_then(|(_, id)| lockdep.report(id));
        Self {
            id: program.id.clone(),
            verdict: report.as_ref().map_or("ok", |report| report.kind().name()),
            op: stopped.map_or(-1, |(op, _)| op as i64),
            title: report.as_ref().map(Report::title),
            detail: report
                .as_ref()
                .map(|report| fields(&report.detail))
                .unwrap_or_default(),
            graph: GraphAnswer::new(lockdep),
            queries,
            report,
        }
    }
}

impl GraphAnswer {
    pub(super) fn new(lockdep: &Lockdep) -> Self {
        let graph = lockdep.graph_info();
        let name = |id| {
            graph
                .classes
                .iter()
                .find(|class| class.id == id)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let edge = |edge: &ksplat_lockdep::Edge| {
            (
                name(edge.from),
                name(edge.to),
                edge.deps.names().collect(),
                edge.distance,
            )
        };
        let mut edges: Vec<_> = graph.edges.iter().map(edge).collect();
        edges.sort();
        let usage = graph.classes.iter().map(|class| {
            (
                class.to_string(),
                class.usage.bits().map(|bit| bit.name()).collect(),
            )
        });
        Self {
            usage: usage.collect(),
            edges,
        }
    }
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn path(steps: &[PathStep]) -> Value {
    Value::Array(steps.iter().map(|step| text(&step.class)).collect())
}

fn flag(on: bool) -> Value {
    text(u8::from(on))
}

/// The particulars of a report under the names that the rows use.
pub(super) fn fields(detail: &Detail) -> BTreeMap<&'static str, Value> {
    let fields: Vec<(&'static str, Value)> = match detail {
        Detail::Circular {
            prev,
            next,
            path: steps,
        } => {
            vec![
                ("prev", text(prev)),
                ("next", text(next)),
                ("path", path(steps)),
            ]
        }
        Detail::Recursive {
            class,
            same_instance,
            prev_read,
            next_read,
        } => vec![
            ("class", text(class)),
            ("same_instance", flag(*same_instance)),
            ("prev_read", text(*prev_read as u8)),
            ("next_read", text(*next_read as u8)),
        ],
        Detail::InconsistentState {
            class, from, to, ..
        } => {
            vec![
                ("class", text(class)),
                ("from", text(from)),
                ("to", text(to)),
            ]
        }
        Detail::IrqInversion {
            this,
            other,
            bit,
            forwards,
            path: steps,
            ..
        } => vec![
            ("irqclass", text(bit.state_name())),
            ("this", text(this)),
            ("other", text(other)),
            (
                "dir",
                text(if *forwards { "forwards" } else { "backwards" }),
            ),
            ("path", path(steps)),
        ],
        Detail::SafeUnsafe {
            prev,
            next,
            safe,
            r#unsafe,
            safe_bit,
            unsafe_bit,
            ..
        } => vec![
            ("irqclass", text(safe_bit.state_name())),
            ("prev", text(prev)),
            ("next", text(next)),
            ("safe", text(safe)),
            ("unsafe", text(r#unsafe)),
            ("safebit", text(safe_bit)),
            ("unsafebit", text(unsafe_bit)),
        ],
        Detail::WaitContext { class, context } => {
            vec![("class", text(class)), ("ctx", text(*context as u8))]
        }
        Detail::NestNotHeld { class, .. } | Detail::HeldLockFreed { class } => {
            vec![("class", text(class))]
        }
        Detail::BadUnlock { lock, depth, .. } => {
            vec![("class", text(lock)), ("depth", text(depth))]
        }
        Detail::LocksHeldAtExit { depth } | Detail::HeldAtSysexit { depth } => {
            vec![("depth", text(depth))]
        }
        Detail::SleepInAtomic {
            preempt_count,
            irqs_disabled,
        } => vec![
            ("preempt_count", text(format_args!("{preempt_count:x}"))),
            ("irqs_disabled", flag(*irqs_disabled)),
        ],
        Detail::SuspiciousRcu { flavour } => vec![("msg", text(flavour.message()))],
        Detail::InvalidSubclass { subclass } => vec![("subclass", text(subclass))],
        Detail::LockdepOff { message } | Detail::Warn { message } => vec![("msg", text(message))],
        Detail::DebugLocksWarn { condition } => vec![("msg", text(condition))],
        Detail::AssertHeld { lock, read, .. } => {
            vec![
                ("class", text(lock)),
                ("read", text(read.map_or(-1, i32::from))),
            ]
        }
        _ => Vec::new(),
    };
    fields.into_iter().collect()
}
