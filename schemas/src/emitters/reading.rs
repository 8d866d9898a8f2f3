//! How the value of an attribute is read as another attribute's.

use chrono::{DateTime, NaiveDateTime};

use crate::attr::{Attr, AttrType, Value};

/// In which words, type or unit the value comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Text,
    /// A whole or broken number, or text that is one.
    Number,
    /// Milliseconds, for a column in seconds.
    Milliseconds,
    /// `1.25ms`, for a column in seconds.
    DurationText,
    /// A point in time, for a column in Unix nanoseconds; without an offset it is UTC.
    Rfc3339,
    /// A word for what is done.
    Operation,
    /// Whose model it is.
    Provider,
    /// What decides over the rest of the span.
    Name,
    /// What a tool was called with.
    Arguments,
    MessagingOperation,
    /// Counts attempts from one where the column counts resends.
    Attempt,
    /// Envoy's letters for what went wrong.
    ResponseFlags,
}

/// Arguments tell one call from another; longer ones are left where they are.
const ARGUMENTS_BYTES_MAX: usize = 4096;

impl Reading {
    /// The value for the column of `target`; `None` where it says nothing.
    pub fn read<'a>(self, value: Value<'a>, target: Attr) -> Option<Value<'a>> {
        let text = match value {
            Value::Str(text) => Some(text.trim()).filter(|t| !t.is_empty()),
            _ => None,
        };
        match self {
            Self::Text | Self::Name | Self::Operation => text.map(Value::Str),
            Self::Arguments => text.filter(|t| t.len() <= ARGUMENTS_BYTES_MAX).map(Value::Str),
            Self::Number => number(value, target),
            Self::Milliseconds => double(value).map(|ms| Value::Double(ms / 1e3)),
            Self::DurationText => seconds(text?).map(Value::Double),
            Self::Rfc3339 => unix_nano(text?).map(Value::Int),
            Self::Provider => provider(text?).map(Value::Str),
            Self::MessagingOperation => messaging_operation(text?).map(Value::Str),
            Self::Attempt => match number(value, target)? {
                Value::Int(n) if n > 0 => Some(Value::Int(n - 1)),
                _ => None,
            },
            Self::ResponseFlags => response_flags(text?).map(Value::Str),
        }
    }
}

fn double(value: Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Double(x) => x,
        Value::Int(n) => n as f64,
        Value::Str(text) => text.trim().parse().ok()?,
        Value::Bool(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// Of the column's type.
fn number<'a>(value: Value<'_>, target: Attr) -> Option<Value<'a>> {
    match (target.info().kind, value) {
        (AttrType::Int, Value::Int(n)) => Some(Value::Int(n)),
        (AttrType::Int, Value::Str(text)) if text.trim().parse::<i64>().is_ok() => {
            text.trim().parse().ok().map(Value::Int)
        }
        // Whole, and as large as a double counts without a gap.
        (AttrType::Int, value) => {
            double(value).filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| Value::Int(x as i64))
        }
        _ => double(value).map(Value::Double),
    }
}

/// `1.25ms`, `55.2µs`, `900ns`, `3s`: as Rust writes durations.
fn seconds(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let unit = match &text[end..] {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" | "μs" | "us" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    text[..end].parse::<f64>().ok().map(|n| n * unit)
}

fn unix_nano(text: &str) -> Option<i64> {
    let text = text.replacen(' ', "T", 1);
    let time = DateTime::parse_from_rfc3339(&text).ok().map(|t| t.to_utc());
    let naive = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|t| t.and_utc());
    time.or_else(naive)?.timestamp_nanos_opt().filter(|n| *n > 0)
}

/// The operations of the conventions, those of newer drafts included.
const OPERATIONS: &[&str] = &[
    "chat",
    "generate_content",
    "text_completion",
    "embeddings",
    "retrieval",
    "create_agent",
    "invoke_agent",
    "execute_tool",
    "invoke_workflow",
    "plan",
];

