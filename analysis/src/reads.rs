//! Which attributes an analysis depends on. Many spans have a dozen that it does not, each of which takes time to get out of its column.

use plimsoll_schemas::{Attr, Rules};

use crate::present::AttrSet;

/// What nothing here looks at, of what many spans have (`tests/it/properties.rs` shows it).
pub const PASSED_OVER: &[Attr] = &[
    Attr::DeploymentEnvironmentName,
    Attr::GenAiRequestMaxTokens,
    Attr::GenAiRequestTemperature,
    Attr::GenAiToolType,
    Attr::HttpRequestMethod,
    Attr::HttpRoute,
    Attr::JsonRpcRequestId,
    Attr::K8sNamespaceName,
    Attr::McpSessionId,
    Attr::NetworkProtocolVersion,
    Attr::NetworkTransport,
    Attr::ServerPort,
    Attr::ServiceNamespace,
    Attr::ServiceVersion,
    Attr::TelemetrySdkLanguage,
    Attr::TelemetrySdkName,
    Attr::TelemetrySdkVersion,
    Attr::ThreadId,
];

const SET: AttrSet = AttrSet::of(PASSED_OVER);

/// Whether an analysis under these rules may depend on the attribute.
pub fn reads(attr: Attr, rules: &Rules) -> bool {
    !SET.meets(AttrSet::of(&[attr])) || rules.mention(attr)
}
