//! OTLP is the same however it is written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use plimsoll_import::Item;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value};

fn attribute() -> impl Strategy<Value = KeyValue> {
    // Names that mean something elsewhere are attributes like others here.
    let key = prop_oneof![Just("traceId".to_owned()), Just("span_id".to_owned()), "[a-z_.]{1,8}"];
    let value = prop_oneof![
        ".{0,12}".prop_map(Any::StringValue),
        any::<i64>().prop_map(Any::IntValue),
        any::<bool>().prop_map(Any::BoolValue),
        (-1e9..1e9).prop_map(Any::DoubleValue),
    ];
    (key, value).prop_map(|(key, value)| KeyValue {
        key,
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(attribute(), 0..4)
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 8]>(), prop::option::of(any::<[u8; 8]>()));
    (ids, "[ -~]{0,9}", 0..6, any::<[u32; 2]>(), attributes(), attributes(), 0..3).prop_map(
        |((trace_id, span_id, parent), name, kind, [start, length], attributes, of_event, code)| Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: parent.map_or(Vec::new(), |p| p.to_vec()),
            name,
            kind,
            start_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(start),
            end_time_unix_nano: 1_700_000_000_000_000_000 + u64::from(start) + u64::from(length),
            events: vec![Event { name: "event".into(), attributes: of_event, ..Event::default() }],
            links: vec![Link { trace_id: trace_id.to_vec(), span_id: span_id.to_vec(), ..Link::default() }],
            status: Some(Status { code, ..Status::default() }),
            attributes,
            ..Span::default()
        },
    )
}

fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let resource_spans =
        (attributes(), prop::collection::vec(span(), 1..4)).prop_map(|(attributes, spans)| {
            let scope =
                Some(InstrumentationScope { name: "scope".into(), ..InstrumentationScope::default() });
            ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { scope, spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }
        });
    prop::collection::vec(resource_spans, 1..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// The same as protobuf's own mapping to JSON has it: ids in base64, and names as in the proto files if asked.
fn as_protobuf_json(value: Value, snake: bool) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| as_protobuf_json(item, snake)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| {
                let member = match (name.as_str(), &member) {
                    ("attributes" | "body", _) => member,
                    ("traceId" | "spanId" | "parentSpanId", Value::String(hex)) => {
                        STANDARD.encode(of_hex(hex)).into()
                    }
                    _ => as_protobuf_json(member, snake),
                };
                let word = |c: char| {
                    if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.into() }
                };
                (if snake { name.chars().map(word).collect() } else { name }, member)
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn of_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).expect("small").to_be_bytes(), message].concat()
}

fn elements(file: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    plimsoll_import::read(file, None, &mut |item| {
        match item {
            Item::Spans(element) => found.push(element),
            other => panic!("{other:?}"),
        }
        Ok(())
    })
    .expect("it is whole");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_encoding_gives_the_same(request in request()) {
        let json = serde_json::to_value(&request).expect("JSON");
        let base64 = as_protobuf_json(json.clone(), false);
        let snake = as_protobuf_json(json.clone(), true);
        let bytes = request.encode_to_vec();
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("in memory");
        let pretty = |value: &Value| serde_json::to_vec_pretty(value).expect("JSON");
        let twice: Vec<Value> = [elements(json.to_string().as_bytes()), elements(json.to_string().as_bytes())].concat();
        for (encoding, file) in [
            ("lines", format!("{json}\n{json}\n").into_bytes()),
            ("pretty documents", [pretty(&json), pretty(&json)].concat()),
            ("a list", serde_json::to_vec(&[&json, &json]).expect("JSON")),
            ("base64", format!("{base64}\n{base64}\n").into_bytes()),
            ("snake case", format!("\u{feff}{snake}\r\n\r\n{snake}").into_bytes()),
            ("protobuf", [bytes.clone(), bytes.clone()].concat()),
            ("framed protobuf", [framed(&bytes), framed(&bytes)].concat()),
            ("framed and packed", [framed(&zstd(&bytes)), framed(&zstd(json.to_string().as_bytes()))].concat()),
            ("packed", zstd(&[bytes.clone(), bytes.clone()].concat())),
        ] {
            prop_assert_eq!(elements(&file), twice.clone(), "{}", encoding);
        }
    }
}
