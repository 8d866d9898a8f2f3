//! Jaeger's JSON: the answer of its HTTP API, and what its UI downloads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Sink;
use crate::build::{self, Span};
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::Item;
use crate::stream::{self, Shape};

pub fn read(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    // The answer of a query, a trace alone, or a list of them.
    let shape = Shape { arrays: &["data"], keep: &["traceID", "spans", "processes"], ..Shape::default() };
    stream::elements(input, shape, &mut |kept, _, element| match element {
        Value::Null => trace(&Value::Object(kept.clone()), sink),
        element => trace(&element, sink),
    })
}

/// A resource's attributes, and a scope's name and version.
type Owner = (Map<String, Value>, (String, String));

fn trace(trace: &Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let Some(spans) = trace["spans"].as_array() else {
        return sink(Item::Rejected("a trace without spans".into()));
    };
    let mut by_resource: Vec<(Owner, Vec<Value>)> = Vec::new();
    for json in spans {
        let process = match &json["process"] {
            Value::Null => &trace["processes"][json["processID"].as_str().unwrap_or_default()],
            process => process,
        };
        let mut resource = tags(&process["tags"]);
        resource.insert(
            "service.name".into(),
            process["serviceName"].as_str().unwrap_or("unknown_service").into(),
        );
        match span(json) {
            Ok((span, scope)) => {
                let owner = (resource, scope);
                match by_resource.iter_mut().find(|(o, _)| *o == owner) {
                    Some((_, spans)) => spans.push(span),
                    None => by_resource.push((owner, vec![span])),
                }
            }
            Err(problem) => sink(Item::Rejected(problem))?,
        }
    }
    for ((resource, scope), spans) in by_resource {
        sink(Item::Spans(build::resource_spans(&resource, (&scope.0, &scope.1), spans)))?;
    }
    Ok(())
}

fn span(json: &Value) -> Result<(Value, (String, String)), String> {
    let text = |key: &str| json[key].as_str().unwrap_or_default();
    let (trace_id, span_id) = (text("traceID"), text("spanID"));
    if trace_id.is_empty() || span_id.is_empty() {
        return Err("a span without traceID or spanID".into());
    }
    let micros = |value: &Value| {
        value
            .as_f64()
            .map(|us| (us * 1e3).round() as i64)
            .or_else(|| value.as_str()?.parse::<i64>().ok().map(|us| us * 1_000))
    };
    // Whole microseconds stay exact: a double of today's microseconds has bits to spare, of nanoseconds it has not.
    let start =
        json["startTime"].as_i64().map(|us| us.saturating_mul(1_000)).or_else(|| micros(&json["startTime"]));
    let start = start.ok_or_else(|| format!("span {span_id}: no startTime in microseconds"))?;
    let duration = json["duration"]
        .as_i64()
        .map(|us| us.saturating_mul(1_000))
        .or_else(|| micros(&json["duration"]))
        .unwrap_or(0);
    let mut attributes = tags(&json["tags"]);
    let mut take = |key: &str| match attributes.remove(key) {
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    let kind = match take("span.kind").as_deref() {
        Some("internal") => 1,
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 0,
    };
    let scope = (
        take("otel.scope.name").or_else(|| take("otel.library.name")).unwrap_or_default(),
        take("otel.scope.version").or_else(|| take("otel.library.version")).unwrap_or_default(),
    );
    let (code, description) = (take("otel.status_code"), take("otel.status_description"));
    let is_error = code.as_deref() == Some("ERROR")
        || matches!(attributes.get("error"), Some(Value::Bool(true)))
        || attributes.get("error").and_then(Value::as_str) == Some("true");
    let mut parent = json["parentSpanID"].as_str().filter(|p| !p.is_empty()).map(id::span);
    let mut links = Vec::new();
    for reference in json["references"].as_array().into_iter().flatten() {
        let (of, to) = (reference["traceID"].as_str().unwrap_or(trace_id), reference["spanID"].as_str());
        let Some(to) = to.filter(|to| !to.is_empty()) else { continue };
        if parent.is_none() && of == trace_id && reference["refType"] != "FOLLOWS_FROM" {
            parent = Some(id::span(to));
        } else if parent.as_deref() != Some(&id::span(to)) {
            links.push(json!({"traceId": id::trace(of), "spanId": id::span(to)}));
        }
    }
    // Without a parent of its own, what it follows stands for one.
    if parent.is_none()
        && let Some(at) = links.iter().position(|l| l["traceId"] == id::trace(trace_id))
    {
        parent = links.remove(at)["spanId"].as_str().map(str::to_owned);
    }
    let logs = json["logs"].as_array().into_iter().flatten();
    let events = logs.map(|log| {
        let mut fields = tags(&log["fields"]);
        let name = ["event", "message"].into_iter().find_map(|key| match fields.get(key) {
            Some(Value::String(_)) => fields.remove(key)?.as_str().map(str::to_owned),
            _ => None,
        });
        let at = log["timestamp"].as_i64().map_or(start, |us| us.saturating_mul(1_000));
        build::event(name.as_deref().unwrap_or("log"), at, &fields)
    });
    let span = Span {
        trace_id: id::trace(trace_id),
        span_id: id::span(span_id),
        parent_span_id: parent,
        name: text("operationName").to_owned(),
        kind,
        start_unix_nano: start,
        end_unix_nano: start.saturating_add(duration),
        events: events.collect(),
        links,
        error: is_error.then(|| description.unwrap_or_default()),
        is_ok: code.as_deref() == Some("OK"),
        attributes,
    };
    Ok((span.finish(), scope))
}

/// Typed tags: older writers put numbers into text.
fn tags(tags: &Value) -> Map<String, Value> {
    let tags = tags.as_array().into_iter().flatten();
    tags.filter_map(|tag| {
        let value = match (tag["type"].as_str(), &tag["value"]) {
            (Some("int64"), Value::String(text)) => {
                text.parse::<i64>().map_or(tag["value"].clone(), Value::from)
            }
            (Some("float64"), Value::String(text)) => {
                text.parse::<f64>().map_or(tag["value"].clone(), Value::from)
            }
            (Some("bool"), Value::String(text)) => (text == "true").into(),
            (Some("binary"), Value::String(text)) => {
                let bytes = STANDARD.decode(text).ok();
                bytes.and_then(|b| String::from_utf8(b).ok()).map_or(tag["value"].clone(), Value::from)
            }
            (_, value) => value.clone(),
        };
        Some((tag["key"].as_str()?.to_owned(), value))
    })
    .collect()
}
