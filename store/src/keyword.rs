//! Builds a column of few distinct words: a dictionary that keeps each word once, and of each row its key.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Int32Type;
use plimsoll_schemas::table::keyword;
use rustc_hash::FxHashMap;

use crate::nulls::{is_null, null_column};

/// In place of a key: no value.
const NO_KEY: i32 = -1;

/// Columns in which all rows say the same, as what a resource says of itself, share the keys of this one, as far as it reaches.
static SAME: LazyLock<DictionaryArray<Int32Type>> = LazyLock::new(|| {
    let keys = Int32Array::from_value(0, 8 * 1024);
    DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values([""])))
});

/// What a column takes in memory that others do not share.
pub(crate) fn own_bytes(array: &ArrayRef) -> usize {
    // Columns that are null throughout share their memory with all others that are.
    if is_null(array) {
        return 0;
    }
    // So do, inside of lists, fields without a value.
    if let Some(list) = array.as_list_opt::<i32>() {
        let items = list.values().as_struct_opt().map(|items| items.columns().iter().map(own_bytes).sum());
        let items = items.unwrap_or_else(|| own_bytes(list.values()));
        return items
            + list.offsets().inner().inner().capacity()
            + list.nulls().map_or(0, |nulls| nulls.buffer().capacity());
    }
    let keys = array.as_dictionary_opt::<Int32Type>().map(|dictionary| dictionary.keys().values().inner());
    let same = SAME.keys().values().inner();
    let shared = keys.filter(|keys| keys.data_ptr() == same.data_ptr()).map_or(0, |keys| keys.capacity());
    array.get_array_memory_size() - shared
}

/// Text of few distinct values, each stored once.
#[derive(Debug, Default)]
pub struct KeywordBuilder<'a> {
    /// Of each row; [`NO_KEY`] is null.
    keys: Vec<i32>,
    values: Vec<Cow<'a, str>>,
    /// Of all values, once they are more than [`FEW`].
    index: FxHashMap<Cow<'a, [u8]>, i32>,
    /// The key that was given last: neighbours often share one.
    last: usize,
}

/// So many values are looked through faster than hashed.
const FEW: usize = 8;

impl<'a> KeywordBuilder<'a> {
    pub fn with_capacity(rows: usize) -> Self {
        Self { keys: Vec::with_capacity(rows), ..Self::default() }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    #[inline]
    pub fn push(&mut self, value: Option<Cow<'a, str>>) {
        let key = value.map_or(NO_KEY, |v| self.intern(v));
        self.keys.push(key);
    }

    #[inline]
    pub fn push_str(&mut self, value: &'a str) {
        self.push(Some(Cow::Borrowed(value)));
    }

    /// Empty text is no text.
    #[inline]
    pub fn push_some(&mut self, value: Cow<'a, str>) {
        self.push(Some(value).filter(|v| !v.is_empty()));
    }

    /// Text that does not last as long as the column.
    #[inline]
    pub fn push_copy(&mut self, value: &str) {
        let key = self.find(value.as_bytes()).unwrap_or_else(|| self.add(Cow::Owned(value.to_owned())));
        self.keys.push(key);
    }

    /// Puts the value of these bytes at `row`, with nulls before it, and answers its number. `read` is asked only for bytes
    /// that are no value yet.
    #[inline]
    pub fn put(&mut self, row: usize, bytes: &[u8], read: impl FnOnce() -> Cow<'a, str>) -> usize {
        self.keys.resize(row, NO_KEY);
        let key = self.find(bytes).unwrap_or_else(|| self.intern(read()));
        self.keys.push(key);
        key as usize
    }

    /// The value with this number, if it lasts longer than the column.
    #[inline]
    pub fn borrowed(&self, number: usize) -> Option<&'a str> {
        match self.values.get(number) {
            Some(Cow::Borrowed(value)) => Some(value),
            _ => None,
        }
    }

