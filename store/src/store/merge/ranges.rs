//! The rows of some files of a table, a range at a time, of traces or of time: files are sorted so, and a merge of millions of rows
//! needs few of them in memory at once, however large they are.

mod place;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;

use crate::error::StoreError;
use crate::lake::{FileReader, read_file};
use crate::snapshot::DataFile;
use crate::store::derived::OfFile;
use place::Place;

/// Of a range, about: what lies in memory, and what a row group of all slices together has. A span takes some 400 bytes, or a hundred
/// thousand with its prompt.
const RANGE_BYTES: usize = 32 << 20;

/// See the module's description.
#[derive(Debug)]
pub struct Ranges {
    table: Table,
    inputs: Vec<Input>,
    range_bytes: usize,
}

/// A file that is being read.
#[derive(Debug)]
struct Input {
    /// `None`: nothing more comes.
    reader: Option<FileReader>,
    derived: Option<Arc<OfFile>>,
    /// Rows that were read.
    read: usize,
    /// What was read of it and not handed out.
    batches: VecDeque<RecordBatch>,
    rows: usize,
    /// Of the batch that was read last.
    bytes_per_row: usize,
}

impl Ranges {
    /// `derived` tells what is derived of a file's rows that the file does not say.
    pub fn open(
        table: Table,
        files: &[Arc<DataFile>],
        derived: impl Fn(&str) -> Option<Arc<OfFile>>,
    ) -> Result<Self, StoreError> {
        Self::of(table, files, derived, RANGE_BYTES)
    }

    fn of(
        table: Table,
        files: &[Arc<DataFile>],
        derived: impl Fn(&str) -> Option<Arc<OfFile>>,
        mut range_bytes: usize,
    ) -> Result<Self, StoreError> {
        let mut inputs = Vec::with_capacity(files.len());
        for file in files {
            // Of each file some rows are there that are not of the range: all of them together should be fewer than those that are.
            let reader = read_file(table, file)?.with_batch_bytes(range_bytes / 4 / files.len());
            // Another writer's order may be any.
            if !reader.says_sorted() {
                range_bytes = usize::MAX;
            }
            let derived = derived(&file.path);
            let batches = VecDeque::new();
            inputs.push(Input { reader: Some(reader), derived, read: 0, batches, rows: 0, bytes_per_row: 0 });
        }
        Ok(Self { table, inputs, range_bytes })
    }

    /// Whether any row may have a value in a column.
    pub fn have(&self, column: &str) -> bool {
        self.inputs.iter().filter_map(|input| input.reader.as_ref()).any(|reader| reader.has(column))
    }

    /// The numbers of the table's columns that some row may have a value in.
    pub fn columns(&self) -> Vec<usize> {
        let schema = self.table.file_schema();
        (0..schema.fields().len()).filter(|at| self.have(schema.field(*at).name())).collect()
    }

    /// The next rows, of a trace or time all that there are; those of one file side by side, in their order. `None` at the end.
    pub fn next(&mut self) -> Result<Option<Vec<RecordBatch>>, StoreError> {
        loop {
            // Before the first place that may go on, all is here.
            let mut first_open: Option<(usize, Place)> = None;
            for (at, input) in self.inputs.iter().enumerate().filter(|(_, input)| input.reader.is_some()) {
                let last = input.last(self.table)?;
                if first_open.as_ref().is_none_or(|(_, first)| last < *first) {
                    first_open = Some((at, last));
                }
            }
            let bytes: usize = self.inputs.iter().map(|input| input.rows * input.bytes_per_row).sum();
            match first_open {
                None if bytes == 0 => return Ok(None),
                None => return self.take(None).map(Some),
                Some((at, last)) => {
                    if bytes >= self.range_bytes && last != Place::Begin {
                        let batches = self.take(Some(&last))?;
                        if !batches.is_empty() {
                            return Ok(Some(batches));
                        }
                    }
                    self.inputs[at].read()?;
                }
            }
        }
    }

    /// Takes out the rows before this place.
    fn take(&mut self, before: Option<&Place>) -> Result<Vec<RecordBatch>, StoreError> {
        let mut taken = Vec::new();
        for input in &mut self.inputs {
            while let Some(batch) = input.batches.pop_front() {
                let rows = match before {
                    None => batch.num_rows(),
                    Some(before) => before.rows_before(self.table, &batch)?,
                };
                if rows > 0 {
                    taken.push(batch.slice(0, rows));
                    input.rows -= rows;
                }
                if rows < batch.num_rows() {
                    input.batches.push_front(batch.slice(rows, batch.num_rows() - rows));
                    break;
                }
            }
        }
        Ok(taken)
    }
}

impl Input {
    /// The place of the last row that was read.
    fn last(&self, table: Table) -> Result<Place, StoreError> {
        self.batches.back().map_or(Ok(Place::Begin), |batch| Place::of_last(table, batch))
    }

