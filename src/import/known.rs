//! What of a chunk is there already, by asking the server: so that nothing is kept twice, whoever brought it before.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use plimsoll_import::Verdict;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chunk::Chunk;
use super::send::{SendError, Sender};

/// Traces in one statement.
const TRACES_MAX: usize = 400;
/// Bytes of a list in a statement, of which the server takes 256 KiB.
const LIST_BYTES_MAX: usize = 64 << 10;
/// Of a log record's body, what tells it from its neighbours.
const BODY_CHARS: usize = 64;
/// Log records of one file of which it is known that they were dealt with.
const DEALT_WITH_MAX: usize = 1 << 17;
const ROWS_MAX: usize = 1_000_000;

#[derive(Debug, Deserialize)]
struct Rows {
    rows: Vec<Vec<Value>>,
    truncated: bool,
}

impl Sender {
    /// Takes out of the chunk what the server has, and says how much that was: spans, log records, verdicts.
    pub(super) async fn take_known(
        &self,
        chunk: &mut Chunk,
        dealt_with: &mut DealtWith,
    ) -> Result<[usize; 3], SendError> {
        let mut seen = self.known_spans(&chunk.spans).await?;
        let spans = retain(&mut chunk.spans, "scopeSpans", "spans", |span| {
            let id = (lower(&span["traceId"]), lower(&span["spanId"]));
            // Twice in one chunk is once.
            seen.insert(id)
        });
        let logs_known = self.known_logs(&chunk.logs).await?;
        let logs = retain(&mut chunk.logs, "scopeLogs", "logRecords", |record| {
            let key = log_key(record);
            let there = logs_known.get(&key).copied().unwrap_or(0);
            dealt_with.one_more(&key) > there
        });
        let known = self.known_verdicts(&chunk.verdicts).await?;
        let before = chunk.verdicts.len();
        chunk.verdicts.retain(|verdict| !known.contains(&verdict_key(verdict)));
        Ok([spans, logs, before - chunk.verdicts.len()])
    }

    async fn rows(&self, sql: &str) -> Result<Vec<Vec<Value>>, SendError> {
        let body = json!({"sql": sql, "limit": ROWS_MAX}).to_string();
        let answer = self.answered(&self.api, "/api/v1/sql", body.into()).await?.success()?;
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
        let mut by_trace: BTreeMap<String, (BTreeSet<String>, i64, i64)> = BTreeMap::new();
        for span in items(elements, "scopeSpans", "spans") {
            // As the door has it: none is zero, and what is beyond the calendar is its end.
            let start = integer(&span["startTimeUnixNano"]).unwrap_or(0);
            let start = i64::try_from(start).unwrap_or(i64::MAX);
            let (spans, first, last) =
                by_trace.entry(lower(&span["traceId"])).or_insert_with(|| (BTreeSet::new(), start, start));
            (*first, *last) = (start.min(*first), start.max(*last));
            spans.insert(lower(&span["spanId"]));
        }
        let mut known = HashSet::new();
        // A chunk's spans are of few traces or few of each: never more than a statement takes.
        let asked: Vec<_> = by_trace.into_iter().collect();
        for traces in asked.chunks(TRACES_MAX) {
            let trace_ids = list(traces.iter().map(|(id, _)| id.as_str()));
            let span_ids = list(traces.iter().flat_map(|(_, (spans, ..))| spans).map(String::as_str));
            let first = traces.iter().map(|(_, (_, first, _))| *first).min().unwrap_or(0);
            let last = traces.iter().map(|(_, (_, _, last))| *last).max().unwrap_or(0);
            let sql = format!(
                "SELECT trace_id, span_id FROM spans WHERE trace_id IN ({trace_ids}) AND span_id IN ({span_ids})
AND start_unix_nano >= {first} AND start_unix_nano <= {last}"
            );
            for row in self.rows(&sql).await? {
                if let [trace, span] = row.as_slice() {
                    known.insert((lower(trace), lower(span)));
                }
            }
        }
        Ok(known)
    }

