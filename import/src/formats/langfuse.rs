//! Langfuse: a trace with its observations and scores, as its API and its UI give them, alone, in a list, or one a line; and
//! observations or scores one a line, as its scheduled export writes them.
//!
//! Observations that came in by OpenTelemetry carry their raw attributes in `metadata`, and these are what is kept. What
//! they do not say is filled in from what Langfuse made of them.

use serde_json::{Map, Value};

use super::Sink;
use crate::build::{self, Span};
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::{Item, Verdict};
use crate::stream;
use crate::time;

pub fn read(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    // The trace may stand behind its observations: a document is held as a whole, as its writer held it.
    stream::documents(input, &mut |document| of_document(&document, sink))
}

fn of_document(document: &Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if let Some(page) = document["data"].as_array() {
        return page.iter().try_for_each(|one| of_document(one, sink));
    }
    let trace = match &document["trace"] {
        Value::Object(_) => &document["trace"],
        _ => document,
    };
    let Some(observations) = document["observations"].as_array().or_else(|| trace["observations"].as_array())
    else {
        return of_row(document, sink);
    };
    let trace_name = get(trace, &["name"]);
    for observation in observations.iter().filter(|o| o.is_object()) {
        of_observation(observation, Some(trace), sink)?;
    }
    // Beside the trace, within it, or both where the trace is all there is.
    let within = trace["scores"].as_array().filter(|_| !std::ptr::eq(trace, document));
    let scores = document["scores"].as_array().into_iter().chain(within).flatten();
    for score in scores.filter(|s| s.is_object()) {
        of_score(score, get(trace, &["id"]), sink)?;
    }
    if observations.is_empty() {
        sink(Item::Rejected(format!("trace {}: no observations", trace_name.unwrap_or("without a name"))))?;
    }
    Ok(())
}

/// One line of an export of rows.
fn of_row(row: &Value, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if get(row, &["startTime", "start_time"]).is_some() {
        of_observation(row, None, sink)
    } else if get(row, &["dataType", "data_type"]).is_some() || row.get("value").is_some() {
        of_score(row, None, sink)
    } else {
        sink(Item::Rejected("neither a trace with observations, nor an observation, nor a score".into()))
    }
}

fn get<'v>(value: &'v Value, names: &[&str]) -> Option<&'v str> {
    names.iter().find_map(|name| value[*name].as_str()).filter(|text| !text.is_empty())
}

