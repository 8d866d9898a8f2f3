//! Finding traces: those that settled, by what settling found, and the newest ones, by what their spans say so far.

use axum::Json;
use axum::extract::State;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Tenant, TraceId, UnixNanos};
use serde_json::{Map, Value, json};

use super::Answer;
use super::asked::Asked;
use crate::error::QueryError;
use crate::filter::{self, Over, Term, quote};
use crate::state::QueryState;
use crate::time::TimeRange;

const TRACES_DEFAULT: usize = 100;
const TRACES_MAX: usize = 1_000;
const START: &str = "start_unix_nano";
/// The newest stretch of a range, in which most searches find all that they show.
const NEWEST_NS: i64 = 3_600_000_000_000;
/// How many times as long the next one is.
const WIDER: i64 = 16;
const SLICE: [&str; 3] = ["workload_class", "model", "hardware"];

pub async fn search(State(state): State<QueryState>, asked: Asked) -> Answer {
    let limit = asked.number("limit", TRACES_DEFAULT, TRACES_MAX)?;
    let terms = filter::parse(asked.get("q").unwrap_or(""))?;
    let range = asked.range()?;
    let order = match asked.get("sort") {
        None | Some("start") => START,
        Some("duration") => "duration_ns",
        Some("wasted") => "wasted_ns",
        Some(other) => {
            let problem = format!("sort: expected start, duration or wasted, got {other:?}");
            return Err(QueryError::Invalid(problem).into());
        }
    };
    let after = asked.get("cursor").map(After::parse).transpose()?;
    // Taken before the snapshot: what settles in between is in its tables.
    let floor = state.store().unsettled_from().map(|seq| seq.min(i64::MAX as u64));
    let view = state.view(asked.tenant.clone());
    let statement = |window: TimeRange, rows: usize| -> Result<String, QueryError> {
        let mut found = settled(window, &terms)?;
        if let Some(wal_seq) = floor {
            found = format!("{found}\nUNION ALL\n{}", unsettled(range, window, &terms, wal_seq)?);
        }
        let after = after.as_ref().map(|after| after.sql(order)).unwrap_or_default();
        Ok(format!(
            "SELECT * FROM (
{found}
) WHERE {order} IS NOT NULL{after}
ORDER BY {order} DESC, trace_id, tenant
LIMIT {rows}"
        ))
    };
    let windows = match order {
        START => {
            let newest = [Table::Spans, Table::Traces].map(|table| view.snapshot.table(table).newest());
            let newest = newest.into_iter().max().flatten().unwrap_or(range.start);
            newest_first(range, after.as_ref().map_or(newest.0, |after| after.value))
        }
        _ => vec![range],
    };
    let mut rows = Vec::new();
    for window in windows {
        rows.extend(state.objects(&view, &statement(window, limit + 1 - rows.len())?).await?);
        if rows.len() > limit {
            break;
        }
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let cursor = rows
        .last()
        .filter(|_| more)
        .map(|r| format!("{}:{}:{}", text(r, order), text(r, "trace_id"), text(r, "tenant")));
    let ids: Vec<String> = rows.iter().map(|r| quote(&text(r, "trace_id"))).collect();
    let verdicts = verdicts(&state, &view, &ids).await?;
    let traces: Vec<Value> = rows.into_iter().map(|row| shown(row, &verdicts)).collect();
    Ok(Json(json!({"traces": traces, "next_cursor": cursor, "sql": statement(range, limit + 1)?})))
}

/// A range by stretches, the newest first and each longer than the one before: who shows the newest traces of many need not look
/// for all of them. Nothing that began after `last` is looked for.
fn newest_first(range: TimeRange, last: i64) -> Vec<TimeRange> {
    let mut end = range.end.min(UnixNanos(last.saturating_add(1)));
    let (mut windows, mut length) = (Vec::new(), NEWEST_NS);
    while range.start < end {
        // Not for a rest that is hardly longer.
        let is_last = end.0.saturating_sub(range.start.0) <= length.saturating_mul(2);
        let start = if is_last { range.start } else { UnixNanos(end.0 - length) };
        windows.push(TimeRange { start, end });
        end = start;
        length = length.saturating_mul(WIDER);
    }
    windows
}

