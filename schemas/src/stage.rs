//! Stage rules: which step of a request a span belongs to. The first rule that matches names the stage;
//! a span that matches none inherits its parent's; a root that matches none has its service's name.

use serde::Deserialize;

use crate::attr::{Attr, Value};
use crate::span::Span;

/// One configured rule. All conditions that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRule {
    pub stage: String,
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub scope: Option<String>,
    /// OpenTelemetry's span kind in lower case.
    #[serde(default)]
    pub kind: Option<String>,
    /// The span's name; a trailing `*` matches any rest.
    #[serde(default)]
    pub name: Option<String>,
    /// An attribute's name: it must exist, or match `value`.
    #[serde(default)]
    pub attribute: Option<String>,
    /// The attribute's value; a trailing `*` matches any rest.
    #[serde(default)]
    pub value: Option<String>,
}

impl StageRule {
    pub fn matches(&self, span: &Span<'_>) -> bool {
        let equal = |want: &Option<String>, got: &str| is_like(want.as_deref(), got);
        equal(&self.service, span.service)
            && equal(&self.scope, span.scope)
            && equal(&self.kind, span.kind.as_str())
            && equal(&self.name, span.name)
            && has_attribute(span, self.attribute.as_deref(), self.value.as_deref())
    }
}

/// Whether text matches what a rule wants, if it wants anything; a trailing `*` matches any rest.
pub(crate) fn is_like(want: Option<&str>, got: &str) -> bool {
    want.is_none_or(|want| pattern(want, got))
}

/// Whether the span has the attribute that a rule wants, if any, with the value that it wants, if any.
pub(crate) fn has_attribute(span: &Span<'_>, name: Option<&str>, value: Option<&str>) -> bool {
    name.is_none_or(|name| match span.named(name) {
        None => false,
        Some(Value::Str(s)) => is_like(value, s),
        Some(Value::Int(n)) => is_like(value, &n.to_string()),
        Some(Value::Double(x)) => is_like(value, &x.to_string()),
        Some(Value::Bool(b)) => is_like(value, if b { "true" } else { "false" }),
    })
}

fn pattern(want: &str, got: &str) -> bool {
    match want.strip_suffix('*') {
        Some(prefix) => got.starts_with(prefix),
        None => want == got,
    }
}

/// The stage that a span's own evidence names, by explicit attribute or semantic convention.
pub fn built_in<'a>(span: &Span<'a>) -> Option<&'a str> {
    if let Some(stage) = span.str(Attr::PlimsollStage).or_else(|| span.str(Attr::Stage)) {
        return Some(stage);
    }
    if span.str(Attr::AuthMethod).is_some() {
        return Some("authenticate");
    }
    if span.str(Attr::PolicyDecision).is_some() || span.str(Attr::GuardrailName).is_some() {
        return Some("authorize");
    }
    let mcp = span.str(Attr::McpMethodName);
    match span.str(Attr::GenAiOperationName) {
        Some("plan") => return Some("plan"),
        // A link of a chain is part of whatever called for it.
        Some("invoke_workflow") if span.parent_span_id.is_some() && is_link(span) => {}
        Some("invoke_agent" | "create_agent" | "invoke_workflow") => {
            let planner = span.str(Attr::GenAiAgentName).is_some_and(|name| name.starts_with("plan"));
            return Some(if planner { "plan" } else { "agent" });
        }
        Some("chat" | "generate_content" | "text_completion") => return Some("inference"),
        Some("embeddings" | "retrieval") => return Some("retrieval"),
        Some("execute_tool") => return Some("execute"),
        _ => {}
    }
    match mcp {
        Some("tools/call") => return Some("execute"),
        Some(_) => return Some("gateway"),
        None => {}
    }
    if is_tool_call(span) {
        return Some("execute");
    }
    if is_model_call(span) {
        return Some("inference");
    }
    match span.str(Attr::OpenInferenceKind) {
        Some("RERANKER") => return Some("retrieval"),
        Some("GUARDRAIL") => return Some("authorize"),
        _ => {}
    }
    if span.double(Attr::TimeInQueue).is_some() || span.double(Attr::TimeInModelInference).is_some() {
        return Some("inference");
    }
    if span.service.ends_with("gateway") {
        return Some("gateway");
    }
    NAMES.iter().find(|(prefix, _)| span.name.starts_with(prefix)).map(|(_, stage)| *stage)
}

