//! Proxies and gateways, and the protocol of tools.

use super::{Emitter, Reading, alias};
use crate::attr::Attr;

/// Every tag is text. Byte events bound the time in the proxy before the upstream was asked. Istio's are the same, and
/// `x-envoy-attempt-count`, where it is made a tag, counts from one.
pub const ENVOY: Emitter = Emitter {
    name: "Envoy",
    aliases: &[
        alias("retry.count", Attr::HttpResendCount, Reading::Number),
        alias("x-envoy-attempt-count", Attr::HttpResendCount, Reading::Attempt),
        alias("upstream_cluster.name", Attr::PeerService, Reading::Text),
        alias("upstream_cluster", Attr::PeerService, Reading::Text),
        alias("grpc.status_code", Attr::RpcGrpcStatusCode, Reading::Number),
        alias("response_flags", Attr::ErrorType, Reading::ResponseFlags),
    ],
    proxy_events: &[("last_downstream_rx_byte_received", "first_upstream_tx_byte_sent")],
    ..Emitter::NONE
};

/// A call that it retries by itself stays one span, which says how often by a header that is captured. Read at 1.109.1.
pub const LITELLM: Emitter = Emitter {
    name: "LiteLLM",
    aliases: &[
        alias("http.response.header.x-litellm-attempted-retries", Attr::HttpResendCount, Reading::Number),
        alias("litellm.provider.model", Attr::GenAiResponseModel, Reading::Text),
        alias("litellm.cost.total", Attr::GenAiUsageCost, Reading::Number),
        alias("litellm.mcp.server.name", Attr::McpServerName, Reading::Text),
        alias("litellm.guardrail.name", Attr::GuardrailName, Reading::Text),
        alias("litellm.guardrail_name", Attr::GuardrailName, Reading::Text),
    ],
    ..Emitter::NONE
};

/// Its Python SDK at 2.3.0 names client spans `MCP send tools/call search`, and others leave out the tool's attribute.
pub const MCP: Emitter = Emitter {
    name: "MCP",
    names: &[
        super::named("", "MCP send tools/call *", "execute_tool"),
        super::named("", "tools/call *", "execute_tool"),
    ],
    ..Emitter::NONE
};
