//! Rows of `spans` back to OTLP JSON (`ExportTraceServiceRequest`, proto3 JSON with hex ids), attribute types included.

use arrow::array::{Array, AsArray, MapArray};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::attr::Scope;
use plimsoll_schemas::{Attr, SpanKind, StatusCode};
use serde_json::{Map, Value, json};

use crate::error::QueryError;
use crate::json::cell;

/// Scopes, each with its spans.
type Scopes = Vec<(Value, Vec<Value>)>;

/// The document: spans grouped by resource and scope, in the order in which they lie.
pub fn document(batches: &[RecordBatch]) -> Result<Value, QueryError> {
    // (resource, [(scope, [span])]): few of each, compared by content.
    let mut resources: Vec<(Value, Scopes)> = Vec::new();
    for batch in batches {
        let columns = Columns { batch };
        for row in 0..batch.num_rows() {
            let (resource, scope) = (columns.resource(row)?, columns.scope(row)?);
            let span = columns.span(row)?;
            let at = position(&mut resources, resource);
            let scopes = &mut resources[at].1;
            let at = position(scopes, scope);
            scopes[at].1.push(span);
        }
    }
    let resource_spans: Vec<Value> = resources
        .into_iter()
        .map(|(resource, scopes)| {
            let scope_spans: Vec<Value> =
                scopes.into_iter().map(|(scope, spans)| with(scope, "spans", spans.into())).collect();
            with(resource, "scopeSpans", scope_spans.into())
        })
        .collect();
    Ok(json!({ "resourceSpans": resource_spans }))
}

fn position<T: Default>(list: &mut Vec<(Value, T)>, key: Value) -> usize {
    list.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
        list.push((key, T::default()));
        list.len() - 1
    })
}

fn with(object: Value, key: &str, value: Value) -> Value {
    let mut object = object;
    object[key] = value;
    object
}

struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn array(&self, name: &str) -> Result<&dyn Array, QueryError> {
        let column = self.batch.column_by_name(name);
        Ok(column.ok_or_else(|| QueryError::Internal(format!("no column {name}")))?.as_ref())
    }

    fn text(&self, name: &str, row: usize) -> Result<Option<String>, QueryError> {
        Ok(cell(self.array(name)?, row).as_str().map(str::to_owned))
    }

    fn long(&self, name: &str, row: usize) -> Result<i64, QueryError> {
        Ok(self.array(name)?.as_primitive::<Int64Type>().value(row))
    }

    fn count(&self, name: &str, row: usize) -> Result<Option<i32>, QueryError> {
        let array = self.array(name)?.as_primitive::<Int32Type>();
        Ok(array.is_valid(row).then(|| array.value(row)))
    }

    fn resource(&self, row: usize) -> Result<Value, QueryError> {
        let mut attributes = Vec::new();
        if let Some(name) = self.text("service_name", row)? {
            attributes.push(json!({"key": "service.name", "value": {"stringValue": name}}));
        }
        self.promoted(Scope::Resource, row, &mut attributes)?;
        self.remainder("resource_attributes", "resource_attribute_types", row, &mut attributes)?;
        let mut of = json!({"resource": {"attributes": attributes}});
        if let Some(url) = self.text("resource_schema_url", row)? {
            of["schemaUrl"] = url.into();
        }
        Ok(of)
    }

    fn scope(&self, row: usize) -> Result<Value, QueryError> {
        let mut attributes = Vec::new();
        self.remainder("scope_attributes", "scope_attribute_types", row, &mut attributes)?;
        let mut scope = json!({"name": self.text("scope_name", row)?.unwrap_or_default()});
        if let Some(version) = self.text("scope_version", row)? {
            scope["version"] = version.into();
        }
        if !attributes.is_empty() {
            scope["attributes"] = attributes.into();
        }
        let mut of = json!({ "scope": scope });
        if let Some(url) = self.text("scope_schema_url", row)? {
            of["schemaUrl"] = url.into();
        }
        Ok(of)
    }

    fn span(&self, row: usize) -> Result<Value, QueryError> {
        let mut span = Map::new();
        for (key, column) in [
            ("traceId", "trace_id"),
            ("spanId", "span_id"),
            ("parentSpanId", "parent_span_id"),
            ("traceState", "trace_state"),
            ("name", "name"),
        ] {
            if let Some(value) = self.text(column, row)? {
                span.insert(key.into(), value.into());
            }
        }
        let kind = self.text("kind", row)?.unwrap_or_default();
        span.insert("kind".into(), SpanKind::from_name(&kind).to_wire().into());
        let start = self.long("start_unix_nano", row)?;
        let end = start.saturating_add(self.long("duration_ns", row)?);
        span.insert("startTimeUnixNano".into(), start.to_string().into());
        span.insert("endTimeUnixNano".into(), end.to_string().into());
        let mut attributes = Vec::new();
        self.promoted(Scope::Span, row, &mut attributes)?;
        self.remainder("attributes", "attribute_types", row, &mut attributes)?;
        span.insert("attributes".into(), attributes.into());
        for (key, column) in [
            ("flags", "flags"),
            ("droppedAttributesCount", "dropped_attributes_count"),
            ("droppedEventsCount", "dropped_events_count"),
            ("droppedLinksCount", "dropped_links_count"),
        ] {
            if let Some(n) = self.count(column, row)? {
                span.insert(key.into(), n.into());
            }
        }
        span.insert("events".into(), self.items("events", row, event)?);
        span.insert("links".into(), self.items("links", row, link)?);
        let code = self.text("status_code", row)?.unwrap_or_default();
        let mut status = json!({});
        if StatusCode::from_name(&code) != StatusCode::Unset {
            status["code"] = StatusCode::from_name(&code).to_wire().into();
        }
        if let Some(message) = self.text("status_message", row)? {
            status["message"] = message.into();
        }
        span.insert("status".into(), status);
        Ok(span.into())
    }

    fn promoted(&self, scope: Scope, row: usize, out: &mut Vec<Value>) -> Result<(), QueryError> {
        use plimsoll_schemas::AttrType;
        let normalized = self.text("normalized_attributes", row)?.unwrap_or_default();
        // A document has what was sent; what it amounts to is the analysis's.
        let sent = |name: &str| scope == Scope::Resource || normalized.split(',').all(|other| other != name);
        for attr in Attr::ALL.iter().filter(|a| a.info().scope == scope && sent(a.info().name)) {
            let info = attr.info();
            let array = self.array(info.column)?;
            if array.is_null(row) {
                continue;
            }
            let value = match info.kind {
                AttrType::Keyword | AttrType::Text => json!({"stringValue": cell(array, row)}),
                AttrType::Int => {
                    json!({"intValue": array.as_primitive::<Int64Type>().value(row).to_string()})
                }
                AttrType::Double => {
                    json!({"doubleValue": double(array.as_primitive::<arrow::datatypes::Float64Type>().value(row))})
                }
                AttrType::Bool => json!({"boolValue": array.as_boolean().value(row)}),
            };
            if !cell(array, row).is_null() || info.kind == AttrType::Double {
                out.push(json!({"key": info.name, "value": value}));
            }
        }
        Ok(())
    }

    fn remainder(&self, map: &str, types: &str, row: usize, out: &mut Vec<Value>) -> Result<(), QueryError> {
        let types = self.text(types, row)?;
        entries(self.array(map)?.as_map(), types.as_deref(), row, out);
        Ok(())
    }

    fn items(
        &self,
        name: &str,
        row: usize,
        item: fn(&dyn Array, usize) -> Value,
    ) -> Result<Value, QueryError> {
        let list = self.array(name)?.as_list::<i32>();
        if list.is_null(row) {
            return Ok(Value::Array(Vec::new()));
        }
        let items = list.value(row);
        Ok((0..items.len()).map(|i| item(items.as_ref(), i)).collect())
    }
}

