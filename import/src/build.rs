//! Parts of OTLP JSON, put together.

use serde_json::{Map, Value, json};

/// One attribute; `None` for null, which says nothing.
pub fn attribute(key: &str, value: &Value) -> Option<Value> {
    Some(json!({"key": key, "value": any_value(value)?}))
}

fn any_value(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::String(text) => json!({"stringValue": text}),
        Value::Number(n) => match n.as_i64() {
            Some(n) => json!({"intValue": n.to_string()}),
            None => json!({"doubleValue": n}),
        },
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().filter_map(any_value).collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(map) => json!({"kvlistValue": {"values": attributes(map)}}),
    })
}

pub fn attributes(map: &Map<String, Value>) -> Vec<Value> {
    map.iter().filter_map(|(key, value)| attribute(key, value)).collect()
}

/// A span in the making.
#[derive(Debug, Default)]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub name: String,
    /// As OTLP numbers them; 0 is unspecified.
    pub kind: u8,
    pub start_unix_nano: i64,
    pub end_unix_nano: i64,
    pub attributes: Map<String, Value>,
    /// The message of a failure, empty where there is none.
    pub error: Option<String>,
    pub is_ok: bool,
    pub events: Vec<Value>,
    pub links: Vec<Value>,
}

impl Span {
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        if !value.is_null() {
            self.attributes.insert(key.to_owned(), value);
        }
        self
    }

    /// Unless it is there already.
    pub fn fill(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        if !self.attributes.contains_key(key) {
            self.set(key, value);
        }
        self
    }

    pub fn finish(self) -> Value {
        let status = match (&self.error, self.is_ok) {
            (Some(message), _) => json!({"code": 2, "message": message}),
            (None, true) => json!({"code": 1}),
            (None, false) => json!({}),
        };
        json!({
            "traceId": self.trace_id, "spanId": self.span_id,
            "parentSpanId": self.parent_span_id.unwrap_or_default(),
            "name": self.name, "kind": self.kind,
            "startTimeUnixNano": self.start_unix_nano.to_string(),
            "endTimeUnixNano": self.end_unix_nano.to_string(),
            "attributes": attributes(&self.attributes), "status": status,
            "events": self.events, "links": self.links,
        })
    }
}

pub fn event(name: &str, unix_nano: i64, fields: &Map<String, Value>) -> Value {
    json!({"name": name, "timeUnixNano": unix_nano.to_string(), "attributes": attributes(fields)})
}

/// Spans of one resource and scope, as an element of `resourceSpans`.
pub fn resource_spans(resource: &Map<String, Value>, scope: (&str, &str), spans: Vec<Value>) -> Value {
    json!({
        "resource": {"attributes": attributes(resource)},
        "scopeSpans": [{"scope": {"name": scope.0, "version": scope.1}, "spans": spans}],
    })
}

/// A resource that is known by its service's name alone.
pub fn service(name: &str) -> Map<String, Value> {
    Map::from_iter([("service.name".to_owned(), Value::from(name))])
}
