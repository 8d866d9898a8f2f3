//! What can go wrong with a question. Domain words only: doors translate them to their protocol's codes.

use std::time::Duration;

use datafusion::error::DataFusionError;
use plimsoll_store::{IngestError, StoreError};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The asker's mistake; says what, where and what to do.
    #[error("{0}")]
    Invalid(String),
    /// A statement that does more than read, or that is larger than planning can bear.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NotFound(String),
    /// More than one thing answers to the name.
    #[error("{0}")]
    Ambiguous(String),
    #[error("{running} queries are running, which is the limit; try again in {} s", retry_after.as_secs())]
    Busy { running: usize, retry_after: Duration },
    #[error("the query did not end within {} s; narrow its time range or add a filter", .0.as_secs_f64())]
    Timeout(Duration),
    #[error(
        "the query needs more memory than it may use: {0}; narrow its time range, group by fewer keys or add a LIMIT"
    )]
    Memory(String),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ours, not the asker's.
    #[error("{0}")]
    Internal(String),
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        let text = match error.find_root() {
            DataFusionError::Diagnostic(_, inner) => inner.strip_backtrace(),
            root => root.strip_backtrace(),
        };
        match error.find_root() {
            DataFusionError::ResourcesExhausted(what) => Self::Memory(what.clone()),
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::Diagnostic(..)
            | DataFusionError::Collection(_) => Self::Invalid(text),
            _ => Self::Internal(text),
        }
    }
}
