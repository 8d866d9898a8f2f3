//! What of a chunk is there already, by asking the server: so that nothing is kept twice, whoever brought it before.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use plimsoll_import::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chunk::Chunk;
use super::send::{SendError, Sender};

/// Ids in one statement.
const IDS_MAX: usize = 400;
const ROWS_MAX: usize = 1_000_000;

#[derive(Debug, Deserialize)]
struct Rows {
    rows: Vec<Vec<Value>>,
    truncated: bool,
}

impl Sender {
    /// Takes out of the chunk what the server has, and says how much that was: spans, log records, verdicts.
    pub(super) async fn take_known(&self, chunk: &mut Chunk) -> Result<[usize; 3], SendError> {
        let spans = self.known_spans(&chunk.spans).await?;
        let mut seen = spans;
        let spans = retain(&mut chunk.spans, "scopeSpans", "spans", |span| {
            let id = (lower(&span["traceId"]), lower(&span["spanId"]));
            // Twice in one chunk is once.
            seen.insert(id)
        });
        let mut logs_known = self.known_logs(&chunk.logs).await?;
        let logs = retain(&mut chunk.logs, "scopeLogs", "logRecords", |record| {
            match logs_known.get_mut(&log_key(record)) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                _ => true,
            }
        });
        let known = self.known_verdicts(&chunk.verdicts).await?;
        let before = chunk.verdicts.len();
        chunk.verdicts.retain(|verdict| !known.contains(&verdict_key(verdict)));
        Ok([spans, logs, before - chunk.verdicts.len()])
    }

    async fn rows(&self, sql: &str) -> Result<Vec<Vec<Value>>, SendError> {
        let body = json!({"sql": sql, "limit": ROWS_MAX}).to_string();
        let answer = self.api.post("/api/v1/sql", &self.tenant, body.into()).await?.success()?;
        let rows: Rows = serde_json::from_slice(&answer)
            .map_err(|e| SendError::Answer(format!("{e}; are both of one version?")))?;
        if rows.truncated {
            return Err(SendError::Answer(format!(
                "more than {ROWS_MAX} rows where a chunk's were asked for"
            )));
        }
        Ok(rows.rows)
    }

    async fn known_spans(&self, elements: &[Value]) -> Result<HashSet<(String, String)>, SendError> {
        let (mut traces, mut first, mut last) = (HashSet::new(), i64::MAX, i64::MIN);
        for span in items(elements, "scopeSpans", "spans") {
            traces.insert(lower(&span["traceId"]));
            if let Some(start) = integer(&span["startTimeUnixNano"]) {
                (first, last) = (first.min(start), last.max(start));
            }
        }
        let mut known = HashSet::new();
        for ids in in_lists(traces) {
            let sql = format!(
                "SELECT trace_id, span_id FROM spans
WHERE trace_id IN ({ids}) AND start_unix_nano >= {first} AND start_unix_nano <= {last}"
            );
            for row in self.rows(&sql).await? {
                if let [trace, span] = row.as_slice() {
                    known.insert((lower(trace), lower(span)));
                }
            }
        }
        Ok(known)
    }

    /// Log records have no id: as many as there are of the same time, event and span.
    async fn known_logs(&self, elements: &[Value]) -> Result<HashMap<LogKey, usize>, SendError> {
        let keys: Vec<LogKey> = items(elements, "scopeLogs", "logRecords").map(log_key).collect();
        let times = || keys.iter().map(|k| k.0);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(HashMap::new()) };
        let sql = format!(
            "SELECT time_unix_nano, trace_id, span_id, event_name, count(*) FROM log_records
WHERE time_unix_nano >= {first} AND time_unix_nano <= {last} GROUP BY 1, 2, 3, 4"
        );
        let mut known = HashMap::new();
        for row in self.rows(&sql).await? {
            if let [time, trace, span, event, count] = row.as_slice() {
                let key = (integer(time).unwrap_or(0), lower(trace), lower(span), lower(event));
                known.insert(key, count.as_u64().unwrap_or(0) as usize);
            }
        }
        Ok(known)
    }

    async fn known_verdicts(&self, verdicts: &[Verdict]) -> Result<HashSet<String>, SendError> {
        let mut known = HashSet::new();
        let by_trace = verdicts.iter().filter_map(|v| v.trace_id.clone()).collect();
        let by_session = verdicts.iter().filter_map(|v| v.session_id.clone()).collect();
        for (column, ids) in [("trace_id", by_trace), ("session_id", by_session)] {
            for ids in in_lists(ids) {
                let sql = format!(
                    "SELECT trace_id, span_id, session_id, metric, evaluator, label, score, judged_unix_nano
FROM verdicts WHERE {column} IN ({ids})"
                );
                for row in self.rows(&sql).await? {
                    known.insert(row_key(&row, true));
                    known.insert(row_key(&row, false));
                }
            }
        }
        Ok(known)
    }
}

