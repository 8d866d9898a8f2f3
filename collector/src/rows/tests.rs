//! What prost encodes, the walker must read back; and nothing that a client sends may panic.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::{Decode, RecordKind};
use proptest::prelude::*;
use prost::Message;

use super::*;

fn meta(kind: RecordKind) -> RecordMeta {
    RecordMeta { kind, tenant: Tenant::default(), ingest: UnixNanos(42) }
}

fn decode(kind: RecordKind, payload: &[u8]) -> Result<Decoded, DecodeError> {
    OtlpDecoder.decode(&meta(kind), payload)
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![text("service.name", "agent"), text("host.name", "n1"), text("odd", "x")],
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn span(id: u8) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        name: "chat".into(),
        kind: 3,
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 3_500,
        ..Default::default()
    }
}

fn batch(decoded: &Decoded) -> &RecordBatch {
    &decoded.batches[0].1
}

/// A cell as text, whatever its type.
fn cell(batch: &RecordBatch, column: &str, row: usize) -> String {
    let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
    arrow::util::display::array_value_to_string(array, row).expect("displayed")
}

#[test]
fn every_type_goes_to_its_place() {
    let nested = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(1)) }] };
    let full = Span {
        parent_span_id: vec![9; 8],
        attributes: vec![
            text("gen_ai.request.model", "m"),
            attribute("gen_ai.usage.input_tokens", Value::IntValue(7)),
            attribute("gen_ai.latency.time_in_queue", Value::DoubleValue(0.5)),
            // Not the column's type: kept as it is, in the map.
            attribute("gen_ai.usage.output_tokens", Value::StringValue("many".into())),
            attribute("n", Value::IntValue(-5)),
            attribute("b", Value::BoolValue(true)),
            attribute("a", Value::ArrayValue(nested)),
            attribute("y", Value::BytesValue(vec![1, 2])),
        ],
        events: vec![span::Event {
            time_unix_nano: 2_000,
            name: "retry".into(),
            attributes: vec![attribute("k", Value::IntValue(3))],
            ..Default::default()
        }],
        links: vec![span::Link { trace_id: vec![2; 16], span_id: vec![3; 8], ..Default::default() }],
        dropped_events_count: 4,
        ..span(7)
    };
    let decoded = decode(RecordKind::Traces, &request(vec![full, span(8)])).expect("decodes");
    let rows = batch(&decoded);
    assert_eq!((rows.num_rows(), decoded.span_keys.len(), decoded.rejected), (2, 2, 0));
    for (column, value) in [
        ("trace_id", "01010101010101010101010101010101"),
        ("span_id", "0707070707070707"),
        ("parent_span_id", "0909090909090909"),
        ("duration_ns", "2500"),
        ("kind", "client"),
        ("service_name", "agent"),
        ("host_name", "n1"),
        ("gen_ai_request_model", "m"),
        ("gen_ai_usage_input_tokens", "7"),
        ("gen_ai_latency_time_in_queue", "0.5"),
        ("gen_ai_usage_output_tokens", ""),
        (
            "attributes",
            r#"{gen_ai.usage.output_tokens: many, n: -5, b: true, a: {"arrayValue":{"values":[{"intValue":"1"}]}}, y: AQI=}"#,
        ),
        ("attribute_types", "sibjy"),
        ("resource_attributes", "{odd: x}"),
        ("resource_attribute_types", ""),
        ("dropped_events_count", "4"),
        ("ingest_unix_nano", "42"),
    ] {
        assert_eq!(cell(rows, column, 0), value, "{column}");
    }
    assert!(cell(rows, "events", 0).contains("retry") && cell(rows, "events", 0).contains("k: 3"));
    assert!(cell(rows, "links", 0).contains("0202"));
    assert_eq!(
        (cell(rows, "events", 1), cell(rows, "parent_span_id", 1), cell(rows, "attributes", 1)),
        Default::default()
    );
}

