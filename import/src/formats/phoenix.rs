//! Arize Phoenix and other writers of OpenInference: spans as rows, in a list or one a line. Attributes are nested, or flat
//! with a prefix as in data frames (`attributes.llm.model_name`), of which pandas also writes the columns one after the
//! other. What the OpenTelemetry SDK for Python prints of a span is such a row too.

use serde_json::{Map, Value, json};

use super::Sink;
use crate::build::{self, Span};
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::{Item, Verdict};
use crate::stream;
use crate::time;

pub fn read(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    // A line is one row; its members have any name, so that documents are read whole.
    stream::documents(input, &mut |document| rows(document).into_iter().try_for_each(|row| of_row(row, sink)))
}

/// A document's rows: itself, a page's, or a data frame's in the orientations `split` and `columns` of pandas.
fn rows(document: Value) -> Vec<Value> {
    let Value::Object(mut document) = document else { return vec![document] };
    if let Some(Value::Array(data)) = document.get_mut("data") {
        let data = std::mem::take(data);
        let Some(names) = document.get("columns").and_then(Value::as_array) else { return data };
        let named = |row: Value| match row {
            Value::Array(cells) => {
                let names = names.iter().map(|name| name.as_str().unwrap_or_default().to_owned());
                names.zip(cells).collect::<Map<_, _>>().into()
            }
            other => other,
        };
        return data.into_iter().map(named).collect();
    }
    let is_columns = ["context.trace_id", "context.span_id"]
        .iter()
        .any(|name| document.get(*name).is_some_and(Value::is_object));
    if !is_columns {
        return vec![document.into()];
    }
    let mut by_index: Map<String, Value> = Map::new();
    for (name, column) in document {
        let Value::Object(cells) = column else { continue };
        for (index, cell) in cells {
            by_index.entry(index).or_insert_with(|| Map::new().into())[&name] = cell;
        }
    }
    by_index.into_iter().map(|(_, row)| row).collect()
}

fn of_row(row: Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let Value::Object(row) = row else { return sink(Item::Rejected("a row that is no object".into())) };
    let get = |names: &[&str]| names.iter().find_map(|n| row.get(*n)).filter(|v| !v.is_null());
    let within =
        |outer: &str, inner: &str| row.get(outer).and_then(|o| o.get(inner)).filter(|v| !v.is_null());
    let text =
        |value: Option<&Value>| value.and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    let trace_id = text(within("context", "trace_id").or_else(|| get(&["context.trace_id", "trace_id"])));
    let span_id = text(within("context", "span_id").or_else(|| get(&["context.span_id", "span_id"])));
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else {
        return sink(Item::Rejected("a row without context.trace_id or context.span_id".into()));
    };
    let Some(start) = get(&["start_time"]).and_then(time::unix_nano) else {
        return sink(Item::Rejected(format!("span {span_id}: no start_time")));
    };
    let end = get(&["end_time"]).and_then(time::unix_nano).unwrap_or(start);
    let mut attributes = Map::new();
    match row.get("attributes") {
        Some(Value::String(text)) => {
            flatten("", &serde_json::from_str(text).unwrap_or(Value::Null), &mut attributes);
        }
        Some(nested) => flatten("", nested, &mut attributes),
        None => {}
    }
    for (key, value) in &row {
        if let Some(key) = key.strip_prefix("attributes.") {
            flatten(key, value, &mut attributes);
        }
    }
    if let Some(kind) = text(get(&["span_kind"])) {
        attributes.entry("openinference.span.kind").or_insert(kind.into());
    }
    let mut resource = build::service("unknown_service");
    if let Some(found) = row.get("resource").and_then(|r| r.get("attributes").unwrap_or(r).as_object()) {
        resource.extend(found.clone());
    } else if let Some(project) = text(get(&["project_name", "project.name"])) {
        resource.insert("service.name".into(), project.into());
    }
    if let Some(service) = attributes.remove("service.name") {
        resource.insert("service.name".into(), service);
    }
    let events = get(&["events"]).and_then(Value::as_array).into_iter().flatten().map(|event| {
        let fields = event["attributes"].as_object().cloned().unwrap_or_default();
        let at = time::unix_nano(&event["timestamp"]).unwrap_or(start);
        build::event(event["name"].as_str().unwrap_or("event"), at, &fields)
    });
    let within_status = |names: [&str; 2]| names.iter().find_map(|name| text(within("status", name)));
    let status = text(get(&["status_code"])).or_else(|| within_status(["code", "status_code"]));
    let status = status.unwrap_or_default().to_uppercase();
    let message = text(get(&["status_message"])).or_else(|| within_status(["message", "description"]));
    let links = get(&["links"]).and_then(Value::as_array).into_iter().flatten().filter_map(|link| {
        let to = if link["context"].is_object() { &link["context"] } else { link };
        let id = |name: &str| to[name].as_str().filter(|id| !id.is_empty());
        let attributes = link["attributes"].as_object().map(build::attributes).unwrap_or_default();
        Some(json!({"traceId": id::trace(id("trace_id")?), "spanId": id::span(id("span_id")?), "attributes": attributes}))
    });
    // The SDK's own word; Phoenix has none of it.
    let kind = match text(get(&["kind"])).as_deref() {
        Some("SpanKind.SERVER") => 2,
        Some("SpanKind.CLIENT") => 3,
        Some("SpanKind.PRODUCER") => 4,
        Some("SpanKind.CONSUMER") => 5,
        _ => 1,
    };
    let span = Span {
        trace_id: id::trace(&trace_id),
        span_id: id::span(&span_id),
        parent_span_id: text(get(&["parent_id"])).map(|p| id::span(&p)),
        name: text(get(&["name"])).unwrap_or_default(),
        kind,
        start_unix_nano: start,
        end_unix_nano: end,
        events: events.collect(),
        links: links.collect(),
        error: status.contains("ERROR").then(|| message.unwrap_or_default()),
        is_ok: status.ends_with("OK"),
        attributes,
    };
    let (trace, target) = (span.trace_id.clone(), span.span_id.clone());
    sink(Item::Spans(build::resource_spans(&resource, ("openinference", ""), vec![span.finish()])))?;
    for verdict in verdicts(&row) {
        sink(Item::Verdict(Verdict {
            trace_id: Some(trace.clone()),
            span_id: Some(target.clone()),
            ..verdict
        }))?;
    }
    Ok(())
}

