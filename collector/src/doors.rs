//! The doors in: OTLP/gRPC and OTLP/HTTP, both on any port that is given to [`serve`].
//!
//! They know protocols, bounds and tenants. What a payload means is the decoder's business, behind [`Ingest`].

mod answer;
mod body;
mod compression;
mod connections;
mod counters;
mod first_bytes;
mod grpc;
mod http;
mod json;
mod otlp_fields;
mod refusal;
mod signal;
mod unpack;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode, header};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use plimsoll_schemas::Tenant;
use plimsoll_store::{Accepted, IngestError, RecordKind, Store};

use body::Budget;
pub use connections::{ConnectionLimits, serve_connections};
use counters::CollectorStatus;
pub use counters::CollectorStatusSnapshot;
use refusal::Refusal;
use signal::Signal;

/// Where accepted payloads go.
pub trait Ingest: Send + Sync + std::fmt::Debug + 'static {
    /// Answers once the payload is durable.
    fn ingest(
        &self,
        kind: RecordKind,
        tenant: Tenant,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Accepted, IngestError>>;
}

impl Ingest for Store {
    fn ingest(
        &self,
        kind: RecordKind,
        tenant: Tenant,
        payload: Bytes,
    ) -> BoxFuture<'_, Result<Accepted, IngestError>> {
        Store::ingest(self, kind, tenant, payload).boxed()
    }
}

/// The bounds of what is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request as it comes over the wire.
    pub request_bytes: usize,
    /// Bytes of one request after inflation.
    pub decompressed_bytes: usize,
    /// Bytes of all requests that are being read or ingested; beyond it, clients are asked to come again.
    pub in_flight_bytes: usize,
    /// From a request's headers to the last byte of its body.
    pub body_time: Duration,
    pub connections: ConnectionLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: crate::limits::REQUEST_BYTES_MAX,
            decompressed_bytes: crate::limits::REQUEST_BYTES_MAX,
            in_flight_bytes: 512 << 20,
            body_time: Duration::from_secs(30),
            connections: ConnectionLimits::default(),
        }
    }
}

/// What every connection shares; clones are handles.
#[derive(Debug, Clone)]
pub struct Doors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ingest: Arc<dyn Ingest>,
    limits: Limits,
    budget: Budget,
    status: CollectorStatus,
}

impl Doors {
    pub fn new(ingest: Arc<dyn Ingest>, limits: Limits) -> Self {
        let budget = Budget::new(limits.in_flight_bytes);
        Self { inner: Arc::new(Inner { ingest, limits, budget, status: CollectorStatus::default() }) }
    }

    /// What came in so far.
    pub fn status(&self) -> CollectorStatusSnapshot {
        self.inner.status.snapshot()
    }

    /// Hands one payload, already plain protobuf, to the store, or validates and drops it if it is metrics.
    async fn accept(&self, signal: Signal, tenant: Tenant, payload: Bytes) -> Result<Accepted, Refusal> {
        let accepted = match signal.record_kind() {
            Some(kind) => self.inner.ingest.ingest(kind, tenant, payload).await?,
            None => {
                signal::check_metrics(&payload)?;
                self.inner.status.metrics_dropped();
                signal::metrics_not_kept()
            }
        };
        self.inner.status.rejected(accepted.rejected);
        Ok(accepted)
    }

    /// Counts how a request ended.
    fn count<T>(&self, result: &Result<T, Refusal>) {
        self.inner.status.request();
        match result {
            Ok(_) => {}
            Err(Refusal::Busy { .. } | Refusal::TooSlow(_)) => self.inner.status.refused(),
            Err(_) => self.inner.status.malformed(),
        }
    }
}

/// Answers OTLP, over gRPC (HTTP/2 without TLS) and over HTTP, until `shutdown`; then ends what is under way.
pub async fn serve(
    listener: tokio::net::TcpListener,
    doors: Doors,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let limits = doors.inner.limits.connections;
    let router = Router::new().fallback(dispatch).with_state(doors);
    serve_connections(listener, router, limits, shutdown).await
}

/// The content type tells the protocol; the path tells the signal.
async fn dispatch(State(doors): State<Doors>, request: Request) -> Response {
    if grpc::is_grpc(request.headers()) {
        return match Signal::from_grpc_path(request.uri().path()) {
            Some(signal) if request.method() == Method::POST => grpc::export(doors, signal, request).await,
            _ => grpc::unknown_method(request.uri().path()),
        };
    }
    let mut response = match Signal::from_http_path(request.uri().path()) {
        Some(signal) => http::export(doors, signal, request).await,
        None if request.method() == Method::OPTIONS => http::preflight(request.headers()),
        None => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], HINT).into_response(),
    };
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ::http::HeaderValue::from_static("*"));
    response
}

const HINT: &str = "{\"code\":5,\"message\":\"nothing is here; this port takes OTLP: POST /v1/traces, /v1/logs or \
     /v1/metrics (protobuf or JSON), or OTLP/gRPC; set OTEL_EXPORTER_OTLP_ENDPOINT to this port's address without \
     a path\"}\n";

/// Whose data it is, by `X-Scope-OrgID`.
fn tenant(headers: &HeaderMap) -> Result<Tenant, Refusal> {
    let Some(value) = headers.get("x-scope-orgid") else {
        return Ok(Tenant::default());
    };
    value
        .to_str()
        .ok()
        .and_then(|text| Tenant::new(text).ok())
        .ok_or_else(|| Refusal::Malformed(format!("X-Scope-OrgID: {}", plimsoll_schemas::id::TenantError)))
}
