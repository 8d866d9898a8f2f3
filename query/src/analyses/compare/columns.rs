//! The columns of a batch of runs, in their plain types.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::envelope::COLUMNS;

use crate::error::QueryError;

pub struct Columns {
    pub rows: usize,
    pub trace_id: StringArray,
    pub is_request: BooleanArray,
    pub stage: StringArray,
    pub start: Int64Array,
    pub duration: Int64Array,
    pub is_ok: BooleanArray,
    pub attempts: Int64Array,
    pub logical_calls: Int64Array,
    pub queue: Int64Array,
    pub tokens: Int64Array,
    pub cost: Float64Array,
    pub is_good: BooleanArray,
    pub passed: BooleanArray,
    pub green_but_wrong: BooleanArray,
    pub longest_repeat: Int64Array,
    pub workload_class: StringArray,
    pub pair_key: StringArray,
    pub envelope: Vec<StringArray>,
}

impl Columns {
    pub fn of(batch: &RecordBatch) -> Result<Self, QueryError> {
        let column = |name: &str, kind: DataType| -> Result<ArrayRef, QueryError> {
            let failed = |problem: String| QueryError::Internal(format!("compare: column {name}: {problem}"));
            let column = batch.column_by_name(name).ok_or_else(|| failed("missing".into()))?;
            cast(column, &kind).map_err(|e| failed(e.to_string()))
        };
        let text = |name: &str| Ok::<_, QueryError>(column(name, DataType::Utf8)?.as_string::<i32>().clone());
        let int = |name: &str| {
            Ok::<_, QueryError>(column(name, DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        let boolean = |name: &str| Ok::<_, QueryError>(column(name, DataType::Boolean)?.as_boolean().clone());
        Ok(Self {
            rows: batch.num_rows(),
            trace_id: text("trace_id")?,
            is_request: boolean("is_request")?,
            stage: text("stage")?,
            start: int("start_unix_nano")?,
            duration: int("duration_ns")?,
            is_ok: boolean("is_ok")?,
            attempts: int("attempts")?,
            logical_calls: int("logical_calls")?,
            queue: int("queue_ns")?,
            tokens: int("tokens")?,
            cost: column("cost_usd", DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            is_good: boolean("is_good")?,
            passed: boolean("passed")?,
            green_but_wrong: boolean("green_but_wrong")?,
            longest_repeat: int("longest_repeat")?,
            workload_class: text("workload_class")?,
            pair_key: text("pair_key")?,
            envelope: COLUMNS.into_iter().map(text).collect::<Result<_, _>>()?,
        })
    }
}

pub fn text(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

pub fn yes(column: &BooleanArray, row: usize) -> Option<bool> {
    column.is_valid(row).then(|| column.value(row))
}
