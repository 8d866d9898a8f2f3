//! The rows of an analysis that is computed, as a table that a statement can read.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value};

use crate::error::QueryError;

/// The columns that the schema names, of rows that may have more.
pub fn batch(schema: Schema, rows: &[Map<String, Value>]) -> Result<RecordBatch, QueryError> {
    let failed = |e: arrow::error::ArrowError| QueryError::Internal(format!("the answer as a table: {e}"));
    let schema = Arc::new(schema);
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(rows.len().max(1))
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(failed)?;
    decoder.serialize(rows).map_err(failed)?;
    Ok(decoder.flush().map_err(failed)?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_become_columns() {
        let schema = Schema::new(vec![
            Field::new("stage", DataType::Utf8, true),
            Field::new("start_unix_nano", DataType::Int64, true),
            Field::new("share", DataType::Float64, true),
            Field::new("traces", DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), true),
        ]);
        let row = json!({"stage": "plan", "start_unix_nano": "1700000000000000001", "share": 1, "traces": ["a", "b"], "more": {}});
        let rows = [row, json!({"stage": null})].map(|r| r.as_object().cloned().unwrap_or_default());
        let batch = batch(schema.clone(), &rows).expect("they fit");
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "plan");
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().value(0), 1_700_000_000_000_000_001);
        assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0), 1.0);
        assert_eq!(batch.column(3).as_list::<i32>().value(0).len(), 2);
        assert_eq!(batch.column(0).null_count(), 1);
        assert_eq!(super::batch(schema, &[]).expect("no rows").num_rows(), 0);
    }
}
