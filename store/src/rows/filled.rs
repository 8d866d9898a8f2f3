//! The derived columns of one batch of spans, filled in row by row as their traces are analysed.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::SpanAnalysis;
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};
use plimsoll_schemas::{Slice, SliceKey};
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// In place of a word's number: no word.
const NO_WORD: i32 = -1;

/// What is known of the rows so far; of those that were not filled in, nothing.
#[derive(Debug, Default)]
pub struct Filled {
    words: Words,
    stage: Vec<i32>,
    slice: [Vec<i32>; SliceKey::ALL.len()],
    outcome: Vec<i32>,
    /// Null where its source is.
    queue_ns: Vec<i64>,
    queue_source: Vec<i32>,
    /// Counted from one; zero is null.
    attempt: Vec<i32>,
}

/// The numbers of a slice's words in one batch.
#[derive(Debug, Clone, Copy)]
pub struct SliceWords([i32; SliceKey::ALL.len()]);

impl Filled {
    /// What a row takes in memory.
    pub const BYTES_PER_ROW: usize = 7 * size_of::<i32>() + size_of::<i64>();

    pub fn with_rows(rows: usize) -> Self {
        let words = || vec![NO_WORD; rows];
        Self {
            words: Words::default(),
            stage: words(),
            slice: std::array::from_fn(|_| words()),
            outcome: words(),
            queue_ns: vec![0; rows],
            queue_source: words(),
            attempt: vec![0; rows],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.stage.is_empty()
    }

    /// Looked up once for all rows of a trace.
    pub fn slice(&mut self, slice: &Slice<'_>) -> SliceWords {
        SliceWords(SliceKey::ALL.map(|key| slice.get(key).map_or(NO_WORD, |word| self.words.number(word))))
    }

    pub fn fill(&mut self, row: usize, of: &SpanAnalysis<'_>, slice: SliceWords) {
        self.stage[row] = self.words.number(of.stage);
        for (column, word) in self.slice.iter_mut().zip(slice.0) {
            column[row] = word;
        }
        self.outcome[row] = self.words.number(of.outcome.as_str());
        self.queue_source[row] = of.queue_source.map_or(NO_WORD, |source| self.words.number(source.as_str()));
        self.queue_ns[row] = of.queued().0;
        self.attempt[row] = of.attempt.map_or(0, |(_, ordinal)| i32::try_from(ordinal).unwrap_or(i32::MAX));
    }

    /// The batch with these columns.
    pub fn apply(self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(&self.words.list));
        let keyword = |numbers: Vec<i32>| -> Result<ArrayRef, StoreError> {
            let numbers: Int32Array = numbers.into_iter().map(|n| (n != NO_WORD).then_some(n)).collect();
            let array = DictionaryArray::try_new(numbers, words.clone())
                .map_err(StoreError::arrow("derived keywords"))?;
            Ok(Arc::new(array))
        };
        let is_known = self.queue_source.iter().map(|source| *source != NO_WORD);
        let queue_ns: Int64Array =
            self.queue_ns.into_iter().zip(is_known).map(|(ns, is_known)| is_known.then_some(ns)).collect();
        let attempt: Int32Array = self.attempt.into_iter().map(|n| (n != 0).then_some(n)).collect();
        let [workload_class, model, hardware] = self.slice;
        let filled: [ArrayRef; SPAN_DERIVED_COLUMNS.len()] = [
            keyword(self.stage)?,
            keyword(workload_class)?,
            keyword(model)?,
            keyword(hardware)?,
            keyword(self.outcome)?,
            Arc::new(queue_ns),
            keyword(self.queue_source)?,
            Arc::new(attempt),
        ];
        let schema = Table::Spans.file_schema();
        let mut columns = batch.columns().to_vec();
        for (name, array) in SPAN_DERIVED_COLUMNS.iter().zip(filled) {
            let index = schema.index_of(name).map_err(StoreError::arrow("derived columns"))?;
            columns[index] = array;
        }
        RecordBatch::try_new(schema, columns).map_err(StoreError::arrow("derived columns"))
    }
}

/// Distinct words, so that all keyword columns share one dictionary.
#[derive(Debug, Default)]
struct Words {
    list: Vec<String>,
    index: FxHashMap<String, i32>,
}

impl Words {
    fn number(&mut self, word: &str) -> i32 {
        if let Some(number) = self.index.get(word) {
            return *number;
        }
        let number = i32::try_from(self.list.len()).unwrap_or(i32::MAX);
        self.list.push(word.to_owned());
        self.index.insert(word.to_owned(), number);
        number
    }
}
