//! Which attributes are columns of their own ("promoted"): the semantic conventions that analyses read,
//! and those that compress far better apart than mixed in one map.
//!
//! A value whose type differs from the column's stays in the map with its own type. What else says the same as a column is
//! in [`crate::emitters`].

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// The type of a promoted attribute's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttrType {
    /// Few distinct values: dictionary-encoded text.
    Keyword,
    /// Many distinct values: plain text.
    Text,
    Int,
    Double,
    Bool,
}

/// Where OTLP carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Span,
    Resource,
}

/// A typed value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Str(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// What there is to know of one promoted attribute.
#[derive(Debug, Clone, Copy)]
pub struct AttrInfo {
    pub scope: Scope,
    /// The name on the wire, such as `gen_ai.request.model`.
    pub name: &'static str,
    /// The column in `spans`, such as `gen_ai_request_model`.
    pub column: &'static str,
    pub kind: AttrType,
}

macro_rules! attributes {
    ($($variant:ident $scope:ident $kind:ident $name:literal $column:literal,)*) => {
        /// A promoted attribute. The order is the order of the columns.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Attr { $($variant),* }

        impl Attr {
            pub const ALL: &'static [Attr] = &[$(Attr::$variant),*];
            const INFO: &'static [AttrInfo] = &[$(AttrInfo {
                scope: Scope::$scope, name: $name, column: $column, kind: AttrType::$kind,
            }),*];
        }
    };
}