#[test]
fn bad_spans_are_counted_and_their_neighbours_kept() {
    let spans = vec![
        Span { trace_id: vec![1; 15], ..span(1) },
        Span { span_id: vec![0; 8], ..span(2) },
        span(3),
        span(3),
        Span { end_time_unix_nano: 500, ..span(4) },
        Span {
            parent_span_id: vec![1; 3],
            attributes: vec![attribute("x", Value::DoubleValue(f64::NAN))],
            ..span(5)
        },
    ];
    let decoded = decode(RecordKind::Traces, &request(spans)).expect("decodes");
    assert_eq!((decoded.rejected, batch(&decoded).num_rows()), (2, 3));
    let durations = batch(&decoded).column_by_name("duration_ns").expect("there");
    assert_eq!(durations.as_primitive::<Int64Type>().values(), &[2_500, -500, 2_500]);
    let message = decoded.message.expect("said");
    for part in ["trace id", "span id", "twice", "ends before", "parent"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let mut deep = AnyValue { value: Some(Value::IntValue(1)) }.encode_to_vec();
    for _ in 0..10_000 {
        // An ArrayValue of the one value, by hand: prost would recurse.
        let wrap = |field: u8, inner: &[u8]| {
            let mut out = vec![field << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut out);
            out.extend_from_slice(inner);
            out
        };
        deep = wrap(5, &wrap(1, &deep));
    }
    let wrap = |field: u8, inner: &[u8]| {
        let mut out = vec![field << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend_from_slice(inner);
        out
    };
    let entry = [wrap(1, b"deep"), wrap(2, &deep)].concat();
    let mut one = span(1).encode_to_vec();
    one.extend_from_slice(&wrap(9, &entry));
    one.extend_from_slice(&wrap(9, &text("big", &"x".repeat(2 << 20)).encode_to_vec()));
    let payload = wrap(1, &wrap(2, &wrap(2, &one)));
    let decoded = decode(RecordKind::Traces, &payload).expect("decodes");
    assert_eq!(cell(batch(&decoded), "dropped_attributes_count", 0), "1");
    assert_eq!(cell(batch(&decoded), "attributes", 0).len(), (1 << 20) + "{big: }".len());
    let message = decoded.message.expect("said");
    assert!(
        message.contains("deeper") && message.contains("1 MiB") && message.contains("unknown_service"),
        "{message}"
    );
}

#[test]
fn text_within_values_is_checked_like_any_other() {
    let list = |value: Vec<u8>| {
        let wrap = |field: u8, inner: &[u8]| {
            let mut out = vec![field << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut out);
            out.extend_from_slice(inner);
            out
        };
        let value = wrap(5, &wrap(1, &wrap(1, &value)));
        let entry = [wrap(1, b"list"), wrap(2, &value)].concat();
        let mut one = span(1).encode_to_vec();
        one.extend_from_slice(&wrap(9, &entry));
        wrap(1, &wrap(2, &[wrap(2, &one), wrap(2, &span(2).encode_to_vec())].concat()))
    };
    let decoded = decode(RecordKind::Traces, &list(vec![b'a', 0xff])).expect("decodes");
    let kept = "{list: {\"arrayValue\":{\"values\":[{\"stringValue\":\"a\u{fffd}\"}]}}}";
    assert_eq!(cell(batch(&decoded), "attributes", 0), kept);
    assert!(decoded.message.as_deref().is_some_and(|m| m.contains("not UTF-8")), "{:?}", decoded.message);
    let decoded = decode(RecordKind::Traces, &list(vec![b'a'; 2 << 20])).expect("decodes");
    let dropped = cell(batch(&decoded), "dropped_attributes_count", 0);
    assert_eq!((batch(&decoded).num_rows(), dropped.as_str()), (2, "1"));
    assert!(decoded.message.as_deref().is_some_and(|m| m.contains("above 1 MiB")), "{:?}", decoded.message);
}

#[test]
fn names_that_are_not_utf8_are_kept_as_far_as_they_are() {
    let mut one = span(1).encode_to_vec();
    // Span.name = 5, trace_state = 3; the last of a field counts.
    one.extend_from_slice(&[5 << 3 | 2, 2, b'n', 0xff, 3 << 3 | 2, 1, 0xc0]);
    let wrap = |field: u8, inner: &[u8]| [&[field << 3 | 2, inner.len() as u8], inner].concat();
    let payload = wrap(1, &wrap(2, &wrap(2, &one)));
    let decoded = decode(RecordKind::Traces, &payload).expect("decodes");
    assert_eq!((cell(batch(&decoded), "name", 0), decoded.rejected), ("n\u{fffd}".into(), 0));
    assert!(decoded.message.as_deref().is_some_and(|m| m.contains("2 × text that")), "{:?}", decoded.message);
}

#[test]
fn numbers_that_are_none_are_kept() {
    let odd = Span {
        attributes: vec![
            attribute("gen_ai.latency.time_in_queue", Value::DoubleValue(f64::NAN)),
            attribute("x", Value::DoubleValue(f64::NEG_INFINITY)),
        ],
        ..span(1)
    };
    let decoded = decode(RecordKind::Traces, &request(vec![odd])).expect("decodes");
    assert_eq!(cell(batch(&decoded), "gen_ai_latency_time_in_queue", 0), "NaN");
    assert_eq!(cell(batch(&decoded), "attributes", 0), "{x: -inf}");
}

#[test]
fn a_key_that_a_resource_repeats_loses_no_value() {
    let resource = Resource {
        attributes: vec![text("service.name", "s"), text("host.name", "a"), text("host.name", "b")],
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span(1)], ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }];
    let payload = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let decoded = decode(RecordKind::Traces, &payload).expect("decodes");
    let rows = batch(&decoded);
    let (first, other) = (cell(rows, "host_name", 0), cell(rows, "resource_attributes", 0));
    assert_eq!((first.as_str(), other.as_str()), ("a", "{host.name: b}"));
}

