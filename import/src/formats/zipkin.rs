//! Zipkin's v2 JSON: lists of spans, or lists of traces.
//!
//! A server may share its client's span id. Two spans of one id are none of OTLP's, so that the server's half gets an id of
//! its own below the client's, and takes the children of its service along.

use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

use super::Sink;
use crate::build::{self, Span};
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::Item;
use crate::stream;

/// Spans of a flat list that are looked at together; halves of one span are closer than that.
const TOGETHER: usize = 50_000;

pub fn read(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let mut flat: Vec<Value> = Vec::new();
    let read = stream::documents(input, &mut |element| match element {
        Value::Array(trace) => together(&trace, sink),
        span => {
            flat.push(span);
            if flat.len() < TOGETHER { Ok(()) } else { together(&std::mem::take(&mut flat), sink) }
        }
    });
    // What came before it broke off is whole.
    together(&flat, sink)?;
    read
}

type Halves<'a> = HashMap<(&'a str, &'a str), &'a str>;

fn together(spans: &[Value], sink: &mut Sink<'_>) -> Result<(), ImportError> {
    fn text<'a>(span: &'a Value, key: &str) -> &'a str {
        span[key].as_str().unwrap_or_default()
    }
    let id = |s| (text(s, "traceId"), text(s, "id"));
    let clients: HashSet<(&str, &str)> = spans.iter().filter(|s| s["kind"] == "CLIENT").map(id).collect();
    // The service of each shared span's server half; not every writer says that it is one.
    let shared: Halves<'_> = spans
        .iter()
        .filter(|s| s["shared"] == true || (s["kind"] == "SERVER" && clients.contains(&id(s))))
        .map(|s| (id(s), service(s)))
        .collect();
    let mut by_service: Vec<(&str, Vec<Value>)> = Vec::new();
    for json in spans {
        match span(json, &shared) {
            Ok(span) => match by_service.iter_mut().find(|(s, _)| *s == service(json)) {
                Some((_, spans)) => spans.push(span),
                None => by_service.push((service(json), vec![span])),
            },
            Err(problem) => sink(Item::Rejected(problem))?,
        }
    }
    for (service, spans) in by_service {
        sink(Item::Spans(build::resource_spans(&build::service(service), ("zipkin", ""), spans)))?;
    }
    Ok(())
}

fn service(span: &Value) -> &str {
    span["localEndpoint"]["serviceName"].as_str().filter(|s| !s.is_empty()).unwrap_or("unknown_service")
}

/// The id of a shared span's server half.
fn server_half(span_id: &str) -> String {
    id::span(&format!("server half of {span_id}"))
}

fn span(json: &Value, shared: &Halves<'_>) -> Result<Value, String> {
    let text = |key: &str| json[key].as_str().unwrap_or_default();
    let (trace_id, span_id) = (text("traceId"), text("id"));
    if trace_id.is_empty() || span_id.is_empty() {
        return Err("a span without traceId or id".into());
    }
    let micros = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let start =
        micros(&json["timestamp"]).ok_or_else(|| format!("span {span_id}: no timestamp in microseconds"))?;
    let duration = micros(&json["duration"]).unwrap_or(0);
    let is_shared =
        json["shared"] == true || (json["kind"] == "SERVER" && shared.contains_key(&(trace_id, span_id)));
    let parent = json["parentId"].as_str().filter(|p| !p.is_empty());
    let parent = match parent {
        _ if is_shared => Some(id::span(span_id)),
        Some(parent) if shared.get(&(trace_id, parent)).is_some_and(|s| *s == service(json)) => {
            Some(server_half(parent))
        }
        parent => parent.map(id::span),
    };
    let mut attributes: Map<String, Value> = json["tags"].as_object().cloned().unwrap_or_default();
    let error =
        attributes.get("error").and_then(Value::as_str).map(|e| if e == "true" { "" } else { e }.to_owned());
    let is_ok = attributes.get("otel.status_code").and_then(Value::as_str) == Some("OK");
    for (key, endpoint, name) in [
        ("server.address", "remoteEndpoint", "ipv4"),
        ("server.port", "remoteEndpoint", "port"),
        ("peer.service", "remoteEndpoint", "serviceName"),
        ("host.ip", "localEndpoint", "ipv4"),
    ] {
        let value = &json[endpoint][name];
        if !value.is_null() && !attributes.contains_key(key) {
            attributes.insert(key.into(), value.clone());
        }
    }
    let annotations = json["annotations"].as_array().into_iter().flatten();
    let events = annotations.filter_map(|a| {
        let at = micros(&a["timestamp"])?.saturating_mul(1_000);
        Some(build::event(a["value"].as_str().unwrap_or("annotation"), at, &Map::new()))
    });
    let span = Span {
        trace_id: id::trace(trace_id),
        span_id: if is_shared { server_half(span_id) } else { id::span(span_id) },
        parent_span_id: parent,
        name: text("name").to_owned(),
        kind: match text("kind") {
            "SERVER" => 2,
            "CLIENT" => 3,
            "PRODUCER" => 4,
            "CONSUMER" => 5,
            _ => 0,
        },
        start_unix_nano: start.saturating_mul(1_000),
        end_unix_nano: start.saturating_add(duration).saturating_mul(1_000),
        events: events.collect(),
        links: Vec::new(),
        error,
        is_ok,
        attributes,
    };
    Ok(span.finish())
}
