//! The three signals of OTLP: their paths, and what becomes of each.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use plimsoll_store::{Accepted, RecordKind};
use prost::Message;

use super::refusal::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Logs,
    Metrics,
}

impl Signal {
    pub fn from_http_path(path: &str) -> Option<Self> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/v1/traces" => Some(Self::Traces),
            "/v1/logs" => Some(Self::Logs),
            "/v1/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }

    pub fn from_grpc_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/opentelemetry.proto.collector.")? {
            "trace.v1.TraceService/Export" => Some(Self::Traces),
            "logs.v1.LogsService/Export" => Some(Self::Logs),
            "metrics.v1.MetricsService/Export" => Some(Self::Metrics),
            _ => None,
        }
    }

    /// `None` for metrics, which are not kept.
    pub const fn record_kind(self) -> Option<RecordKind> {
        match self {
            Self::Traces => Some(RecordKind::Traces),
            Self::Logs => Some(RecordKind::Logs),
            Self::Metrics => None,
        }
    }

    /// What the answer's JSON calls the count of rejected items.
    pub const fn rejected_key(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
            Self::Metrics => "rejectedDataPoints",
        }
    }
}

/// Metrics are dropped, but a broken exporter should hear of it.
pub fn check_metrics(payload: &[u8]) -> Result<(), Refusal> {
    ExportMetricsServiceRequest::decode(payload)
        .map(drop)
        .map_err(|e| Refusal::Malformed(format!("not an ExportMetricsServiceRequest: {e}")))
}

pub fn metrics_not_kept() -> Accepted {
    Accepted {
        message: Some(
            "metrics are accepted but not kept; set OTEL_METRICS_EXPORTER=none to stop sending".into(),
        ),
        ..Accepted::default()
    }
}