    /// The value that was put last, or looked for, likewise.
    #[inline]
    pub fn last(&self) -> Option<&'a str> {
        self.borrowed(self.last)
    }

    /// Puts one value at all of these rows, with nulls before them.
    #[inline]
    pub fn fill(&mut self, rows: Range<usize>, value: Cow<'a, str>) {
        if rows.is_empty() {
            return;
        }
        self.keys.resize(rows.start, NO_KEY);
        let key = self.intern(value);
        self.keys.resize(rows.end, key);
    }

    /// Empty text is no text.
    pub fn fill_some(&mut self, rows: Range<usize>, value: Cow<'a, str>) {
        if !value.is_empty() {
            self.fill(rows, value);
        }
    }

    #[inline]
    fn intern(&mut self, value: Cow<'a, str>) -> i32 {
        self.find(value.as_bytes()).unwrap_or_else(|| self.add(value))
    }

    #[inline]
    fn find(&mut self, value: &[u8]) -> Option<i32> {
        if self.values.get(self.last).is_some_and(|last| last.as_bytes() == value) {
            return Some(self.last as i32);
        }
        self.find_other(value)
    }

    #[inline(never)] // So that the one before, which most often is the same, takes no call.
    fn find_other(&mut self, value: &[u8]) -> Option<i32> {
        let key = if self.values.len() <= FEW {
            self.values.iter().position(|v| v.as_bytes() == value)?
        } else {
            *self.index.get(value)? as usize
        };
        self.last = key;
        Some(key as i32)
    }

    #[cold]
    fn add(&mut self, value: Cow<'a, str>) -> i32 {
        self.last = self.values.len();
        self.values.push(value);
        // Those before the first that is too many are indexed with it.
        let from = if self.last == FEW { 0 } else { self.last };
        if self.last >= FEW {
            let bytes = |value: &Cow<'a, str>| match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.clone().into_bytes()),
            };
            let new = (from..).zip(&self.values[from..]);
            self.index.extend(new.map(|(key, value)| (bytes(value), i32::try_from(key).unwrap_or(i32::MAX))));
        }
        i32::try_from(self.last).unwrap_or(i32::MAX)
    }

    pub fn finish(mut self, rows: usize) -> ArrayRef {
        if self.values.is_empty() {
            return null_column(&keyword(), rows);
        }
        self.keys.resize(rows, NO_KEY);
        let has_nulls = self.keys.contains(&NO_KEY);
        let values = StringArray::from_iter_values(self.values.iter().map(AsRef::as_ref));
        if values.len() == 1 && !has_nulls && rows <= SAME.len() {
            return Arc::new(SAME.slice(0, rows).with_values(Arc::new(values)));
        }
        let nulls = if has_nulls {
            let keys = &self.keys[..rows];
            let valid = BooleanBuffer::collect_bool(rows, |row| keys[row] != NO_KEY);
            // A null's key is not read, but it has to be one.
            self.keys.iter_mut().for_each(|key| *key = (*key).max(0));
            Some(NullBuffer::new(valid))
        } else {
            None
        };
        self.keys.shrink_to_fit();
        Arc::new(DictionaryArray::new(Int32Array::new(self.keys.into(), nulls), Arc::new(values)))
    }

    /// So many rows as plain text.
    pub fn finish_text(mut self, rows: usize) -> StringArray {
        self.keys.resize(rows, NO_KEY);
        self.keys.iter().map(|key| self.values.get(usize::try_from(*key).ok()?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_what_was_put(words in proptest::collection::vec(proptest::option::of("[a-f]{0,2}"), 1..200)) {
            let mut builder = KeywordBuilder::default();
            for word in &words {
                match word {
                    Some(word) if word.starts_with('a') => builder.push_copy(word),
                    Some(word) if word.starts_with('b') => {
                        builder.put(builder.len(), word.as_bytes(), || Cow::Borrowed(word));
                    }
                    word => builder.push(word.as_deref().map(Cow::Borrowed)),
                }
            }
            let text = words.iter().map(Option::as_deref).collect::<StringArray>();
            let rows = words.len();
            let array = builder.finish(rows);
            let array = array.as_dictionary::<Int32Type>();
            let values = array.values().as_string::<i32>();
            let distinct: std::collections::HashSet<_> = values.iter().collect();
            prop_assert_eq!(distinct.len(), values.len());
            let of = |row| array.is_valid(row).then(|| values.value(array.keys().value(row) as usize));
            let found = (0..rows).map(of).collect::<StringArray>();
            prop_assert_eq!(found, text);
        }
    }

    #[test]
    fn columns_that_say_the_same_share_their_keys() {
        let column = |rows: usize, words: usize| {
            let mut builder = KeywordBuilder::default();
            (0..rows).for_each(|row| builder.push(Some(Cow::Owned((row % words).to_string()))));
            builder.finish(rows)
        };
        let bytes = |rows, words| own_bytes(&column(rows, words));
        assert!(bytes(8_000, 1) < 4_000, "{}", bytes(8_000, 1));
        // More rows than are shared, more words, or a row without one: keys of its own.
        assert!(bytes(9_000, 1) > 36_000);
        assert!(bytes(8_000, 2) > 32_000);
        let mut builder = KeywordBuilder::default();
        builder.fill(0..4_000, "x".into());
        assert!(own_bytes(&builder.finish(4_001)) > 16_000);
        assert_eq!(own_bytes(&null_column(&keyword(), 100)), 0);
    }

    #[test]
    fn rows_between_are_null() {
        let mut builder = KeywordBuilder::default();
        builder.fill(2..4, "x".into());
        builder.put(5, b"y", || "y".into());
        let array = builder.finish(7);
        let nulls: Vec<_> = (0..7).map(|row| array.is_null(row)).collect();
        assert_eq!(nulls, [true, true, false, false, true, false, true]);
    }
}
