//! The rows of many batches as one sequence, of which files take some in some order, column by column.
//!
//! Rows are numbered through all batches. Texts are taken from where they lie, also those in lists and maps. Another column is first put
//! together and then taken from: both passes run through contiguous memory, and only one column is there twice at a time.

mod lists;

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, DictionaryArray, StringArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use rustc_hash::FxHashMap;

use crate::error::StoreError;
pub use lists::Lists;

/// In place of a word's number: no word.
pub const NO_WORD: i32 = -1;

/// Batches of one schema, of at most 2³¹ rows together.
pub struct Gather<'a> {
    pub schema: SchemaRef,
    batches: &'a [RecordBatch],
    places: OnceCell<Places>,
}

impl std::fmt::Debug for Gather<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").field("batches", &self.batches.len()).finish_non_exhaustive()
    }
}

/// One column of all batches.
#[derive(Debug)]
pub enum Column<'a> {
    Keywords(Keywords<'a>),
    Texts(Texts<'a>),
    /// Of lists their items; of maps their keys, and their values.
    Lists(Vec<Lists<'a>>),
    Other(ArrayRef),
}

/// A column of texts.
#[derive(Debug)]
pub struct Texts<'a> {
    arrays: Vec<&'a StringArray>,
    places: &'a Places,
    nulls: Option<NullBuffer>,
}

/// Where each row is.
#[derive(Debug)]
struct Places {
    /// Of each row, the number of its batch.
    batches: Vec<u32>,
    /// Of each batch, the number of its first row.
    first_rows: Vec<u32>,
}

/// Dictionaries of all batches as one.
#[derive(Debug)]
pub struct Keywords<'a> {
    pub words: Vec<&'a str>,
    /// Of each row, which of the words; [`NO_WORD`] is null. `None`: all rows have the only word.
    pub numbers: Option<Vec<i32>>,
}

impl<'a> Gather<'a> {
    pub fn of(schema: SchemaRef, batches: &'a [RecordBatch]) -> Self {
        Self { schema, batches, places: OnceCell::new() }
    }

    /// Whether no row has a value there: most columns of spans are promoted attributes that a given stretch of traffic
    /// does not have.
    pub fn is_null(&self, index: usize) -> bool {
        self.batches.iter().all(|b| b.column(index).null_count() == b.num_rows())
    }

    pub fn column(&self, index: usize) -> Result<Column<'_>, StoreError> {
        let arrays: Vec<&'a dyn Array> = self.batches.iter().map(|b| b.column(index).as_ref()).collect();
        let places = || self.places.get_or_init(|| Places::through(self.batches));
        let column = match self.schema.field(index).data_type() {
            DataType::Utf8 => {
                let texts: Option<_> = arrays.iter().map(|array| array.as_string_opt()).collect();
                texts.map(|texts| Column::Texts(Texts::of(texts, places())))
            }
            DataType::Map(..) | DataType::List(_) => Lists::of(&arrays, places()).map(Column::Lists),
            _ => Keywords::of(&arrays).map(Column::Keywords),
        };
        match column {
            Some(column) => Ok(column),
            None => concat(&arrays).map(Column::Other).map_err(self.context(index)),
        }
    }

    /// These rows of a column that is an array.
    pub fn rows(&self, index: usize, column: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, StoreError> {
        take(column, rows, None).map_err(self.context(index))
    }

    fn context(&self, index: usize) -> impl FnOnce(ArrowError) -> StoreError {
        StoreError::arrow(format!("column {}", self.schema.field(index).name()))
    }
}

impl Places {
    fn through(batches: &[RecordBatch]) -> Self {
        let mut of_rows = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (number, batch) in (0..).zip(batches) {
            of_rows.resize(of_rows.len() + batch.num_rows(), number);
        }
        Self { batches: of_rows, first_rows: first_rows(batches) }
    }

    /// The number of a row's batch, and its own in that.
    #[inline]
    fn of(&self, row: u32) -> (usize, usize) {
        let batch = self.batches[row as usize] as usize;
        (batch, (row - self.first_rows[batch]) as usize)
    }
}