/// Words for operations by others. An empty operation is none.
const WORDS: &[(&str, &str)] = &[
    ("llm", "chat"),
    ("model", "chat"),
    ("chat_model", "chat"),
    ("chat.completions", "chat"),
    ("text.completions", "text_completion"),
    ("model_generation", "chat"),
    ("llm_generation", "chat"),
    ("llm_request", "chat"),
    ("generation", "chat"),
    ("chat_completion", "chat"),
    ("completion", "text_completion"),
    ("embedding", "embeddings"),
    ("embed", "embeddings"),
    ("retriever", "retrieval"),
    ("vector_db_retrieve", "retrieval"),
    ("tool", "execute_tool"),
    ("tool.v2", "execute_tool"),
    ("function", "execute_tool"),
    ("tool_call", "execute_tool"),
    ("mcp_tool_call", "execute_tool"),
    ("agent", "invoke_agent"),
    ("agent_run", "invoke_agent"),
    ("workflow", "invoke_workflow"),
    ("workflow_run", "invoke_workflow"),
    ("flow", "invoke_workflow"),
    ("chain", "invoke_workflow"),
    ("ai.generatetext", "invoke_agent"),
    ("ai.streamtext", "invoke_agent"),
    ("ai.generateobject", "invoke_agent"),
    ("ai.streamobject", "invoke_agent"),
    ("ai.generatetext.dogenerate", "chat"),
    ("ai.streamtext.dostream", "chat"),
    ("ai.generateobject.dogenerate", "chat"),
    ("ai.streamobject.dostream", "chat"),
    ("ai.embed.doembed", "embeddings"),
    ("ai.embedmany.doembed", "embeddings"),
    ("ai.toolcall", "execute_tool"),
    ("task", ""),
    ("execute_task", ""),
    ("prompt", ""),
    ("parser", ""),
    ("framework", ""),
    ("unknown", ""),
];

/// The conventional word for an operation: `Some("")` where the word is none, `None` where it is not known.
pub(super) fn operation(word: &str) -> Option<&'static str> {
    // MLflow's are JSON.
    let word = word.trim_matches('"');
    if let Some(operation) = OPERATIONS.iter().find(|o| **o == word) {
        return Some(operation);
    }
    WORDS.iter().find(|(other, _)| word.eq_ignore_ascii_case(other)).map(|(_, operation)| *operation)
}

/// Providers by what else they are called; of names with a dot, such as `openai.responses`, the first part will do.
const PROVIDERS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("cohere", "cohere"),
    ("deepseek", "deepseek"),
    ("groq", "groq"),
    ("perplexity", "perplexity"),
    ("mistral", "mistral_ai"),
    ("mistralai", "mistral_ai"),
    ("mistral_ai", "mistral_ai"),
    ("xai", "x_ai"),
    ("x_ai", "x_ai"),
    ("aws", "aws.bedrock"),
    ("bedrock", "aws.bedrock"),
    ("aws_bedrock", "aws.bedrock"),
    ("amazon_bedrock", "aws.bedrock"),
    ("amazon-bedrock", "aws.bedrock"),
    ("azure", "azure.ai.openai"),
    ("azure_openai", "azure.ai.openai"),
    ("azure-openai", "azure.ai.openai"),
    ("az.ai.openai", "azure.ai.openai"),
    ("az.ai.inference", "azure.ai.inference"),
    ("azure_ai", "azure.ai.inference"),
    ("google", "gcp.gen_ai"),
    ("google_genai", "gcp.gen_ai"),
    ("gemini", "gcp.gemini"),
    ("google.generative-ai", "gcp.gemini"),
    ("google.vertex", "gcp.vertex_ai"),
    ("google_vertexai", "gcp.vertex_ai"),
    ("vertexai", "gcp.vertex_ai"),
    ("vertex_ai", "gcp.vertex_ai"),
    ("gcp.vertex.agent", "gcp.vertex_ai"),
    ("watsonx", "ibm.watsonx.ai"),
    ("ibm", "ibm.watsonx.ai"),
    // A library, and no one's model.
    ("langchain", ""),
];

fn provider(name: &str) -> Option<&str> {
    let known =
        |name: &str| PROVIDERS.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map(|(_, p)| *p);
    let (two, one) = (name.match_indices('.').nth(1), name.split_once('.'));
    // Those of the conventions have dots themselves.
    let is_conventional = ["aws.", "azure.", "gcp.", "ibm."].iter().any(|begin| name.starts_with(begin));
    let shorter = || two.and_then(|(at, _)| known(&name[..at])).or_else(|| known(one?.0));
    let found = known(name).or_else(|| if is_conventional { None } else { shorter() });
    Some(found.unwrap_or(name)).filter(|p| !p.is_empty())
}

