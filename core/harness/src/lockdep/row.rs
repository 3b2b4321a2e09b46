//! Rows of lock-program files and their checked form.

use super::op::LockOp;
use ksplat_lockdep::{KeyInfo, LockType, Sites, WaitType};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The type of a lock class in a lock program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the kernel's lock types by name")]
pub enum LockKind {
    RawSpin,
    Spin,
    Local,
    Sleeping,
    Inv,
    RcuLike,
    Override,
    OverrideSleep,
}

impl LockKind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "raw_spin" => Self::RawSpin,
            "spin" | "rwlock" => Self::Spin,
            "local" => Self::Local,
            "mutex" | "rwsem" | "rtmutex" => Self::Sleeping,
            "inv" => Self::Inv,
            "rcu_like" => Self::RcuLike,
            "override" => Self::Override,
            "override_sleep" => Self::OverrideSleep,
            _ => return None,
        })
    }

    /// The name of the type in rows, where several kinds of lock are alike the most common one.
    pub fn name(self) -> &'static str {
        match self {
            Self::RawSpin => "raw_spin",
            Self::Spin => "spin",
            Self::Local => "local",
            Self::Sleeping => "mutex",
            Self::Inv => "inv",
            Self::RcuLike => "rcu_like",
            Self::Override => "override",
            Self::OverrideSleep => "override_sleep",
        }
    }

    /// What a class `name` of this type is registered with.
    pub fn key_info(self, name: &str) -> KeyInfo {
        let (wait_type_inner, wait_type_outer, lock_type) = match self {
            Self::RawSpin => (WaitType::Spin, WaitType::Inv, LockType::Normal),
            Self::Spin => (WaitType::Config, WaitType::Inv, LockType::Normal),
            Self::Local => (WaitType::Config, WaitType::Inv, LockType::PerCpu),
            Self::Sleeping => (WaitType::Sleep, WaitType::Inv, LockType::Normal),
            Self::Inv => (WaitType::Inv, WaitType::Inv, LockType::Normal),
            Self::RcuLike => (WaitType::Config, WaitType::Free, LockType::Normal),
            Self::Override => (WaitType::Config, WaitType::Inv, LockType::WaitOverride),
            Self::OverrideSleep => (WaitType::Sleep, WaitType::Inv, LockType::WaitOverride),
        };
        KeyInfo {
            name: name.into(),
            wait_type_inner,
            wait_type_outer,
            lock_type,
        }
    }

    /// True if holding such a lock disables preemption.
    pub fn disables_preemption(self) -> bool {
        !matches!(self, Self::Sleeping | Self::Inv | Self::OverrideSleep)
    }
}

/// A lock program whose names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The row's name.
    pub id: String,
    pub(super) classes: Vec<(String, LockKind)>,
    /// Name and class of every lock instance.
    pub(super) locks: Vec<(String, usize)>,
    pub(super) ops: Vec<LockOp>,
    /// The operations as written.
    pub op_texts: Vec<String>,
}

/// What the row says that a real kernel answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Expected {
    /// `ok` or the kind of the first report.
    pub verdict: String,
    /// Index of the operation that was reported, −1 if none.
    pub op: Option<i64>,
    /// The headline.
    pub title: Option<String>,
    /// The report's particulars.
    pub detail: Option<BTreeMap<String, serde_json::Value>>,
    /// The graph at the end.
    pub graph: Option<ExpectedGraph>,
    /// The results of the `Q` operations.
    pub queries: Option<Vec<i64>>,
}

/// The graph in a row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ExpectedGraph {
    /// Usage bits by class.
    pub usage: BTreeMap<String, Vec<String>>,
    /// Edges: from, to, kinds, distance.
    pub edges: Vec<(String, String, Vec<String>, u16)>,
}

/// A row: a program and, perhaps, what to expect.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The program.
    pub program: Program,
    /// The recorded answer.
    pub expected: Option<Expected>,
}

/// Why a row could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row is not JSON of the expected form.
    #[error("{0}")]
    Json(String),
    /// A class has a type that does not exist.
    #[error("class `{class}`: unknown lock type `{kind}`")]
    LockKind {
        /// The class.
        class: String,
        /// Its type.
        kind: String,
    },
    /// A lock belongs to a class that does not exist.
    #[error("lock `{lock}`: class `{class}` is not in `classes`")]
    Class {
        /// The lock.
        lock: String,
        /// Its class.
        class: String,
    },
    /// An operation cannot be read.
    #[error("ops[{index}] `{text}`: {reason}")]
    Op {
        /// Its position.
        index: usize,
        /// Its text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The line is longer than any sensible row.
    #[error("the line is longer than {0} bytes")]
    TooLong(usize),
    /// The row needs more keys or locks than there can be.
    #[error("{0}")]
    TooMany(String),
}

#[derive(Deserialize)]
struct RawRow {
    id: String,
    classes: BTreeMap<String, String>,
    locks: BTreeMap<String, String>,
    ops: Vec<String>,
    verdict: Option<String>,
}

