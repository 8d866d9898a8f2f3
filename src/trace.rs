//! `plimsoll trace`: one trace as a waterfall in the terminal, each bar in the colours of its time classes.

mod waterfall;

use serde::Deserialize;

use crate::cli::Trace;
use crate::client::Api;
use crate::terminal::Terminal;

/// `GET /traces/{id}?view=analysis`, as far as a waterfall needs it.
#[derive(Debug, Deserialize)]
struct Analysis {
    trace_id: String,
    tenant: String,
    start_unix_nano: String,
    duration_ns: i64,
    outcome: String,
    #[serde(default)]
    flags: Vec<String>,
    spans: Vec<SpanRow>,
    #[serde(default)]
    critical_path: Vec<PathPart>,
    #[serde(default)]
    verdicts: Vec<Verdict>,
}

#[derive(Debug, Deserialize)]
struct SpanRow {
    span_id: String,
    service: String,
    name: String,
    start_unix_nano: String,
    duration_ns: i64,
    queue_ns: Option<i64>,
    segments: Vec<Segment>,
    outcome: String,
    attempt: Option<i64>,
    depth: usize,
}

#[derive(Debug, Deserialize)]
struct Segment {
    class: String,
    offset_ns: i64,
    duration_ns: i64,
}

#[derive(Debug, Deserialize)]
struct PathPart {
    span_id: String,
    class: String,
    duration_ns: i64,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    metric: String,
    label: Option<String>,
    pass: Option<bool>,
    evaluator: Option<String>,
}

pub async fn run(trace: Trace) -> crate::Outcome {
    let id = trace.id.trim().to_ascii_lowercase();
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("{:?} is not a trace id; expected 32 hexadecimal digits", trace.id).into());
    }
    let tenant = trace.tenant.map(|t| format!("&tenant={}", encode(&t))).unwrap_or_default();
    let path = format!("/api/v1/traces/{id}?view=analysis{tenant}");
    let body = Api::new(&trace.url).get(&path).await?;
    let analysis: Analysis = serde_json::from_slice(&body).map_err(|e| {
        format!("the server's answer is not what was expected: {e}; are both of one version?")
    })?;
    print!("{}", waterfall::draw(&analysis, Terminal::of_stdout()));
    Ok(())
}

/// As a query's value: everything but what RFC 3986 leaves alone is escaped.
fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
