//! The HTTP API: handlers parse, ask once, and convert. Shapes are in `docs/http-api.md`.

mod asked;
mod health;
pub mod jobs;
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

use crate::analyses;
use crate::analyses::definition::Definition;
use crate::state::QueryState;
use asked::Asked;
use problem::Problem;

/// Bytes of a request's body: statements and verdicts are small.
const BODY_BYTES_MAX: usize = 8 << 20;

type Answer = Result<Json<Value>, Problem>;

/// Everything under `/api/v1`, `/healthz`, `/readyz` and `/metrics`.
pub fn router(state: QueryState) -> Router {
    let api = analyses::ALL.into_iter().fold(Router::new(), |api, definition| {
        let answer = move |State(state): State<QueryState>, asked: Asked| analysis(state, asked, definition);
        api.route(&format!("/{}", definition.name), get(answer))
    });
    let api = api
        .route("/sql", post(sql::sql))
        .route("/traces/{trace_id}", get(traces::trace))
        .route("/search", get(search::search))
        .route("/heatmap", get(lists::heatmap))
        .route("/analyses", get(lists::analyses))
        .route("/services", get(lists::services))
        .route("/slices", get(lists::slices))
        .route("/verdicts", post(verdicts::post))
        .route("/jobs", post(jobs::post))
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

async fn analysis(state: QueryState, asked: Asked, definition: &'static Definition) -> Answer {
    let analysis = asked.analysis(definition)?;
    let head = analysis.head();
    let view = state.view(asked.tenant);
    let answer = (definition.answer)(state, view, analysis).await?;
    Ok(Json(definition.document(&head, answer)))
}
