//! What an import consists of.

use serde::Serialize;
use serde_json::Value;

/// One thing that a file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// One element of `resourceSpans`, as OTLP JSON with hex ids.
    Spans(Value),
    /// One element of `resourceLogs`, as OTLP JSON.
    Logs(Value),
    Verdict(Verdict),
    /// Something that cannot be kept, and why.
    Rejected(String),
}

/// A verdict, as `POST /api/v1/verdicts` takes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    pub metric: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// RFC 3339; where the source does not say, it is the time of the import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_at: Option<String>,
}
