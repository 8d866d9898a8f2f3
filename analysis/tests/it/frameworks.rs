//! Real traces of ten agent frameworks (Langfuse's test data, MIT), each in its own dialect: what is found in their raw
//! attributes without any configuration. Where nothing is found (LangGraph by Langfuse's callbacks) there are none: what only
//! Langfuse knows is for `import` to say.

use std::path::{Path, PathBuf};

use plimsoll_analysis::analyse;
use plimsoll_schemas::emitters::{self, About, Said};
use plimsoll_schemas::{Attr, AttrType, DurationNs, Rules, Span, UnixNanos, Value};
use serde_json::Value as Json;

use crate::testing;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/langfuse-framework-traces")
}

/// The runs of stages `inference` and `execute`, and the tokens in and out.
fn check(name: &str, inference: usize, execute: usize, tokens: (i64, i64)) {
    let path = folder().join(format!("{name}.trace.json"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is missing", path.display());
        return;
    };
    let trace: Json = serde_json::from_str(&text).expect("JSON");
    let observations: Vec<Read> =
        trace["observations"].as_array().expect("a list").iter().map(Read::new).collect();
    let spans: Vec<Span<'_>> = observations.iter().map(Read::span).collect();
    let rules = Rules::default();
    let answer = analyse(&spans, &rules);
    let runs = |stage| answer.runs.iter().filter(|r| r.stage == stage).count();
    assert_eq!((runs("inference"), runs("execute")), (inference, execute), "{name}");
    let sum = |of: fn(&plimsoll_analysis::Tokens) -> Option<i64>| -> i64 {
        answer.runs.iter().filter_map(|r| of(&r.tokens)).sum()
    };
    assert_eq!((sum(|t| t.input), sum(|t| t.output)), tokens, "{name}");
    assert!(answer.groups.is_empty(), "{name}: nothing failed, nothing was repeated with the same arguments");
    for (span, answer) in spans.iter().zip(&answer.spans) {
        assert_eq!(answer.time.total(), span.duration);
    }
    let path: DurationNs = answer.critical_path.iter().map(|p| p.duration).sum();
    assert_eq!(path, spans[answer.root.expect("a root")].duration, "{name}");
}

#[test]
fn every_framework_in_its_dialect() {
    check("agno-2025-06-11", 2, 1, (0, 0));
    check("claude-agent-2025-12-22", 4, 2, (0, 0));
    check("crewai-2025-07-11", 1, 0, (190, 164));
    check("csharp-agent-with-gemini-2026-03-09", 3, 2, (8047, 414));
    check("google-adk-2025-08-28", 2, 1, (67, 9));
    check("langgraph-python-2025-08-22", 0, 0, (0, 0));
    check("microsoft-agent-2025-12-17", 2, 1, (293, 106));
    check("openai-agents-2025-09-30", 2, 1, (140, 44));
    check("pydantic-ai-tools-2025-12-04", 4, 3, (1315, 209));
    check("vercel-aisdk-2025-11-17", 1, 1, (62, 85));
}

/// One observation, with its attributes as text.
struct Read<'j> {
    json: &'j Json,
    service: String,
    scope: String,
    attributes: Vec<(String, String)>,
}

impl<'j> Read<'j> {
    fn new(json: &'j Json) -> Self {
        let metadata = unpacked(&json["metadata"]);
        let resource = unpacked(&metadata["resourceAttributes"]);
        let attributes = match unpacked(&metadata["attributes"]) {
            Json::Object(map) => map.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            _ => Vec::new(),
        };
        let scope = text(&unpacked(&metadata["scope"])["name"]);
        Self { json, service: text(&resource["service.name"]), scope, attributes }
    }

    /// The span as the doors make it.
    fn span(&self) -> Span<'_> {
        let id = |field: &str| self.json[field].as_str().and_then(|id| id.parse().ok());
        let mut span: Span<'_> = testing::span(1, 0, 0);
        span.span_id = id("id").expect("a span id");
        span.parent_span_id = id("parentObservationId");
        span.start = UnixNanos(nanos(&self.json["startTime"]));
        span.duration = DurationNs(nanos(&self.json["endTime"]) - span.start.0);
        span.name = self.json["name"].as_str().expect("a name");
        span.service = &self.service;
        let mut said = Said::default();
        for (name, text) in &self.attributes {
            let Some(key) = emitters::key(name.as_bytes()) else { continue };
            let operation = key.column == Some(Attr::GenAiOperationName);
            let kept = key.column.filter(|_| !operation);
            if let Some(attr) = kept {
                let value = match attr.info().kind {
                    AttrType::Keyword | AttrType::Text => Some(Value::Str(text)),
                    AttrType::Int => text.parse().ok().map(Value::Int),
                    AttrType::Double => text.parse().ok().map(Value::Double),
                    AttrType::Bool => text.parse().ok().map(Value::Bool),
                };
                span.attributes.extend(value.map(|value| (attr, value)));
            }
            said.note(key, kept.is_some(), || Some(Value::Str(text)));
        }
        let about = About { scope: &self.scope, name: span.name };
        said.resolve(about, |attr, value| {
            let is_free = span.attributes.get(attr).is_none();
            if is_free {
                span.attributes.insert(attr, value);
            }
            is_free
        });
        span
    }
}

/// Objects come as such or as JSON in a string.
fn unpacked(json: &Json) -> Json {
    match json {
        Json::String(text) => serde_json::from_str(text).unwrap_or(Json::Null),
        json => json.clone(),
    }
}

fn text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// `2025-06-11T14:01:32.598Z`, as nanoseconds of its day: no trace here passes midnight.
fn nanos(json: &Json) -> i64 {
    let (_, time) = json.as_str().and_then(|t| t.split_once('T')).expect("a time");
    let seconds = time
        .trim_end_matches('Z')
        .split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("a number"));
    (seconds * 1e3).round() as i64 * 1_000_000
}
