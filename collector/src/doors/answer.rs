//! What the doors answer: the export responses of OTLP, and `google.rpc.Status` for refusals.

use std::time::Duration;

use plimsoll_store::Accepted;
use prost::Message;
use serde_json::json;

use super::refusal::Refusal;
use super::signal::Signal;

/// `Export{Trace,Logs,Metrics}ServiceResponse`: the three have the same shape on the wire.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl ExportResponse {
    pub fn new(accepted: Accepted) -> Self {
        let partial = accepted.rejected > 0 || accepted.message.is_some();
        Self {
            partial_success: partial.then(|| PartialSuccess {
                rejected: i64::try_from(accepted.rejected).unwrap_or(i64::MAX),
                error_message: accepted.message.unwrap_or_default(),
            }),
        }
    }

    pub fn to_json(&self, signal: Signal) -> Vec<u8> {
        let body = match &self.partial_success {
            None => json!({}),
            Some(p) => json!({
                "partialSuccess": { signal.rejected_key(): p.rejected.to_string(), "errorMessage": p.error_message }
            }),
        };
        body.to_string().into_bytes()
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl RpcStatus {
    pub fn new(refusal: &Refusal) -> Self {
        Self {
            code: refusal.grpc_code(),
            message: refusal.to_string(),
            details: refusal.retry_after().map(retry_info).into_iter().collect(),
        }
    }

    pub const fn plain(code: i32, message: String) -> Self {
        Self { code, message, details: Vec::new() }
    }

    pub fn to_json(&self) -> Vec<u8> {
        json!({ "code": self.code, "message": self.message }).to_string().into_bytes()
    }
}

fn retry_info(after: Duration) -> Any {
    let delay = Delay {
        seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(after.subsec_nanos()).unwrap_or(0),
    };
    Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
        value: RetryInfo { retry_delay: Some(delay) }.encode_to_vec(),
    }
}
