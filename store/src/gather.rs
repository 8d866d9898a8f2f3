//! Rows of many batches in a given order, as few large batches.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::StoreError;

/// Rows a batch: enough to amortise the per-column cost, small enough to keep memory flat.
const ROWS_PER_BATCH: usize = 65_536;

/// The rows `order` (batch, row) of `batches`, which share a schema.
pub fn gather<'a>(
    schema: SchemaRef,
    batches: &'a [RecordBatch],
    order: &'a [(usize, usize)],
) -> impl Iterator<Item = Result<RecordBatch, StoreError>> + 'a {
    order.chunks(ROWS_PER_BATCH).map(move |order| {
        let columns = (0..schema.fields().len())
            .map(|i| column(&schema, batches, order, i))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(order.len()));
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
            .map_err(StoreError::arrow("gathered rows"))
    })
}

/// Most columns of spans are promoted attributes that a given stretch of traffic does not have.
fn column(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    order: &[(usize, usize)],
    index: usize,
) -> Result<ArrayRef, StoreError> {
    let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(index).as_ref()).collect();
    if arrays.iter().all(|a| a.null_count() == a.len()) {
        return Ok(new_null_array(schema.field(index).data_type(), order.len()));
    }
    interleave(&arrays, order).map_err(StoreError::arrow(format!("column {}", schema.field(index).name())))
}
