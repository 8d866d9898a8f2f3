//! Every emitter that the table knows, by a fixture of what it sends: onto which attributes of the conventions its spans are
//! normalised, and what the analysis makes of their times and attempts. What was sent comes back as it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use plimsoll_schemas::emitters::EMITTERS;
use plimsoll_schemas::{SpanKind, Tenant};
use plimsoll_store::RecordKind;
use prost::Message;
use serde::Deserialize;
use serde_json::Value;

use crate::fleet::{BEGAN, Fleet, MS, attribute, text};

/// What one emitter sends, in short: times are milliseconds from the beginning, ids are numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    emitter: String,
    spans: Vec<Sent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    id: u8,
    #[serde(default)]
    parent: u8,
    #[serde(default)]
    links: Vec<u8>,
    service: String,
    scope: String,
    #[serde(default)]
    kind: Option<String>,
    name: String,
    ms: (u64, u64),
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    events: Vec<(u64, String)>,
}

#[tokio::test]
async fn what_emitters_send_is_normalized_and_understood() {
    let fleet = Fleet::empty("").await;
    let mut seen = BTreeSet::new();
    let mut fixtures = Vec::new();
    for (name, fixture) in fixtures_by_name() {
        let trace = u8::try_from(fixtures.len() + 1).expect("few");
        for sent in &fixture.spans {
            let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans(trace, sent)] };
            let tenant = Tenant::new("default").expect("a tenant");
            let body = request.encode_to_vec().into();
            fleet.store.ingest(RecordKind::Traces, tenant, body).await.expect("accepted");
        }
        seen.insert(fixture.emitter.clone());
        fixtures.push((name, fixture, hex(trace, 16)));
    }
    fleet.settle().await;
    for (name, fixture, trace_id) in &fixtures {
        sent_comes_back(&fleet, fixture, trace_id).await;
        insta::assert_snapshot!(format!("emitter_{name}"), understood(&fleet, fixture, trace_id).await);
    }
    let missing: Vec<&str> = EMITTERS.iter().map(|e| e.name).filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "no fixture of {missing:?} in tests/emitters");
}

fn fixtures_by_name() -> BTreeMap<String, Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emitters");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    files
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let fixture = std::fs::read_to_string(&path).expect("text");
            let fixture = serde_norway::from_str(&fixture).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, fixture)
        })
        .collect()
}

fn hex(byte: u8, times: usize) -> String {
    format!("{byte:02x}").repeat(times)
}

fn resource_spans(trace: u8, sent: &Sent) -> ResourceSpans {
    let at = |ms: u64| BEGAN + ms * MS as u64;
    let event = |(ms, name): &(u64, String)| Event {
        time_unix_nano: at(*ms),
        name: name.clone(),
        ..Default::default()
    };
    let link = |id: &u8| Link { trace_id: vec![trace; 16], span_id: vec![*id; 8], ..Default::default() };
    let span = Span {
        trace_id: vec![trace; 16],
        span_id: vec![sent.id; 8],
        parent_span_id: if sent.parent == 0 { Vec::new() } else { vec![sent.parent; 8] },
        name: sent.name.clone(),
        kind: SpanKind::from_name(sent.kind.as_deref().unwrap_or("internal")).to_wire(),
        start_time_unix_nano: at(sent.ms.0),
        end_time_unix_nano: at(sent.ms.1),
        attributes: sent.attributes.iter().map(|(key, value)| key_value(key, value)).collect(),
        events: sent.events.iter().map(event).collect(),
        links: sent.links.iter().map(link).collect(),
        status: sent.error.clone().map(|message| Status { code: 2, message }),
        ..Default::default()
    };
    let scope = InstrumentationScope { name: sent.scope.clone(), ..Default::default() };
    let service = vec![attribute("service.name", text(&sent.service))];
    ResourceSpans {
        resource: Some(Resource { attributes: service, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans: vec![span], ..Default::default() }],
        ..Default::default()
    }
}

fn key_value(key: &str, value: &Value) -> KeyValue {
    let value = match value {
        Value::String(text) => any_value::Value::StringValue(text.clone()),
        Value::Bool(b) => any_value::Value::BoolValue(*b),
        Value::Number(n) if n.is_i64() => any_value::Value::IntValue(n.as_i64().expect("a whole number")),
        Value::Number(n) => any_value::Value::DoubleValue(n.as_f64().expect("a number")),
        other => panic!("{key}: {other}: fixtures have plain values"),
    };
    attribute(key, AnyValue { value: Some(value) })
}

