//! What is in a column comes back as it was, however its values repeat and wherever its rows go.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    ListBuilder, MapArray, MapBuilder, StringArray, StringBuilder, StructArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, concat, filter, take};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::record_batch::RecordBatch;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::{Table, attribute_map};
use plimsoll_store::Home;
use plimsoll_store::lake::{Effort, Gather, Part, Partition, Writing, read_file, read_traces, write_files};
use proptest::prelude::*;

use super::{DAY, Row, spans};

/// A column that may have no word.
const KEYWORD: &str = "status_message";
const TEXT: &str = "session_id";
const NUMBER: &str = "server_port";
const DOUBLE: &str = "gen_ai_latency_time_in_queue";
const SMALL: &str = "flags";
const MAP: &str = "attributes";

/// The rows, with these values in some of their columns. Each batch has a dictionary of its own, in another order and with a
/// word that no row has.
fn batch(rows: &[Row], values: &[Option<u32>]) -> RecordBatch {
    let batch = spans(rows);
    // So long that some thousand of them are more than a dictionary may have.
    let word = |v: &u32| format!("word {v:>40}");
    let words: Vec<String> = values.iter().flatten().map(word).rev().collect();
    let mut number_of = HashMap::new();
    for (at, word) in words.iter().enumerate() {
        number_of.entry(word).or_insert(at as i32 + 1);
    }
    let last = |v: &u32| number_of.get(&word(v)).copied();
    let keys: Int32Array = values.iter().map(|v| last(v.as_ref()?)).collect();
    let words =
        StringArray::from_iter_values(std::iter::once("nobody's").chain(words.iter().map(String::as_str)));
    let keyword: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(words)));
    let text: ArrayRef =
        Arc::new(values.iter().map(|v| v.map(|v| format!("text {v}"))).collect::<StringArray>());
    let number: ArrayRef = Arc::new(values.iter().map(|v| v.map(i64::from)).collect::<Int64Array>());
    let double: ArrayRef =
        Arc::new(values.iter().map(|v| v.map(|v| f64::from(v) / 8.0)).collect::<Float64Array>());
    let small: ArrayRef = Arc::new(values.iter().map(|v| v.map(|v| v as i32)).collect::<Int32Array>());
    let map = map(values);
    let schema = batch.schema();
    let columns =
        schema.fields().iter().zip(batch.columns()).map(|(field, column)| match field.name().as_str() {
            KEYWORD => keyword.clone(),
            TEXT => text.clone(),
            NUMBER => number.clone(),
            DOUBLE => double.clone(),
            SMALL => small.clone(),
            MAP => map.clone(),
            _ => column.clone(),
        });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the table's schema")
}

/// No map, one without entries, or some of one to three keys, of which one may have no value and another some that are long.
fn map(values: &[Option<u32>]) -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())
        .with_keys_field(Field::new("key", DataType::Utf8, false))
        .with_values_field(Field::new("value", DataType::Utf8, true));
    for value in values {
        if let Some(v) = value {
            for key in 0..v % 4 {
                map.keys().append_value(format!("key {key}"));
                match key {
                    0 => map.values().append_value(format!("{v}")),
                    1 => map.values().append_option((v % 3 > 0).then_some("a word")),
                    _ => map.values().append_value("long ".repeat(*v as usize % 2_000)),
                }
            }
        }
        map.append(value.is_some()).expect("as many values as keys");
    }
    let map = map.finish();
    let DataType::Map(entry, sorted) = attribute_map() else { panic!("a map") };
    let entries = StructArray::new(fields_of(&entry), map.entries().columns().to_vec(), None);
    Arc::new(MapArray::new(entry, map.offsets().clone(), entries, map.nulls().cloned(), sorted))
}

fn fields_of(entry: &Field) -> Fields {
    let DataType::Struct(fields) = entry.data_type() else { panic!("an entry") };
    fields.clone()
}

