//! Columns without a value. Most columns of spans are such in a given request: all of them share one array of each type, and still do
//! where some rows of a batch are taken or batches are put together.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{FilterBuilder, concat as concat_arrays};
use arrow::datatypes::{DataType, Fields, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::{attribute_map, event_fields, keyword, link_fields, list_item};

/// Longer columns get an array of their own.
const SHARED_ROWS: usize = 8192;

static SHARED: LazyLock<Vec<ArrayRef>> = LazyLock::new(|| {
    let scalars =
        [keyword(), DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Float64, DataType::Boolean];
    let list = |fields: Fields| DataType::List(list_item(fields));
    let nested = [attribute_map(), list(event_fields()), list(link_fields())];
    scalars.iter().chain(&nested).map(|t| new_null_array(t, SHARED_ROWS)).collect()
});

/// A column of nulls.
pub fn null_column(data_type: &DataType, rows: usize) -> ArrayRef {
    let shared = SHARED.iter().find(|array| array.data_type() == data_type);
    match shared {
        Some(array) if rows <= SHARED_ROWS => array.slice(0, rows),
        _ => new_null_array(data_type, rows),
    }
}

/// Which of so many rows have a value: all but these, or simply all.
pub(crate) fn all_but(nulls: &[u32], rows: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    valid.append_n(rows, true);
    nulls.iter().for_each(|row| valid.set_bit(*row as usize, false));
    Some(NullBuffer::new(valid.finish()))
}

/// Whether no row has a value.
pub(crate) fn is_null(array: &ArrayRef) -> bool {
    array.null_count() == array.len()
}

/// The rows of a batch that a mask has.
pub(crate) fn filter(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch, ArrowError> {
    let filter = FilterBuilder::new(mask).optimize().build();
    let column = |array: &ArrayRef| match is_null(array) {
        true => Ok(null_column(array.data_type(), filter.count())),
        false => filter.filter(array),
    };
    RecordBatch::try_new(batch.schema(), batch.columns().iter().map(column).collect::<Result<_, _>>()?)
}

/// The rows of batches with the same columns, one behind the other.
pub(crate) fn concat(batches: &[&RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), |batch| batch.schema());
    let rows = batches.iter().map(|batch| batch.num_rows()).sum();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let arrays = || batches.iter().map(|batch| batch.column(index));
        match arrays().all(is_null) {
            true => Ok(null_column(field.data_type(), rows)),
            false => concat_arrays(&arrays().map(AsRef::as_ref).collect::<Vec<_>>()),
        }
    });
    let columns = columns.collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema, columns)
}