/// Whether the span is the execution of a tool.
pub fn is_tool_call(span: &Span<'_>) -> bool {
    span.str(Attr::GenAiOperationName) == Some("execute_tool")
        || span.str(Attr::McpMethodName) == Some("tools/call")
}

/// Whether the span is a model at work on a prompt.
pub fn is_model_call(span: &Span<'_>) -> bool {
    match span.str(Attr::GenAiOperationName) {
        Some(operation) => matches!(operation, "chat" | "generate_content" | "text_completion"),
        // A request's model alone proves nothing: agents carry it too.
        None => span.str(Attr::GenAiRequestModel).is_some() && span.str(Attr::GenAiResponseModel).is_some(),
    }
}

/// Whether it is one of the steps that LangChain calls a chain.
fn is_link(span: &Span<'_>) -> bool {
    span.str(Attr::OpenInferenceKind) == Some("CHAIN")
}

/// Evidence by the span's name alone, where no convention has an attribute for it.
const NAMES: &[(&str, &str)] = &[
    ("authenticate", "authenticate"),
    ("authorize", "authorize"),
    ("record", "record"),
    ("resume", "record"),
    // vLLM, where it reports its phases as spans and no numbers.
    ("llm_request", "inference"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{SpanKind, StatusCode};
    use crate::{DurationNs, SpanId, UnixNanos};

    fn check(name: &str, attributes: &[(Attr, &'static str)], expected: Option<&str>) {
        let attributes = attributes.iter().map(|(attr, text)| (*attr, Value::Str(text))).collect();
        let span = Span {
            span_id: SpanId::from_bytes([1; 8]),
            parent_span_id: None,
            start: UnixNanos(0),
            duration: DurationNs(1),
            name,
            kind: SpanKind::Internal,
            status: StatusCode::Unset,
            status_message: "",
            service: "svc",
            scope: "",
            attributes,
            other_attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            adjusted_count: None,
        };
        assert_eq!(built_in(&span), expected, "{name}");
    }

    #[test]
    fn explicit_words_come_first() {
        let operation = (Attr::GenAiOperationName, "chat");
        check("both", &[(Attr::Stage, "mine"), operation], Some("mine"));
        check("the convention", &[operation], Some("inference"));
    }

    #[test]
    fn every_operation_has_its_stage() {
        use Attr::*;
        check("semconv agent", &[(GenAiOperationName, "invoke_agent")], Some("agent"));
        check("planner", &[(GenAiOperationName, "invoke_agent"), (GenAiAgentName, "planner")], Some("plan"));
        check("semconv tool", &[(GenAiOperationName, "execute_tool")], Some("execute"));
        check("embeddings", &[(GenAiOperationName, "embeddings")], Some("retrieval"));
        check("mcp call", &[(McpMethodName, "tools/call")], Some("execute"));
        check("mcp list", &[(McpMethodName, "tools/list")], Some("gateway"));
        check("reranker", &[(OpenInferenceKind, "RERANKER")], Some("retrieval"));
        check("no operation", &[(GenAiRequestModel, "m"), (GenAiResponseModel, "m")], Some("inference"));
        check("agent with a model", &[(GenAiRequestModel, "m")], None);
        check("policy", &[(PolicyDecision, "allow")], Some("authorize"));
        check("authn", &[(AuthMethod, "oidc")], Some("authenticate"));
        check("resume run", &[], Some("record"));
        check("authorize tool", &[], Some("authorize"));
        check("anything", &[], None);
    }
}
