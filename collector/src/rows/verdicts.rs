//! Verdicts that come by REST, as JSON; and the builder of their rows.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};
use plimsoll_store::{DecodeError, Decoded, KeywordBuilder, RecordMeta};
use serde::Deserialize;

/// One verdict.
#[derive(Debug)]
pub struct Verdict {
    pub trace_id: Option<TraceId>,
    pub span_id: Option<SpanId>,
    pub response_id: Option<String>,
    pub session_id: Option<String>,
    pub metric: String,
    pub label: Option<String>,
    pub score: Option<f64>,
    pub pass: Option<bool>,
    pub evaluator: Option<String>,
    /// Of the evaluator: its prompt, model or code.
    pub evaluator_version: Option<String>,
    pub explanation: Option<String>,
    pub judged: UnixNanos,
}

/// Verdicts of one request.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Verdict>);

impl Verdicts {
    pub fn push(&mut self, verdict: Verdict) {
        self.0.push(verdict);
    }

    pub fn finish(self, meta: &RecordMeta, source: &str) -> Result<Option<RecordBatch>, DecodeError> {
        let (verdicts, rows) = (&self.0, self.0.len());
        if rows == 0 {
            return Ok(None);
        }
        fn words<'v>(values: impl Iterator<Item = Option<&'v str>>, rows: usize) -> ArrayRef {
            let mut column = KeywordBuilder::default();
            values.for_each(|v| column.push(v.map(Cow::Borrowed)));
            column.finish(rows)
        }
        let judged: Vec<i64> = verdicts.iter().map(|v| v.judged.0).collect();
        let micros: Vec<i64> = verdicts.iter().map(|v| v.judged.micros()).collect();
        let columns: Vec<ArrayRef> = vec![
            words(verdicts.iter().map(|_| Some(meta.tenant.as_str())), rows),
            Arc::new(verdicts.iter().map(|v| v.trace_id.map(|id| id.to_string())).collect::<StringArray>()),
            Arc::new(verdicts.iter().map(|v| v.span_id.map(|id| id.to_string())).collect::<StringArray>()),
            Arc::new(verdicts.iter().map(|v| v.response_id.as_deref()).collect::<StringArray>()),
            Arc::new(verdicts.iter().map(|v| v.session_id.as_deref()).collect::<StringArray>()),
            words(verdicts.iter().map(|v| Some(v.metric.as_str())), rows),
            words(verdicts.iter().map(|v| v.label.as_deref()), rows),
            Arc::new(verdicts.iter().map(|v| v.score).collect::<Float64Array>()),
            Arc::new(verdicts.iter().map(|v| v.pass).collect::<BooleanArray>()),
            words(verdicts.iter().map(|v| v.evaluator.as_deref()), rows),
            words(verdicts.iter().map(|v| v.evaluator_version.as_deref()), rows),
            Arc::new(verdicts.iter().map(|v| v.explanation.as_deref()).collect::<StringArray>()),
            Arc::new(Int64Array::from(judged)),
            Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
            words(verdicts.iter().map(|_| Some(source)), rows),
            Arc::new(Int64Array::from_value(meta.ingest.0, rows)),
        ];
        super::batch(Table::Verdicts, columns).map(Some)
    }
}

/// One verdict as `POST /api/v1/verdicts` takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    span_id: Option<String>,
    #[serde(default)]
    response_id: Option<String>,
    #[serde(default)]
    session_id: Option<String>,
    metric: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    pass: Option<bool>,
    #[serde(default)]
    evaluator: Option<String>,
    #[serde(default)]
    evaluator_version: Option<String>,
    #[serde(default)]
    explanation: Option<String>,
    #[serde(default)]
    judged_at: Option<String>,
}

pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
    let json: serde_json::Value =
        serde_json::from_slice(payload).map_err(|e| DecodeError(format!("body: not JSON: {e}")))?;
    let items = match json {
        serde_json::Value::Array(items) => items,
        one => vec![one],
    };
    let mut verdicts = Verdicts::default();
    for (index, item) in items.into_iter().enumerate() {
        let bad = |problem: String| DecodeError(format!("verdict {index}: {problem}"));
        let posted: Posted = serde_json::from_value(item).map_err(|e| bad(e.to_string()))?;
        verdicts.push(checked(posted, meta).map_err(bad)?);
    }
    let batch = verdicts.finish(meta, "api")?;
    Ok(Decoded { batches: batch.into_iter().map(|b| (Table::Verdicts, b)).collect(), ..Decoded::default() })
}

fn checked(posted: Posted, meta: &RecordMeta) -> Result<Verdict, String> {
    let trace_id =
        posted.trace_id.map(|id| id.parse::<TraceId>().map_err(|e| format!("trace_id: {e}"))).transpose()?;
    let span_id =
        posted.span_id.map(|id| id.parse::<SpanId>().map_err(|e| format!("span_id: {e}"))).transpose()?;
    if trace_id.is_none() && posted.response_id.is_none() && posted.session_id.is_none() {
        return Err("says nothing of what it judges: give trace_id, response_id or session_id".into());
    }
    if span_id.is_some() && trace_id.is_none() {
        return Err("span_id: a span is found by its trace, so trace_id is needed too".into());
    }
    if posted.metric.is_empty() {
        return Err("metric: must not be empty".into());
    }
    if posted.label.is_none() && posted.score.is_none() && posted.pass.is_none() {
        return Err("says no verdict: give pass, label or score".into());
    }
    let judged = match &posted.judged_at {
        None => meta.ingest,
        Some(text) => DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|t| t.timestamp_nanos_opt())
            .map(UnixNanos)
            .ok_or_else(|| {
                format!("judged_at: expected RFC 3339 such as 2026-01-31T12:00:00Z, got {text:?}")
            })?,
    };
    Ok(Verdict {
        trace_id,
        span_id,
        response_id: posted.response_id,
        session_id: posted.session_id,
        metric: posted.metric,
        pass: verdict::pass(posted.pass, posted.label.as_deref(), posted.score),
        label: posted.label,
        score: posted.score,
        evaluator: posted.evaluator,
        evaluator_version: posted.evaluator_version,
        explanation: posted.explanation,
        judged,
    })
}
