//! Compares an answer with the recorded one.

use super::answer::Answer;
use super::row::{Expected, ExpectedGraph};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// One respect in which an answer differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// What the row records; null if it has nothing there.
    pub expected: Value,
    /// What the engine says; null likewise.
    pub actual: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.field, self.expected, self.actual
        )
    }
}

impl Answer {
    /// Every difference to the recorded answer, in the parts that it has.
    pub fn differences(&self, expected: &Expected) -> Vec<Difference> {
        let mut found = Differences(Vec::new());
        found.compare("verdict", json!(expected.verdict), json!(self.verdict));
        if let Some(op) = expected.op {
            found.compare("op", json!(op), json!(self.op));
        }
        if let Some(title) = &expected.title {
            found.compare("title", json!(title), json!(self.title));
        }
        if let Some(detail) = &expected.detail {
            let actual = self
                .detail
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()));
            found.compare_maps("detail", detail, &actual.collect());
        }
        if let Some(queries) = &expected.queries {
            found.compare("queries", json!(queries), json!(self.queries));
        }
        if let Some(graph) = &expected.graph {
            found.compare_graphs(graph, self);
        }
        found.0
    }
}

struct Differences(Vec<Difference>);

impl Differences {
    fn compare(&mut self, field: &str, expected: Value, actual: Value) {
        if expected != actual {
            self.0.push(Difference {
                field: field.into(),
                expected,
                actual,
            });
        }
    }

    fn compare_maps(
        &mut self,
        field: &str,
        expected: &BTreeMap<String, Value>,
        actual: &BTreeMap<String, Value>,
    ) {
        let get = |map: &BTreeMap<String, Value>, key| map.get(key).cloned().unwrap_or(Value::Null);
        for key in expected
            .keys()
            .chain(actual.keys().filter(|key| !expected.contains_key(*key)))
        {
            self.compare(
                &format!("{field}.{key}"),
                get(expected, key),
                get(actual, key),
            );
        }
    }

    fn compare_graphs(&mut self, expected: &ExpectedGraph, actual: &Answer) {
        let sorted = |bits: &mut dyn Iterator<Item = &str>| {
            let mut bits: Vec<&str> = bits.collect();
            bits.sort_unstable();
            json!(bits)
        };
        let usage = expected
            .usage
            .iter()
            .map(|(c, bits)| (c.clone(), sorted(&mut bits.iter().map(String::as_str))));
        let ours = actual
            .graph
            .usage
            .iter()
            .map(|(c, bits)| (c.clone(), sorted(&mut bits.iter().copied())));
        self.compare_maps("usage", &usage.collect(), &ours.collect());
        let edges = expected.edges.iter().map(|(from, to, deps, distance)| {
            (
                format!("{from} -> {to}"),
                json!([sorted(&mut deps.iter().map(String::as_str)), distance]),
            )
        });
        let ours = actual.graph.edges.iter().map(|(from, to, deps, distance)| {
            (
                format!("{from} -> {to}"),
                json!([sorted(&mut deps.iter().copied()), distance]),
            )
        });
        self.compare_maps("edges", &edges.collect(), &ours.collect());
    }
}
