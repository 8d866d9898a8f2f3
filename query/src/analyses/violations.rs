//! What should not have been done: retries that repeat a side effect, come too late or cannot help, and executions that
//! differ from what was approved. Each row leads to its traces.

use futures::FutureExt;
use plimsoll_analysis::ViolationKind;
use serde_json::{Map, Value, json};

use super::definition::{Answer, Definition, Explain, InSql, Parameter};
use super::{Analysis, GROUPS_MAX};
use crate::engine::View;
use crate::error::QueryError;
use crate::filter::{self, Over, quote};
use crate::state::QueryState;

const KINDS: [ViolationKind; 6] = [
    ViolationKind::RetryWithoutKey,
    ViolationKind::DuplicateSideEffect,
    ViolationKind::AttemptAfterDeadline,
    ViolationKind::RetryOfNonRetryable,
    ViolationKind::ApprovalMismatch,
    ViolationKind::MissingApproval,
];

pub static DEFINITION: Definition = Definition {
    name: "violations",
    function: "violations",
    summary: "What should not have been done: unsafe, late or useless retries, and executions without approval",
    by: None,
    parameters: &[Parameter {
        name: "kind",
        value: "KIND",
        help: "Only this kind, such as duplicate_side_effect",
    }],
    rows: "violations",
    answer: |state, view, asked| async move { answer(&state, &view, &asked).await }.boxed(),
    in_sql: InSql::Statement(|_, _, asked| async move { sql(&asked) }.boxed()),
};

fn sql(asked: &Analysis) -> Result<String, QueryError> {
    let kind = match asked.parameter("kind") {
        None => String::new(),
        Some(kind) if KINDS.iter().any(|k| k.as_str() == kind) => format!(" AND kind = {}", quote(kind)),
        Some(kind) => {
            let names = KINDS.map(ViolationKind::as_str).join(", ");
            return Err(QueryError::Invalid(format!("kind: expected one of {names}, got {kind:?}")));
        }
    };
    Ok(format!(
        "SELECT kind, caller, callee, operation, count(*) AS violations, count(DISTINCT trace_id) AS traces,
  min(start_unix_nano) AS first_unix_nano, max(start_unix_nano) AS last_unix_nano, last_value(detail ORDER BY start_unix_nano) AS detail,
  sample_ids(trace_id, start_unix_nano) AS sample_trace_ids
FROM violations
WHERE {within}{kind}{filter}
GROUP BY kind, caller, callee, operation
ORDER BY violations DESC, kind, caller, callee, operation
LIMIT {GROUPS_MAX}",
        within = asked.within("start_unix_nano"),
        filter = filter::sql(&asked.filter, Over::Edges)?,
    ))
}

async fn answer(state: &QueryState, view: &View, asked: &Analysis) -> Result<Answer, QueryError> {
    let sql = sql(asked)?;
    let mut rows = state.objects(view, &sql).await?;
    for row in &mut rows {
        for column in ["first_unix_nano", "last_unix_nano"] {
            let text = row.get(column).map(|n| n.as_i64().map_or(n.clone(), |n| n.to_string().into()));
            row.insert(column.into(), text.unwrap_or_default());
        }
    }
    let mut more = Map::new();
    let kinds = KINDS.map(|kind| {
        let of = |row: &&Map<String, Value>| row.get("kind").and_then(Value::as_str) == Some(kind.as_str());
        let count: i64 = rows.iter().filter(of).filter_map(|row| row.get("violations")?.as_i64()).sum();
        (kind.as_str().to_owned(), json!(count))
    });
    more.insert("kinds".into(), kinds.into_iter().collect::<Map<_, _>>().into());
    let explain = Explain {
        sql: vec![sql],
        method: "Found when a trace settles, on evidence alone: where an attribute is missing, the answer is unknown, which is no violation.",
        sample_trace_ids: Vec::new(),
    };
    Ok(Answer { rows, more, explain })
}
