use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::{Decode, RecordKind, RecordMeta};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;

fn traces(value: &Value) -> Result<ExportTraceServiceRequest, String> {
    let bytes = to_protobuf(Signal::Traces, value.to_string().as_bytes()).map_err(|e| e.to_string())?;
    ExportTraceServiceRequest::decode(&*bytes).map_err(|e| e.to_string())
}

fn with_span(span: Value) -> Value {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] })
}

#[test]
fn every_field_of_a_span_arrives() {
    let request = traces(&with_span(json!({
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174",
        "parent_span_id": "eee19b7ec3c1b173", "name": "n", "traceState": "a=b", "flags": 257, "unknown": {"x": 1},
        "kind": "SPAN_KIND_SERVER", "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1_544_712_661_000_000_000_u64,
        "attributes": [
            {"key": "s", "value": {"stringValue": ""}}, {"key": "i", "value": {"intValue": "-9223372036854775808"}},
            {"key": "d", "value": {"doubleValue": "-Infinity"}}, {"key": "b", "value": {"bytesValue": "aGk="}},
            {"key": "f", "value": {"boolValue": false}}, {"key": "n", "value": null},
            {"key": "a", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
        ],
        "events": [{"timeUnixNano": "7", "name": "e"}], "droppedEventsCount": 2,
        "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "00", "flags": 1}],
        "status": {"code": 2, "message": "m"},
    })))
    .expect("valid");
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
    assert_eq!((span.span_id.len(), span.parent_span_id.len()), (8, 8));
    assert_eq!((span.kind, span.flags, span.dropped_events_count), (2, 257, 2));
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1_000_000_000);
    let value = |i: usize| span.attributes[i].value.clone().and_then(|v| v.value);
    assert_eq!(value(0), Some(Any::StringValue(String::new())));
    assert_eq!(value(1), Some(Any::IntValue(i64::MIN)));
    assert_eq!(value(2), Some(Any::DoubleValue(f64::NEG_INFINITY)));
    assert_eq!(value(3), Some(Any::BytesValue(b"hi".to_vec())));
    assert_eq!(value(4), Some(Any::BoolValue(false)));
    assert_eq!(value(5), None);
    assert!(matches!(value(6), Some(Any::ArrayValue(a)) if a.values.len() == 2));
    assert_eq!((span.events[0].time_unix_nano, span.links[0].span_id.len()), (7, 1));
    assert_eq!(span.status.as_ref().map(|s| (s.code, s.message.as_str())), Some((2, "m")));
}

#[test]
fn logs_arrive() {
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
        "timeUnixNano": "1", "observedTimeUnixNano": "2", "severityNumber": "SEVERITY_NUMBER_WARN",
        "body": {"stringValue": "hello"}, "eventName": "e", "spanId": "eee19b7ec3c1b174",
    }] }] }] });
    let bytes = to_protobuf(Signal::Logs, request.to_string().as_bytes()).expect("valid");
    let request = ExportLogsServiceRequest::decode(&*bytes).expect("protobuf");
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.time_unix_nano, record.observed_time_unix_nano, record.severity_number), (1, 2, 13));
    assert_eq!((record.event_name.as_str(), record.span_id.len()), ("e", 8));
    assert!(record.body.is_some());
}

#[test]
fn a_bad_id_spoils_its_span_alone() {
    let request = traces(&with_span(json!({"traceId": "not hex!", "spanId": "abc"}))).expect("valid");
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id.len(), span.span_id.len()), (1, 1));
}

#[test]
fn a_wrong_type_is_named() {
    let error = traces(&with_span(json!({"name": 7}))).expect_err("name is no string");
    assert_eq!(error, "resourceSpans[0].scopeSpans[0].spans[0].name must be a string");
    assert!(traces(&json!([])).is_err());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(to_protobuf(Signal::Traces, deep.as_bytes()).is_err());
}