/// One column of all batches, without its dictionary.
fn column(batches: &[RecordBatch], name: &str) -> ArrayRef {
    let plain = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).expect("there");
        match column.data_type() {
            DataType::Dictionary(..) => cast(column, &DataType::Utf8).expect("text"),
            _ => column.clone(),
        }
    };
    let columns: Vec<ArrayRef> = batches.iter().map(plain).collect();
    concat(&columns.iter().map(|c| c.as_ref()).collect::<Vec<_>>()).expect("of one type")
}

/// Columns that the tests look at.
const COLUMNS: [&str; 11] = [
    KEYWORD,
    TEXT,
    NUMBER,
    DOUBLE,
    SMALL,
    MAP,
    "trace_id",
    "tenant",
    "start_unix_nano",
    "start_time",
    "trace_state",
];

/// Each batch as a row group of one file, all columns of it, whether or not they have a value there.
fn in_groups(home: &Home, batches: &[RecordBatch], effort: Effort) -> Result<(), TestCaseError> {
    let columns = (0..Table::Spans.file_schema().fields().len()).collect();
    let mut files = Writing::begin(home, Table::Spans, columns, effort).expect("begins");
    for batch in batches {
        let one = [batch.clone()];
        let rows = (0..batch.num_rows() as u32).collect();
        let part = Part { partition: Partition { day: DAY, slice: Some("groups") }, rows };
        files.append(&Gather::of(Table::Spans.file_schema(), &one), &[part]).expect("appends");
    }
    let file = files.finish().expect("written").pop().expect("a file");
    prop_assert_eq!(file.rows as usize, batches.iter().map(RecordBatch::num_rows).sum::<usize>());
    let read = read_file(Table::Spans, &file).expect("opens");
    let read: Vec<RecordBatch> = read.collect::<Result<_, _>>().expect("reads");
    for name in COLUMNS {
        prop_assert_eq!(&column(&read, name), &column(batches, name), "{}", name);
    }
    // Some traces alone, so that pages are passed over, and rows within pages.
    let asked: Vec<String> =
        (0..3_000).step_by(40).map(|trace| Row { trace, start: 0, seq: 1 }.trace_id()).collect();
    let ids: Vec<TraceId> = asked.iter().map(|id| id.parse().expect("an id")).collect();
    let read = read_traces(&file, &ids, None).expect("reads");
    let of_trace = column(batches, "trace_id");
    let of_trace =
        of_trace.as_string::<i32>().iter().map(|id| id.is_some_and(|id| asked.iter().any(|a| a == id)));
    let rows: BooleanArray = of_trace.map(Some).collect();
    for name in COLUMNS {
        let expected = filter(&column(batches, name), &rows).expect("rows");
        prop_assert_eq!(&column(&read, name), &expected, "{} of some traces", name);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn each_value_comes_back_to_its_row(
        distinct in prop_oneof![Just(1_u32), Just(3), Just(200), Just(1_000_000)],
        null_every in prop_oneof![Just(1_u32), Just(2), Just(7), Just(u32::MAX)],
        sizes in prop::collection::vec(1_usize..3_000, 1..5),
        seed: u32,
        quick: bool,
    ) {
        let mut random = seed;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 8
        };
        let batches: Vec<RecordBatch> = sizes.iter().map(|n| {
            let rows: Vec<Row> = (0..*n as u32).map(|i| Row { trace: i / 7, start: i.into(), seq: 1 }).collect();
            let values: Vec<Option<u32>> =
                rows.iter().map(|_| (next() % null_every != 0).then(|| next() % distinct)).collect();
            batch(&rows, &values)
        }).collect();
        let all: u32 = sizes.iter().sum::<usize>() as u32;
        // Some rows go to one file, in another order than they came in, and the rest to another.
        let (one, other): (Vec<u32>, Vec<u32>) = (0..all).rev().partition(|row| row % 3 == 0);
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let home = runtime.block_on(async { super::at(folder.path()) });
        let parts: Vec<Part<'_>> = [("a", one), ("b", other)]
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(slice, rows)| Part {
                partition: Partition { day: DAY, slice: Some(slice) },
                rows: UInt32Array::from(rows),
            })
            .collect();
        let gather = Gather::of(Table::Spans.file_schema(), &batches);
        let effort = if quick { Effort::Quick } else { Effort::Thorough };
        let files = write_files(&home, Table::Spans, &gather, &parts, effort).expect("written");
        in_groups(&home, &batches, effort)?;
        for (file, part) in files.iter().zip(&parts) {
            let read: Vec<RecordBatch> = read_file(Table::Spans, file)
                .expect("opens")
                .collect::<Result<_, _>>()
                .expect("reads");
            for name in COLUMNS {
                let expected = take(&column(&batches, name), &part.rows, None).expect("rows");
                prop_assert_eq!(&column(&read, name), &expected, "{}", name);
            }
            let footer = std::fs::File::open(home.name("spans").join(&file.path)).expect("there");
            let footer = SerializedFileReader::new(footer).expect("a file");
            let chunk = footer.metadata().row_group(0).columns().iter().find(|c| c.column_path().string() == KEYWORD);
            let expected = take(&column(&batches, KEYWORD), &part.rows, None).expect("rows");
            let expected = expected.as_string::<i32>();
            match chunk.and_then(|c| c.statistics()) {
                Some(Statistics::ByteArray(found)) => {
                    let text = |b: &parquet::data_type::ByteArray| String::from_utf8_lossy(b.data()).into_owned();
                    prop_assert_eq!(found.null_count_opt(), Some(expected.null_count() as u64));
                    prop_assert_eq!(found.min_opt().map(text), expected.iter().flatten().min().map(str::to_owned));
                    prop_assert_eq!(found.max_opt().map(text), expected.iter().flatten().max().map(str::to_owned));
                }
                other => {
                    let all_null = column(&batches, KEYWORD).null_count() == all as usize;
                    prop_assert!(other.is_none() && all_null, "a column without a value is left out, and no other");
                }
            }
        }
    }
}