fn text(row: &Map<String, Value>, column: &str) -> String {
    match row.get(column) {
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn shown(mut row: Map<String, Value>, verdicts: &[Map<String, Value>]) -> Value {
    let mut slice = Map::new();
    slice.insert("tenant".into(), row.get("tenant").cloned().unwrap_or_default());
    for key in SLICE {
        slice.insert(key.into(), row.remove(key).unwrap_or_default());
    }
    let same = |v: &&Map<String, Value>| ["trace_id", "tenant"].iter().all(|c| v.get(*c) == row.get(*c));
    let passed = verdicts.iter().find(same).and_then(|v| v.get("passed")?.as_bool());
    row.insert("verdict".into(), json!(passed.map(|p| if p { "pass" } else { "fail" })));
    row.insert("slice".into(), slice.into());
    row.into()
}

fn settled(range: TimeRange, terms: &[Term]) -> Result<String, QueryError> {
    Ok(format!(
        "SELECT trace_id, tenant, root_service, root_name, start_unix_nano, duration_ns, span_count, error_count, outcome,
  workload_class, model, hardware, path_queue_ns AS queue_ns, attempts, retries, wasted_ns, true AS settled
FROM traces
WHERE start_unix_nano >= {} AND start_unix_nano < {}{}",
        range.start.0,
        range.end.0,
        filter::sql_since(terms, Over::Found, range.start)?,
    ))
}

/// Traces of which nothing is settled yet. Their root may be still to come: the earliest span stands in for it.
/// What only settling finds is null, and then no filter on it holds. Whether it settled is not looked up in all of time: of a trace
/// that settled longer ago than a day before the range, what came since is shown.
fn unsettled(
    range: TimeRange,
    window: TimeRange,
    terms: &[Term],
    wal_seq: u64,
) -> Result<String, QueryError> {
    let root = |column: &str| {
        format!("first_value({column} ORDER BY parent_span_id IS NOT NULL, start_unix_nano, span_id)")
    };
    let nulls: String = ["path_queue_ns", "attempts", "retries", "wasted_ns"]
        .iter()
        .map(|c| format!(", CAST(NULL AS BIGINT) AS {c}"))
        .collect();
    let slice: String = SLICE.iter().map(|c| format!(", max({c}) AS {c}")).collect();
    Ok(format!(
        "SELECT trace_id, tenant, root_service, root_name, start_unix_nano, duration_ns, span_count, error_count, outcome,
  workload_class, model, hardware, path_queue_ns, attempts, retries, wasted_ns, false
FROM (
  SELECT s.trace_id, s.tenant, {service} AS root_service, {name} AS root_name, min(start_unix_nano) AS start_unix_nano,
    max(start_unix_nano + duration_ns) - min(start_unix_nano) AS duration_ns, count(*) AS span_count,
    count(*) FILTER (WHERE status_code = 'error') AS error_count, CAST(NULL AS VARCHAR) AS outcome{slice}{nulls}
  FROM spans s LEFT ANTI JOIN traces t ON s.tenant = t.tenant AND s.trace_id = t.trace_id AND t.start_unix_nano >= {since}
  WHERE s.wal_seq >= {wal_seq}
  GROUP BY s.trace_id, s.tenant
) traces
WHERE start_unix_nano >= {start} AND start_unix_nano < {end}{filter}",
        since = filter::parts_since(range.start),
        service = root("service_name"),
        name = root("name"),
        start = window.start.0,
        end = window.end.0,
        filter = filter::sql_since(terms, Over::Unsettled, window.start)?,
    ))
}

/// Whether everything that was judged of a trace passed.
async fn verdicts(
    state: &QueryState,
    view: &crate::engine::View,
    ids: &[String],
) -> Result<Vec<Map<String, Value>>, QueryError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT tenant, trace_id, bool_and(pass) AS passed FROM latest_verdicts
WHERE pass IS NOT NULL AND trace_id IN ({}) GROUP BY tenant, trace_id",
        ids.join(", ")
    );
    state.objects(view, &sql).await
}

/// The last row that was shown: `value:trace_id:tenant`.
struct After {
    value: i64,
    trace_id: TraceId,
    tenant: Tenant,
}

impl After {
    fn parse(cursor: &str) -> Result<Self, QueryError> {
        let mut parts = cursor.splitn(3, ':');
        let parsed = (|| {
            let value: i64 = parts.next()?.parse().ok()?;
            let trace_id: TraceId = parts.next()?.parse().ok()?;
            Some(Self { value, trace_id, tenant: Tenant::new(parts.next()?).ok()? })
        })();
        parsed.ok_or_else(|| {
            QueryError::Invalid(format!("cursor: expected what next_cursor said, got {cursor:?}"))
        })
    }

    fn sql(&self, order: &str) -> String {
        let (value, id, tenant) = (self.value, self.trace_id, quote(self.tenant.as_str()));
        format!(
            " AND ({order} < {value} OR ({order} = {value} AND (trace_id > '{id}' OR (trace_id = '{id}' AND tenant > {tenant}))))"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_follow_one_another_and_leave_nothing_out(
            start in any::<i64>(),
            length in prop_oneof![0..3 * NEWEST_NS, 0..i64::MAX],
            last: i64,
        ) {
            let range = TimeRange { start: UnixNanos(start), end: UnixNanos(start.saturating_add(length)) };
            let windows = newest_first(range, last);
            let mut end = range.end.min(UnixNanos(last.saturating_add(1)));
            for window in &windows {
                prop_assert!(window.start < window.end && window.end == end);
                end = window.start;
            }
            prop_assert!(windows.is_empty() && end <= range.start || end == range.start);
            prop_assert!(windows.len() < 10);
        }
    }
}