attributes! {
    // Explicit words about stage and slice.
    PlimsollStage Span Keyword "plimsoll.stage" "plimsoll_stage",
    Stage Span Keyword "stage" "stage_attribute",
    WorkloadClass Span Keyword "workload.class" "workload_class_attribute",
    PlimsollWorkloadClass Span Keyword "plimsoll.workload_class" "plimsoll_workload_class",
    PlimsollHardware Span Keyword "plimsoll.hardware" "plimsoll_hardware",
    // The experiment envelope and the task.
    PlimsollDriver Span Keyword "plimsoll.driver" "plimsoll_driver",
    PlimsollRuntime Span Keyword "plimsoll.runtime" "plimsoll_runtime",
    PlimsollModelDigest Span Keyword "plimsoll.model_digest" "plimsoll_model_digest",
    PlimsollTokenizerDigest Span Keyword "plimsoll.tokenizer_digest" "plimsoll_tokenizer_digest",
    PlimsollConcurrency Span Int "plimsoll.concurrency" "plimsoll_concurrency",
    OpenAiSystemFingerprint Span Keyword "openai.response.system_fingerprint" "openai_response_system_fingerprint",
    PlimsollTaskId Span Text "plimsoll.task.id" "plimsoll_task_id",
    OpenInferenceMetadata Span Text "metadata" "openinference_metadata",
    // GenAI.
    GenAiOperationName Span Keyword "gen_ai.operation.name" "gen_ai_operation_name",
    GenAiProviderName Span Keyword "gen_ai.provider.name" "gen_ai_provider_name",
    GenAiSystem Span Keyword "gen_ai.system" "gen_ai_system",
    GenAiRequestModel Span Keyword "gen_ai.request.model" "gen_ai_request_model",
    GenAiResponseModel Span Keyword "gen_ai.response.model" "gen_ai_response_model",
    GenAiResponseId Span Text "gen_ai.response.id" "gen_ai_response_id",
    GenAiConversationId Span Text "gen_ai.conversation.id" "gen_ai_conversation_id",
    GenAiAgentName Span Keyword "gen_ai.agent.name" "gen_ai_agent_name",
    GenAiAgentId Span Keyword "gen_ai.agent.id" "gen_ai_agent_id",
    GenAiWorkflowName Span Keyword "gen_ai.workflow.name" "gen_ai_workflow_name",
    GenAiToolName Span Keyword "gen_ai.tool.name" "gen_ai_tool_name",
    GenAiToolType Span Keyword "gen_ai.tool.type" "gen_ai_tool_type",
    GenAiToolCallId Span Text "gen_ai.tool.call.id" "gen_ai_tool_call_id",
    GenAiToolCallArguments Span Text "gen_ai.tool.call.arguments" "gen_ai_tool_call_arguments",
    GenAiRequestMaxTokens Span Int "gen_ai.request.max_tokens" "gen_ai_request_max_tokens",
    GenAiRequestTemperature Span Double "gen_ai.request.temperature" "gen_ai_request_temperature",
    GenAiUsageInputTokens Span Int "gen_ai.usage.input_tokens" "gen_ai_usage_input_tokens",
    GenAiUsageOutputTokens Span Int "gen_ai.usage.output_tokens" "gen_ai_usage_output_tokens",
    GenAiUsagePromptTokens Span Int "gen_ai.usage.prompt_tokens" "gen_ai_usage_prompt_tokens",
    GenAiUsageCompletionTokens Span Int "gen_ai.usage.completion_tokens" "gen_ai_usage_completion_tokens",
    GenAiUsageCacheReadInputTokens Span Int "gen_ai.usage.cache_read.input_tokens" "gen_ai_usage_cache_read_input_tokens",
    GenAiUsageCacheCreationInputTokens Span Int "gen_ai.usage.cache_creation.input_tokens" "gen_ai_usage_cache_creation_input_tokens",
    GenAiUsageReasoningOutputTokens Span Int "gen_ai.usage.reasoning.output_tokens" "gen_ai_usage_reasoning_output_tokens",
    GenAiResponseTimeToFirstChunk Span Double "gen_ai.response.time_to_first_chunk" "gen_ai_response_time_to_first_chunk",
    GenAiUsageCost Span Double "gen_ai.usage.cost" "gen_ai_usage_cost",
    // Model servers (vLLM, SGLang): seconds.
    TimeInQueue Span Double "gen_ai.latency.time_in_queue" "gen_ai_latency_time_in_queue",
    TimeInModelPrefill Span Double "gen_ai.latency.time_in_model_prefill" "gen_ai_latency_time_in_model_prefill",
    TimeInModelDecode Span Double "gen_ai.latency.time_in_model_decode" "gen_ai_latency_time_in_model_decode",
    TimeInModelInference Span Double "gen_ai.latency.time_in_model_inference" "gen_ai_latency_time_in_model_inference",
    TimeToFirstToken Span Double "gen_ai.latency.time_to_first_token" "gen_ai_latency_time_to_first_token",
    LatencyE2e Span Double "gen_ai.latency.e2e" "gen_ai_latency_e2e",
    // OpenInference.
    OpenInferenceKind Span Keyword "openinference.span.kind" "openinference_span_kind",
    LlmModelName Span Keyword "llm.model_name" "llm_model_name",
    LlmTokenCountPrompt Span Int "llm.token_count.prompt" "llm_token_count_prompt",
    LlmTokenCountCompletion Span Int "llm.token_count.completion" "llm_token_count_completion",
    ToolName Span Keyword "tool.name" "tool_name",
    // MCP.
    McpMethodName Span Keyword "mcp.method.name" "mcp_method_name",
    McpSessionId Span Text "mcp.session.id" "mcp_session_id",
    JsonRpcRequestId Span Text "jsonrpc.request.id" "jsonrpc_request_id",
    // Tools: who serves them, in which edition, and how they are called.
    McpServerName Span Keyword "mcp.server.name" "mcp_server_name",
    McpServerVersion Span Keyword "mcp.server.version" "mcp_server_version",
    McpToolSchemaDigest Span Keyword "mcp.tool.schema_digest" "mcp_tool_schema_digest",
    McpAuthKind Span Keyword "mcp.auth.kind" "mcp_auth_kind",
    ToolIdempotent Span Bool "gen_ai.tool.idempotent" "gen_ai_tool_idempotent",
    McpToolIdempotent Span Bool "mcp.tool.annotations.idempotent_hint" "mcp_tool_annotations_idempotent_hint",
    // Errors, HTTP, RPC, peers.
    ErrorType Span Keyword "error.type" "error_type",
    HttpRequestMethod Span Keyword "http.request.method" "http_request_method",
    HttpRoute Span Keyword "http.route" "http_route",
    HttpStatusCode Span Int "http.response.status_code" "http_response_status_code",
    HttpResendCount Span Int "http.request.resend_count" "http_request_resend_count",
    HttpStatusCodeOld Span Int "http.status_code" "http_status_code",
    UrlPath Span Keyword "url.path" "url_path",
    RpcSystem Span Keyword "rpc.system" "rpc_system",
    RpcService Span Keyword "rpc.service" "rpc_service",
    RpcMethod Span Keyword "rpc.method" "rpc_method",
    RpcGrpcStatusCode Span Int "rpc.grpc.status_code" "rpc_grpc_status_code",
    RpcResponseStatusCode Span Keyword "rpc.response.status_code" "rpc_response_status_code",
    PreviousRpcAttempts Span Int "previous-rpc-attempts" "previous_rpc_attempts",
    PeerService Span Keyword "peer.service" "peer_service",
    ServerAddress Span Keyword "server.address" "server_address",
    ServerPort Span Int "server.port" "server_port",
    NetworkTransport Span Keyword "network.transport" "network_transport",
    NetworkProtocolVersion Span Keyword "network.protocol.version" "network_protocol_version",
    ThreadId Span Int "thread.id" "thread_id",
    DbSystemName Span Keyword "db.system.name" "db_system_name",
    DbSystem Span Keyword "db.system" "db_system",
    // Messaging and workflow engines.
    MessagingSystem Span Keyword "messaging.system" "messaging_system",
    MessagingDestinationName Span Keyword "messaging.destination.name" "messaging_destination_name",
    MessagingOperationType Span Keyword "messaging.operation.type" "messaging_operation_type",
    MessagingMessageId Span Text "messaging.message.id" "messaging_message_id",
    PubSubDeliveryAttempt Span Int "messaging.gcp_pubsub.message.delivery_attempt" "messaging_gcp_pubsub_message_delivery_attempt",
    ServiceBusDeliveryCount Span Int "messaging.servicebus.message.delivery_count" "messaging_servicebus_message_delivery_count",
    ServiceBusEnqueuedTime Span Int "messaging.servicebus.message.enqueued_time" "messaging_servicebus_message_enqueued_time",
    EventHubsEnqueuedTime Span Int "messaging.eventhubs.message.enqueued_time" "messaging_eventhubs_message_enqueued_time",
    CeleryRetries Span Int "celery.retries" "celery_retries",
    CeleryCountdown Span Double "celery.countdown" "celery_countdown",
    NotBefore Span Int "plimsoll.not_before_unix_nano" "plimsoll_not_before_unix_nano",
    TemporalActivityId Span Text "temporalActivityID" "temporal_activity_id",
    TemporalWorkflowId Span Text "temporalWorkflowID" "temporal_workflow_id",
    // Sessions, idempotency, policy.
    SessionId Span Text "session.id" "session_id",
    UserId Span Text "user.id" "user_id",
    IdempotencyKey Span Text "idempotency.key" "idempotency_key",
    HttpIdempotencyKey Span Text "http.request.header.idempotency-key" "http_request_header_idempotency_key",
    Deadline Span Int "plimsoll.deadline_unix_nano" "plimsoll_deadline_unix_nano",
    ApprovedDigest Span Text "approval.arguments_digest" "approval_arguments_digest",
    ArgumentsDigest Span Text "gen_ai.tool.call.arguments_digest" "gen_ai_tool_call_arguments_digest",
    ApprovalRequired Span Bool "policy.approval_required" "policy_approval_required",
    PolicyReason Span Keyword "policy.reason" "policy_reason",
    PolicyDecision Span Keyword "policy.decision" "policy_decision",
    GuardrailName Span Keyword "guardrail.name" "guardrail_name",
    AuthMethod Span Keyword "auth.method" "auth_method",
    FeatureFlagVariant Span Keyword "feature_flag.result.variant" "feature_flag_result_variant",
    // Resource.
    ServiceNamespace Resource Keyword "service.namespace" "service_namespace",
    ServiceVersion Resource Keyword "service.version" "service_version",
    ServiceInstanceId Resource Keyword "service.instance.id" "service_instance_id",
    DeploymentEnvironmentName Resource Keyword "deployment.environment.name" "deployment_environment_name",
    HostName Resource Keyword "host.name" "host_name",
    HostType Resource Keyword "host.type" "host_type",
    HwModel Resource Keyword "hw.model" "hw_model",
    K8sPodName Resource Keyword "k8s.pod.name" "k8s_pod_name",
    K8sNamespaceName Resource Keyword "k8s.namespace.name" "k8s_namespace_name",
    CloudRegion Resource Keyword "cloud.region" "cloud_region",
    ResourceWorkloadClass Resource Keyword "workload.class" "resource_workload_class",
    ResourceModel Resource Keyword "gen_ai.request.model" "resource_gen_ai_request_model",
    ResourceDriver Resource Keyword "plimsoll.driver" "resource_plimsoll_driver",
    ResourceRuntime Resource Keyword "plimsoll.runtime" "resource_plimsoll_runtime",
    ResourceModelDigest Resource Keyword "plimsoll.model_digest" "resource_plimsoll_model_digest",
    ResourceTokenizerDigest Resource Keyword "plimsoll.tokenizer_digest" "resource_plimsoll_tokenizer_digest",
    ResourceConcurrency Resource Keyword "plimsoll.concurrency" "resource_plimsoll_concurrency",
    HwDriverVersion Resource Keyword "hw.driver_version" "hw_driver_version",
    ContainerImageId Resource Keyword "container.image.id" "container_image_id",
    TelemetrySdkName Resource Keyword "telemetry.sdk.name" "telemetry_sdk_name",
    TelemetrySdkLanguage Resource Keyword "telemetry.sdk.language" "telemetry_sdk_language",
    TelemetrySdkVersion Resource Keyword "telemetry.sdk.version" "telemetry_sdk_version",
}