    /// Log records have no id: how many there are of the same time, span and beginning.
    async fn known_logs(&self, elements: &[Value]) -> Result<HashMap<LogKey, usize>, SendError> {
        let times: BTreeSet<i64> = items(elements, "scopeLogs", "logRecords").map(|r| log_key(r).0).collect();
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(HashMap::new()) };
        let listed = times.iter().map(i64::to_string).collect::<Vec<String>>().join(", ");
        // What has no text for a body is told apart by the rest.
        let sql = format!(
            "SELECT time_unix_nano, trace_id, span_id,
  CASE WHEN body_type IS NULL THEN substr(body, 1, {BODY_CHARS}) END, count(*) FROM log_records
WHERE time_unix_nano >= {first} AND time_unix_nano <= {last} AND time_unix_nano IN ({listed}) GROUP BY 1, 2, 3, 4"
        );
        let mut known = HashMap::new();
        for row in self.rows(&sql).await? {
            if let [time, trace, span, body, count] = row.as_slice() {
                let time = integer(time).and_then(|t| i64::try_from(t).ok()).unwrap_or(0);
                let body = body.as_str().unwrap_or_default().to_owned();
                let key = (time, lower(trace), lower(span), body);
                known.insert(key, count.as_u64().unwrap_or(0) as usize);
            }
        }
        Ok(known)
    }

    async fn known_verdicts(&self, verdicts: &[Verdict]) -> Result<HashSet<String>, SendError> {
        let mut known = HashSet::new();
        let by_trace: BTreeSet<&str> = verdicts.iter().filter_map(|v| v.trace_id.as_deref()).collect();
        let by_session: BTreeSet<&str> = verdicts.iter().filter_map(|v| v.session_id.as_deref()).collect();
        for (column, ids) in [("trace_id", by_trace), ("session_id", by_session)] {
            for ids in lists(ids) {
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

/// Time, trace, span, and how the body begins if it is text.
type LogKey = (i64, String, String, String);

/// How many log records of a key a file had so far: those that the server has may be of this file or of an earlier import.
/// What was long ago is forgotten: records of one key stand together.
#[derive(Debug, Default)]
pub struct DealtWith {
    recent: HashMap<LogKey, usize>,
    older: HashMap<LogKey, usize>,
}

impl DealtWith {
    /// How many it were with this one.
    fn one_more(&mut self, key: &LogKey) -> usize {
        if self.recent.len() >= DEALT_WITH_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        let count = self.recent.get(key).or_else(|| self.older.get(key)).copied().unwrap_or(0) + 1;
        self.recent.insert(key.clone(), count);
        count
    }
}

fn log_key(record: &Value) -> LogKey {
    let time = integer(&record["timeUnixNano"]).filter(|t| *t > 0);
    let time = time.or_else(|| integer(&record["observedTimeUnixNano"])).unwrap_or(0);
    let time = i64::try_from(time).unwrap_or(i64::MAX);
    let body = record["body"]["stringValue"].as_str().unwrap_or_default();
    let body = body.chars().take(BODY_CHARS).collect();
    // As the door has it: what is no id, or zeros, is none.
    let id = |name: &str, digits: usize| {
        let id = lower(&record[name]);
        let is_id =
            id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
        if is_id { id } else { String::new() }
    };
    (time, id("traceId", 32), id("spanId", 16), body)
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

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(n) => n.as_i128().or_else(|| n.as_f64().map(|x| x as i128)),
        _ => None,
    }
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

/// Quoted and separated by commas.
fn list<'v>(texts: impl Iterator<Item = &'v str>) -> String {
    texts.map(|text| format!("'{}'", text.replace('\'', "''"))).collect::<Vec<String>>().join(", ")
}

/// As many lists as it takes for each to fit into a statement.
fn lists<'v>(texts: impl IntoIterator<Item = &'v str>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for text in texts {
        let quoted = list(std::iter::once(text));
        match lists.last_mut().filter(|l| l.len() + quoted.len() < LIST_BYTES_MAX) {
            Some(list) => {
                list.push_str(", ");
                list.push_str(&quoted);
            }
            None => lists.push(quoted),
        }
    }
    lists
}