/// Most classes a program may have.
const MAX_CLASSES: usize = 4096;

impl Row {
    /// Reads one line of a file.
    ///
    /// # Errors
    /// Says what is wrong with the row and where in it.
    pub fn parse(line: &str) -> Result<Self, RowError> {
        let json = |error: serde_json::Error| {
            // The row is its own line; only the column says something.
            let text = error.to_string();
            RowError::Json(text.replace("at line 1 column", "at column"))
        };
        let raw: RawRow = serde_json::from_str(line).map_err(json)?;
        let expected = match raw.verdict {
            Some(_) => Some(serde_json::from_str(line).map_err(json)?),
            None => None,
        };
        Ok(Self {
            program: Program::resolve(raw)?,
            expected,
        })
    }
}

impl Program {
    fn resolve(raw: RawRow) -> Result<Self, RowError> {
        Self::from_parts(&raw.id, raw.classes, raw.locks, raw.ops)
    }

    /// A program from its classes (name, type), locks (name, class) and operations, all as in a row.
    ///
    /// # Errors
    /// Says which of them is wrong and why.
    pub fn from_parts(
        id: &str,
        classes: impl IntoIterator<Item = (String, String)>,
        locks: impl IntoIterator<Item = (String, String)>,
        op_texts: Vec<String>,
    ) -> Result<Self, RowError> {
        let mut kinds = Vec::new();
        for (class, kind) in classes {
            match LockKind::parse(&kind) {
                Some(kind) => kinds.push((class, kind)),
                None => return Err(RowError::LockKind { class, kind }),
            }
        }
        if kinds.len() > MAX_CLASSES {
            return Err(RowError::TooMany(format!(
                "more than {MAX_CLASSES} classes"
            )));
        }
        let indices: BTreeMap<&str, usize> = kinds
            .iter()
            .enumerate()
            .map(|(n, (name, _))| (name.as_str(), n))
            .collect();
        let mut instances = Vec::new();
        for (lock, class) in locks {
            match indices.get(class.as_str()) {
                Some(index) => instances.push((lock, *index)),
                None => return Err(RowError::Class { lock, class }),
            }
        }
        let names = instances
            .iter()
            .enumerate()
            .map(|(n, (name, _))| (name.as_str(), n))
            .collect();
        let mut ops = Vec::with_capacity(op_texts.len());
        for (index, text) in op_texts.iter().enumerate() {
            let op = LockOp::parse(text, &names);
            ops.push(op.map_err(|reason| RowError::Op {
                index,
                text: text.clone(),
                reason,
            })?);
        }
        Ok(Self {
            id: id.to_owned(),
            classes: kinds,
            locks: instances,
            ops,
            op_texts,
        })
    }
}

impl Program {
    /// The program as a row: one line of JSON that `ksplat lockdep` reads.
    pub fn row_text(&self) -> String {
        let kinds: BTreeMap<&str, &str> = self
            .classes
            .iter()
            .map(|(name, kind)| (name.as_str(), kind.name()))
            .collect();
        let class = |n: usize| self.classes[n].0.as_str();
        let locks: BTreeMap<&str, &str> = self
            .locks
            .iter()
            .map(|(name, n)| (name.as_str(), class(*n)))
            .collect();
        serde_json::json!({ "id": self.id, "classes": kinds, "locks": locks, "ops": self.op_texts })
            .to_string()
    }
}

/// Source positions are operations.
impl Sites for Program {
    fn site(&self, site: u32, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.op_texts.get(site as usize) {
            Some(op) => write!(f, "op {site} `{op}`"),
            None => write!(f, "op {site}"),
        }
    }

    fn task(&self, task: u32, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "thread {task}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip() {
        let ops = vec!["L a1 read=2".to_owned(), "U a1".to_owned()];
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let program = Program::from_parts("x", [pair("A", "override")], [pair("a1", "A")], ops);
        let program = program.expect("legal");
        assert_eq!(
            Row::parse(&program.row_text()),
            Ok(Row {
                program,
                expected: None
            })
        );
    }

    #[test]
    fn errors_name_the_place() {
        for (line, error) in [
            ("{", "EOF while parsing an object at column 1"),
            (r#"{"id":"x"}"#, "missing field `classes` at column 10"),
            (
                r#"{"id":"x","classes":{"A":"big"},"locks":{},"ops":[]}"#,
                "class `A`: unknown lock type `big`",
            ),
            (
                r#"{"id":"x","classes":{},"locks":{"a":"A"},"ops":[]}"#,
                "lock `a`: class `A` is not in `classes`",
            ),
            (
                r#"{"id":"x","classes":{"A":"spin"},"locks":{"a":"A"},"ops":["L a","U b"]}"#,
                "ops[1] `U b`: lock `b` is not in `locks`",
            ),
        ] {
            assert_eq!(Row::parse(line).expect_err(line).to_string(), error);
        }
    }
}
