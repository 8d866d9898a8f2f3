//! The HTTP API: handlers parse, ask once, and convert. Shapes are in `docs/http-api.md`.

mod asked;
mod health;
mod lists;
mod problem;
mod search;
mod sql;
mod traces;
mod verdicts;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use serde_json::Value;

use crate::analyses::{goodput, queueing, retries};
use crate::state::QueryState;
use asked::Asked;
use problem::Problem;

/// Bytes of a request's body: statements and verdicts are small.
const BODY_BYTES_MAX: usize = 8 << 20;

type Answer = Result<Json<Value>, Problem>;

/// Everything under `/api/v1`, `/healthz`, `/readyz` and `/metrics`.
pub fn router(state: QueryState) -> Router {
    let api = Router::new()
        .route("/sql", post(sql::sql))
        .route("/traces/{trace_id}", get(traces::trace))
        .route("/search", get(search::search))
        .route("/heatmap", get(lists::heatmap))
        .route("/services", get(lists::services))
        .route("/slices", get(lists::slices))
        .route("/queueing", get(queueing_of))
        .route("/retries", get(retries_of))
        .route("/goodput", get(goodput_of))
        .route("/verdicts", post(verdicts::post))
        .route("/system", get(health::system))
        .fallback(unknown);
    Router::new()
        .nest("/api/v1", api)
        .route("/api/{*rest}", axum::routing::any(unknown))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state)
}

async fn unknown(uri: http::Uri) -> Problem {
    Problem::not_found(format!("nothing answers at {}; docs/http-api.md lists what does", uri.path()))
}

async fn queueing_of(State(state): State<QueryState>, asked: Asked) -> Answer {
    Ok(Json(queueing::answer(&state, &asked.analysis(&["stage"])?).await?))
}

async fn retries_of(State(state): State<QueryState>, asked: Asked) -> Answer {
    Ok(Json(retries::answer(&state, &asked.analysis(&[])?).await?))
}

async fn goodput_of(State(state): State<QueryState>, asked: Asked) -> Answer {
    let objective = asked.get("objective").map(str::to_owned);
    Ok(Json(goodput::answer(&state, &asked.analysis(&[])?, objective.as_deref()).await?))
}
