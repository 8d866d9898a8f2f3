//! Rows of many batches in a given order, as few large batches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// Rows a batch: enough to amortise the per-column cost, few enough that a column's rows stay in the cache until
/// they are encoded.
const ROWS_PER_BATCH: usize = 16_384;

/// The rows `order` (batch, row) of `batches`, which share a schema.
pub fn gather<'a>(
    schema: SchemaRef,
    batches: &'a [RecordBatch],
    order: &'a [(usize, usize)],
) -> impl Iterator<Item = Result<RecordBatch, StoreError>> + 'a {
    let columns: Vec<Column<'a>> = (0..schema.fields().len()).map(|i| Column::of(batches, i)).collect();
    order.chunks(ROWS_PER_BATCH).map(move |order| {
        let fields = schema.fields().iter();
        let arrays = columns
            .iter()
            .zip(fields)
            .map(|(column, field)| {
                let gathered = column.rows(field.data_type(), order);
                gathered.map_err(StoreError::arrow(format!("column {}", field.name())))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(order.len()));
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .map_err(StoreError::arrow("gathered rows"))
    })
}

/// One column of every batch.
enum Column<'a> {
    /// Most columns of spans are promoted attributes that a given stretch of traffic does not have.
    Null,
    Keyword(Keywords<'a>),
    Other(Vec<&'a dyn Array>),
}

impl<'a> Column<'a> {
    fn of(batches: &'a [RecordBatch], index: usize) -> Self {
        let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(index).as_ref()).collect();
        if arrays.iter().all(|a| a.null_count() == a.len()) {
            return Self::Null;
        }
        match Keywords::of(&arrays) {
            Some(keywords) => Self::Keyword(keywords),
            None => Self::Other(arrays),
        }
    }

    fn rows(
        &self,
        data_type: &DataType,
        order: &[(usize, usize)],
    ) -> Result<ArrayRef, arrow::error::ArrowError> {
        match self {
            Self::Null => Ok(new_null_array(data_type, order.len())),
            Self::Keyword(keywords) => keywords.rows(order),
            Self::Other(arrays) => interleave(arrays, order),
        }
    }
}

/// A dictionary column under one dictionary, made once for all batches: `interleave` would make it anew for each
/// batch that it answers.
struct Keywords<'a> {
    values: Arc<StringArray>,
    /// Of each batch: its keys, and what its dictionary's entries are in `values` (`None`: null).
    batches: Vec<(&'a Int32Array, Vec<Option<i32>>)>,
}

impl<'a> Keywords<'a> {
    /// `None` where the column is of another type.
    fn of(arrays: &[&'a dyn Array]) -> Option<Self> {
        let mut values: Vec<&str> = Vec::new();
        let mut index: FxHashMap<&str, i32> = FxHashMap::default();
        let mut batches = Vec::with_capacity(arrays.len());
        for array in arrays {
            let dictionary = array.as_dictionary_opt::<Int32Type>()?;
            let entries = dictionary.values().as_string_opt::<i32>()?.iter().map(|entry| {
                let entry = entry?;
                Some(*index.entry(entry).or_insert_with(|| {
                    values.push(entry);
                    values.len() as i32 - 1
                }))
            });
            batches.push((dictionary.keys(), entries.collect()));
        }
        i32::try_from(values.len()).ok()?;
        Some(Self { values: Arc::new(StringArray::from(values)), batches })
    }

    fn rows(&self, order: &[(usize, usize)]) -> Result<ArrayRef, arrow::error::ArrowError> {
        let mut keys = Vec::with_capacity(order.len());
        let mut valid = Vec::with_capacity(order.len());
        for (batch, row) in order {
            let (of, entries) = &self.batches[*batch];
            let key = if of.is_null(*row) { None } else { entries[of.values()[*row] as usize] };
            keys.push(key.unwrap_or(0));
            valid.push(key.is_some());
        }
        let keys = Int32Array::new(keys.into(), Some(NullBuffer::from(valid)));
        Ok(Arc::new(DictionaryArray::try_new(keys, self.values.clone())?))
    }
}