/// A batch of runs that says nothing but of the spans that each has.
fn runs(first: u32, span_ids: &[Option<u32>]) -> RecordBatch {
    let schema = Table::StageRuns.file_schema();
    let rows = span_ids.len();
    let mut ids =
        ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, false));
    for (row, count) in (first..).zip(span_ids) {
        (0..count.unwrap_or(0)).for_each(|n| ids.values().append_value(format!("{row:08x}{n:08x}")));
        ids.append(count.is_some());
    }
    let ids: ArrayRef = Arc::new(ids.finish());
    let zeros = || Int64Array::from_value(i64::from(DAY) * 86_400_000_000_000, rows);
    let columns = schema.fields().iter().map(|field| match (field.name().as_str(), field.data_type()) {
        ("span_ids", _) => ids.clone(),
        (_, data_type) if field.is_nullable() => new_null_array(data_type, rows),
        (_, data_type @ (DataType::Int64 | DataType::Timestamp(..))) => {
            cast(&zeros(), data_type).expect("a time")
        }
        (_, data_type) => {
            cast(&StringArray::from_iter_values(std::iter::repeat_n("0", rows)), data_type).expect("zero")
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).expect("the table's schema")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn each_list_comes_back_to_its_row(
        batches in prop::collection::vec(prop::collection::vec(prop::option::of(0_u32..5), 1..6_000), 1..4),
    ) {
        let batches: Vec<RecordBatch> =
            (0..).zip(&batches).map(|(n, span_ids)| runs(n * 10_000, span_ids)).collect();
        let all: u32 = batches.iter().map(|batch| batch.num_rows() as u32).sum();
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let home = runtime.block_on(async { super::at(folder.path()) });
        let rows: UInt32Array = (0..all).rev().collect();
        let part = Part { partition: Partition { day: DAY, slice: None }, rows: rows.clone() };
        let gather = Gather::of(Table::StageRuns.file_schema(), &batches);
        let files =
            write_files(&home, Table::StageRuns, &gather, &[part], Effort::Quick).expect("written");
        let read: Vec<RecordBatch> =
            read_file(Table::StageRuns, &files[0]).expect("opens").collect::<Result<_, _>>().expect("reads");
        let expected = take(&column(&batches, "span_ids"), &rows, None).expect("rows");
        prop_assert_eq!(&column(&read, "span_ids"), &expected);
    }
}
