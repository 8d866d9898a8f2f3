//! The derived columns of some rows of spans, filled in one by one as their traces are analysed.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::SpanAnalysis;
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};
use plimsoll_schemas::{Slice, SliceKey};
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// In place of a number: none.
const NONE: u32 = u32::MAX;
/// Columns of words.
const KEYWORDS: usize = 6;

/// What is known of the rows so far; of those that were not filled in, nothing.
#[derive(Debug, Default)]
pub struct Filled {
    words: Numbers<String>,
    /// Many rows say the same.
    sayings: Numbers<Saying>,
    /// Of each row, which of them; [`NONE`] where nothing is known.
    rows: Vec<u32>,
    /// Null where its source is.
    queue_ns: Vec<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Saying {
    /// The numbers of stage, workload class, model, hardware, outcome and the source of the queue.
    keywords: [u32; KEYWORDS],
    /// Counted from one; zero is null.
    attempt: i32,
}

/// The numbers of a slice's words.
#[derive(Debug, Clone, Copy)]
pub struct SliceWords([u32; SliceKey::ALL.len()]);

/// From the numbers of sayings in one place to those in another, as far as they were needed yet.
#[derive(Debug, Default)]
pub struct Translation(Vec<u32>);

impl Filled {
    /// What a row takes in memory, but for words and sayings.
    pub const BYTES_PER_ROW: usize = size_of::<u32>() + size_of::<i64>();

    pub fn with_rows(rows: usize) -> Self {
        Self { rows: vec![NONE; rows], queue_ns: vec![0; rows], ..Self::default() }
    }

    /// Looked up once for all rows of a trace.
    pub fn slice(&mut self, slice: &Slice<'_>) -> SliceWords {
        SliceWords(SliceKey::ALL.map(|key| slice.get(key).map_or(NONE, |word| self.words.of(word))))
    }

    pub fn fill(&mut self, row: usize, of: &SpanAnalysis<'_>, slice: SliceWords) {
        let [workload_class, model, hardware] = slice.0;
        let stage = self.words.of(of.stage);
        let outcome = self.words.of(of.outcome.as_str());
        let source = of.queue_source.map_or(NONE, |source| self.words.of(source.as_str()));
        let keywords = [stage, workload_class, model, hardware, outcome, source];
        let attempt = of.attempt.map_or(0, |(_, ordinal)| i32::try_from(ordinal).unwrap_or(i32::MAX));
        if row >= self.rows.len() {
            self.rows.resize(row + 1, NONE);
            self.queue_ns.resize(row + 1, 0);
        }
        self.rows[row] = self.sayings.of(&Saying { keywords, attempt });
        self.queue_ns[row] = of.queued().0;
    }

    /// Copies what is known of so many rows to as many here, which are there already.
    pub fn copy_all(&mut self, row: usize, from: &Self, from_row: usize, rows: usize) {
        let mut translation = Translation::default();
        for at in 0..rows.min(from.rows.len().saturating_sub(from_row)) {
            self.copy(row + at, from, from_row + at, &mut translation);
        }
    }

    /// Copies what is known of a row elsewhere, if anything is.
    pub fn copy(&mut self, row: usize, from: &Self, from_row: usize, translation: &mut Translation) {
        let Some(saying) = from.rows.get(from_row).filter(|saying| **saying != NONE) else { return };
        translation.0.resize(from.sayings.list.len(), NONE);
        let known = &mut translation.0[*saying as usize];
        if *known == NONE {
            let Saying { keywords, attempt } = from.sayings.list[*saying as usize];
            let word =
                |word: u32| if word == NONE { NONE } else { self.words.of(&from.words.list[word as usize]) };
            *known = self.sayings.of(&Saying { keywords: keywords.map(word), attempt });
        }
        self.rows[row] = *known;
        self.queue_ns[row] = from.queue_ns[from_row];
    }

    fn saying(&self, row: u32) -> Option<&Saying> {
        self.sayings.list.get(row as usize)
    }

    /// The batch with these columns.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(&self.words.list));
        let keyword = |column: usize| -> Result<ArrayRef, StoreError> {
            let word =
                |row: &u32| self.saying(*row).and_then(|saying| i32::try_from(saying.keywords[column]).ok());
            let numbers: Int32Array = self.rows.iter().map(word).collect();
            let array = DictionaryArray::try_new(numbers, words.clone())
                .map_err(StoreError::arrow("derived keywords"))?;
            Ok(Arc::new(array))
        };
        let source = KEYWORDS - 1;
        let queue_ns = |(row, ns): (&u32, &i64)| {
            self.saying(*row).filter(|saying| saying.keywords[source] != NONE).map(|_| *ns)
        };
        let attempt = |row: &u32| self.saying(*row).map(|saying| saying.attempt).filter(|n| *n != 0);
        let filled: [ArrayRef; SPAN_DERIVED_COLUMNS.len()] = [
            keyword(0)?,
            keyword(1)?,
            keyword(2)?,
            keyword(3)?,
            keyword(4)?,
            Arc::new(self.rows.iter().zip(&self.queue_ns).map(queue_ns).collect::<Int64Array>()),
            keyword(source)?,
            Arc::new(self.rows.iter().map(attempt).collect::<Int32Array>()),
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

/// Distinct values, each with its number.
#[derive(Debug)]
struct Numbers<T> {
    list: Vec<T>,
    index: FxHashMap<T, u32>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { list: Vec::new(), index: FxHashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn of<V: ToOwned<Owned = T> + Eq + Hash + ?Sized>(&mut self, value: &V) -> u32
    where
        T: Borrow<V>,
    {
        if let Some(number) = self.index.get(value) {
            return *number;
        }
        // Fewer than rows, of which a batch has fewer than 2³¹.
        let number = self.list.len() as u32;
        self.list.push(value.to_owned());
        self.index.insert(value.to_owned(), number);
        number
    }
}
