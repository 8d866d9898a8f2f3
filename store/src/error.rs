//! What can go wrong in the store. Domain words only: doors translate them to their protocol's codes.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use parquet::errors::ParquetError;

use crate::decode::DecodeError;

/// Why a request was not accepted. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The client's fault; trying again does not help.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// At a bound; the client should try again after a while.
    #[error("{reason}; try again in {} ms", retry_after.as_millis())]
    Overloaded { reason: String, retry_after: Duration },
    /// The log is poisoned or the store is closing: nothing more is acknowledged.
    #[error("{0}")]
    Unavailable(String),
}

/// Why the store cannot be opened or did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: damaged at offset {offset}: {problem}; valid records follow, so nothing was truncated; \
         `plimsoll salvage` takes out what is whole",
        path.display()
    )]
    DamagedWal { path: PathBuf, offset: u64, problem: String },
    #[error("{}: {source}{}", object.display(), cause(source))]
    Object { object: PathBuf, source: Box<object_store::Error> },
    #[error("{}: {problem}", path.display())]
    BadFormat { path: PathBuf, problem: String },
    #[error("{}: in use by another process (lock {})", path.display(), path.join("lock").display())]
    Locked { path: PathBuf },
    #[error("delta log of {table}: {source}")]
    Delta { table: &'static str, source: Box<deltalake_core::DeltaTableError> },
    #[error("{context}: {source}")]
    Parquet { context: String, source: ParquetError },
    #[error("{context}: {source}")]
    Arrow { context: String, source: arrow::error::ArrowError },
    #[error("nothing more is written: {0}")]
    Poisoned(String),
    #[error("this store only reads: another process writes its home")]
    ReadOnly,
}

/// What is at the bottom of an error, where it does not say so itself: that nobody listens, say.
fn cause(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    let bottom = causes.last().map(ToString::to_string).filter(|bottom| !error.to_string().contains(bottom));
    bottom.map(|bottom| format!(": {bottom}")).unwrap_or_default()
}

impl StoreError {
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub fn arrow(context: impl Into<String>) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        let context = context.into();
        move |source| Self::Arrow { context, source }
    }

    /// The file that is damaged, where it says so: what was read of it is there, and is not Parquet, or not what was written.
    pub fn damaged_file(&self) -> Option<&str> {
        match self {
            Self::Parquet { context, source } if !matches!(source, ParquetError::External(_)) => {
                Some(context)
            }
            _ => None,
        }
    }

    pub fn parquet(context: impl Into<String>) -> impl FnOnce(ParquetError) -> Self {
        let context = context.into();
        move |source| Self::Parquet { context, source }
    }
}