fn messaging_operation(word: &str) -> Option<&'static str> {
    Some(match word {
        "publish" | "send" => "send",
        "deliver" | "process" => "process",
        "create" => "create",
        "receive" | "poll" => "receive",
        "settle" | "ack" | "nack" | "reject" | "commit" => "settle",
        _ => return None,
    })
}

/// Envoy's, in the order of what tells most: several may be set.
const RESPONSE_FLAGS: &[(&str, &str)] = &[
    ("UO", "upstream_overflow"),
    ("OM", "overload_manager"),
    ("RL", "rate_limited"),
    ("RLSE", "rate_limit_service_error"),
    ("DC", "downstream_cancelled"),
    ("UT", "upstream_timeout"),
    ("DT", "duration_timeout"),
    ("SI", "stream_idle_timeout"),
    ("UMSDR", "upstream_max_stream_duration_timeout"),
    ("UF", "upstream_connection_failure"),
    ("UC", "upstream_connection_termination"),
    ("UH", "no_healthy_upstream"),
    ("UR", "upstream_remote_reset"),
    ("URX", "upstream_retry_limit_exceeded"),
    ("UPE", "upstream_protocol_error"),
    ("LR", "connection_local_reset"),
    ("NR", "route_not_found"),
    ("NC", "upstream_cluster_not_found"),
    ("UAEX", "unauthorized"),
    ("IH", "invalid_envoy_request_headers"),
    ("DPE", "invalid_downstream_protocol"),
];

fn response_flags(flags: &str) -> Option<&'static str> {
    RESPONSE_FLAGS.iter().find(|(flag, _)| flags.split(',').any(|f| f.trim() == *flag)).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_any_type_and_never_rounded() {
        let int = |value| Reading::Number.read(value, Attr::GenAiUsageInputTokens);
        assert_eq!(int(Value::Str("3004")), Some(Value::Int(3004)));
        assert_eq!(int(Value::Double(12.0)), Some(Value::Int(12)));
        assert_eq!(int(Value::Double(12.5)), None);
        assert_eq!(int(Value::Str("9223372036854775807")), Some(Value::Int(i64::MAX)));
        assert_eq!(int(Value::Str("NaN")), None);
        assert_eq!(int(Value::Bool(true)), None);
        let seconds = |reading: Reading, value| reading.read(value, Attr::TimeInQueue);
        assert_eq!(seconds(Reading::Milliseconds, Value::Int(1500)), Some(Value::Double(1.5)));
        assert_eq!(seconds(Reading::DurationText, Value::Str("1.5ms")), Some(Value::Double(0.0015)));
        assert_eq!(seconds(Reading::DurationText, Value::Str("2s")), Some(Value::Double(2.0)));
        for odd in ["", "ms", "1.5", "1.5 parsecs", "-1s"] {
            assert_eq!(seconds(Reading::DurationText, Value::Str(odd)), None, "{odd}");
        }
    }

    #[test]
    fn times_without_an_offset_are_utc() {
        let at = |text| Reading::Rfc3339.read(Value::Str(text), Attr::NotBefore);
        assert_eq!(at("1970-01-01T00:00:02+00:00"), Some(Value::Int(2_000_000_000)));
        assert_eq!(at("1970-01-01T01:00:02.5+01:00"), Some(Value::Int(2_500_000_000)));
        assert_eq!(at("1970-01-01 00:00:02"), Some(Value::Int(2_000_000_000)));
        assert_eq!(at("tomorrow"), None);
    }

    #[test]
    fn providers_have_the_conventions_names() {
        for (name, expected) in [
            ("OpenAI", Some("openai")),
            ("openai.responses", Some("openai")),
            ("google.vertex.chat", Some("gcp.vertex_ai")),
            ("google.generative-ai", Some("gcp.gemini")),
            ("gcp.vertex.agent", Some("gcp.vertex_ai")),
            ("aws.bedrock", Some("aws.bedrock")),
            ("azure.ai.inference", Some("azure.ai.inference")),
            ("az.ai.openai", Some("azure.ai.openai")),
            ("microsoft.agent_framework", Some("microsoft.agent_framework")),
            ("ollama", Some("ollama")),
            ("langchain", None),
        ] {
            assert_eq!(provider(name), expected, "{name}");
        }
    }

    #[test]
    fn flags_say_what_went_wrong() {
        assert_eq!(response_flags("UF,URX"), Some("upstream_connection_failure"));
        assert_eq!(response_flags("URX,UO"), Some("upstream_overflow"));
        assert_eq!(response_flags("-"), None);
    }
}
