//! `GET /api/v1/traces/{trace_id}`: one trace, as OTLP JSON or analysed.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use plimsoll_schemas::{Tenant, TraceId};
use plimsoll_store::rows::SpanRows;

use super::Answer;
use super::asked::Asked;
use crate::error::QueryError;
use crate::state::QueryState;
use crate::trace::{analysis, otlp};

pub async fn trace(State(state): State<QueryState>, Path(id): Path<String>, asked: Asked) -> Answer {
    let trace_id: TraceId = id.parse().map_err(|e| QueryError::Invalid(format!("trace id {id:?}: {e}")))?;
    let batches = state.store().trace(asked.tenant.as_ref(), trace_id).await.map_err(QueryError::from)?;
    let rules = state.store().rules();
    let mut tenants = BTreeSet::new();
    for batch in &batches {
        let rows = SpanRows::new(batch, rules).map_err(QueryError::from)?;
        tenants.extend((0..rows.len()).map(|row| rows.tenant(row).to_owned()));
    }
    let tenants: Vec<String> = tenants.into_iter().collect();
    let tenant = match tenants.as_slice() {
        [] => {
            return Err(QueryError::NotFound(format!(
                "no span of trace {trace_id} is here; it may not have arrived yet, or belong to another tenant"
            ))
            .into());
        }
        [only] => Tenant::new(only).unwrap_or_default(),
        several => {
            let names = several.join(", ");
            return Err(QueryError::Ambiguous(format!(
                "trace {trace_id} exists for the tenants {names}: say which with ?tenant="
            ))
            .into());
        }
    };
    match asked.get("view") {
        None | Some("otlp") => Ok(Json(otlp::document(&batches)?)),
        Some("analysis") => Ok(Json(analysis::document(&state, &tenant, trace_id, &batches).await?)),
        Some(other) => {
            Err(QueryError::Invalid(format!("view: expected otlp or analysis, got {other:?}")).into())
        }
    }
}