    fn read(&mut self) -> Result<(), StoreError> {
        match self.reader.as_mut().and_then(Iterator::next).transpose()? {
            None => self.reader = None,
            Some(batch) if batch.num_rows() == 0 => {}
            Some(batch) => {
                let filled = self.derived.as_ref().map(|derived| derived.fill(self.read, &batch));
                self.rows += batch.num_rows();
                self.bytes_per_row = memory_bytes(&batch) / batch.num_rows() + 1;
                self.read += batch.num_rows();
                self.batches.push_back(filled.transpose()?.unwrap_or(batch));
            }
        }
        Ok(())
    }
}

/// What a batch takes that was just read. Its dictionaries are those of its row group, which other batches have too, and columns
/// without a value are one for all batches.
fn memory_bytes(batch: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| match column.as_any_dictionary_opt() {
        _ if column.null_count() == column.len() => 0,
        Some(dictionary) => dictionary.keys().get_buffer_memory_size(),
        None => column.get_buffer_memory_size(),
    };
    batch.columns().iter().map(of_column).sum()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, new_null_array};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    use super::*;
    use crate::home::Home;
    use crate::lake::{Effort, Gather, Part, Partition, Writing};
    use crate::rows::Columns;

    /// Rows (place, another number) as a batch with the table's file schema: the place is what its files are sorted by.
    fn batch(table: Table, rows: &[(u8, i64)]) -> RecordBatch {
        let by_trace = table == Table::Spans;
        let schema = table.file_schema();
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let time = |(place, other): &(u8, i64)| if by_trace { *other } else { i64::from(*place) };
            let trace = |(place, other): &(u8, i64)| if by_trace { i64::from(*place) } else { *other };
            let int = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(time))) };
            let text = |of: &dyn Fn(&(u8, i64)) -> String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
            };
            match field.name().as_str() {
                "trace_id" => text(&|row| format!("{:032x}", trace(row) + 1)),
                "span_id" => text(&|(place, other)| format!("{place:04x}{other:012x}")),
                name if name == table.time_column() => int(),
                _ if field.is_nullable() => new_null_array(field.data_type(), rows.len()),
                _ => match field.data_type() {
                    DataType::Timestamp(..) | DataType::Int64 | DataType::Int32 => {
                        cast(&int(), field.data_type()).expect("a number")
                    }
                    other => cast(&text(&|_| "0".into()), other).expect("a keyword"),
                },
            }
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).expect("the table's schema")
    }

    fn rows(table: Table, batch: &RecordBatch) -> Vec<(u8, i64)> {
        let columns = Columns::of(batch);
        let number = |id: &str| i64::from_str_radix(id, 16).expect("an id") - 1;
        let traces = columns.text("trace_id").expect("ids").iter().flatten().map(number);
        let times = columns.int(table.time_column()).expect("times").values().iter().copied();
        let row = |(trace, time)| if table == Table::Spans { (trace, time) } else { (time, trace) };
        traces.zip(times).map(row).map(|(place, other)| (place as u8, other)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_row_comes_once_with_all_of_its_place_and_places_in_their_order(
            files in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec((any::<u8>(), 0..1_000_i64), 0..300), 1..4),
                1..5,
            ),
            range_bytes in 1..200_000_usize,
            sorted: bool,
            table in prop::sample::select(vec![Table::Spans, Table::StageRuns, Table::Edges]),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let home = runtime.block_on(async { Home::open(&folder.path().into()).expect("a folder") });
            let mut written = Vec::new();
            let mut expected = Vec::new();
            for file in files {
                // The groups of one file follow one another, where they are sorted.
                let mut all: Vec<(u8, i64)> = file.concat();
                if sorted {
                    all.sort_unstable();
                }
                let columns = (0..table.file_schema().fields().len()).collect();
                let mut writing = Writing::begin(&home, table, columns, Effort::Quick).expect("begins");
                let mut rest = all.as_slice();
                for group in file.iter().map(Vec::len).filter(|rows| *rows > 0) {
                    let (now, later) = rest.split_at(group);
                    rest = later;
                    let batch = [batch(table, now)];
                    let partition = Partition { day: 20_000, slice: (table == Table::Spans).then_some("s") };
                    let part = Part { partition, rows: (0..now.len() as u32).collect() };
                    let gather = Gather::of(table.file_schema(), &batch);
                    writing.append(&gather, &[part]).expect("appends");
                    expected.extend_from_slice(now);
                }
                written.extend(writing.finish().expect("written").into_iter().map(Arc::new));
            }
            // A file that says so without being it is another matter.
            let range_bytes = if sorted { range_bytes } else { usize::MAX };
            let mut ranges = Ranges::of(table, &written, |_| None, range_bytes).expect("opens");
            let mut found: Vec<(u8, i64)> = Vec::new();
            let mut count = 0;
            while let Some(batches) = ranges.next().expect("reads") {
                let range: Vec<_> = batches.iter().flat_map(|batch| rows(table, batch)).collect();
                prop_assert!(!range.is_empty());
                let first = range.iter().map(|(place, _)| place).min();
                prop_assert!(found.iter().map(|(place, _)| place).max() < first, "ranges follow one another");
                found.extend(range);
                count += 1;
            }
            // A row takes more than that.
            prop_assert!(!sorted || count > 1 || (expected.len().saturating_sub(1_000)) * 100 < 2 * range_bytes);
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