impl<'a> Texts<'a> {
    fn of(arrays: Vec<&'a StringArray>, places: &'a Places) -> Self {
        let nulls = arrays.iter().any(|array| array.null_count() > 0).then(|| {
            let mut valid = BooleanBufferBuilder::new(places.batches.len());
            for array in &arrays {
                match array.nulls() {
                    Some(nulls) => valid.append_buffer(nulls.inner()),
                    None => valid.append_n(array.len(), true),
                }
            }
            NullBuffer::new(valid.finish())
        });
        Self { arrays, places, nulls }
    }

    /// That of a row; nothing to be looked at, where there is none.
    #[inline]
    pub fn get(&self, row: u32) -> &'a str {
        let (batch, row) = self.places.of(row);
        self.arrays[batch].value(row)
    }

    /// Which rows have one; `None`: all.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }
}

impl<'a> Keywords<'a> {
    /// `None` where the column is of another type.
    fn of(arrays: &[&'a dyn Array]) -> Option<Self> {
        let mut words: Vec<&str> = Vec::new();
        let mut index: FxHashMap<&str, i32> = FxHashMap::default();
        // Of each entry of each batch's dictionary, its number. Batches of one file share a dictionary.
        let mut entries: Vec<Arc<[i32]>> = Vec::with_capacity(arrays.len());
        let mut last: Option<&'a StringArray> = None;
        for array in arrays {
            let dictionary = array.as_dictionary_opt::<Int32Type>()?;
            let values = dictionary.values().as_string_opt::<i32>()?;
            if let Some(same) = entries.last().filter(|_| last.is_some_and(|last| std::ptr::eq(last, values)))
            {
                entries.push(same.clone());
                continue;
            }
            let number = |word: Option<&'a str>| {
                let Some(word) = word else { return NO_WORD };
                *index.entry(word).or_insert_with(|| {
                    words.push(word);
                    words.len() as i32 - 1
                })
            };
            entries.push(values.iter().map(number).collect());
            last = Some(values);
        }
        i32::try_from(words.len()).ok()?;
        let is_one = words.len() == 1 && arrays.iter().all(|a| a.logical_null_count() == 0);
        let numbers = (!is_one).then(|| {
            let mut numbers = Vec::with_capacity(arrays.iter().map(|a| a.len()).sum());
            for (array, entries) in arrays.iter().zip(&entries) {
                push_numbers(array.as_dictionary(), entries, &mut numbers);
            }
            numbers
        });
        Some(Self { words, numbers })
    }

    /// The words of these rows, of which there are some, each once.
    pub fn used(&self, rows: &[u32]) -> Vec<&'a str> {
        let Some(numbers) = self.numbers.as_ref().filter(|numbers| numbers.len() != rows.len()) else {
            return self.words.clone();
        };
        let mut is_used = vec![false; self.words.len()];
        for number in rows.iter().map(|row| numbers[*row as usize]).filter(|number| *number != NO_WORD) {
            is_used[number as usize] = true;
        }
        self.words.iter().zip(is_used).filter_map(|(word, is_used)| is_used.then_some(*word)).collect()
    }
}

/// Appends the numbers of a batch's rows.
fn push_numbers(dictionary: &DictionaryArray<Int32Type>, entries: &[i32], numbers: &mut Vec<i32>) {
    let keys = dictionary.keys().values();
    match dictionary.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => numbers.extend(keys.iter().map(|key| entries[*key as usize])),
        Some(nulls) if nulls.null_count() == keys.len() => {
            numbers.resize(numbers.len() + keys.len(), NO_WORD);
        }
        Some(nulls) => {
            let number = |(key, valid): (&i32, bool)| if valid { entries[*key as usize] } else { NO_WORD };
            numbers.extend(keys.iter().zip(nulls.iter()).map(number));
        }
    }
}

/// The number of each batch's first row.
pub fn first_rows<'b>(batches: impl IntoIterator<Item = &'b RecordBatch>) -> Vec<u32> {
    let begins = batches.into_iter().scan(0_u32, |next, batch| {
        let begin = *next;
        *next += batch.num_rows() as u32;
        Some(begin)
    });
    begins.collect()
}
