//! OTLP as JSON: requests alone, in a list, or one a line as the Collector's file exporter writes them.
//!
//! Names come in camel case or as protobuf has them, ids in hex or base64, and a request may stand in the answer of a query
//! (Jaeger's `result`, Tempo's `trace` or `batches`).

use serde_json::{Map, Value};

use super::Sink;
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::Item;
use crate::stream::{self, Shape};

const SPANS: [&str; 3] = ["resourceSpans", "resource_spans", "batches"];
const LOGS: [&str; 2] = ["resourceLogs", "resource_logs"];
const METRICS: [&str; 2] = ["resourceMetrics", "resource_metrics"];
const WITHIN: [&str; 2] = ["result", "trace"];

pub fn is_json(has: impl Fn(&str) -> bool) -> bool {
    SPANS[..2].iter().chain(&LOGS).chain(&METRICS).any(|name| has(name))
        || (has("batches") && (has("scopeSpans") || has("instrumentationLibrarySpans")))
}

pub fn requests(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let arrays = [&SPANS[..], &LOGS, &METRICS].concat();
    let shape = Shape { arrays: &arrays, within: &WITHIN, ..Shape::default() };
    stream::elements(input, shape, &mut |_, array, value| of_element(array, value, sink))
}

fn of_element(array: &str, value: Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if SPANS.contains(&array) {
        sink(Item::Spans(plain(value)))
    } else if LOGS.contains(&array) {
        sink(Item::Logs(plain(value)))
    } else if METRICS.contains(&array) {
        sink(Item::Rejected("metrics: only spans and log records are kept".into()))
    } else {
        request(value, sink)
    }
}

/// One of a list, held as a whole.
fn request(value: Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let Value::Object(members) = value else {
        return sink(Item::Rejected("an element that is no request".into()));
    };
    let mut found = false;
    for (name, member) in members {
        match member {
            Value::Array(elements)
                if [&SPANS[..], &LOGS, &METRICS].iter().any(|names| names.contains(&name.as_str())) =>
            {
                found = true;
                elements.into_iter().try_for_each(|element| of_element(&name, element, sink))?;
            }
            inner @ Value::Object(_) if WITHIN.contains(&name.as_str()) => {
                found = true;
                request(inner, sink)?;
            }
            _ => {}
        }
    }
    if found {
        Ok(())
    } else {
        sink(Item::Rejected("a request without resourceSpans or resourceLogs".into()))
    }
}

/// Names in camel case, ids in hex. What is no id stays, and is rejected by the door with its reason.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| of_member(camel_case(&name), member))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn of_member(name: String, member: Value) -> (String, Value) {
    let bytes = match name.as_str() {
        "traceId" => 16,
        "spanId" | "parentSpanId" => 8,
        // Not into values: an attribute may be called as it likes.
        "attributes" | "body" => return (name, member),
        // Before 2022.
        "instrumentationLibrarySpans" => return ("scopeSpans".into(), plain(member)),
        "instrumentationLibrary" => return ("scope".into(), plain(member)),
        _ => return (name, plain(member)),
    };
    let hex = member.as_str().and_then(|text| id::otlp(text, bytes)).map(Value::from);
    (name, hex.unwrap_or(member))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_ids_of_every_writer_are_one() {
        let base64 = json!({"scopeSpans": [{"spans": [{
            "traceId": "S/kvNXezTaajzpKdDg5HNg==", "spanId": "APBnqgupArc=", "parentSpanId": "", "startTimeUnixNano": "1",
            "attributes": [{"key": "trace_id", "value": {"stringValue": "S/kvNXezTaajzpKdDg5HNg=="}}],
            "links": [{"traceId": "S/kvNXezTaajzpKdDg5HNg==", "spanId": "APBnqgupArc="}],
        }]}]});
        let snake = json!({"scope_spans": [{"spans": [{
            "trace_id": "S_kvNXezTaajzpKdDg5HNg", "span_id": "APBnqgupArc", "parent_span_id": "", "start_time_unix_nano": "1",
            "attributes": [{"key": "trace_id", "value": {"stringValue": "S/kvNXezTaajzpKdDg5HNg=="}}],
            "links": [{"trace_id": "4BF92F3577B34DA6A3CE929D0E0E4736", "span_id": "00F067AA0BA902B7"}],
        }]}]});
        let old = json!({"instrumentationLibrarySpans": base64["scopeSpans"]});
        let hex = json!({"scopeSpans": [{"spans": [{
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "parentSpanId": "", "startTimeUnixNano": "1",
            "attributes": [{"key": "trace_id", "value": {"stringValue": "S/kvNXezTaajzpKdDg5HNg=="}}],
            "links": [{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}],
        }]}]});
        for (writer, element) in [("base64", base64), ("snake", snake), ("old", old), ("hex", hex.clone())] {
            assert_eq!(plain(element), hex, "{writer}");
        }
    }
}