/// Dotted keys, as OpenInference sends them: lists of objects by index, lists of plain values as they are.
fn flatten(prefix: &str, value: &Value, out: &mut Map<String, Value>) {
    let join = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&join(key), value, out)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&join(&i.to_string()), item, out));
        }
        value => drop(out.insert(prefix.to_owned(), value.clone())),
    }
}

/// Annotations, and the `eval.<name>.label|score|explanation` columns of data frames.
fn verdicts(row: &Map<String, Value>) -> Vec<Verdict> {
    let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let mut found: Vec<Verdict> = Vec::new();
    let lists = ["annotations", "span_annotations", "evaluations"];
    for annotation in lists.iter().filter_map(|name| row.get(*name)?.as_array()).flatten() {
        let result = if annotation["result"].is_object() { &annotation["result"] } else { annotation };
        let Some(metric) = text(&annotation["name"]) else { continue };
        let judged = ["updated_at", "created_at"].iter().find_map(|key| time::unix_nano(&annotation[*key]));
        found.push(Verdict {
            metric,
            label: text(&result["label"]),
            score: result["score"].as_f64(),
            explanation: text(&result["explanation"]),
            evaluator: text(&annotation["annotator_kind"]).map(|kind| kind.to_lowercase()),
            judged_at: judged.map(time::rfc3339),
            ..Verdict::default()
        });
    }
    for (key, value) in row.iter().filter(|(_, value)| !value.is_null()) {
        let Some((name, part)) = key.strip_prefix("eval.").and_then(|k| k.rsplit_once('.')) else { continue };
        let at = found.iter().position(|v| v.metric == name).unwrap_or_else(|| {
            found.push(Verdict { metric: name.to_owned(), ..Verdict::default() });
            found.len() - 1
        });
        match part {
            "label" => found[at].label = text(value),
            "score" => found[at].score = value.as_f64(),
            "explanation" => found[at].explanation = text(value),
            _ => {}
        }
    }
    found.retain(|v| v.label.is_some() || v.score.is_some());
    found
}