#[test]
fn an_evaluation_event_is_a_log_record_and_a_verdict() {
    let record = LogRecord {
        time_unix_nano: 9_000,
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        event_name: "gen_ai.evaluation.result".into(),
        attributes: vec![
            text("gen_ai.evaluation.name", "task_success"),
            text("gen_ai.evaluation.score.label", "fail"),
            attribute("gen_ai.evaluation.score.value", Value::DoubleValue(0.25)),
        ],
        ..Default::default()
    };
    let plain = LogRecord { body: Some(AnyValue { value: Some(Value::IntValue(3)) }), ..Default::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record, plain], ..Default::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
    let payload = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let decoded = decode(RecordKind::Logs, &payload).expect("decodes");
    let [(Table::LogRecords, logs), (Table::Verdicts, verdicts)] = decoded.batches.as_slice() else {
        panic!("{:?}", decoded.batches);
    };
    assert_eq!((logs.num_rows(), verdicts.num_rows()), (2, 1));
    assert_eq!(
        (cell(logs, "body", 1), cell(logs, "body_type", 1), cell(logs, "time_unix_nano", 1)),
        ("3".into(), "i".into(), "42".into())
    );
    for (column, value) in [
        ("metric", "task_success"),
        ("label", "fail"),
        ("pass", "false"),
        ("judged_unix_nano", "9000"),
        ("source", "otlp_log"),
    ] {
        assert_eq!(cell(verdicts, column, 0), value, "{column}");
    }
    let scores = verdicts.column_by_name("score").expect("there").as_primitive::<Float64Type>();
    assert!((scores.value(0) - 0.25).abs() < f64::EPSILON);
}

#[test]
fn verdicts_come_on_spans_too() {
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    let mut judged = span(1);
    judged.events.push(Event {
        time_unix_nano: 77,
        name: "gen_ai.evaluation.result".into(),
        attributes: vec![
            text("gen_ai.evaluation.name", "relevance"),
            text("gen_ai.evaluation.score.label", "relevant"),
            text("gen_ai.response.id", "r-1"),
        ],
        ..Default::default()
    });
    judged.attributes.extend([
        text("evaluations.0.evaluation.name", "hallucination"),
        text("evaluations.0.evaluation.label", "hallucinated"),
        text("evaluations.0.evaluation.identifier", "judge-2"),
        text("session.evaluations.0.evaluation.name", "helpful"),
        attribute("session.evaluations.0.evaluation.score", Value::DoubleValue(1.0)),
        text("session.id", "s-9"),
        text("evaluations.1.evaluation.explanation", "says nothing"),
        text("evaluations", "not a list"),
    ]);
    let decoded = decode(RecordKind::Traces, &request(vec![judged])).expect("decodes");
    let verdicts = decoded.batches.iter().find(|(table, _)| *table == Table::Verdicts);
    let (_, verdicts) = verdicts.expect("verdicts");
    let of =
        |row: usize| ["metric", "pass", "evaluator", "span_id", "session_id"].map(|c| cell(verdicts, c, row));
    let id = cell(batch(&decoded), "span_id", 0);
    assert_eq!(of(0), ["hallucination".into(), "false".into(), "judge-2".into(), id.clone(), String::new()]);
    assert_eq!(of(1)[..2], ["helpful".to_owned(), "true".into()]);
    assert_eq!((of(1)[3].as_str(), of(1)[4].as_str()), ("", "s-9"));
    assert_eq!((of(2)[0].as_str(), of(2)[1].as_str(), of(2)[3].as_str()), ("relevance", "true", id.as_str()));
    assert_eq!(
        (cell(verdicts, "judged_unix_nano", 2), cell(verdicts, "source", 2)),
        ("77".into(), "otlp_span".into())
    );
    assert_eq!(verdicts.num_rows(), 3, "one says nothing");
}

