//! Errors as RFC 9457 problem details.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use plimsoll_store::IngestError;
use serde_json::json;

use crate::error::QueryError;

#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after_s: None }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        let (status, retry_after_s) = match &error {
            QueryError::Invalid(_) | QueryError::Refused(_) => (StatusCode::BAD_REQUEST, None),
            QueryError::NotFound(_) => (StatusCode::NOT_FOUND, None),
            QueryError::Ambiguous(_) => (StatusCode::CONFLICT, None),
            QueryError::Busy { retry_after, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after.as_secs()))
            }
            QueryError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, None),
            QueryError::Memory(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            QueryError::Ingest(IngestError::Malformed(_)) => (StatusCode::BAD_REQUEST, None),
            QueryError::Ingest(IngestError::Overloaded { retry_after, .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after.as_secs().max(1)))
            }
            QueryError::Ingest(IngestError::Unavailable(_)) => (StatusCode::SERVICE_UNAVAILABLE, None),
            QueryError::Store(_) | QueryError::Internal(_) => {
                tracing::error!(%error, "a question failed");
                (StatusCode::INTERNAL_SERVER_ERROR, None)
            }
        };
        Self { status, detail, retry_after_s }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
