//! What the store asks of whoever understands the payloads of its log.
//!
//! The log keeps requests as they came, so that replay goes through the same decoder as ingest.

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, Tenant, TraceId, UnixNanos};

/// What a record of the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// An OTLP `ExportTraceServiceRequest`, protobuf.
    Traces = 1,
    /// An OTLP `ExportLogsServiceRequest`, protobuf.
    Logs = 2,
    /// A JSON array of verdicts, as `POST /api/v1/verdicts` takes it.
    Verdicts = 3,
}

impl RecordKind {
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Traces),
            2 => Some(Self::Logs),
            3 => Some(Self::Verdicts),
            _ => None,
        }
    }
}

/// What the log knows of a record besides its payload.
#[derive(Debug, Clone)]
pub struct RecordMeta {
    pub kind: RecordKind,
    pub tenant: Tenant,
    /// When it was received; the same at ingest and at replay.
    pub ingest: UnixNanos,
}

/// The rows of one record.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// At most one batch a table, each with the table's file schema without its last column, `wal_seq`,
    /// which the store adds.
    pub batches: Vec<(Table, RecordBatch)>,
    /// One per row of the `spans` batch, in its order.
    pub span_keys: Vec<(TraceId, SpanId)>,
    /// Items that cannot be kept (OTLP partial success), and why.
    pub rejected: u64,
    /// What the client should know: why items were rejected, or what was odd about those that were kept.
    pub message: Option<String>,
}

impl Decoded {
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|(_, b)| b.num_rows() as u64).sum()
    }
}

/// The payload is not what its kind says. Such a record is never written to the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Turns payloads into rows. Deterministic: the same payload and meta give the same rows.
pub trait Decode: Send + Sync + std::fmt::Debug + 'static {
    fn decode(&self, meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError>;
}
