//! Why a request was not accepted, and what each protocol calls that.

use std::time::Duration;

use http::StatusCode;
use plimsoll_store::IngestError;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("the request is larger than {limit} bytes{}; send smaller batches", if *.inflated { " after inflation" } else { "" })]
    TooLarge { limit: usize, inflated: bool },
    #[error("content type {0:?} is not supported: use application/x-protobuf or application/json")]
    ContentType(String),
    #[error("encoding {0:?} is not supported: use gzip, zstd, deflate or identity")]
    Encoding(String),
    #[error("method {0} is not supported: use POST")]
    Method(String),
    #[error("the body did not come within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    #[error("{reason}; try again later")]
    Busy { reason: String, retry_after: Duration },
}

/// gRPC status codes, as far as the doors use them.
pub mod code {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const DEADLINE_EXCEEDED: i32 = 4;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const UNAVAILABLE: i32 = 14;
}

impl Refusal {
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType(_) | Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub const fn grpc_code(&self) -> i32 {
        match self {
            Self::Malformed(_) | Self::ContentType(_) => code::INVALID_ARGUMENT,
            Self::TooLarge { .. } => code::RESOURCE_EXHAUSTED,
            Self::Encoding(_) | Self::Method(_) => code::UNIMPLEMENTED,
            Self::TooSlow(_) => code::DEADLINE_EXCEEDED,
            Self::Busy { .. } => code::UNAVAILABLE,
        }
    }

    /// When sending the same again makes sense; `None` if it never does.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Malformed(error) => Self::Malformed(error.to_string()),
            IngestError::Overloaded { reason, retry_after } => Self::Busy { reason, retry_after },
            IngestError::Unavailable(reason) => Self::Busy { reason, retry_after: Duration::from_secs(5) },
        }
    }
}
