//! Why an import ended before its input did, or left out parts of it.

/// What, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("reading: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}; what is whole was imported, and importing the repaired file again adds only the rest")]
    Damaged(String),
    #[error("{0}")]
    Unknown(String),
    /// From whoever takes the items.
    #[error("{0}")]
    Sink(String),
}
