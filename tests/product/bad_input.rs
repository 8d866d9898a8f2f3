//! What clients should never send: each gets the protocol's answer, nothing falls over, and the neighbours are kept.

use std::io::Write;

use axum::http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use crate::harness::Server;
use crate::wire::{SERVER, With, double, post, span, text, traces};

const AT: u64 = 1_760_000_000_000_000_000;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

async fn answers(server: &Server, headers: &[(&str, &str)], body: Vec<u8>, expected: StatusCode) {
    let answer = post(&format!("{}/v1/traces", server.otlp_http), headers, body).await.expect("answers");
    assert_eq!(answer.status, expected, "{headers:?}: {}", String::from_utf8_lossy(&answer.body));
}

fn good(trace: u8) -> opentelemetry_proto::tonic::trace::v1::Span {
    span(trace, 1, 0, SERVER, "good", AT, AT + 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_server_lives() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    let whole = traces(vec![("s", vec![good(1)])]);
    answers(&server, &[PROTOBUF], b"\xff\xfe\xfdgarbage".to_vec(), StatusCode::BAD_REQUEST).await;
    answers(&server, &[PROTOBUF], whole[..whole.len() - 3].to_vec(), StatusCode::BAD_REQUEST).await;
    answers(
        &server,
        &[("content-type", "application/json")],
        b"{\"resourceSpans\": [".to_vec(),
        StatusCode::BAD_REQUEST,
    )
    .await;
    answers(&server, &[("content-type", "text/plain")], whole.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .await;
    answers(&server, &[PROTOBUF, ("content-encoding", "gzip")], whole.clone(), StatusCode::BAD_REQUEST).await;
    // More zeros than a request may hold, in a few kilobytes.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..80 {
        bomb.write_all(&zeros).expect("in memory");
    }
    let bomb = bomb.finish().expect("in memory");
    answers(&server, &[PROTOBUF, ("content-encoding", "gzip")], bomb, StatusCode::PAYLOAD_TOO_LARGE).await;
    // What is right still gets in.
    answers(&server, &[PROTOBUF], whole, StatusCode::OK).await;
    assert_eq!(server.number("SELECT count(*) FROM spans").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_cannot_be_kept_are_counted_and_their_neighbours_are_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    let mut short = good(2);
    short.trace_id.truncate(7);
    let mut none = good(3);
    none.span_id.clear();
    let mut zero = good(4);
    zero.trace_id = vec![0; 16];
    let request = traces(vec![("s", vec![good(1), short, none, zero, good(5)])]);
    let answer =
        post(&format!("{}/v1/traces", server.otlp_http), &[PROTOBUF], request).await.expect("answers");
    assert_eq!(answer.status, StatusCode::OK);
    let partial =
        ExportTraceServiceResponse::decode(answer.body).expect("protobuf").partial_success.expect("stated");
    assert_eq!(partial.rejected_spans, 3, "{}", partial.error_message);
    assert!(!partial.error_message.is_empty());
    assert_eq!(server.number("SELECT count(*) FROM spans").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_spans_are_kept() {
    let home = tempfile::tempdir().expect("a folder");
    let server = Server::start(home.path(), &[]);
    let odd = vec![
        span(1, 1, 0, SERVER, "backwards", AT + 5_000, AT),
        good(2).with("not a number", double(f64::NAN)).with("endless", double(f64::INFINITY)),
        good(3).with("huge", text(&"x".repeat(1 << 20))),
        good(5),
    ];
    server.export("default", traces(vec![("s", odd)])).await;
    assert_eq!(server.number("SELECT count(*) FROM spans").await, 4);
    assert_eq!(server.number("SELECT duration_ns FROM spans WHERE name = 'backwards'").await, -5_000);
    answers(&server, &[PROTOBUF], deep(10_000), StatusCode::OK).await;
    assert_eq!(server.number("SELECT count(*) FROM spans WHERE name = 'deep'").await, 1);
    let json = ("content-type", "application/json");
    answers(&server, &[json], deep_json(10_000), StatusCode::OK).await;
    assert_eq!(server.number("SELECT count(*) FROM spans WHERE name LIKE 'json %'").await, 2);
    assert_eq!(server.get("/readyz").await.0, StatusCode::OK);
    let empty = ExportTraceServiceRequest::default().encode_to_vec();
    answers(&server, &[PROTOBUF], empty, StatusCode::OK).await;
}

/// A span with an attribute of that many arrays in each other, put together byte by byte: encoders would overflow the stack.
fn deep(levels: usize) -> Vec<u8> {
    let mut value = text("the bottom").encode_to_vec();
    for _ in 0..levels {
        // AnyValue.array_value = 5, ArrayValue.values = 1.
        value = field(5, &field(1, &value));
    }
    // KeyValue: key = 1, value = 2. Span.attributes = 9, ScopeSpans.spans = 2, ResourceSpans.scope_spans = 2.
    let attribute = [field(1, b"deep"), field(2, &value)].concat();
    let mut named = good(4);
    named.name = "deep".into();
    let span = [named.encode_to_vec(), field(9, &attribute)].concat();
    field(1, &field(2, &field(2, &span)))
}

/// The same as JSON, and a neighbour.
fn deep_json(levels: usize) -> Vec<u8> {
    let value = format!(
        "{}{{\"stringValue\":\"the bottom\"}}{}",
        "{\"arrayValue\":{\"values\":[".repeat(levels),
        "]}}".repeat(levels)
    );
    let span = |id: &str, attributes: &str| {
        format!(
            "{{\"traceId\":\"{}\",\"spanId\":\"{}\",\"name\":\"json {id}\",\"startTimeUnixNano\":\"{AT}\",\"endTimeUnixNano\":\"{AT}\",\"attributes\":[{attributes}]}}",
            id.repeat(16),
            id.repeat(8)
        )
    };
    let deep = span("a1", &format!("{{\"key\":\"deep\",\"value\":{value}}}"));
    let neighbour = span("a2", "");
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{deep},{neighbour}]}}]}}]}}").into_bytes()
}

/// A length-delimited field.
fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 8);
    prost::encoding::encode_varint(number << 3 | 2, &mut bytes);
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}
