//! `POST /api/v1/verdicts`: through the store's log, like everything that must not be lost.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plimsoll_store::RecordKind;

use super::asked::Asked;
use super::problem::Problem;
use crate::error::QueryError;
use crate::state::QueryState;

pub async fn post(State(state): State<QueryState>, asked: Asked, body: Bytes) -> Result<Response, Problem> {
    let tenant = asked.tenant.unwrap_or_default();
    let accepted =
        state.store().ingest(RecordKind::Verdicts, tenant, body).await.map_err(QueryError::from)?;
    let answer = axum::Json(serde_json::json!({ "accepted": accepted.rows }));
    Ok((StatusCode::ACCEPTED, answer).into_response())
}
