//! Agent frameworks and what instruments them.

use super::{Emitter, Reading, alias, named};
use crate::attr::Attr;

/// Arize's conventions, which also stand for Agno, CrewAI, LlamaIndex, the OpenAI Agents SDK and others through their
/// instrumentations. Read at 0.1.42.
pub const OPENINFERENCE: Emitter = Emitter {
    name: "OpenInference",
    aliases: &[
        alias("openinference.span.kind", Attr::GenAiOperationName, Reading::Operation),
        alias("llm.model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("llm.request.model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("embedding.model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("reranker.model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("llm.response.model_name", Attr::GenAiResponseModel, Reading::Text),
        alias("llm.provider", Attr::GenAiProviderName, Reading::Provider),
        alias("llm.system", Attr::GenAiProviderName, Reading::Provider),
        alias("llm.token_count.prompt", Attr::GenAiUsageInputTokens, Reading::Number),
        alias("llm.token_count.completion", Attr::GenAiUsageOutputTokens, Reading::Number),
        alias(
            "llm.token_count.prompt_details.cache_read",
            Attr::GenAiUsageCacheReadInputTokens,
            Reading::Number,
        ),
        alias(
            "llm.token_count.prompt_details.cache_write",
            Attr::GenAiUsageCacheCreationInputTokens,
            Reading::Number,
        ),
        alias(
            "llm.token_count.completion_details.reasoning",
            Attr::GenAiUsageReasoningOutputTokens,
            Reading::Number,
        ),
        alias("llm.cost.total", Attr::GenAiUsageCost, Reading::Number),
        alias("tool.name", Attr::GenAiToolName, Reading::Name),
        alias("tool.id", Attr::GenAiToolCallId, Reading::Text),
        alias("tool_call.id", Attr::GenAiToolCallId, Reading::Text),
        alias("tool.parameters", Attr::GenAiToolCallArguments, Reading::Arguments),
        alias("input.value", Attr::GenAiToolCallArguments, Reading::Arguments),
        alias("agent.name", Attr::GenAiAgentName, Reading::Name),
        alias("graph.node.id", Attr::GenAiAgentName, Reading::EntityName),
    ],
    ..Emitter::NONE
};

/// Traceloop's instrumentations. Read at 0.5.1.
pub const OPENLLMETRY: Emitter = Emitter {
    name: "OpenLLMetry",
    aliases: &[
        alias("traceloop.span.kind", Attr::GenAiOperationName, Reading::Operation),
        alias("llm.request.type", Attr::GenAiOperationName, Reading::Operation),
        alias("traceloop.entity.name", Attr::GenAiToolName, Reading::EntityName),
        alias("traceloop.entity.name", Attr::GenAiAgentName, Reading::EntityName),
        alias("traceloop.entity.input", Attr::GenAiToolCallArguments, Reading::Arguments),
        alias("traceloop.workflow.name", Attr::GenAiWorkflowName, Reading::Text),
        alias("traceloop.association.properties.session_id", Attr::SessionId, Reading::Text),
        alias("traceloop.association.properties.thread_id", Attr::SessionId, Reading::Text),
        alias("traceloop.association.properties.user_id", Attr::UserId, Reading::Text),
    ],
    ..Emitter::NONE
};

/// Its outer spans loop over model calls and tools, as agents do; the spans that end in `.doGenerate` and the like are the
/// calls. Read at 5.0.
pub const VERCEL: Emitter = Emitter {
    name: "Vercel AI SDK",
    aliases: &[
        alias("ai.operationId", Attr::GenAiOperationName, Reading::Operation),
        alias("ai.model.id", Attr::GenAiRequestModel, Reading::Text),
        alias("ai.response.model", Attr::GenAiResponseModel, Reading::Text),
        alias("ai.response.id", Attr::GenAiResponseId, Reading::Text),
        alias("ai.model.provider", Attr::GenAiProviderName, Reading::Provider),
        alias("ai.usage.inputTokens", Attr::GenAiUsageInputTokens, Reading::Number),
        alias("ai.usage.promptTokens", Attr::GenAiUsageInputTokens, Reading::Number),
        alias("ai.usage.tokens", Attr::GenAiUsageInputTokens, Reading::Number),
        alias("ai.usage.outputTokens", Attr::GenAiUsageOutputTokens, Reading::Number),
        alias("ai.usage.completionTokens", Attr::GenAiUsageOutputTokens, Reading::Number),
        alias("ai.usage.cachedInputTokens", Attr::GenAiUsageCacheReadInputTokens, Reading::Number),
        alias("ai.usage.reasoningTokens", Attr::GenAiUsageReasoningOutputTokens, Reading::Number),
        alias("ai.response.msToFirstChunk", Attr::GenAiResponseTimeToFirstChunk, Reading::Milliseconds),
        alias("ai.toolCall.name", Attr::GenAiToolName, Reading::Name),
        alias("ai.toolCall.id", Attr::GenAiToolCallId, Reading::Text),
        alias("ai.toolCall.args", Attr::GenAiToolCallArguments, Reading::Arguments),
        alias("ai.telemetry.functionId", Attr::GenAiAgentName, Reading::EntityName),
        alias("ai.telemetry.metadata.sessionId", Attr::SessionId, Reading::Text),
        alias("ai.telemetry.metadata.userId", Attr::UserId, Reading::Text),
    ],
    ..Emitter::NONE
};

/// Its tools carry a name and no operation; the model of its agents is in `model_name`, as Triton's is. Read at 1.27.
pub const PYDANTIC_AI: Emitter = Emitter {
    name: "pydantic-ai",
    aliases: &[
        alias("agent_name", Attr::GenAiAgentName, Reading::Name),
        alias("operation.cost", Attr::GenAiUsageCost, Reading::Number),
        alias("tool_arguments", Attr::GenAiToolCallArguments, Reading::Arguments),
    ],
    names: &[
        named("pydantic-ai", "agent run", "invoke_agent"),
        named("pydantic-ai", "* run", "invoke_agent"),
        named("pydantic-ai", "running tool: *", "execute_tool"),
        named("pydantic-ai", "running tool", "execute_tool"),
    ],
    ..Emitter::NONE
};

/// Its span over the calls of one turn, `execute_tool (merged tools)`, is no call: see [`super::said`]. Read at 2.13.0.
pub const GOOGLE_ADK: Emitter = Emitter {
    name: "Google ADK",
    aliases: &[
        alias("gcp.vertex.agent.tool_call_args", Attr::GenAiToolCallArguments, Reading::Arguments),
        alias("gcp.vertex.agent.session_id", Attr::SessionId, Reading::Text),
        alias("gcp.mcp.server.destination.id", Attr::McpServerName, Reading::Text),
    ],
    names: &[
        named("gcp.vertex.agent", "call_llm", "generate_content"),
        named("gcp.vertex.agent", "invocation", "invoke_workflow"),
        named("", "agent_run [*]", "invoke_agent"),
    ],
    ..Emitter::NONE
};

/// Read at 1.62.0; before 1.0 it named its spans in words.
pub const STRANDS: Emitter = Emitter {
    name: "AWS Strands",
    aliases: &[
        alias("tool.call_id", Attr::GenAiToolCallId, Reading::Text),
        alias(
            "gen_ai.server.time_to_first_token",
            Attr::GenAiResponseTimeToFirstChunk,
            Reading::Milliseconds,
        ),
    ],
    names: &[
        named("strands", "Model invoke", "chat"),
        named("strands", "Tool: *", "execute_tool"),
        named("strands", "Agent: *", "invoke_agent"),
    ],
    ..Emitter::NONE
};

/// LangChain and LangGraph by LangSmith's own exporter.
pub const LANGSMITH: Emitter = Emitter {
    name: "LangSmith",
    aliases: &[
        alias("langsmith.span.kind", Attr::GenAiOperationName, Reading::Operation),
        alias("langsmith.metadata.ls_model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("langsmith.metadata.ls_provider", Attr::GenAiProviderName, Reading::Provider),
        alias("langsmith.metadata.session_id", Attr::SessionId, Reading::Text),
        alias("langsmith.metadata.thread_id", Attr::SessionId, Reading::Text),
        alias("langsmith.metadata.user_id", Attr::UserId, Reading::Text),
    ],
    names: &[named("", "LangGraph", "invoke_workflow")],
    retry_markers: &["model_retry"],
    ..Emitter::NONE
};

/// What it sends by itself is telemetry of the product; through OpenInference it sends more. Read at 1.15.30.
pub const CREWAI: Emitter = Emitter {
    name: "CrewAI",
    aliases: &[alias("tool_name", Attr::GenAiToolName, Reading::EntityName)],
    names: &[named("crewai", "Tool Usage", "execute_tool")],
    retry_markers: &["Tool Repeated Usage"],
    ..Emitter::NONE
};

/// Its SDK's attributes, on spans of any framework.
pub const LANGFUSE: Emitter = Emitter {
    name: "Langfuse SDK",
    aliases: &[
        alias("langfuse.observation.type", Attr::GenAiOperationName, Reading::Operation),
        alias("langfuse.observation.model.name", Attr::GenAiRequestModel, Reading::Text),
        alias("langfuse.session.id", Attr::SessionId, Reading::Text),
        alias("langfuse.user.id", Attr::UserId, Reading::Text),
    ],
    ..Emitter::NONE
};
