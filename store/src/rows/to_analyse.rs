//! What an analysis reads of `spans`: rows that were written to files, and wait for the rest of their trace, are kept in memory without
//! the rest. Prompts and answers are in it, and may be most of what a span says.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::datatypes::Field;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::{Table, list_item};
use plimsoll_schemas::{Attr, Rules};

use crate::error::StoreError;
use crate::nulls::{is_null, null_column};

/// The columns that [`super::SpanRows::to_analyse`] reads besides attributes, and `wal_seq`, which tells the order in which spans came.
const ALWAYS: &[&str] = &[
    "tenant",
    "trace_id",
    "span_id",
    "parent_span_id",
    "start_unix_nano",
    "duration_ns",
    "name",
    "kind",
    "status_code",
    "status_message",
    "service_name",
    "scope_name",
    "events",
    "links",
    "trace_state",
    "wal_seq",
];

/// What rules may name that has no column of its own.
const OTHER_ATTRIBUTES: &[&str] = &["attributes", "resource_attributes"];

/// Of an event its time and name are read, of a link the ids: the first two fields of either.
const FIELDS_READ: usize = 2;

/// Of each column of the file schema of `spans`, whether it is read.
#[derive(Debug)]
pub struct ToAnalyse(Vec<bool>);

impl ToAnalyse {
    pub fn under(rules: &Rules) -> Self {
        let attributes = Attr::ALL.iter().filter(|attr| plimsoll_analysis::reads(**attr, rules));
        let mut names: Vec<&str> = attributes.map(|attr| attr.info().column).collect();
        names.extend(ALWAYS);
        if rules.needs_other_attributes() {
            names.extend(OTHER_ATTRIBUTES);
        }
        let fields = Table::Spans.file_schema();
        Self(fields.fields().iter().map(|field| names.contains(&field.name().as_str())).collect())
    }

    /// A batch of which nothing else is left, as far as the schema allows.
    pub fn of(&self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let schema = batch.schema();
        let columns = batch.columns().iter().zip(schema.fields()).zip(&self.0);
        let columns = columns.map(|((column, field), read)| match read {
            true => lists_to_analyse(column),
            false => without(column, field),
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).map_err(StoreError::arrow("columns to analyse"))
    }
}

fn without(column: &ArrayRef, field: &Field) -> ArrayRef {
    if field.is_nullable() { null_column(column.data_type(), column.len()) } else { column.clone() }
}

/// Of lists of events and links only the fields that are read; other columns as they are.
fn lists_to_analyse(column: &ArrayRef) -> ArrayRef {
    let Some(list) = column.as_list_opt::<i32>().filter(|_| !is_null(column)) else { return column.clone() };
    let items = list.values().as_struct();
    let fields = items.columns().iter().zip(items.fields()).enumerate();
    let fields = fields.map(|(i, (values, field))| match i < FIELDS_READ {
        true => values.clone(),
        false => without(values, field),
    });
    let items = StructArray::new(items.fields().clone(), fields.collect(), items.nulls().cloned());
    let item = list_item(items.fields().clone());
    Arc::new(ListArray::new(item, list.offsets().clone(), Arc::new(items), list.nulls().cloned()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Float64Array, Int32Array, Int64Array, MapArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;

    use super::*;
    use crate::keyword::own_bytes;
    use crate::rows::SpanRows;

    const ROWS: usize = 12;

    /// Something in every row, and nothing in some where that may be.
    fn column(field: &Field, rows: usize) -> ArrayRef {
        let some = |row: usize| !field.is_nullable() || row % 4 != field.name().len() % 4;
        let is_id = |id: &str| field.name().ends_with(id) && !field.name().contains('.');
        let text = |row: usize| match (is_id("trace_id"), is_id("span_id")) {
            (true, _) => format!("{:032x}", row / 3 + 1),
            (_, true) => format!("{:016x}", row + 1),
            _ => format!("{} {row}", field.name()),
        };
        let texts = || (0..rows).map(|row| some(row).then(|| text(row))).collect::<StringArray>();
        let nulls = || Some(NullBuffer::from((0..rows).map(some).collect::<Vec<_>>()));
        let pairs = || OffsetBuffer::from_lengths((0..rows).map(|row| if some(row) { 2 } else { 0 }));
        let items = |of: &Field| {
            let DataType::Struct(fields) = of.data_type() else { panic!("items are structs") };
            let count = *pairs().last().expect("an end") as usize;
            StructArray::new(fields.clone(), fields.iter().map(|f| column(f, count)).collect(), None)
        };
        match field.data_type() {
            DataType::Int64 => {
                Arc::new((0..rows).map(|row| some(row).then_some(row as i64)).collect::<Int64Array>())
            }
            DataType::Int32 => {
                Arc::new((0..rows).map(|row| some(row).then_some(row as i32)).collect::<Int32Array>())
            }
            DataType::Float64 => {
                Arc::new((0..rows).map(|row| some(row).then_some(row as f64)).collect::<Float64Array>())
            }
            DataType::Boolean => {
                Arc::new((0..rows).map(|row| some(row).then_some(row % 2 == 0)).collect::<BooleanArray>())
            }
            DataType::Timestamp(..) => {
                let times = (0..rows as i64).collect::<Vec<_>>();
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
            }
            DataType::List(item) => {
                Arc::new(ListArray::new(item.clone(), pairs(), Arc::new(items(item)), nulls()))
            }
            DataType::Map(entry, sorted) => {
                Arc::new(MapArray::new(entry.clone(), pairs(), items(entry), nulls(), *sorted))
            }
            other => cast(&texts(), other).expect("text"),
        }
    }

    fn check(rules: &str) {
        let rules: Rules = serde_norway::from_str(rules).expect("rules");
        let schema = Table::Spans.file_schema();
        let columns = schema.fields().iter().map(|field| column(field, ROWS)).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("the file schema");
        let less = ToAnalyse::under(&rules).of(&batch).expect("shrinks");
        let spans = |batch: &RecordBatch| -> Vec<String> {
            let rows = SpanRows::to_analyse(batch, &rules).expect("reads");
            let row = |row| format!("{:?} {} {:?}", rows.span(row), rows.wal_seq(row), rows.linked(row));
            (0..ROWS).map(row).collect()
        };
        assert_eq!(spans(&less), spans(&batch), "{rules:?}");
        let bytes = |batch: &RecordBatch| batch.columns().iter().map(own_bytes).sum::<usize>();
        assert!(bytes(&less) < bytes(&batch), "{} of {}", bytes(&less), bytes(&batch));
        let null = |batch: &RecordBatch, name| is_null(batch.column_by_name(name).expect("a column"));
        assert!(!null(&batch, "scope_attributes") && null(&less, "scope_attributes"));
        assert_eq!(null(&less, "attributes"), !rules.needs_other_attributes(), "{rules:?}");
    }

    #[test]
    fn what_is_left_says_all_that_an_analysis_reads() {
        check("{}");
        check("attributes: [{ name: my.key, as: session.id }]");
        check("attributes: [{ name: http.route, as: session.id }]");
    }
}
