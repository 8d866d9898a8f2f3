//! OTLP by hand: requests built field by field, sent as protobuf over HTTP.

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::harness::{Answer, Server, send};

pub const INTERNAL: i32 = 1;
pub const SERVER: i32 = 2;
pub const CLIENT: i32 = 3;

pub fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

pub fn int(value: i64) -> AnyValue {
    AnyValue { value: Some(any_value::Value::IntValue(value)) }
}

pub fn double(value: f64) -> AnyValue {
    AnyValue { value: Some(any_value::Value::DoubleValue(value)) }
}

pub fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

/// A span of trace `trace` (each byte of its id), with an id made of `id`, below `parent` (0: a root).
pub fn span(trace: u8, id: u64, parent: u64, kind: i32, name: &str, start: u64, end: u64) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        kind,
        name: name.to_owned(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..Default::default()
    }
}

/// What a test says of a span, in one expression.
pub trait With: Sized {
    fn with(self, key: &str, value: AnyValue) -> Self;
    fn event(self, name: &str, at: u64) -> Self;
    fn failed(self) -> Self;
}

impl With for Span {
    fn with(mut self, key: &str, value: AnyValue) -> Self {
        self.attributes.push(attribute(key, value));
        self
    }

    fn event(mut self, name: &str, at: u64) -> Self {
        self.events.push(Event { time_unix_nano: at, name: name.to_owned(), ..Default::default() });
        self
    }

    fn failed(mut self) -> Self {
        self.status = Some(Status { code: 2, ..Default::default() });
        self
    }
}

pub fn resource(service: &str) -> Resource {
    Resource { attributes: vec![attribute("service.name", text(service))], ..Default::default() }
}

/// One request with the spans of several services.
pub fn traces(services: Vec<(&str, Vec<Span>)>) -> Vec<u8> {
    let resource_spans = services
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(resource(service)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope { name: "tests".into(), ..Default::default() }),
                spans,
                ..Default::default()
            }],
            ..Default::default()
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A verdict as agent frameworks send it.
pub fn verdict(trace: u8, span: u64, metric: &str, label: &str, at: u64) -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        event_name: "gen_ai.evaluation.result".into(),
        trace_id: vec![trace; 16],
        span_id: span.to_be_bytes().to_vec(),
        attributes: vec![
            attribute("gen_ai.evaluation.name", text(metric)),
            attribute("gen_ai.evaluation.score.label", text(label)),
        ],
        ..Default::default()
    };
    let resource_logs = vec![ResourceLogs {
        resource: Some(resource("judge")),
        scope_logs: vec![ScopeLogs { log_records: vec![record], ..Default::default() }],
        ..Default::default()
    }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

pub async fn post(
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    send(Method::POST, url, headers, Bytes::from(body)).await
}

impl Server {
    /// Sends spans as a tenant; they must be accepted whole.
    pub async fn export(&self, tenant: &str, request: Vec<u8>) {
        self.export_to("/v1/traces", tenant, request).await;
    }

    pub async fn export_logs(&self, tenant: &str, request: Vec<u8>) {
        self.export_to("/v1/logs", tenant, request).await;
    }

    async fn export_to(&self, path: &str, tenant: &str, request: Vec<u8>) {
        let headers = [("content-type", "application/x-protobuf"), ("x-scope-orgid", tenant)];
        let answer = post(&format!("{}{path}", self.otlp_http), &headers, request).await.expect("answers");
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    }
}
