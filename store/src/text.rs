//! Builds a column of text that comes as bytes, such as the digits of an id, which are looked at once for all rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use crate::nulls::{all_but, null_column};

/// Lets go of room that was made for rows that did not come. A little of it costs less than to move the others.
pub(crate) fn fit<T>(values: &mut Vec<T>) {
    if values.len() < values.capacity() / 2 {
        values.shrink_to_fit();
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct TextBuilder {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    /// Rows without text.
    nulls: Vec<u32>,
}

impl Default for TextBuilder {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl TextBuilder {
    /// With room for so many rows of so many bytes each.
    pub fn with_capacity(rows: usize, bytes_each: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(rows * bytes_each), offsets, nulls: Vec::new() }
    }

    /// Appends a row: UTF-8, or else [`Self::finish`] panics.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.bytes.len() as i32);
    }

    #[inline]
    pub fn push_null(&mut self) {
        self.nulls.push(self.rows() as u32);
        self.offsets.push(self.bytes.len() as i32);
    }

    const fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn finish(mut self) -> ArrayRef {
        let rows = self.rows();
        if self.nulls.len() == rows {
            return null_column(&DataType::Utf8, rows);
        }
        fit(&mut self.bytes);
        fit(&mut self.offsets);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Arc::new(StringArray::new(offsets, Buffer::from_vec(self.bytes), all_but(&self.nulls, rows)))
    }
}
