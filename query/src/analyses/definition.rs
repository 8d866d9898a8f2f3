//! What makes an analysis known: from one definition come its HTTP endpoint, its SQL function and its command.
//!
//! An analysis is either a statement, or rows that are computed from several. Either way its answer says what it was
//! made from, so that every number leads down to rows and traces.

use arrow::datatypes::Schema;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::Analysis;
use crate::engine::View;
use crate::error::QueryError;
use crate::state::QueryState;

/// One analysis over many traces.
#[derive(Debug)]
pub struct Definition {
    /// `GET /api/v1/<name>`, and the command.
    pub name: &'static str,
    /// The table function, where SQL calls it otherwise.
    pub function: &'static str,
    /// One line: what question it answers.
    pub summary: &'static str,
    /// By what its rows are grouped unless asked otherwise; `None`: its rows are what they are.
    pub by: Option<&'static [&'static str]>,
    /// What can be said beyond `start`, `end`, `by` and `filter`.
    pub parameters: &'static [Parameter],
    /// The member of the HTTP answer that holds the rows.
    pub rows: &'static str,
    /// The whole answer, as HTTP gives it.
    pub answer: Answering,
    pub in_sql: InSql,
}

/// A parameter of one analysis, by the same name at every door.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// What stands for its value in help, as `NAME` or `TIME`; of a `FILE` the value is what is in it.
    pub value: &'static str,
    pub help: &'static str,
}

pub type Answering = fn(QueryState, View, Analysis) -> BoxFuture<'static, Result<Answer, QueryError>>;

/// How the rows come into a statement.
#[derive(Debug)]
pub enum InSql {
    /// As a statement that takes the call's place, so that it is optimised with the rest.
    Statement(fn(QueryState, View, Analysis) -> BoxFuture<'static, Result<String, QueryError>>),
    /// As a table of the answer's rows; members without a column are left out.
    Computed { columns: fn() -> Schema },
}

/// What an analysis answers.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Map<String, Value>>,
    /// Further members of the HTTP answer.
    pub more: Map<String, Value>,
    pub explain: Explain,
}

/// Where an answer's numbers come from.
#[derive(Debug, Default)]
pub struct Explain {
    /// The statements whose rows were read; each can be run as it is.
    pub sql: Vec<String>,
    /// What was done with them, in a sentence.
    pub method: &'static str,
    /// Traces in which it can be seen; without any, some that the rows name.
    pub sample_trace_ids: Vec<String>,
}

/// Traces that an answer as a whole names.
const SAMPLES_MAX: usize = 10;

impl Definition {
    /// The answer as HTTP gives it.
    pub fn document(&self, asked: &Map<String, Value>, answer: Answer) -> Value {
        let mut document = asked.clone();
        if self.by.is_none() {
            document.remove("by");
        }
        let Answer { rows, more, mut explain } = answer;
        if explain.sample_trace_ids.is_empty() {
            explain.sample_trace_ids = samples(&rows);
        }
        document.extend(more);
        document.insert(self.rows.into(), rows.into_iter().map(Value::from).collect());
        // The first statement alone, too: what a panel shows.
        document.insert("sql".into(), explain.sql.first().cloned().into());
        document.insert(
            "explain".into(),
            json!({"sql": explain.sql, "method": explain.method, "sample_trace_ids": explain.sample_trace_ids}),
        );
        document.into()
    }

    /// What it is and what can be asked of it.
    pub fn describe(&self) -> Value {
        let parameters = SHARED.iter().filter(|p| self.by.is_some() || p.name != "by").chain(self.parameters);
        let parameters = parameters.map(|p| json!({"name": p.name, "value": p.value, "help": p.help}));
        json!({
            "name": self.name, "function": self.function, "summary": self.summary, "by": self.by,
            "parameters": parameters.collect::<Value>(),
        })
    }

    /// The names of all parameters, in the order in which SQL takes them.
    pub fn parameter_names(&self) -> impl Iterator<Item = &'static str> {
        SHARED.iter().chain(self.parameters).map(|p| p.name)
    }
}

/// Some of the traces that the rows name, each once: a row may name several, also by kind.
fn samples(rows: &[Map<String, Value>]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for value in rows.iter().filter_map(|row| row.get("sample_trace_ids")) {
        let lists: Vec<&Value> = match value {
            Value::Object(kinds) => kinds.values().collect(),
            list => vec![list],
        };
        for id in lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
            if ids.len() < SAMPLES_MAX && !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
    }
    ids
}

/// The parameters of every analysis.
pub const SHARED: [Parameter; 4] = [
    Parameter {
        name: "start",
        value: "TIME",
        help: "From when: -1h, RFC 3339 or unix nanoseconds [default: -1h]",
    },
    Parameter { name: "end", value: "TIME", help: "Until when, exclusive [default: now]" },
    Parameter {
        name: "by",
        value: "KEYS",
        help: "Group by some of stage, service, tenant, workload_class, model, hardware, outcome, driver, runtime, \
               model_digest, tokenizer_digest, concurrency",
    },
    Parameter {
        name: "filter",
        value: "TERMS",
        help: "Only where it holds: \"stage=inference and duration>2s\"",
    },
];
