//! The analyses over many traces. Each has one definition, from which its HTTP endpoint, its SQL function and its
//! command are made; `ALL` is the list of them.

mod compare;
pub mod computed;
pub mod definition;
pub mod goodput;
pub mod judged;
pub mod load;
mod loops;
pub mod paths;
pub mod queueing;
pub mod retries;
pub mod storms;
pub mod table_functions;
pub mod taint;
pub mod tools;
pub mod violations;

use std::collections::BTreeMap;

use plimsoll_schemas::DurationNs;
use serde_json::{Map, Value};

use definition::Definition;

use crate::error::QueryError;
use crate::filter::Term;
use crate::time::TimeRange;

/// Every analysis there is.
pub static ALL: [&Definition; 11] = [
    &compare::DEFINITION,
    &goodput::DEFINITION,
    &load::DEFINITION,
    &loops::DEFINITION,
    &paths::DEFINITION,
    &queueing::DEFINITION,
    &retries::DEFINITION,
    &storms::DEFINITION,
    &taint::DEFINITION,
    &tools::DEFINITION,
    &violations::DEFINITION,
];

/// What is asked of an analysis.
#[derive(Debug, Clone)]
pub struct Analysis {
    pub range: TimeRange,
    /// Width of one point of a series.
    pub step: DurationNs,
    pub by: Vec<GroupKey>,
    pub filter: Vec<Term>,
    /// What the analysis takes beyond these, by name.
    pub parameters: BTreeMap<&'static str, String>,
}

/// A column that answers are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupKey(&'static str);

const KEYS: [&str; 12] = [
    "stage",
    "service",
    "tenant",
    "workload_class",
    "model",
    "hardware",
    "outcome",
    "driver",
    "runtime",
    "model_digest",
    "tokenizer_digest",
    "concurrency",
];
/// Groups in one answer, the largest first: nobody reads more, and no key may flood the answer.
const GROUPS_MAX: usize = 200;

impl GroupKey {
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        KEYS.into_iter().find(|k| *k == text).map(Self).ok_or_else(|| {
            QueryError::Invalid(format!("by: expected some of {}, got {text:?}", KEYS.join(", ")))
        })
    }

    pub fn column(self) -> &'static str {
        self.0
    }
}

impl Analysis {
    /// `column >= start AND column < end`.
    fn within(&self, column: &str) -> String {
        let TimeRange { start, end } = self.range;
        format!("{column} >= {} AND {column} < {}", start.0, end.0)
    }

    /// The start of the point in which a time lies.
    fn point(&self, column: &str) -> String {
        let (start, step) = (self.range.start.0, self.step.0);
        format!("({column} - {start}) / {step} * {step} + {start}")
    }

    /// The grouping columns, each followed by a comma.
    fn keys(&self) -> String {
        self.by.iter().map(|k| format!("{}, ", k.column())).collect()
    }

    /// `GROUP BY` the grouping columns, if any.
    fn group(&self) -> String {
        let keys = self.keys();
        if keys.is_empty() { keys } else { format!("GROUP BY {}\n", keys.trim_end_matches(", ")) }
    }

    /// The value of a parameter that only this analysis has.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The parts that every answer begins with.
    pub fn head(&self) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("start_unix_nano".into(), self.range.start.0.to_string().into());
        head.insert("end_unix_nano".into(), self.range.end.0.to_string().into());
        head.insert("by".into(), self.by.iter().map(|k| k.column()).collect());
        head.insert("step_ns".into(), self.step.0.into());
        head
    }

    /// Takes the grouping columns out of a row.
    fn key(&self, row: &mut Map<String, Value>) -> Map<String, Value> {
        self.by.iter().map(|k| (k.column().to_owned(), row.remove(k.column()).unwrap_or_default())).collect()
    }
}

/// A point's time as text, under the name that answers use.
fn timed(mut row: Map<String, Value>) -> Map<String, Value> {
    if let Some(time) = row.remove("point") {
        let text = time.as_i64().map_or(time.clone(), |n| n.to_string().into());
        row.insert("time_unix_nano".into(), text);
    }
    row
}

/// `a / b` in SQL; null where there is nothing to divide by.
fn share(a: &str, b: &str) -> String {
    format!("CAST({a} AS DOUBLE) / nullif({b}, 0)")
}

/// `a / b`; unknown where there is nothing to divide by.
fn ratio(a: Option<f64>, b: Option<f64>) -> Value {
    match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => (a / b).into(),
        _ => Value::Null,
    }
}

fn number(row: &Map<String, Value>, column: &str) -> Option<f64> {
    let value = row.get(column)?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}
