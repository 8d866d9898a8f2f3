//! What can go wrong with a question. Domain words only: doors translate them to their protocol's codes.

use std::time::Duration;

use datafusion::common::SchemaError;
use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;
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
        let root = match error.find_root() {
            DataFusionError::Diagnostic(_, inner) => inner,
            root => root,
        };
        let text = match root {
            DataFusionError::SchemaError(schema, _) => unknown_column(schema),
            _ => None,
        };
        let text = text.unwrap_or_else(|| root.strip_backtrace());
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

/// `spans` has more columns than anyone reads in an error: the nearest names will do.
fn unknown_column(error: &SchemaError) -> Option<String> {
    const NEAR_MAX: usize = 5;
    let SchemaError::FieldNotFound { field, valid_fields } = error else { return None };
    let mut near: Vec<(f64, &str)> = valid_fields
        .iter()
        .map(|c| {
            let (a, b) = (c.name(), field.name());
            let contains = a.contains(b) || b.contains(a);
            (normalized_levenshtein(a, b) + f64::from(u8::from(contains)), a)
        })
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.iter().take(NEAR_MAX).map(|(_, name)| *name).collect();
    let table = field.relation.as_ref().map_or(String::new(), |r| format!(" in {r}"));
    let near = if near.is_empty() { String::new() } else { format!("; near it are {}", near.join(", ")) };
    Some(format!("there is no column {:?}{table}{near}; DESCRIBE lists a table's columns", field.name()))
}