fn nested(levels: usize, inner: &str) -> String {
    format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn only_what_is_too_deep_is_cut() {
    let text = r#"{"a":["[\"{",{"b":1}]}"#;
    assert!(matches!(cut_deep(text.as_bytes()), Cow::Borrowed(_)));
    let within = nested(DEPTH_MAX, r#""\\""#);
    assert_eq!(cut_deep(within.as_bytes()), within.as_bytes());
    let beyond = format!("[{},7]", nested(10_000, "1"));
    let cut = format!("[{},7]", nested(DEPTH_MAX - 1, "null"));
    assert_eq!(cut_deep(beyond.as_bytes()), cut.as_bytes());
    // What ends too soon is still not JSON.
    let open = "[".repeat(10_000);
    assert!(serde_json::from_slice::<Value>(&cut_deep(open.as_bytes())).is_err());
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Any::StringValue),
        any::<i64>().prop_map(Any::IntValue),
        // Those that are no number have no one spelling in JSON.
        any::<f64>().prop_filter("a number", |x| x.is_finite()).prop_map(Any::DoubleValue),
        any::<bool>().prop_map(Any::BoolValue),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Any::BytesValue),
    ]
    .prop_map(|value| AnyValue { value: Some(value) });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4)
            .prop_map(|values| Any::ArrayValue(ArrayValue { values }));
        let map = attributes(inner).prop_map(|values| Any::KvlistValue(KeyValueList { values }));
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
    let key =
        "[a-z]{1,6}|gen_ai.request.model|gen_ai.usage.input_tokens|gen_ai.latency.time_in_queue|host.name";
    let entry =
        (key, value).prop_map(|(key, value)| KeyValue { key, value: Some(value), ..Default::default() });
    prop::collection::vec(entry, 0..5)
}

prop_compose! {
    fn any_span()(
        ids in (any::<[u8; 16]>(), any::<[u8; 8]>(), prop::option::of(any::<[u8; 8]>())),
        name in ".{0,8}", trace_state in "([a-z]=[0-9])?", kind in 0i32..7, code in 0i32..4,
        times in (any::<u64>(), any::<u64>()), flags in any::<u32>(), dropped in 0u32..3,
        own in attributes(any_value()),
        events in prop::collection::vec(("[a-z]{0,5}", any::<u64>(), attributes(any_value())), 0..3),
        links in prop::collection::vec((any::<[u8; 16]>(), any::<[u8; 8]>(), attributes(any_value())), 0..3),
    ) -> Span {
        Span {
            trace_id: ids.0.to_vec(), span_id: ids.1.to_vec(),
            parent_span_id: ids.2.map(|id| id.to_vec()).unwrap_or_default(),
            name, trace_state, kind, flags, start_time_unix_nano: times.0, end_time_unix_nano: times.1,
            status: Some(Status { code, message: "m".into() }),
            attributes: own, dropped_attributes_count: dropped,
            events: events.into_iter().map(|(name, time_unix_nano, attributes)| Event {
                name, time_unix_nano, attributes, dropped_attributes_count: dropped,
            }).collect(),
            links: links.into_iter().map(|(trace, span, attributes)| Link {
                trace_id: trace.to_vec(), span_id: span.to_vec(), attributes, flags, ..Default::default()
            }).collect(),
            ..Default::default()
        }
    }
}

proptest! {
    /// Whichever way a request comes, its rows are the same in every column.
    #[test]
    fn json_and_protobuf_make_the_same_rows(
        spans in prop::collection::vec(any_span(), 0..4), resource in attributes(any_value()),
    ) {
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes: resource, ..Default::default() }),
                scope_spans: vec![ScopeSpans { spans, schema_url: "u".into(), ..Default::default() }],
                ..Default::default()
            }],
        };
        let json = serde_json::to_string(&request).expect("JSON");
        let meta = RecordMeta { kind: RecordKind::Traces, tenant: Tenant::default(), ingest: UnixNanos(7) };
        let rows = |payload: &[u8]| crate::OtlpDecoder.decode(&meta, payload).expect("decodes");
        let plain = rows(&request.encode_to_vec());
        let other = rows(&to_protobuf(Signal::Traces, json.as_bytes()).map_err(|e| TestCaseError::fail(e.to_string()))?);
        prop_assert_eq!(&plain.batches, &other.batches);
        prop_assert_eq!(plain.message, other.message);
    }
}
