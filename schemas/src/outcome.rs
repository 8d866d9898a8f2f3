//! How a stage run, an attempt or a span ended: one class each, so that operators can tell them apart.
//!
//! An outcome never depends on verdicts: a run that is green but wrong is `ok` here.

use serde::Deserialize;

use crate::attr::Attr;
use crate::span::{Span, StatusCode};
use crate::stage::{has_attribute, is_like};

/// The class in which something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// Refused for want of capacity: 429, 503, RESOURCE_EXHAUSTED, queue limits, shed.
    Overload,
    /// Something it called failed or timed out.
    Dependency,
    /// The request was wrong: 4xx, validation.
    Correctness,
    /// The caller's time ran out.
    Deadline,
    Cancelled,
    /// It failed by itself, or nothing says why.
    Internal,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Overload,
        Self::Dependency,
        Self::Correctness,
        Self::Deadline,
        Self::Cancelled,
        Self::Internal,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Overload => "overload",
            Self::Dependency => "dependency",
            Self::Correctness => "correctness",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == name)
    }

    /// Whether trying again may help.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Overload | Self::Dependency | Self::Deadline | Self::Internal)
    }

    /// What the span itself says; an error that says no more is [`Outcome::Internal`].
    pub fn of_span(span: &Span<'_>) -> Self {
        Self::stated(span).unwrap_or(Self::Internal)
    }

    /// What the span itself says, by its HTTP status, its RPC status, its `error.type`, then its status code.
    /// `None`: it failed, and nothing on it says why.
    pub fn stated(span: &Span<'_>) -> Option<Self> {
        let by_code = span
            .int(Attr::HttpStatusCode)
            .and_then(Self::of_http)
            .or_else(|| span.int(Attr::RpcGrpcStatusCode).and_then(Self::of_grpc))
            .or_else(|| span.str(Attr::RpcResponseStatusCode).and_then(Self::of_words));
        if by_code.is_some() {
            return by_code;
        }
        let error_type = span.str(Attr::ErrorType);
        if span.status != StatusCode::Error && error_type.is_none() {
            return Some(Self::Ok);
        }
        error_type.and_then(Self::of_words).or_else(|| Self::of_words(span.status_message))
    }

    fn of_http(status: i64) -> Option<Self> {
        Some(match status {
            408 | 504 => Self::Deadline,
            429 | 503 | 529 => Self::Overload,
            499 => Self::Cancelled,
            424 | 502 => Self::Dependency,
            400..=498 => Self::Correctness,
            500..=599 => Self::Internal,
            _ => return None,
        })
    }

    fn of_grpc(status: i64) -> Option<Self> {
        Some(match status {
            1 => Self::Cancelled,
            4 => Self::Deadline,
            8 | 14 => Self::Overload,
            3 | 5 | 6 | 7 | 9 | 11 | 12 | 16 => Self::Correctness,
            2 | 10 | 13 | 15 => Self::Internal,
            _ => return None,
        })
    }

    /// As MCP servers answer; codes of their own say nothing in general.
    fn of_json_rpc(code: i64) -> Option<Self> {
        Some(match code {
            -32700 | -32602..=-32600 => Self::Correctness,
            -32603 => Self::Internal,
            _ => return None,
        })
    }

    /// `error.type` is free text of low cardinality: codes, exception names, or words.
    fn of_words(words: &str) -> Option<Self> {
        if let Ok(code) = words.parse::<i64>() {
            return Self::of_http(code).or_else(|| Self::of_json_rpc(code));
        }
        let words = words.to_ascii_lowercase();
        RULES.iter().find(|(needle, _)| words.contains(needle)).map(|(_, outcome)| *outcome)
    }
}

/// A configured rule: a span for which all given conditions hold ended in this class, whatever else it says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRule {
    pub outcome: Outcome,
    #[serde(default)]
    pub service: Option<String>,
    /// The span's name; a trailing `*` matches any rest.
    #[serde(default)]
    pub name: Option<String>,
    /// `ok`, `error` or `unset`.
    #[serde(default)]
    pub status: Option<String>,
    /// The status message; a trailing `*` matches any rest.
    #[serde(default)]
    pub message: Option<String>,
    /// An attribute's name: it must exist, or match `value`.
    #[serde(default)]
    pub attribute: Option<String>,
    #[serde(default)]
    pub value: Option<String>,
}

impl OutcomeRule {
    pub fn matches(&self, span: &Span<'_>) -> bool {
        is_like(self.service.as_deref(), span.service)
            && is_like(self.name.as_deref(), span.name)
            && is_like(self.status.as_deref(), span.status.as_str())
            && is_like(self.message.as_deref(), span.status_message)
            && has_attribute(span, self.attribute.as_deref(), self.value.as_deref())
    }
}

/// First match wins, so the more telling words stand first.
const RULES: &[(&str, Outcome)] = &[
    ("cancel", Outcome::Cancelled),
    ("abort", Outcome::Cancelled),
    ("deadline", Outcome::Deadline),
    ("timeout", Outcome::Deadline),
    ("timed out", Outcome::Deadline),
    ("timed_out", Outcome::Deadline),
    ("ratelimit", Outcome::Overload),
    ("rate_limit", Outcome::Overload),
    ("rate limit", Outcome::Overload),
    ("too many", Outcome::Overload),
    ("overload", Outcome::Overload),
    ("resource_exhausted", Outcome::Overload),
    ("unavailable", Outcome::Overload),
    ("queue_full", Outcome::Overload),
    ("queue full", Outcome::Overload),
    ("shed", Outcome::Overload),
    ("overflow", Outcome::Overload),
    ("throttl", Outcome::Overload),
    ("connection", Outcome::Dependency),
    ("connect", Outcome::Dependency),
    ("upstream", Outcome::Dependency),
    ("dependency", Outcome::Dependency),
    ("bad_gateway", Outcome::Dependency),
    ("tool_error", Outcome::Dependency),
    ("invalid", Outcome::Correctness),
    ("validation", Outcome::Correctness),
    ("schema", Outcome::Correctness),
    ("not_found", Outcome::Correctness),
    ("notfound", Outcome::Correctness),
    ("permission", Outcome::Correctness),
    ("denied", Outcome::Correctness),
    ("unauthorized", Outcome::Correctness),
    ("unauthenticated", Outcome::Correctness),
    ("forbidden", Outcome::Correctness),
    ("failed_precondition", Outcome::Correctness),
    ("already_exists", Outcome::Correctness),
    ("out_of_range", Outcome::Correctness),
    ("unimplemented", Outcome::Correctness),
    ("valueerror", Outcome::Correctness),
    ("typeerror", Outcome::Correctness),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_name_their_class() {
        for (words, outcome) in [
            ("429", Some(Outcome::Overload)),
            ("RateLimitError", Some(Outcome::Overload)),
            ("asyncio.TimeoutError", Some(Outcome::Deadline)),
            ("ConnectionRefused", Some(Outcome::Dependency)),
            ("schema_validation", Some(Outcome::Correctness)),
            ("DEADLINE_EXCEEDED", Some(Outcome::Deadline)),
            ("-32602", Some(Outcome::Correctness)),
            ("-32001", None),
            ("OK", None),
            ("_OTHER", None),
        ] {
            assert_eq!(Outcome::of_words(words), outcome, "{words}");
        }
    }
}