#[test]
fn posted_verdicts_are_checked_by_index_and_field() {
    let good = br#"[{"trace_id":"01010101010101010101010101010101","metric":"m","label":"pass"}]"#;
    assert_eq!(decode(RecordKind::Verdicts, good).expect("decodes").rows(), 1);
    for (json, part) in [
        (r#"[{"metric":"m","pass":true}]"#, "verdict 0: says nothing of what it judges"),
        (r#"[{"trace_id":"xyz","metric":"m","pass":true}]"#, "trace_id"),
        (r#"{"trace_id":"01010101010101010101010101010101","metric":"m"}"#, "pass, label or score"),
        (
            r#"{"trace_id":"01010101010101010101010101010101","metric":"m","pass":true,"judged_at":"noon"}"#,
            "judged_at",
        ),
        (r#"{"metric":"m","colour":1}"#, "colour"),
        ("garbage", "not JSON"),
    ] {
        let error = decode(RecordKind::Verdicts, json.as_bytes()).expect_err(json).to_string();
        assert!(error.contains(part), "{error}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,12}".prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
    ]
}

/// The column of an attribute that has one, if the value is of the column's type.
fn column_of(attribute: &KeyValue) -> Option<&'static str> {
    match (attribute.key.as_str(), attribute.value.as_ref()?.value.as_ref()?) {
        ("gen_ai.request.model", Value::StringValue(_)) => Some("gen_ai_request_model"),
        ("gen_ai.usage.input_tokens", Value::IntValue(_)) => Some("gen_ai_usage_input_tokens"),
        _ => None,
    }
}

proptest! {
    #[test]
    fn what_prost_encodes_is_read_back(
        spans in prop::collection::vec((1u8.., "[a-z]{1,8}", 0i32..7, 0u64..1 << 40, 0u64..1 << 40,
            prop::collection::btree_map("[a-z]{1,6}|gen_ai.request.model|gen_ai.usage.input_tokens", any_value(), 0..6)), 0..12),
    ) {
        let mut seen = std::collections::HashSet::new();
        let spans: Vec<Span> = spans.into_iter().filter(|s| seen.insert(s.0)).map(|(id, name, kind, start, length, attributes)| Span {
            name, kind, start_time_unix_nano: start, end_time_unix_nano: start + length,
            attributes: attributes.into_iter().map(|(k, v)| attribute(&k, v)).collect(), ..span(id)
        }).collect();
        let decoded = decode(RecordKind::Traces, &request(spans.clone())).expect("decodes");
        prop_assert_eq!(decoded.rows() as usize, spans.len());
        for (row, span) in spans.iter().enumerate() {
            let rows = batch(&decoded);
            prop_assert_eq!(cell(rows, "name", row), span.name.as_str());
            prop_assert_eq!(cell(rows, "start_unix_nano", row), span.start_time_unix_nano.to_string());
            prop_assert_eq!(cell(rows, "duration_ns", row), (span.end_time_unix_nano - span.start_time_unix_nano).to_string());
            let maps = rows.column_by_name("attributes").expect("there").as_map();
            let in_map = if maps.is_valid(row) { maps.value(row).len() } else { 0 };
            // One of another type than its column's stays in the map, also where its column has what was read out of it.
            let in_columns: Vec<&str> = span.attributes.iter().filter_map(column_of).collect();
            prop_assert_eq!(in_map + in_columns.len(), span.attributes.len());
            for column in in_columns {
                let column = rows.column_by_name(column).expect("there");
                prop_assert!(column.logical_nulls().is_none_or(|nulls| nulls.is_valid(row)));
            }
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        for kind in [RecordKind::Traces, RecordKind::Logs, RecordKind::Verdicts] {
            let _ = decode(kind, &bytes);
        }
        let mut whole = request(vec![span(1), Span { attributes: vec![text("k", "v")], ..span(2) }]);
        whole.truncate(cut.index(whole.len()));
        let _ = decode(RecordKind::Traces, &whole);
        bytes.extend_from_slice(&request(vec![span(1)]));
        let at = at.index(bytes.len());
        bytes[at] ^= 0x55;
        let _ = decode(RecordKind::Traces, &bytes);
    }
}
