//! How the process is: for people, for orchestrators, for Prometheus.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plimsoll_schemas::table::Table;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::state::QueryState;

pub async fn alive() -> &'static str {
    "alive\n"
}

pub async fn ready(State(state): State<QueryState>) -> Response {
    let status = state.store().status();
    let why_not = match (status.poisoned, status.held_up) {
        (Some(why), _) => format!("nothing is accepted any more: {why}; check the disk, then restart"),
        (None, Some(waiting)) => format!(
            "acknowledgements have been waiting for {} s for the log's disk or bucket; check that it answers",
            waiting.as_secs()
        ),
        (None, None) => return "ready\n".into_response(),
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why_not).into_response()
}

pub async fn system(State(state): State<QueryState>) -> Json<Value> {
    let status = state.store().status();
    let snapshot = state.store().snapshot();
    let tables: Vec<Value> = Table::ALL
        .into_iter()
        .map(|table| {
            let of = snapshot.table(table);
            json!({
                "table": table.as_str(), "version": of.version, "files": of.files.len(),
                "bytes": of.files.iter().map(|f| f.size_bytes).sum::<u64>(),
                "rows": of.files.iter().map(|f| f.rows).sum::<u64>(),
                "rows_written": status.written[table as usize].rows,
                "bytes_written": status.written[table as usize].bytes,
                "tail_rows": of.tail.iter().map(|b| b.num_rows()).sum::<usize>(),
            })
        })
        .collect();
    let doors = state.doors();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"), "uptime_s": state.uptime_s(),
        "home": state.store().home().name("").display().to_string(),
        "wal_seq": status.wal_seq, "flushed_wal_seq": status.flushed_wal_seq,
        "tail": {"rows": status.tail_rows, "bytes": status.tail_bytes}, "tables": tables,
        "ingest": {
            "spans": status.spans, "log_records": status.log_records, "verdicts": status.verdicts,
            "requests": status.requests, "rejected_spans": status.rejected, "refused": status.refused,
            "duplicate_requests": status.duplicate_requests, "duplicate_spans": status.duplicate_spans,
            "metrics_dropped": doors.get("metrics_dropped"), "doors": doors,
        },
        "poisoned": status.poisoned.is_some(),
        "settle": {"pending_traces": status.pending_traces, "settled_traces": status.settled_traces},
        "flushes": status.flushes, "merges": status.merges,
        "damaged_files": status.damaged,
        "objective_problems": state.objectives().current().problems,
    }))
}

/// Prometheus text: own counters.
pub async fn metrics(State(state): State<QueryState>) -> Response {
    let s = state.store().status();
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP plimsoll_{name} {help}\n# TYPE plimsoll_{name} {kind}\nplimsoll_{name} {value}"
        );
    };
    metric("spans_total", "counter", "Spans accepted.", s.spans);
    metric("log_records_total", "counter", "Log records accepted.", s.log_records);
    metric("verdicts_total", "counter", "Verdicts accepted.", s.verdicts);
    metric("requests_total", "counter", "Requests answered by the store.", s.requests);
    metric("rejected_items_total", "counter", "Items that could not be kept.", s.rejected);
    metric("refused_requests_total", "counter", "Requests refused for overload or a closed log.", s.refused);
    metric(
        "duplicate_requests_total",
        "counter",
        "Requests that were accepted before.",
        s.duplicate_requests,
    );
    metric("duplicate_spans_total", "counter", "Spans that were there already.", s.duplicate_spans);
    metric("settled_traces_total", "counter", "Traces settled.", s.settled_traces);
    metric("flushes_total", "counter", "Flushes of the tail.", s.flushes);
    metric("merges_total", "counter", "Merges of files.", s.merges);
    let damaged = s.damaged.len() as u64;
    metric("damaged_files", "gauge", "Data files found to be damaged since the start.", damaged);
    metric("tail_rows", "gauge", "Rows that are in no file yet.", s.tail_rows);
    metric("tail_bytes", "gauge", "Memory of the tail.", s.tail_bytes);
    metric("pending_traces", "gauge", "Traces that did not settle yet.", s.pending_traces);
    metric(
        "wal_poisoned",
        "gauge",
        "1 once nothing is acknowledged any more.",
        u64::from(s.poisoned.is_some()),
    );
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