static SPAN_INDEX: LazyLock<FxHashMap<&'static str, Attr>> = LazyLock::new(|| index(Scope::Span));
static RESOURCE_INDEX: LazyLock<FxHashMap<&'static str, Attr>> = LazyLock::new(|| index(Scope::Resource));

fn index(scope: Scope) -> FxHashMap<&'static str, Attr> {
    Attr::ALL.iter().filter(|a| a.info().scope == scope).map(|a| (a.info().name, *a)).collect()
}

impl Attr {
    /// The span attribute of this name, if it is promoted.
    pub fn span(name: &str) -> Option<Attr> {
        SPAN_INDEX.get(name).copied()
    }

    /// The resource attribute of this name, if it is promoted.
    pub fn resource(name: &str) -> Option<Attr> {
        RESOURCE_INDEX.get(name).copied()
    }

    pub const COUNT: usize = Self::ALL.len();

    pub const fn info(self) -> &'static AttrInfo {
        &Self::INFO[self as usize]
    }

    /// The promoted attribute behind a column of `spans`.
    pub fn from_column(column: &str) -> Option<Attr> {
        Self::ALL.iter().copied().find(|a| a.info().column == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_columns_are_unique() {
        let columns: HashSet<_> = Attr::ALL.iter().map(|a| a.info().column).collect();
        assert_eq!(columns.len(), Attr::COUNT);
        for attr in Attr::ALL {
            let info = attr.info();
            let found = match info.scope {
                Scope::Span => Attr::span(info.name),
                Scope::Resource => Attr::resource(info.name),
            };
            assert_eq!(found, Some(*attr));
            assert_eq!(Attr::from_column(info.column), Some(*attr));
        }
    }
}