fn event(items: &dyn Array, i: usize) -> Value {
    let fields = items.as_struct();
    let mut attributes = Vec::new();
    let types = cell(fields.column(3).as_ref(), i);
    entries(fields.column(2).as_map(), types.as_str(), i, &mut attributes);
    let time = fields.column(0).as_primitive::<Int64Type>().value(i);
    let mut event = json!({"timeUnixNano": time.to_string(), "name": cell(fields.column(1).as_ref(), i), "attributes": attributes});
    if let Some(n) = cell(fields.column(4).as_ref(), i).as_i64() {
        event["droppedAttributesCount"] = n.into();
    }
    event
}

fn link(items: &dyn Array, i: usize) -> Value {
    let fields = items.as_struct();
    let mut attributes = Vec::new();
    let types = cell(fields.column(4).as_ref(), i);
    entries(fields.column(3).as_map(), types.as_str(), i, &mut attributes);
    let mut link = json!({"traceId": cell(fields.column(0).as_ref(), i), "spanId": cell(fields.column(1).as_ref(), i), "attributes": attributes});
    for (key, column) in [("traceState", 2), ("flags", 5), ("droppedAttributesCount", 6)] {
        let value = cell(fields.column(column).as_ref(), i);
        if !value.is_null() {
            link[key] = value;
        }
    }
    link
}

/// The entries of an attribute map as OTLP key-values. `types` has one character an entry; none: all are text.
fn entries(map: &MapArray, types: Option<&str>, row: usize, out: &mut Vec<Value>) {
    if map.is_null(row) {
        return;
    }
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
    let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
    let mut types = types.unwrap_or_default().chars();
    for i in range {
        let text = if values.is_valid(i) { values.value(i) } else { "" };
        let value = match types.next() {
            None | Some('s') => json!({ "stringValue": text }),
            Some('i') => json!({ "intValue": text }),
            Some('d') => json!({ "doubleValue": text.parse::<f64>().map_or(json!(text), double) }),
            Some('b') => json!({ "boolValue": text == "true" }),
            Some('y') => json!({ "bytesValue": text }),
            Some('j') => serde_json::from_str(text).unwrap_or_else(|_| json!({ "stringValue": text })),
            Some(_) => json!({}),
        };
        out.push(json!({"key": keys.value(i), "value": value}));
    }
}

/// JSON has no word for what is not finite; proto3's mapping does.
fn double(x: f64) -> Value {
    match x {
        x if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        x => x.into(),
    }
}
