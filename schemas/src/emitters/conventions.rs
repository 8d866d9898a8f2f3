//! OpenTelemetry's own conventions: names that were deprecated, and values of another type than the convention's.

use super::{Alias, Emitter, Named, Reading, alias, named};
use crate::attr::Attr;

pub const OPENTELEMETRY: Emitter = Emitter {
    name: "OpenTelemetry",
    aliases: ALIASES,
    names: NAMES,
    queue_spans: WAITS,
    load_spans: LOADS,
    queue_events: EVENTS,
    ..Emitter::NONE
};

const ALIASES: &[Alias] = &[
    // What decides over the rest of a span is always noted.
    alias("gen_ai.operation.name", Attr::GenAiOperationName, Reading::Operation),
    alias("gen_ai.tool.name", Attr::GenAiToolName, Reading::Name),
    alias("gen_ai.agent.name", Attr::GenAiAgentName, Reading::Name),
    alias("mcp.method.name", Attr::McpMethodName, Reading::Name),
    // Numbers that come as text, or whole ones as doubles.
    alias("gen_ai.usage.input_tokens", Attr::GenAiUsageInputTokens, Reading::Number),
    alias("gen_ai.usage.output_tokens", Attr::GenAiUsageOutputTokens, Reading::Number),
    alias("gen_ai.usage.cache_read.input_tokens", Attr::GenAiUsageCacheReadInputTokens, Reading::Number),
    alias(
        "gen_ai.usage.cache_creation.input_tokens",
        Attr::GenAiUsageCacheCreationInputTokens,
        Reading::Number,
    ),
    alias("gen_ai.usage.reasoning.output_tokens", Attr::GenAiUsageReasoningOutputTokens, Reading::Number),
    alias("gen_ai.usage.cost", Attr::GenAiUsageCost, Reading::Number),
    alias("gen_ai.response.time_to_first_chunk", Attr::GenAiResponseTimeToFirstChunk, Reading::Number),
    alias("http.response.status_code", Attr::HttpStatusCode, Reading::Number),
    alias("http.request.resend_count", Attr::HttpResendCount, Reading::Number),
    alias("rpc.grpc.status_code", Attr::RpcGrpcStatusCode, Reading::Number),
    alias("server.port", Attr::ServerPort, Reading::Number),
    // Deprecated names.
    alias("gen_ai.system", Attr::GenAiProviderName, Reading::Provider),
    alias("gen_ai.usage.prompt_tokens", Attr::GenAiUsageInputTokens, Reading::Number),
    alias("gen_ai.usage.completion_tokens", Attr::GenAiUsageOutputTokens, Reading::Number),
    alias("gen_ai.usage.cache_read_input_tokens", Attr::GenAiUsageCacheReadInputTokens, Reading::Number),
    alias(
        "gen_ai.usage.cache_creation_input_tokens",
        Attr::GenAiUsageCacheCreationInputTokens,
        Reading::Number,
    ),
    alias("gen_ai.usage.reasoning_tokens", Attr::GenAiUsageReasoningOutputTokens, Reading::Number),
    alias("gen_ai.openai.response.system_fingerprint", Attr::OpenAiSystemFingerprint, Reading::Text),
    alias("http.status_code", Attr::HttpStatusCode, Reading::Number),
    alias("http.method", Attr::HttpRequestMethod, Reading::Text),
    alias("net.peer.name", Attr::ServerAddress, Reading::Text),
    alias("net.peer.port", Attr::ServerPort, Reading::Number),
    alias("db.system", Attr::DbSystemName, Reading::Text),
    alias("enduser.id", Attr::UserId, Reading::Text),
    // The task of an experiment.
    alias("task.id", Attr::PlimsollTaskId, Reading::Text),
    alias("gen_ai.task.id", Attr::PlimsollTaskId, Reading::Text),
];

const NAMES: &[Named] =
    &[named("", "invoke_agent *", "invoke_agent"), named("", "execute_tool *", "execute_tool")];

/// Plain words for it, by whomever.
const WAITS: &[&str] = &["queue", "queue_wait", "queue.wait", "waiting_in_queue"];
const LOADS: &[&str] = &["cold_start", "load_adapter", "load_model", "load_weights", "model_load"];
const EVENTS: &[(&str, &str)] = &[("queue.start", "queue.end"), ("enqueued", "dequeued")];
