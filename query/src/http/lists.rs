//! Lists to choose from: analyses, services, slices; and the heatmap over settled traces.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Answer;
use super::asked::Asked;
use crate::analyses::ALL;
use crate::error::QueryError;
use crate::filter::{self, Over};
use crate::state::QueryState;

/// Values of one slice key, the commonest first.
const VALUES_MAX: usize = 100;
const SERVICES_MAX: usize = 1_000;

pub async fn analyses() -> Json<Value> {
    Json(json!({"analyses": ALL.iter().map(|d| d.describe()).collect::<Value>()}))
}

pub async fn services(State(state): State<QueryState>, asked: Asked) -> Answer {
    let range = asked.range()?;
    let sql = format!(
        "SELECT service_name AS service, count(*) AS spans, count(*) FILTER (WHERE status_code = 'error') AS errors,
  count(DISTINCT name) AS operations, min(start_unix_nano) AS first_seen_unix_nano, max(start_unix_nano) AS last_seen_unix_nano
FROM spans WHERE start_unix_nano >= {} AND start_unix_nano < {}
GROUP BY service_name ORDER BY spans DESC LIMIT {SERVICES_MAX}",
        range.start.0, range.end.0
    );
    let rows = state.objects(&state.view(asked.tenant), &sql).await?;
    Ok(Json(json!({"services": rows, "sql": sql})))
}

pub async fn slices(State(state): State<QueryState>, asked: Asked) -> Answer {
    let range = asked.range()?;
    let view = state.view(asked.tenant);
    let mut keys = Vec::new();
    for key in ["tenant", "workload_class", "model", "hardware"] {
        let sql = format!(
            "SELECT {key} AS value, count(*) AS traces FROM traces
WHERE start_unix_nano >= {} AND start_unix_nano < {} AND {key} IS NOT NULL
GROUP BY {key} ORDER BY traces DESC, value LIMIT {VALUES_MAX}",
            range.start.0, range.end.0
        );
        keys.push(json!({"key": key, "values": state.objects(&view, &sql).await?}));
    }
    Ok(Json(json!({ "keys": keys })))
}

pub async fn heatmap(State(state): State<QueryState>, asked: Asked) -> Answer {
    let range = asked.range()?;
    let terms = filter::parse(asked.get("q").unwrap_or(""))?;
    let columns = asked.number("columns", 60, 500)? as i64;
    let rows = asked.number("rows", 32, 200)? as i64;
    let linear = match asked.get("scale") {
        None | Some("log") => false,
        Some("linear") => true,
        Some(other) => {
            let problem = format!("scale: expected log or linear, got {other:?}");
            return Err(QueryError::Invalid(problem).into());
        }
    };
    let view = state.view(asked.tenant.clone());
    let from = format!(
        "FROM traces WHERE start_unix_nano >= {} AND start_unix_nano < {}{}",
        range.start.0,
        range.end.0,
        filter::sql_since(&terms, Over::Found, range.start)?
    );
    let bounds = state
        .objects(
            &view,
            &format!("SELECT min(duration_ns) AS low, max(duration_ns) AS high, count(*) AS total {from}"),
        )
        .await?;
    let bound = |name: &str| bounds.first().and_then(|b| b.get(name)?.as_i64());
    let (low, high) = (bound("low").unwrap_or(0).max(1), bound("high").unwrap_or(1).max(1));
    // Equal steps of the duration or of its logarithm; the last row includes the maximum.
    let place = if linear {
        format!("(CAST(duration_ns AS DOUBLE) - {low}) / {}", (high - low).max(1))
    } else {
        let (from, to) = ((low as f64).ln(), (high as f64).ln());
        format!("(ln(greatest(CAST(duration_ns AS DOUBLE), 1.0)) - {from:?}) / {:?}", (to - from).max(1e-9))
    };
    let sql = format!(
        "SELECT least(greatest(CAST(floor(CAST(start_unix_nano - {} AS DOUBLE) * {columns} / {}) AS BIGINT), 0), {}) AS x,
  least(greatest(CAST(floor({place} * {rows}) AS BIGINT), 0), {}) AS y,
  count(*) AS n, count(*) FILTER (WHERE error_count > 0) AS errors
{from} GROUP BY x, y ORDER BY x, y",
        range.start.0,
        range.length().0,
        columns - 1,
        rows - 1,
    );
    let cells: Vec<Value> = state
        .objects(&view, &sql)
        .await?
        .into_iter()
        .map(|c| json!([c.get("x"), c.get("y"), c.get("n"), c.get("errors")]))
        .collect();
    Ok(Json(json!({
        "start_unix_nano": range.start.0.to_string(), "end_unix_nano": range.end.0.to_string(),
        "duration_min_ns": low, "duration_max_ns": high, "scale": if linear { "linear" } else { "log" },
        "columns": columns, "rows": rows, "cells": cells, "total": bound("total").unwrap_or(0), "sql": sql,
    })))
}
