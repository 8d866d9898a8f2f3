//! `POST /api/v1/sql`: one reading statement in, rows out as JSON, NDJSON, CSV or an Arrow stream.

use std::time::Instant;

use arrow::record_batch::RecordBatch;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asked::Asked;
use super::problem::Problem;
use crate::engine::Rows;
use crate::error::QueryError;
use crate::json;
use crate::state::QueryState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    sql: String,
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    NdJson,
    Csv,
    Arrow,
}

pub async fn sql(
    State(state): State<QueryState>,
    asked: Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let Statement { sql, limit } = statement(&headers, &body)?;
    let format = format(&headers)?;
    let options = state.options();
    let rows_max = match format {
        Format::Json => limit.unwrap_or(options.rows_default),
        _ => limit.unwrap_or(options.rows_max),
    };
    let view = state.view(asked.tenant);
    let rows = state.sql(&view, &sql, rows_max).await?;
    if format == Format::Json {
        let version = view.snapshot.table(plimsoll_schemas::table::Table::Spans).version;
        let snapshot = json!({"version": version, "wal_seq": view.snapshot.wal_seq});
        return Ok(axum::Json(whole(rows, begun, snapshot).await?).into_response());
    }
    Ok(streamed(rows, format))
}

fn statement(headers: &HeaderMap, body: &[u8]) -> Result<Statement, Problem> {
    let bad = |status, detail: String| Problem::new(status, detail);
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    match content_type.split(';').next().unwrap_or("").trim() {
        "application/json" => serde_json::from_slice(body).map_err(|e| {
            bad(StatusCode::BAD_REQUEST, format!("body: {e}; expected {{\"sql\": \"SELECT …\"}}"))
        }),
        "text/plain" => {
            let sql = std::str::from_utf8(body)
                .map_err(|e| bad(StatusCode::BAD_REQUEST, format!("body: {e}")))?
                .to_owned();
            Ok(Statement { sql, limit: None })
        }
        other => Err(bad(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content-type: expected application/json or text/plain, got {other}"),
        )),
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    for kind in accept.split(',').map(|k| k.split(';').next().unwrap_or("").trim()) {
        match kind {
            "application/json" | "*/*" | "application/*" => return Ok(Format::Json),
            "application/x-ndjson" => return Ok(Format::NdJson),
            "text/csv" => return Ok(Format::Csv),
            "application/vnd.apache.arrow.stream" => return Ok(Format::Arrow),
            _ => {}
        }
    }
    Err(Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "accept: expected application/json, application/x-ndjson, text/csv or application/vnd.apache.arrow.stream",
    ))
}

async fn whole(mut rows: Rows, begun: Instant, snapshot: Value) -> Result<Value, Problem> {
    let columns: Vec<Value> = rows
        .schema()
        .fields()
        .iter()
        .map(|f| json!({"name": f.name(), "type": json::type_name(f.data_type())}))
        .collect();
    let mut cells: Vec<Value> = Vec::new();
    while let Some(batch) = rows.next().await? {
        for row in 0..batch.num_rows() {
            cells.push(batch.columns().iter().map(|c| json::cell(c.as_ref(), row)).collect());
        }
    }
    Ok(json!({
        "columns": columns, "row_count": cells.len(), "rows": cells, "truncated": rows.truncated(),
        "elapsed_ms": begun.elapsed().as_secs_f64() * 1e3, "snapshot": snapshot,
    }))
}

fn streamed(rows: Rows, format: Format) -> Response {
    let content_type = match format {
        Format::NdJson | Format::Json => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Arrow => "application/vnd.apache.arrow.stream",
    };
    let first = true;
    let chunks = stream::try_unfold((Some(rows), first), move |(rows, first)| async move {
        let Some(mut rows) = rows else { return Ok::<_, QueryError>(None) };
        match rows.next().await? {
            Some(batch) => {
                let bytes = encode(format, &batch, first)?;
                Ok(Some((Bytes::from(bytes), (Some(rows), false))))
            }
            None if first || format == Format::Arrow => {
                let empty = RecordBatch::new_empty(rows.schema().clone());
                Ok(Some((Bytes::from(end(format, &empty, first)?), (None, false))))
            }
            None => Ok(None),
        }
    });
    ([(CONTENT_TYPE, content_type)], Body::from_stream(chunks)).into_response()
}

fn encode(format: Format, batch: &RecordBatch, first: bool) -> Result<Vec<u8>, QueryError> {
    let failed = |e: arrow::error::ArrowError| QueryError::Internal(e.to_string());
    let mut bytes = Vec::new();
    match format {
        Format::NdJson | Format::Json => {
            for row in json::objects(std::slice::from_ref(batch)) {
                bytes.extend_from_slice(Value::from(row).to_string().as_bytes());
                bytes.push(b'\n');
            }
        }
        Format::Csv => {
            let schema = batch.schema();
            if first {
                csv_line(&mut bytes, schema.fields().iter().map(|f| f.name().clone().into()));
            }
            for row in 0..batch.num_rows() {
                csv_line(&mut bytes, batch.columns().iter().map(|c| json::cell(c.as_ref(), row)));
            }
        }
        Format::Arrow => {
            let mut writer =
                arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).map_err(failed)?;
            // The schema stands once, before the first batch.
            let skip = writer.get_ref().len();
            writer.write(batch).map_err(failed)?;
            drop(writer);
            if !first {
                bytes.drain(..skip);
            }
        }
    }
    Ok(bytes)
}

/// What follows the last batch, and stands alone where there was none.
fn end(format: Format, empty: &RecordBatch, first: bool) -> Result<Vec<u8>, QueryError> {
    let mut bytes = if first { encode(format, empty, true)? } else { Vec::new() };
    if format == Format::Arrow {
        // Arrow's end of stream: a continuation marker and a length of zero.
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    }
    Ok(bytes)
}

/// One line after RFC 4180. Null is an empty field, empty text is `""`.
fn csv_line(out: &mut Vec<u8>, cells: impl Iterator<Item = Value>) {
    for (i, value) in cells.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