/// The OTLP document of the trace has each span's attributes, and none besides.
async fn sent_comes_back(fleet: &Fleet, fixture: &Fixture, trace_id: &str) {
    let document = fleet.get(&format!("traces/{trace_id}")).await;
    let mut back: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for span in spans_of(&document) {
        let attributes = span["attributes"].as_array().expect("attributes").iter().map(|a| {
            let value = a["value"].as_object().expect("a value").iter().next().expect("one");
            (a["key"].as_str().expect("a key").to_owned(), Value::from(format!("{} {}", value.0, value.1)))
        });
        back.insert(span["spanId"].as_str().expect("an id").to_owned(), attributes.collect());
    }
    for sent in &fixture.spans {
        let expected = sent.attributes.iter().map(|(key, value)| {
            let typed = match value {
                Value::String(text) => format!("stringValue {}", Value::from(text.clone())),
                Value::Bool(b) => format!("boolValue {b}"),
                Value::Number(n) if n.is_i64() => format!("intValue \"{n}\""),
                other => format!("doubleValue {other}"),
            };
            (key.clone(), Value::from(typed))
        });
        let expected: BTreeMap<String, Value> = expected.collect();
        assert_eq!(back[&hex(sent.id, 8)], expected, "{}: span {}", fixture.emitter, sent.id);
    }
}

fn spans_of(document: &Value) -> impl Iterator<Item = &Value> {
    document["resourceSpans"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|resource| resource["scopeSpans"].as_array().into_iter().flatten())
        .flat_map(|scope| scope["spans"].as_array().into_iter().flatten())
}

/// Columns that are only shown where there is something in them.
const COLUMNS: &[(&str, &str)] = &[
    ("operation", "gen_ai_operation_name"),
    ("provider", "gen_ai_provider_name"),
    ("model", "gen_ai_request_model"),
    ("response model", "gen_ai_response_model"),
    ("agent", "gen_ai_agent_name"),
    ("tool", "gen_ai_tool_name"),
    ("call", "gen_ai_tool_call_id"),
    ("arguments", "gen_ai_tool_call_arguments"),
    ("workflow", "gen_ai_workflow_name"),
    ("input", "gen_ai_usage_input_tokens"),
    ("output", "gen_ai_usage_output_tokens"),
    ("cached", "gen_ai_usage_cache_read_input_tokens"),
    ("reasoning", "gen_ai_usage_reasoning_output_tokens"),
    ("first chunk s", "gen_ai_response_time_to_first_chunk"),
    ("cost", "gen_ai_usage_cost"),
    ("session", "session_id"),
    ("user", "user_id"),
    ("server", "mcp_server_name"),
    ("http", "http_response_status_code"),
    ("resends", "http_request_resend_count"),
    ("error", "error_type"),
    ("peer", "coalesce(peer_service, server_address)"),
    ("database", "db_system_name"),
    ("queue name", "messaging_destination_name"),
    ("messaging", "messaging_operation_type"),
    ("fingerprint", "openai_response_system_fingerprint"),
];

/// One line a span, in the order of the trace; then the attempts.
async fn understood(fleet: &Fleet, fixture: &Fixture, trace_id: &str) -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|(_, column)| *column).collect();
    let sql = format!("SELECT span_id, {} FROM spans WHERE trace_id = '{trace_id}'", columns.join(", "));
    let rows = fleet.sql(&sql).await.expect("rows");
    let analysis = fleet.get(&format!("traces/{trace_id}?view=analysis")).await;
    let mut out = format!("{}\n", fixture.emitter);
    for span in analysis["spans"].as_array().expect("spans") {
        let depth = span["depth"].as_u64().expect("a depth") as usize;
        let row = rows.iter().find(|row| row[0] == span["span_id"]).expect("its row");
        write!(out, "{}{} | {}", "  ".repeat(depth), word(&span["name"]), word(&span["stage"]))
            .expect("text");
        if span["outcome"] != "ok" {
            write!(out, " | {}", word(&span["outcome"])).expect("text");
        }
        if let Some(source) = span["queue_source"].as_str() {
            write!(out, " | queue {} ms by {source}", ms(&span["queue_ns"])).expect("text");
        }
        for class in ["load", "backoff", "unattributed"] {
            if span[format!("{class}_ns")].as_i64().is_some_and(|ns| ns != 0) {
                write!(out, " | {class} {} ms", ms(&span[format!("{class}_ns")])).expect("text");
            }
        }
        for ((label, _), value) in COLUMNS.iter().zip(&row[1..]).filter(|(_, value)| !value.is_null()) {
            write!(out, " | {label} {}", word(value)).expect("text");
        }
        out.push('\n');
    }
    for attempt in analysis["attempts"].as_array().expect("attempts") {
        let [source, operation, span, outcome] =
            ["group_source", "operation", "span_id", "outcome"].map(|key| word(&attempt[key]));
        let (ordinal, backoff) = (&attempt["ordinal"], ms(&attempt["backoff_ns"]));
        writeln!(
            out,
            "{source}: {operation} attempt {ordinal}, span {}, after {backoff} ms, {outcome}",
            &span[..2]
        )
        .expect("text");
    }
    out
}

fn ms(ns: &Value) -> f64 {
    ns.as_f64().expect("nanoseconds") / MS as f64
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