type LogKey = (i64, String, String, String);

fn log_key(record: &Value) -> LogKey {
    let time = integer(&record["timeUnixNano"]).filter(|t| *t > 0);
    let time = time.or_else(|| integer(&record["observedTimeUnixNano"])).unwrap_or(0);
    (time, lower(&record["traceId"]), lower(&record["spanId"]), lower(&record["eventName"]))
}

/// A verdict that does not say when it was made is the same whenever it was.
fn verdict_key(verdict: &Verdict) -> String {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
    let judged = verdict.judged_at.as_deref().map(instant);
    let row = [
        text(&verdict.trace_id),
        text(&verdict.span_id),
        text(&verdict.session_id),
        verdict.metric.clone().into(),
        text(&verdict.evaluator),
        text(&verdict.label),
        verdict.score.map_or(Value::Null, Value::from),
        judged.flatten().map_or(Value::Null, |n| n.to_string().into()),
    ];
    row_key(&row, judged.is_some())
}

fn instant(text: &str) -> Option<i64> {
    plimsoll_import::unix_nano(text)
}

fn row_key(row: &[Value], with_time: bool) -> String {
    let mut key = String::new();
    for (i, value) in row.iter().enumerate() {
        if i == 7 && !with_time {
            break;
        }
        let _ = match value.as_f64() {
            // 1 and 1.0 are one score.
            Some(n) if i == 6 => write!(key, "{n}\u{1f}"),
            _ => write!(key, "{}\u{1f}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        };
    }
    key
}

/// Lower-case text; "" for null and none.
fn lower(value: &Value) -> String {
    value.as_str().map(str::to_ascii_lowercase).unwrap_or_default()
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn items<'v>(elements: &'v [Value], scopes: &'v str, items: &'v str) -> impl Iterator<Item = &'v Value> {
    let scopes = elements.iter().flat_map(move |e| e[scopes].as_array().into_iter().flatten());
    scopes.flat_map(move |scope| scope[items].as_array().into_iter().flatten())
}

/// Keeps the items that `keep` says, drops elements that are left empty, and counts what went.
fn retain(
    elements: &mut Vec<Value>,
    scopes: &str,
    items: &str,
    mut keep: impl FnMut(&Value) -> bool,
) -> usize {
    let mut gone = 0;
    for element in elements.iter_mut() {
        for scope in element[scopes].as_array_mut().into_iter().flatten() {
            if let Some(items) = scope[items].as_array_mut() {
                let before = items.len();
                items.retain(&mut keep);
                gone += before - items.len();
            }
        }
    }
    elements.retain(|e| self::items(std::slice::from_ref(e), scopes, items).next().is_some());
    gone
}

/// Quoted and separated by commas, so many at a time.
fn in_lists(ids: HashSet<String>) -> Vec<String> {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
    ids.chunks(IDS_MAX).map(|ids| ids.join(", ")).collect()
}
