//! The rows that are in no file yet, with the partition columns that they will get.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, DictionaryArray, Int32Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_plan::ExecutionPlan;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::slice::SLUG_RECENT;
use plimsoll_schemas::table::{Table, keyword};

/// Below this many rows batches are joined: every small request's batch would cost as much to plan and to pass on.
const ROWS_JOINED_MAX: usize = 8_192;

pub fn plan(table: Table, tail: &[RecordBatch], projection: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(table.sql_schema().project(projection)?);
    let batches = tail.iter().map(|b| projected(table, b, &schema)).collect::<Result<Vec<_>>>()?;
    let batches = join_small(&schema, batches)?;
    Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
}

/// The columns of `schema`, which are some of the table's, out of a batch with its file schema.
pub fn projected(table: Table, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |name: &String| -> Result<ArrayRef> {
        if let Some(column) = batch.column_by_name(name) {
            return Ok(column.clone());
        }
        Ok(if name == "day" { days(table, batch)? } else { recent(batch.num_rows()) })
    };
    let columns = schema.fields().iter().map(|f| column(f.name())).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

fn days(table: Table, batch: &RecordBatch) -> Result<ArrayRef> {
    let index = batch.schema().index_of(table.time_column())?;
    let times = batch.column(index).as_primitive::<Int64Type>();
    Ok(Arc::new(Date32Array::from_iter_values(times.values().iter().map(|t| UnixNanos(*t).day()))))
}

fn recent(rows: usize) -> ArrayRef {
    let values = Arc::new(StringArray::from(vec![SLUG_RECENT]));
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; rows]), values))
}

/// The value of the `slice` column.
pub fn slice_value(slug: &str) -> ScalarValue {
    let key = match keyword() {
        arrow::datatypes::DataType::Dictionary(key, _) => key,
        other => Box::new(other),
    };
    ScalarValue::Dictionary(key, Box::new(ScalarValue::from(slug)))
}

fn join_small(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let mut joined = Vec::new();
    let mut run: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    for batch in batches {
        if rows + batch.num_rows() > ROWS_JOINED_MAX && !run.is_empty() {
            joined.push(concat_batches(schema, &std::mem::take(&mut run))?);
            rows = 0;
        }
        rows += batch.num_rows();
        run.push(batch);
    }
    if !run.is_empty() {
        joined.push(concat_batches(schema, &run)?);
    }
    Ok(joined)
}
