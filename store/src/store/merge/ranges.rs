//! The rows of some files of `spans`, a range of traces at a time: files are sorted by trace, and a merge of millions of rows needs
//! few of them in memory at once.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;

use crate::error::StoreError;
use crate::home::Home;
use crate::lake::{FileReader, read_file};
use crate::rows::Columns;
use crate::snapshot::DataFile;

/// Rows of a range, about: what lies in memory, and what a row group of all slices together has (about 600 bytes a row).
const ROWS_AT_ONCE: usize = 1 << 18;

/// See the module's description.
#[derive(Debug)]
pub struct Ranges {
    inputs: Vec<Input>,
    rows_at_once: usize,
}

/// A file that is being read.
#[derive(Debug)]
struct Input {
    /// `None`: nothing more comes.
    reader: Option<FileReader>,
    /// What was read of it and not handed out.
    batches: VecDeque<RecordBatch>,
    rows: usize,
}

impl Ranges {
    pub fn open(home: &Home, files: &[Arc<DataFile>]) -> Result<Self, StoreError> {
        let mut inputs = Vec::with_capacity(files.len());
        let mut rows_at_once = ROWS_AT_ONCE;
        for file in files {
            let reader = read_file(home, Table::Spans, file)?;
            // Another writer's order may be any.
            if !reader.says_sorted() {
                rows_at_once = usize::MAX;
            }
            inputs.push(Input { reader: Some(reader), batches: VecDeque::new(), rows: 0 });
        }
        Ok(Self { inputs, rows_at_once })
    }

    /// Whether any row may have a value in a column.
    pub fn have(&self, column: &str) -> bool {
        self.inputs.iter().filter_map(|input| input.reader.as_ref()).any(|reader| reader.has(column))
    }

    /// The next traces, each with all of its rows; those of one file side by side, in their order. `None` at the end.
    pub fn next(&mut self) -> Result<Option<Vec<RecordBatch>>, StoreError> {
        loop {
            // Of traces before the first that may go on, all is here.
            let mut first_open: Option<(usize, &str)> = None;
            for (at, input) in self.inputs.iter().enumerate().filter(|(_, input)| input.reader.is_some()) {
                let last = input.last()?;
                if first_open.is_none_or(|(_, first)| last < first) {
                    first_open = Some((at, last));
                }
            }
            let rows: usize = self.inputs.iter().map(|input| input.rows).sum();
            match first_open {
                None if rows == 0 => return Ok(None),
                None => return self.take(None).map(Some),
                Some((at, last)) => {
                    if rows >= self.rows_at_once && !last.is_empty() {
                        let last = last.to_owned();
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

    /// Takes out the rows of traces before this one.
    fn take(&mut self, before: Option<&str>) -> Result<Vec<RecordBatch>, StoreError> {
        let mut taken = Vec::new();
        for input in &mut self.inputs {
            while let Some(batch) = input.batches.pop_front() {
                let rows = match before {
                    None => batch.num_rows(),
                    Some(before) => rows_before(&batch, before)?,
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
    /// The last trace of which rows were read; empty before any were, which comes before all others.
    fn last(&self) -> Result<&str, StoreError> {
        let Some(batch) = self.batches.back() else { return Ok("") };
        Ok(Columns::of(batch).text("trace_id")?.value(batch.num_rows() - 1))
    }

    fn read(&mut self) -> Result<(), StoreError> {
        match self.reader.as_mut().and_then(Iterator::next).transpose()? {
            None => self.reader = None,
            Some(batch) if batch.num_rows() == 0 => {}
            Some(batch) => {
                self.rows += batch.num_rows();
                self.batches.push_back(batch);
            }
        }
        Ok(())
    }
}

/// How many rows of a batch are of traces before this one.
fn rows_before(batch: &RecordBatch, trace: &str) -> Result<usize, StoreError> {
    let ids = Columns::of(batch).text("trace_id")?;
    let (mut low, mut high) = (0, batch.num_rows());
    while low < high {
        let middle = usize::midpoint(low, high);
        if ids.value(middle) < trace { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
