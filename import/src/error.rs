//! Why an import ended before its input did.

/// What, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("reading: {0}")]
    Io(#[from] std::io::Error),
    #[error(
        "{0}; what came before it was imported, and importing the repaired file again adds only the rest"
    )]
    Damaged(String),
    #[error("{0}")]
    Unknown(String),
    /// From whoever takes the items.
    #[error("{0}")]
    Sink(String),
}

impl From<serde_json::Error> for ImportError {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Io => Self::Io(error.into()),
            _ => Self::Damaged(format!("damaged JSON: {error}")),
        }
    }
}
