//! What is known of a file without reading its rows, from its Parquet footer or from its entry in the Delta log.
//!
//! The log's form is Delta's per-file statistics (JSON: numRecords, minValues, maxValues, nullCount), of a few
//! columns that readers prune by: wider statistics make every commit and every checkpoint larger.

use chrono::{DateTime, SecondsFormat, Utc};
use parquet::basic::LogicalType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;
use serde_json::{Map, Value, json};

/// Those of them that a table has.
const COLUMNS: [&str; 17] = [
    "tenant",
    "trace_id",
    "start_unix_nano",
    "start_time",
    "time_unix_nano",
    "time",
    "judged_unix_nano",
    "judged_at",
    "window_unix_nano",
    "window_time",
    "duration_ns",
    "service_name",
    "stage",
    "wal_seq",
    "revision",
    "resettled",
    "rerolled",
];

/// The statistics of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStats {
    pub rows: u64,
    /// Smallest and largest value of the table's time column.
    pub time_range: (UnixNanos, UnixNanos),
    /// Highest log sequence among its rows (0 where the table has none).
    pub wal_seq_max: u64,
    /// False only if none of its rows may supersede another.
    pub supersedes: bool,
}

/// The columns of `table` that have statistics in the log.
pub fn columns(table: Table) -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().filter(move |c| table.file_schema().column_with_name(c).is_some())
}

/// Delta's statistics from a footer.
pub fn delta_json(table: Table, footer: &ParquetMetaData) -> Value {
    let (mut min_values, mut max_values, mut null_counts) = (Map::new(), Map::new(), Map::new());
    for column in columns(table) {
        let chunks = chunks(footer, column);
        let mut nulls = Some(0);
        let mut range: Option<(Value, Value)> = None;
        let mut complete = true;
        for chunk in &chunks {
            let null = chunk.statistics().and_then(Statistics::null_count_opt);
            nulls = nulls.zip(null).map(|(a, b)| a + b);
            match chunk_range(chunk) {
                Some((min, max)) => {
                    range = Some(match range {
                        None => (min, max),
                        Some((low, high)) => (smaller(low, min, false), smaller(high, max, true)),
                    });
                }
                // Other writers may leave some out: a range of the rest would prune what is there.
                None => complete &= null.is_some_and(|n| i64::try_from(n) == Ok(chunk.num_values())),
            }
        }
        if let Some(nulls) = nulls {
            null_counts.insert(column.into(), nulls.into());
        }
        let range = range.filter(|_| complete);
        if let Some((min, max)) = range {
            min_values.insert(column.into(), for_log(min, &chunks));
            max_values.insert(column.into(), for_log(max, &chunks));
        }
    }
    json!({
        "numRecords": footer.file_metadata().num_rows(),
        "minValues": min_values,
        "maxValues": max_values,
        "nullCount": null_counts,
    })
}

impl FileStats {
    /// `None` where something is missing, as in files of other writers.
    pub fn from_delta(table: Table, stats: &Value) -> Option<Self> {
        let time = |bound: &str| stats.get(bound)?.get(table.time_column())?.as_i64().map(UnixNanos);
        let wal_seq_max = match table.file_schema().column_with_name("wal_seq") {
            Some(_) => stats.get("maxValues")?.get("wal_seq")?.as_u64()?,
            None => 0,
        };
        let supersedes = table.superseding_column().is_some_and(|column| {
            // Files of older versions of us do not say.
            stats.get("maxValues").and_then(|max| max.get(column)?.as_bool()).unwrap_or(true)
        });
        Some(Self {
            rows: stats.get("numRecords")?.as_u64()?,
            time_range: (time("minValues")?, time("maxValues")?),
            wal_seq_max,
            supersedes,
        })
    }
}

/// The chunks of a column that is not nested.
fn chunks<'a>(footer: &'a ParquetMetaData, column: &str) -> Vec<&'a ColumnChunkMetaData> {
    let leaves = footer.file_metadata().schema_descr().columns();
    match leaves.iter().position(|leaf| leaf.path().parts() == [column]) {
        Some(leaf) => footer.row_groups().iter().map(|group| group.column(leaf)).collect(),
        None => Vec::new(),
    }
}

/// Integers as numbers, text as text. Delta has no range of truth values, and its readers pass over ours.
fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<(Value, Value)> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Value::from);
    match chunk.statistics()? {
        Statistics::Boolean(s) => Some(((*s.min_opt()?).into(), (*s.max_opt()?).into())),
        Statistics::Int32(s) => Some(((*s.min_opt()?).into(), (*s.max_opt()?).into())),
        Statistics::Int64(s) => Some(((*s.min_opt()?).into(), (*s.max_opt()?).into())),
        Statistics::ByteArray(s) => Some((text(s.min_opt()?.data())?, text(s.max_opt()?.data())?)),
        _ => None,
    }
}

/// The smaller of two values of one column, or the larger.
fn smaller(a: Value, b: Value, larger: bool) -> Value {
    let b_is_smaller = match (&a, &b) {
        (Value::Bool(a), Value::Bool(b)) => !*b && *a,
        (Value::Number(a), Value::Number(b)) => b.as_i64() < a.as_i64(),
        _ => b.as_str() < a.as_str(),
    };
    if b_is_smaller != larger { b } else { a }
}

/// Points in time are text there.
fn for_log(value: Value, chunks: &[&ColumnChunkMetaData]) -> Value {
    let is_time = chunks
        .first()
        .is_some_and(|c| matches!(c.column_descr().logical_type_ref(), Some(LogicalType::Timestamp { .. })));
    match value.as_i64().and_then(DateTime::<Utc>::from_timestamp_micros) {
        Some(time) if is_time => time.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;

    use super::*;

    #[test]
    fn a_range_that_leaves_a_row_group_out_is_none() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7, 9]));
        let batch = RecordBatch::try_from_iter([("wal_seq", column)]).expect("a batch");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        for _ in 0..2 {
            writer.write(&batch).expect("written");
            writer.flush().expect("a row group");
        }
        let footer = writer.finish().expect("a footer");
        let complete = delta_json(Table::Spans, &footer);
        assert_eq!(
            (&complete["maxValues"]["wal_seq"], &complete["nullCount"]["wal_seq"]),
            (&json!(9), &json!(0))
        );

        let mut footer = footer.into_builder();
        let mut groups = footer.take_row_groups();
        let mut second = groups.remove(1).into_builder();
        let bare = second.take_columns().into_iter().map(|c| c.into_builder().clear_statistics().build());
        let bare = bare.collect::<Result<Vec<_>, _>>().expect("columns");
        groups.push(second.set_column_metadata(bare).build().expect("a row group"));
        let partial = delta_json(Table::Spans, &footer.set_row_groups(groups).build());
        assert!(partial["maxValues"].get("wal_seq").is_none(), "{partial}");
        assert!(partial["nullCount"].get("wal_seq").is_none(), "{partial}");
    }
}
