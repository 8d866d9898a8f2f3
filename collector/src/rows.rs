//! From request bytes to Arrow rows: the one decoder of ingest and of replay. Pure and deterministic.
//!
//! Traces are walked straight from protobuf into column builders; nothing is allocated for an attribute. What
//! cannot be kept is counted and named; its neighbours stay.

mod columns;
mod evaluations;
mod fields;
mod items;
mod keys;
mod lists;
mod logs;
mod notes;
mod spans;
#[cfg(test)]
mod tests;
mod value;
mod verdicts;

use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_store::{Decode, DecodeError, Decoded, RecordKind, RecordMeta};
use prost::Message;

use crate::wire::WireError;

/// Understands what the doors and the verdicts endpoint put into the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct OtlpDecoder;

impl Decode for OtlpDecoder {
    fn decode(&self, meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
        match meta.kind {
            RecordKind::Traces => spans::decode(meta, payload),
            RecordKind::Logs => logs::decode(meta, payload),
            RecordKind::Verdicts => verdicts::decode(meta, payload),
        }
    }
}

/// Walks a request. What no encoder writes and the walker does not put together (see [`WireError::Twice`]) is first written
/// plainly by prost.
fn plainly<M: Message + Default>(
    what: &str,
    payload: &[u8],
    walk: impl Fn(&[u8]) -> Result<Result<Decoded, DecodeError>, WireError>,
) -> Result<Decoded, DecodeError> {
    let refused = |e: &dyn std::fmt::Display| DecodeError(format!("not an OTLP {what} request: {e}"));
    let decoded = match walk(payload) {
        Err(WireError::Twice) => walk(&M::decode(payload).map_err(|e| refused(&e))?.encode_to_vec()),
        decoded => decoded,
    };
    decoded.map_err(|e| refused(&e))?
}

/// A batch with the table's file schema but for its last column, `wal_seq`.
fn batch(table: Table, columns: Vec<ArrayRef>) -> Result<RecordBatch, DecodeError> {
    static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(|| {
        let schemas = Table::ALL.iter().map(|table| {
            let schema = table.file_schema();
            Arc::new(Schema::new(schema.fields()[..schema.fields().len() - 1].to_vec()))
        });
        schemas.collect()
    });
    RecordBatch::try_new(SCHEMAS[table as usize].clone(), columns)
        .map_err(|e| DecodeError(format!("rows of {}: {e}", table.as_str())))
}
