//! Agent frameworks and what instruments them.

use super::{AGENT, Emitter, MODEL, Reading, TOOL, alias, named};
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
        alias("tool.parameters", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
        alias("input.value", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
        alias("agent.name", Attr::GenAiAgentName, Reading::Name),
        alias("graph.node.id", Attr::GenAiAgentName, Reading::Text).of(AGENT),
    ],
    ..Emitter::NONE
};

/// Traceloop's instrumentations. Read at 0.5.1.
pub const OPENLLMETRY: Emitter = Emitter {
    name: "OpenLLMetry",
    aliases: &[
        alias("traceloop.span.kind", Attr::GenAiOperationName, Reading::Operation),
        alias("llm.request.type", Attr::GenAiOperationName, Reading::Operation),
        alias("traceloop.entity.name", Attr::GenAiToolName, Reading::Text).of(TOOL),
        alias("traceloop.entity.name", Attr::GenAiAgentName, Reading::Text).of(AGENT),
        alias("traceloop.entity.input", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
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
        alias("ai.toolCall.args", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
        alias("ai.telemetry.functionId", Attr::GenAiAgentName, Reading::Text).of(AGENT),
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
        alias("tool_arguments", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
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
        alias("gcp.vertex.agent.tool_call_args", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
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
    aliases: &[alias("tool_name", Attr::GenAiToolName, Reading::Text).of(TOOL)],
    names: &[named("crewai", "Tool Usage", "execute_tool")],
    retry_markers: &["Tool Repeated Usage"],
    ..Emitter::NONE
};

/// Names of before it followed the conventions.
pub const SEMANTIC_KERNEL: Emitter = Emitter {
    name: "Semantic Kernel",
    aliases: &[
        alias("gen_ai.response.prompt_tokens", Attr::GenAiUsageInputTokens, Reading::Number),
        alias("gen_ai.response.completion_tokens", Attr::GenAiUsageOutputTokens, Reading::Number),
    ],
    ..Emitter::NONE
};

/// Beside the conventions, on every span its own word for what it is.
pub const MASTRA: Emitter = Emitter {
    name: "Mastra",
    aliases: &[alias("mastra.span.type", Attr::GenAiOperationName, Reading::Operation)],
    ..Emitter::NONE
};

pub const GENKIT: Emitter = Emitter {
    name: "Genkit",
    aliases: &[
        alias("genkit:metadata:subtype", Attr::GenAiOperationName, Reading::Operation),
        alias("genkit:name", Attr::GenAiToolName, Reading::Text).of(TOOL),
        alias("genkit:name", Attr::GenAiAgentName, Reading::Text).of(AGENT),
        alias("genkit:name", Attr::GenAiRequestModel, Reading::Text).of(MODEL),
        alias("genkit:sessionId", Attr::SessionId, Reading::Text),
    ],
    ..Emitter::NONE
};

/// Until 2.0 the operation of its tools was `framework`.
pub const SPRING_AI: Emitter = Emitter {
    name: "Spring AI",
    aliases: &[
        alias("spring.ai.kind", Attr::GenAiOperationName, Reading::Operation),
        alias("spring.ai.tool.definition.name", Attr::GenAiToolName, Reading::Name),
        alias("spring.ai.tool.call.arguments", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
    ],
    ..Emitter::NONE
};

/// Voice agents. Only the requests to a model are calls, not the nodes around them.
pub const LIVEKIT: Emitter = Emitter {
    name: "LiveKit Agents",
    aliases: &[
        alias("lk.function_tool.name", Attr::GenAiToolName, Reading::Name),
        alias("lk.function_tool.id", Attr::GenAiToolCallId, Reading::Text),
        alias("lk.function_tool.arguments", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
        alias("lk.pii.function_tool.arguments", Attr::GenAiToolCallArguments, Reading::Arguments).of(TOOL),
        alias("lk.response.ttft", Attr::GenAiResponseTimeToFirstChunk, Reading::Number),
        alias("lk.agent_name", Attr::GenAiAgentName, Reading::Text).of(AGENT),
    ],
    names: &[named("livekit", "llm_request", "chat"), named("livekit", "function_tool", "execute_tool")],
    ..Emitter::NONE
};

/// Values that are JSON, text in quotation marks among them.
pub const MLFLOW: Emitter = Emitter {
    name: "MLflow",
    aliases: &[
        alias("mlflow.spanType", Attr::GenAiOperationName, Reading::Operation),
        alias("mlflow.llm.model", Attr::GenAiRequestModel, Reading::Text),
        alias("mlflow.trace.session", Attr::SessionId, Reading::Text),
        alias("mlflow.trace.user", Attr::UserId, Reading::Text),
    ],
    ..Emitter::NONE
};

/// Plain words, which say so only on its own spans.
pub const CLAUDE_CODE: Emitter = Emitter {
    name: "Claude Code",
    aliases: &[
        alias("model", Attr::GenAiRequestModel, Reading::Text).of(MODEL),
        alias("input_tokens", Attr::GenAiUsageInputTokens, Reading::Number).of(MODEL),
        alias("output_tokens", Attr::GenAiUsageOutputTokens, Reading::Number).of(MODEL),
        alias("cache_read_tokens", Attr::GenAiUsageCacheReadInputTokens, Reading::Number).of(MODEL),
        alias("cache_creation_tokens", Attr::GenAiUsageCacheCreationInputTokens, Reading::Number).of(MODEL),
    ],
    names: &[
        named("", "claude_code.interaction", "invoke_agent"),
        named("", "claude_code.llm_request", "chat"),
        named("", "claude_code.tool", "execute_tool"),
    ],
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
