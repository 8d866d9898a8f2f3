//! The open lake on a real disk: what is written is read, whoever else wrote into its log.

mod apart;
mod columns;
mod crashes;
mod damage;
mod faults;
mod log;
mod mend;
mod pressure;
mod read;
mod vacuum;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::slice::SLUG_RECENT;
use plimsoll_schemas::table::Table;
use plimsoll_store::lake::{Commit, Effort, Gather, LakeTable, Part, Partition, read_file, write_files};
use plimsoll_store::{DataFile, Home};

/// 2025-10-09.
const DAY: i32 = 20_370;
const DAY_NS: i64 = 86_400_000_000_000;

/// One span, as far as these tests tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    trace: u32,
    start: i64,
    seq: i64,
}

impl Row {
    fn trace_id(&self) -> String {
        // Spread over the whole range, as random ids are.
        format!("{:08x}{:024x}", self.trace.wrapping_mul(0x9e37_79b9), self.trace + 1)
    }
}

/// Rows of `spans`, in the order of its files.
fn spans(rows: &[Row]) -> RecordBatch {
    batch(Table::Spans, rows)
}

/// Rows of a table that is not derived, by (trace, time).
fn batch(table: Table, rows: &[Row]) -> RecordBatch {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|r| (r.trace_id(), r.start));
    let text = |of: &dyn Fn(&Row) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|r| Some(of(r))).collect::<StringArray>())
    };
    let int =
        |of: &dyn Fn(&Row) -> i64| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    let schema = table.file_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "trace_id" => text(&Row::trace_id),
        "span_id" => text(&|r| format!("{:016x}", r.start + 1)),
        name if name == table.time_column() => int(&|r| r.start),
        "wal_seq" => int(&|r| r.seq),
        _ if field.is_nullable() => new_null_array(field.data_type(), rows.len()),
        _ => match field.data_type() {
            DataType::Int64 => int(&|_| 7),
            DataType::Int32 => Arc::new(Int32Array::from(vec![7; rows.len()])),
            DataType::Float64 => Arc::new(Float64Array::from(vec![0.5; rows.len()])),
            DataType::Boolean => Arc::new(BooleanArray::from(vec![false; rows.len()])),
            DataType::Timestamp(..) => Arc::new(
                rows.iter()
                    .map(|r| Some(r.start / 1_000))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            other => cast(&text(&|_| "x".into()), other).expect("a keyword"),
        },
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the table's schema")
}

fn some_rows(traces: u32, spans_each: i64, seq: i64) -> Vec<Row> {
    let starts = |trace| (0..spans_each).map(move |n| i64::from(DAY) * DAY_NS + i64::from(trace) * 1_000 + n);
    (0..traces).flat_map(|trace| starts(trace).map(move |start| Row { trace, start, seq })).collect()
}

fn write(home: &Home, slice: &str, rows: &[Row]) -> DataFile {
    let partition = Partition { day: DAY, slice: Some(slice) };
    let batches = [spans(rows)];
    let part = Part { partition, rows: (0..rows.len() as u32).collect() };
    let all = Gather::of(Table::Spans.file_schema(), &batches);
    let effort = if slice == SLUG_RECENT { Effort::Quick } else { Effort::Thorough };
    let mut files = write_files(home, Table::Spans, &all, &[part], effort).expect("written");
    files.pop().expect("a file")
}

fn adding(adds: Vec<DataFile>) -> Commit {
    Commit { adds, removes: Vec::new(), transaction: None, data_change: true }
}

async fn open(home: &Path) -> LakeTable {
    LakeTable::open(&at(home), Table::Spans).await.expect("opens")
}

fn at(folder: &Path) -> Home {
    Home::open(&folder.into()).expect("a folder")
}

fn root(table: &LakeTable) -> PathBuf {
    table.home().name(table.table().as_str())
}

/// Every row of the table.
fn rows(table: &LakeTable) -> Vec<Row> {
    let mut rows = Vec::new();
    for file in table.files().iter() {
        for batch in read_file(Table::Spans, file).expect("opens") {
            let batch = batch.expect("reads");
            rows.extend(rows_of(Table::Spans, &batch));
        }
    }
    rows.sort();
    rows
}

fn rows_of(table: Table, batch: &RecordBatch) -> Vec<Row> {
    assert_eq!(batch.schema(), table.file_schema());
    let int = |name: &str| -> Int64Array {
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
        column.as_any().downcast_ref::<Int64Array>().expect("integers").clone()
    };
    let ids = batch.column_by_name("trace_id").expect("there").clone();
    let ids = ids.as_any().downcast_ref::<StringArray>().expect("text").clone();
    let (starts, seqs) = (int(table.time_column()), int("wal_seq"));
    let row = |row| {
        let trace = u32::from_str_radix(&ids.value(row)[8..], 16).expect("hex") - 1;
        Row { trace, start: starts.value(row), seq: seqs.value(row) }
    };
    (0..batch.num_rows()).map(row).collect()
}

fn sorted(rows: &[&[Row]]) -> Vec<Row> {
    let mut rows = rows.concat();
    rows.sort();
    rows
}