/// Objects come as such or as JSON in text.
fn unpacked(value: &Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map.clone(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => map,
            // Twice packed: a text whose content is the object's text.
            Ok(Value::String(inner)) => serde_json::from_str(&inner).unwrap_or_default(),
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

fn of_observation(json: &Value, trace: Option<&Value>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let trace_id = get(json, &["traceId", "trace_id"]).or_else(|| get(trace?, &["id"]));
    let (Some(trace_id), Some(span_id)) = (trace_id, get(json, &["id"])) else {
        return sink(Item::Rejected("an observation without id or traceId".into()));
    };
    let Some(start) = get(json, &["startTime", "start_time"]).and_then(time::of_text) else {
        return sink(Item::Rejected(format!("observation {span_id}: no start time")));
    };
    let end = get(json, &["endTime", "end_time"]).and_then(time::of_text).unwrap_or(start);
    let mut metadata = unpacked(&json["metadata"]);
    let attributes = metadata.remove("attributes").map(|a| unpacked(&a)).unwrap_or_default();
    let mut resource = metadata.remove("resourceAttributes").map(|a| unpacked(&a)).unwrap_or_default();
    let scope = metadata.remove("scope").map(|s| unpacked(&s)).unwrap_or_default();
    if !resource.contains_key("service.name") {
        resource.insert("service.name".into(), "unknown_service".into());
    }
    let level = get(json, &["level"]);
    let message = get(json, &["statusMessage", "status_message"]).unwrap_or_default().to_owned();
    let parent = get(json, &["parentObservationId", "parent_observation_id"]);
    let mut span = Span {
        trace_id: id::trace(trace_id),
        span_id: id::span(span_id),
        parent_span_id: parent.map(id::span),
        name: get(json, &["name"]).unwrap_or_default().to_owned(),
        kind: 1,
        start_unix_nano: start,
        end_unix_nano: end,
        error: (level == Some("ERROR")).then_some(message),
        attributes: attributes.into_iter().map(|(key, value)| (key, typed(value))).collect(),
        ..Span::default()
    };
    fill_in(&mut span, json, metadata);
    if parent.is_none()
        && let Some(trace) = trace
    {
        for (key, names) in [("session.id", ["sessionId", "session_id"]), ("user.id", ["userId", "user_id"])]
        {
            if let Some(value) = get(trace, &names) {
                span.fill(key, value);
            }
        }
        if let Some(name) = get(trace, &["name"]) {
            span.fill("langfuse.trace.name", name);
        }
        if let Some(environment) = get(trace, &["environment"]) {
            span.fill("deployment.environment.name", environment);
        }
    }
    let name = |key: &str| scope.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (scope_name, scope_version) = (name("name"), name("version"));
    sink(Item::Spans(build::resource_spans(&resource, (&scope_name, &scope_version), vec![span.finish()])))
}

/// Langfuse keeps attributes as text, but takes JSON apart: what reads as a number is one again, and an object is text.
fn typed(value: Value) -> Value {
    if value.is_object() {
        return value.to_string().into();
    }
    let Value::String(text) = &value else { return value };
    if text.len() > 24 || !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return value;
    }
    match serde_json::from_str::<Value>(text) {
        // Ids with leading zeros, dates and versions do not read as numbers.
        Ok(Value::Number(number)) if is_written_so(&number, text) => number.into(),
        _ => value,
    }
}

fn is_written_so(number: &serde_json::Number, text: &str) -> bool {
    let written = number.to_string();
    written == text
}

/// What only Langfuse knows, where the attributes are silent.
fn fill_in(span: &mut Span, json: &Value, metadata: Map<String, Value>) {
    let kind = match get(json, &["type"]).unwrap_or("SPAN") {
        // LangChain hands a tool its `inputs` as such; older exports have no kind for it.
        "SPAN" if metadata.contains_key("langgraph_node") && metadata.contains_key("inputs") => "TOOL",
        kind => kind,
    };
    span.fill("langfuse.observation.type", kind.to_lowercase());
    if kind == "GENERATION" || kind == "EMBEDDING" {
        if let Some(model) = get(json, &["model"]) {
            let known = ["gen_ai.request.model", "gen_ai.response.model", "llm.model_name"];
            if !known.iter().any(|key| span.attributes.contains_key(*key)) {
                span.set("gen_ai.request.model", model);
            }
        }
        let usage = match unpacked(&json["usageDetails"]) {
            usage if usage.is_empty() => unpacked(&json["usage_details"]),
            usage => usage,
        };
        let says = |span: &Span, part: &str| {
            span.attributes
                .keys()
                .any(|key| (key.contains("usage") || key.contains("token_count")) && key.contains(part))
        };
        let says_usage = ["input_tokens", "prompt_tokens", "promptTokens", "token_count.prompt"]
            .iter()
            .any(|part| says(span, part));
        if !says_usage {
            for (key, part) in
                [("gen_ai.usage.input_tokens", "input"), ("gen_ai.usage.output_tokens", "output")]
            {
                if let Some(n) = usage.get(part).and_then(Value::as_i64).filter(|n| *n > 0) {
                    span.set(key, n);
                }
            }
        }
        let cost = [&json["totalCost"], &json["total_cost"]]
            .into_iter()
            .find_map(Value::as_f64)
            .filter(|c| *c > 0.0);
        if let Some(cost) = cost {
            span.fill("gen_ai.usage.cost", cost);
        }
    }
    say_content(span, json, kind);
    for (key, value) in metadata {
        span.fill(&format!("langfuse.metadata.{key}"), value);
    }
}

/// By Langfuse's own name, unless another attribute says the same.
fn say(span: &mut Span, key: &str, content: String) {
    if !span.attributes.values().any(|value| value.as_str() == Some(&content)) {
        span.fill(key, content);
    }
}

/// What went in and came out: Langfuse takes it out of the attributes of many frameworks, though not of all.
fn say_content(span: &mut Span, json: &Value, kind: &str) {
    const ARGUMENTS: [&str; 6] = [
        "gen_ai.tool.call.arguments",
        "tool_arguments",
        "ai.toolCall.args",
        "input.value",
        "traceloop.entity.input",
        "tool.parameters",
    ];
    let content = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    };
    let is_tool = kind == "TOOL";
    if let Some(input) = content(&json["input"]) {
        if is_tool && !ARGUMENTS.iter().any(|key| span.attributes.contains_key(*key)) {
            span.set("gen_ai.tool.call.arguments", input);
        } else {
            say(span, "langfuse.observation.input", input);
        }
    }
    if let Some(output) = content(&json["output"]) {
        say(span, "langfuse.observation.output", output);
    }
}

fn of_score(json: &Value, trace_id: Option<&str>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let trace_id = get(json, &["traceId", "trace_id"]).or(trace_id);
    let session_id = get(json, &["sessionId", "session_id"]);
    let Some(metric) = get(json, &["name"]).filter(|_| trace_id.or(session_id).is_some()) else {
        return sink(Item::Rejected("a score without name or without trace and session".into()));
    };
    let number = json["value"].as_f64();
    let label = get(json, &["stringValue", "string_value"]).or_else(|| json["value"].as_str());
    let is_flag = get(json, &["dataType", "data_type"]) == Some("BOOLEAN");
    let judged_at =
        get(json, &["timestamp", "createdAt", "created_at"]).and_then(time::of_text).map(time::rfc3339);
    if number.is_none() && label.is_none() {
        return sink(Item::Rejected(format!("score {metric}: no value")));
    }
    sink(Item::Verdict(Verdict {
        trace_id: trace_id.map(id::trace),
        span_id: get(json, &["observationId", "observation_id"]).filter(|_| trace_id.is_some()).map(id::span),
        session_id: session_id.filter(|_| trace_id.is_none()).map(str::to_owned),
        metric: metric.to_owned(),
        label: label.map(str::to_owned),
        score: number,
        pass: is_flag.then(|| number.map(|n| n >= 0.5)).flatten(),
        evaluator: get(json, &["source"]).map(str::to_lowercase),
        explanation: get(json, &["comment"]).map(str::to_owned),
        judged_at,
    }))
}
